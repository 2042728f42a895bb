"""Turns CSV and Parquet tables into batches of tasks."""
