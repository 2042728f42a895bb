"""Writes problems as JSON in the form of the schema `problems.v1`."""

from __future__ import annotations

import json

from policy_engine.authoring.problem_formats.contents import Contents, Entry
from policy_engine.core.problems import SourceSpan
from policy_engine.core.version import __version__

SCHEMA = "policy-engine/problems/v1"
"""Name and version of the form."""


def to_json(contents: Contents) -> str:
    """One object; ASCII only, so that no text of a rule file can move a cursor."""
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
        "accepted": [_accepted(entry) for entry in contents.accepted],
        **contents.more,
    }
    return json.dumps(document, indent=2) + "\n"


def _accepted(entry: Entry) -> dict[str, object]:
    one = entry.acceptance
    assert one is not None
    acceptance = {"owner": whole(one.owner), "reason": whole(one.reason), "expires_on": one.expires_on.isoformat()}
    return {**_problem(entry), "acceptance": acceptance}


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
        "place": _place(problem.span) if problem.span else None,
        "related": [_place(span) for span in problem.related],
    }


def _place(span: SourceSpan) -> dict[str, object]:
    return {"file": whole(span.file), "line": span.line, "column": span.column, "length": span.length}


def whole(text: str | None) -> str | None:
    """Half a surrogate pair stands for a byte of a file name that is no UTF-8; JSON has no way to say it."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()
