"""Turns tasks into assets: one row per output file."""
