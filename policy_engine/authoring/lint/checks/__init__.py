"""The lint checks, one module each, named by its id."""
