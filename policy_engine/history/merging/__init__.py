"""Brings the records of one task together, however far apart they were read."""
