"""Compares two rule packs: what changed in meaning, and what the change does to a history."""
