"""Writes problems as SARIF 2.1.0, which code-scanning services and editors read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from policy_engine.authoring.problem_formats.contents import LONGEST, Contents, Entry
from policy_engine.core.problem_codes import PROBLEM_CODES, meaning, page_of
from policy_engine.core.problems import SourceSpan
from policy_engine.core.safe_text import plain
from policy_engine.core.version import __version__

MOST_RESULTS = 5_000
"""Most results in one file: services refuse longer files, or cut them silently."""
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def write(contents: Contents) -> str:
    """
    One run; all codes are declared even when there is no problem, so that a service sees what was checked.

    A problem without a file is a notification about the run, not a result: it says that something could not be
    checked, and services refuse results without a location.
    """
    rules = _rules(contents)
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    placed = [entry for entry in contents.entries if entry.problem.span is not None]
    # Errors first, when not all fit.
    kept = sorted(placed, key=lambda entry: entry.problem.severity != "error")[:MOST_RESULTS]
    shown = {id(entry) for entry in kept}
    notifications = [_notification(entry, index) for entry in contents.open if entry.problem.span is None]
    is_blind = any(item["level"] == "error" for item in notifications)
    notifications += [{"level": "warning", "message": {"text": _message([line])}} for line in contents.lines_left_out()]
    if len(placed) > len(kept):
        missing = f"{len(placed) - len(kept):,} more problems are not in this file"
        notifications.append({"level": "warning", "message": {"text": missing}})
    invocation: dict[str, Any] = {"executionSuccessful": not is_blind}
    if notifications:
        invocation["toolConfigurationNotifications"] = notifications
    run = {
        "tool": {
            "driver": {
                "name": "policy-engine",
                "version": __version__,
                "semanticVersion": __version__,
                "informationUri": _uri(contents, "docs/ci.md"),
                "rules": rules,
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": [_result(entry, index) for entry in placed if id(entry) in shown],
        "properties": {"covered": list(contents.covered)},
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rules(contents: Contents) -> list[dict[str, Any]]:
    """Every code a command can report, and those of these problems, in alphabetical order."""
    pages = {code: page_of(code) for codes in PROBLEM_CODES.values() for code in codes}
    pages |= {entry.problem.code: entry.documentation for entry in contents.entries}
    rules = []
    for code, page in sorted(pages.items()):
        means = meaning(code) or f"{code.replace('-', ' ').capitalize()}."
        rule: dict[str, Any] = {"id": code, "shortDescription": {"text": _message([means])}}
        if page is not None:
            rule["helpUri"] = _uri(contents, page)
            rule["help"] = {"text": _message([f"{means} See {page}."])}
        rules.append(rule)
    return rules


def _result(entry: Entry, index: dict[str, int]) -> dict[str, Any]:
    problem = entry.problem
    assert problem.span is not None
    texts = [problem.message]
    texts += [f"witness: {problem.witness}"] if problem.witness else []
    texts += [f"help: {problem.help}"] if problem.help else []
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": index[problem.code],
        "level": problem.severity,
        "message": {"text": _message(texts)},
        "locations": [{"physicalLocation": _location(problem.span)}],
        "partialFingerprints": {"policyEngineProblem/v1": entry.fingerprint},
    }
    if problem.related:
        result["relatedLocations"] = [
            {"id": number, "physicalLocation": _location(span), "message": {"text": "see also"}}
            for number, span in enumerate(problem.related, 1)
        ]
    if entry.acceptance is not None:
        accepted = entry.acceptance
        why = _message([f"{accepted.reason} (accepted by {accepted.owner} until {accepted.expires_on.isoformat()})"])
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    return result


def _notification(entry: Entry, index: dict[str, int]) -> dict[str, Any]:
    problem = entry.problem
    texts = [problem.message, *([f"help: {problem.help}"] if problem.help else [])]
    return {
        "level": problem.severity,
        "message": {"text": _message(texts)},
        "associatedRule": {"id": problem.code, "index": index[problem.code]},
    }


def _location(span: SourceSpan) -> dict[str, Any]:
    region = {"startLine": span.line, "startColumn": span.column, "endColumn": span.column + span.length}
    return {"artifactLocation": {"uri": file_uri(span.file)}, "region": region}


def file_uri(path: str) -> str:
    """The path as a URI: relative as given, percent-encoded, `file:` when absolute."""
    try:
        data = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = path.encode("utf-8", "backslashreplace")
    encoded = quote(data, safe="/")
    if re.match(r"[A-Za-z]:/", path):
        return f"file:///{encoded.replace('%3A', ':', 1)}"
    if path.startswith("//"):
        return f"file:{encoded}"
    return f"file://{encoded}" if path.startswith("/") else encoded


def _uri(contents: Contents, page: str) -> str:
    """The address of a page; a URN, as in the schemas, when no address is known."""
    address = contents.address(page) or f"urn:policy-engine:{page}"
    return quote(address.encode("utf-8", "backslashreplace"), safe="/:#?&=%@+,;~")


def _message(texts: Iterable[str]) -> str:
    """Texts as plain text of SARIF, in which `{0}` would be a placeholder and `[text](address)` a link."""
    text = "\n".join(plain(part, LONGEST) for part in texts)
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")
