"""Distributes chunks of work over processes."""
