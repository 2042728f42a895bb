"""What every room uses and what uses none of them: words, periods, problems, the rule model."""
