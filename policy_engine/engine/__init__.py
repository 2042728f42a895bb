"""Turns tasks, a rule pack and a question into findings and totals."""
