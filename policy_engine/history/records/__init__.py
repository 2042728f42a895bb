"""Turns records, one object per task or page row, into batches of tasks."""
