"""Writes text for people and for CSV."""
