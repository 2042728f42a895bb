"""House rules: the instants they give, and what a file of them must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from policy_engine.annotations import Annotator, read_house_rules
from policy_engine.core.periods import DAY, HOUR, parse_instant
from policy_engine.core.problems import PackInvalid
from policy_engine.core.vocabulary import FINDING_COLUMNS
from policy_engine.engine.evaluation import evaluate
from tests.support.exports import pack, write

AS_OF = "2026-01-08T00:00:00Z"
CITATION = 'citation: {source: Handbook, section: Saving, retrieved_on: "2026-01-02", basis: internal}'


def rule(*versions: str, id: str = "house") -> str:
    """A rule in a file of house rules; a version is its lines but for number and date."""
    lines = [f"  - id: {id}", "    title: Ours", "    versions:"]
    for number, version in enumerate(versions, 1):
        lines += [f"      - version: {number}", '        recorded_on: "2026-01-02"']
        lines += [f"        {line}" for line in version.split("\n")]
    return "\n".join(lines) + "\n"


def save_by(tmp_path: Path, text: str, **facts: Any) -> tuple[str | None, int]:
    """When one file is to be saved, and how many lack a clock."""
    path = write(tmp_path / "house.yaml", f"rules:\n{text}")
    house = read_house_rules(path, "house.yaml", pack().catalog)
    row = {"service": "udio", "created_at": "2026-01-06T00:00:00Z", "completed_at": "2026-01-06T01:00:00Z"} | facts
    findings = evaluate(pd.DataFrame({name: [value] for name, value in row.items()}), pack(), as_of=AS_OF)
    marker = Annotator(parse_instant(AS_OF), DAY, HOUR, house_rules=house)
    marked, totals = marker.mark(findings)
    assert list(marked.columns) == list(FINDING_COLUMNS)
    assert marked["verdict"].tolist() == findings["verdict"].tolist()
    value = marked["save_by"].iloc[0]
    return None if pd.isna(value) else value.strftime("%Y-%m-%dT%H:%M:%SZ"), totals.without_clock


WEEK = f"selector: {{verdict: [vendor_cdn, ungoverned]}}\nsave_within: {{period: P7D}}\n{CITATION}"
EARLY = f"selector: {{media: [video]}}\nlead_time: {{period: PT12H}}\n{CITATION}"


@pytest.mark.parametrize(
    ("text", "facts", "expected"),
    [
        (rule(WEEK), {}, "2026-01-13T00:00:00Z"),
        (rule(WEEK), {"service": "flux"}, "2026-01-09T00:00:00Z"),  # governed: the provider's own deadline
        (rule(WEEK), {"created_at": None}, "2026-01-13T00:00:00Z"),  # finished less the longest task
        (rule(WEEK), {"completed_at": None}, "2026-01-13T00:00:00Z"),
        (rule(EARLY), {"service": "flux", "media": "video"}, "2026-01-08T12:00:00Z"),
        (rule(EARLY), {"service": "flux", "media": None}, "2026-01-08T12:00:00Z"),  # may be a video
        (rule(EARLY), {"service": "flux", "media": "image"}, "2026-01-09T00:00:00Z"),
        (rule(EARLY), {"media": "video"}, None),  # nothing to be earlier than
        (
            rule(EARLY),
            {"media": "video", "url": "https://a.example/x?Expires=1767830400&Signature=x"},
            "2026-01-07T12:00:00Z",
        ),
        (rule(WEEK) + rule(WEEK.replace("P7D", "P2D"), id="stricter"), {}, "2026-01-08T00:00:00Z"),
        (rule(WEEK, f'effective_from: "2026-01-06T00:00:00Z"\nwithdrawn: true\n{CITATION}'), {}, None),
        (
            rule(WEEK, f'effective_from: "2026-01-06T00:30:00Z"\n{WEEK.replace("P7D", "P1D")}'),
            {},
            "2026-01-07T01:00:00Z",  # the reading by completion falls under version 2, and is the earlier
        ),
    ],
)  # fmt: skip
def test_instants(text: str, facts: dict[str, Any], expected: str | None, tmp_path: Path) -> None:
    """
    The earliest of the provider's deadline, the link's end and every fitting house rule, on either reading of creation.
    """
    assert save_by(tmp_path, text, **facts) == (expected, 0)


def test_without_a_clock_there_is_no_date(tmp_path: Path) -> None:
    """
    A file of which no time of creation is known gets no date from a house rule, and is counted.
    """
    assert save_by(tmp_path, rule(WEEK), created_at=None, completed_at=None) == (None, 1)


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        (rule(f"selector: {{}}\n{CITATION}"), "says-nothing", "neither `save_within` nor `lead_time`"),
        (rule(WEEK.replace("internal", "published")), "not-allowed", "cannot be `published`"),
        (rule(WEEK.replace("P7D", "7 days")), "bad-format", "is not an ISO 8601 duration"),
        (rule(WEEK.replace("P7D", "P0D")), "zero-period", "has no length"),
        (rule(WEEK.replace("verdict: [vendor_cdn,", "service: [klinga,")), "unknown-service", "`klinga`"),
        (rule(WEEK) + rule(WEEK), "duplicate", "the rule `house` appears twice"),
        (rule(WEEK).replace("version: 1", "version: 2"), "version-number", "is where version 1 should be"),
        (rule(WEEK.replace("save_within", "retention")), "unknown-key", "unknown key `retention`"),
    ],
)
def test_files_that_make_no_sense(text: str, code: str, found: str, tmp_path: Path) -> None:
    """
    A house rule is checked as a rule of a pack is, and each problem has its place.
    """
    with pytest.raises(PackInvalid) as refused:
        save_by(tmp_path, text)
    problem = refused.value.problems[0]
    assert problem.code == code
    assert found in problem.message
    assert problem.span is not None
    assert (problem.span.file, problem.span.line > 1) == ("house.yaml", True)
