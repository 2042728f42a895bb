"""Shares chunks of work among processes."""
