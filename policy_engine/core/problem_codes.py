"""What the codes of problems with rule packs mean, and which page of the documentation explains them."""

from __future__ import annotations

from collections.abc import Mapping

PROBLEM_CODES: Mapping[str, Mapping[str, str]] = {
    "Finding and reading files": {
        "unknown-pack": "There is no bundled rule pack and no folder of this name.",
        "not-a-pack": "The folder lacks a file that every rule pack has, or is not a folder.",
        "unread-file": "A file is where it would silently not be read.",
        "file-unreadable": "The file cannot be opened.",
        "file-too-large": "The file is larger than any rule file needs to be.",
        "empty-file": "The file is empty.",
        "not-utf8": "The file holds bytes that are not UTF-8.",
        "forbidden-character": "The file holds a character that would make lines or names ambiguous.",
    },
    "YAML": {
        "yaml-syntax": "The file is not YAML.",
        "yaml-alias": "Aliases are not allowed; values are written out.",
        "yaml-anchor": "Anchors are not allowed; values are written out.",
        "yaml-tag": "Tags are not allowed; values are plain.",
        "second-document": "The file holds a second document.",
        "too-deep": "Lists and maps are nested too deeply.",
        "too-many-values": "The file holds more values than a rule file needs.",
        "too-many-problems": "There are so many problems that not all are listed.",
        "key-not-text": "A key is not a string.",
        "duplicate-key": "A key occurs twice in one map.",
        "not-a-number": "A number is out of range or not finite.",
    },
    "Shape": {
        "unknown-key": "The schema has no such key here.",
        "missing-key": "A key that must be there is missing.",
        "wrong-type": "A value is of another type than the schema wants.",
        "not-allowed": "A value is not one of those allowed here.",
        "bad-format": "A text does not have the form it needs: a date, a duration, an address, an id.",
    },
    "Names and versions": {
        "file-name": "A rule is in a file that is not named after it.",
        "duplicate": "A name or a value occurs twice where it may occur once.",
        "ambiguous-name": "A name in an export would mean two services.",
        "missing-default": "Nothing says which service a name means when a task type is not listed.",
        "unknown-service": "The catalog has no such service.",
        "unknown-task-type": "The service has no such task type.",
        "unknown-role": "No output of the services has this role.",
        "unknown-operation": "No service that the version is about has such an operation.",
        "unknown-output": "No output has this name.",
        "unknown-source": "The pack has no such source.",
        "unknown-owner": "No host belongs to this owner.",
        "version-number": "The versions of a rule do not count 1, 2, 3.",
        "recorded-earlier": "A version was recorded before the one above it.",
        "says-nothing": "A version says nothing about storage or operations, or is withdrawn before it began.",
        "vendor-terms-on-platform": "The terms of a vendor are given for files that are on the platform.",
        "zero-period": "A period has no length.",
        "expected-impact": "The expected impact of a version names no change of a verdict.",
    },
    "Rules together": {
        "contradiction": "A service is declared to have no published rule, and a rule governs it.",
    },
    "Lint": {
        "overlap": "Two rules are in force for the same file, or the same operation, at one instant.",
        "gap": "A service, or an interval of time, has no rule, and the pack does not declare that there is none.",
        "shadowed": "A version is never in force.",
        "unreachable": "No file can match a version, or a value of its selector.",
        "duplicate-version": "A version or a rule changes no answer.",
        "outlasting-window": "Operations are accepted for longer than the file they work on is kept.",
        "version-order": "Numbers or days of versions are out of order.",
        "rewritten": "A merged version was edited or removed.",
        "uncited": "A version has no citation.",
        "stale-source": "A cited page has not been read for too long.",
        "duration-jump": "A period is far longer or shorter than comparable ones.",
        "unknown-name": "A selector or a window names something that the catalog does not have.",
        "untested": "No case names a rule or a version.",
    },
    "Comparing with what was merged": {
        "no-git": "The pack is not in a git repository, or git is not installed.",
        "unknown-revision": "The repository has no such revision.",
        "no-pack-in-revision": "The revision does not hold the pack.",
    },
    "Baseline": {
        "baseline-expired": "The acceptance of a problem has expired.",
        "baseline-unused": "An entry accepts no problem.",
    },
    "Cases of a pack": {
        "unknown-task": "A case names a task that its file does not give.",
        "unknown-rule": "A case names a rule that the pack does not have.",
        "unknown-version": "A case names a version that its rule does not have.",
        "case-failed": "The rules decide a case differently from what it expects.",
        "no-cases": "The rule pack holds no case.",
    },
    "What the cases are worth": {
        "not-exercised": "No case gets its answer from a version.",
        "boundary-not-exercised": "No two cases are on both sides of an instant at which an answer changes.",
        "not-noticed": "A rule could be changed without any case failing.",
        "below-threshold": "A score is below the required threshold.",
    },
    "Writing cases": {
        "several-packs": "Cases are written for one pack at a time.",
        "file-exists": "A file that somebody may have edited would be replaced.",
        "too-large": "The cases do not fit into one file of cases.",
    },
}
"""Heading of the documentation -> code -> what it means. A code keeps its meaning for good."""

PAGE = "docs/problems.md"
"""The page that explains them."""
_OTHER_PAGES = {"baseline-expired": "docs/lint.md#baseline", "baseline-unused": "docs/lint.md#baseline"}


def meaning(code: str) -> str | None:
    """What a code means, in one sentence; None for a code that is not listed here."""
    return next((codes[code] for codes in PROBLEM_CODES.values() if code in codes), None)


def page_of(code: str) -> str | None:
    """Path and anchor of the documentation of a code, from the root of the repository of this program."""
    if code in PROBLEM_CODES["Lint"]:
        return f"docs/lint/{code}.md"
    for heading, codes in PROBLEM_CODES.items():
        if code in codes:
            return _OTHER_PAGES.get(code, f"{PAGE}#{heading.lower().replace(' ', '-')}")
    return None
