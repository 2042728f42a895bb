"""Writes problems as JSON that fits the schema `problems.v1`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from policy_engine.authoring.problem_formats.contents import Contents, Entry
from policy_engine.core.problems import SourceSpan
from policy_engine.core.version import __version__

if TYPE_CHECKING:
    from policy_engine.authoring.lint.baseline import Acceptance

SCHEMA = "policy-engine/problems/v1"
"""Name and version of the schema."""


def write(contents: Contents) -> str:
    """One object; ASCII only, so that text from a rule file cannot move a cursor."""
    document = {
        "schema": SCHEMA,
        "program": {"name": "policy-engine", "version": __version__},
        "errors": contents.count("error"),
        "warnings": contents.count("warning"),
        "covered": list(contents.covered),
        "problems": [_problem(entry) for entry in contents.open],
        "left_out": [
            {"code": code, "severity": severity, "count": number}
            for (code, severity), number in contents.left_out.items()
        ],
        "accepted": [_accepted(entry, acceptance) for entry, acceptance in contents.accepted],
        **contents.more,
    }
    return json.dumps(document, indent=2) + "\n"


def _accepted(entry: Entry, acceptance: Acceptance) -> dict[str, object]:
    stated = {
        "owner": whole(acceptance.owner),
        "reason": whole(acceptance.reason),
        "expires_on": acceptance.expires_on.isoformat(),
    }
    return {**_problem(entry), "acceptance": stated}


def _problem(entry: Entry) -> dict[str, object]:
    problem = entry.problem
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": whole(problem.message),
        "witness": whole(problem.witness),
        "help": whole(problem.help),
        "about": [whole(name) for name in problem.about],
        "documentation": whole(entry.documentation),
        "fingerprint": entry.fingerprint,
        "place": _location(problem.span) if problem.span else None,
        "related": [_location(span) for span in problem.related],
    }


def _location(span: SourceSpan) -> dict[str, object]:
    return {"file": whole(span.file), "line": span.line, "column": span.column, "length": span.length}


def whole(text: str | None) -> str | None:
    """Escapes half a surrogate pair, which stands for a byte of a file name that is not UTF-8; JSON cannot hold it."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()
