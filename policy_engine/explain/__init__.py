"""Explains the answer about one task: its files, and everything that the answer depends on."""

from policy_engine.explain.rendering import render_explanation
from policy_engine.explain.tracing import TaskExplanation, explain_task

__all__ = ["TaskExplanation", "explain_task", "render_explanation"]
