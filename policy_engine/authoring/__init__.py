"""What authors of rules ask of a pack: lint, tests, and what a change does."""
