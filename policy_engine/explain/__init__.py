"""Why this answer? One task, its files, and everything the answer rests on."""

from policy_engine.explain.tracing import TaskExplanation, explain_task
from policy_engine.explain.wording import render_explanation

__all__ = ["TaskExplanation", "explain_task", "render_explanation"]
