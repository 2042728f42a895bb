"""Turns a finished run into a report: the model, the folder, the page and the tables."""
