"""Turns the versions of a rule into its timeline: which version is in force from which instant on."""

from __future__ import annotations

from datetime import date

from policy_engine.core.rule_model import Rule, RuleVersion

Segment = tuple[int | None, RuleVersion | None]
"""Start of a stretch of time in nanoseconds (None = since ever), and the version in force (None = none)."""


def in_force(rule: Rule, known_on: date | None = None) -> tuple[Segment, ...]:
    """
    Return the rule's timeline in order of time; each segment lasts until the next starts, the last for ever.

    The versions recorded on or before `known_on` (default: all) are replayed in number order. Each takes over from
    its `effective_from` on, whatever was there before; a withdrawn version leaves the rule silent from there on.
    The first segment always starts at None, and neighbours differ.
    """
    segments: list[Segment] = [(None, None)]
    for version in sorted(rule.versions, key=lambda version: version.number):
        if known_on is not None and version.recorded_on > known_on:
            continue
        start = version.effective_from
        if start is None:
            segments = []
        else:
            segments = [segment for segment in segments if segment[0] is None or segment[0] < start]
        entry = None if version.withdrawn else version
        if not segments or segments[-1][1] is not entry:
            segments.append((start, entry))
    return tuple(segments)
