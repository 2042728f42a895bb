"""Task objects as the provider published them: where POLICY_ENGINE_EXAMPLES names a folder, it is read whole."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from policy_engine.core.periods import DAY
from policy_engine.history import find_sources
from tests.support.exports import Reading, read

FOLDER = os.environ.get("POLICY_ENGINE_EXAMPLES", "")

pytestmark = pytest.mark.skipif(not FOLDER, reason="POLICY_ENGINE_EXAMPLES names no folder of published task objects")


@pytest.fixture(scope="module")
def reading() -> Reading:
    """All examples, read at an instant after the youngest."""
    return read(FOLDER, as_of="2026-07-01T00:00:00Z")


def of_service(reading: Reading, service: str, day: str) -> pd.DataFrame:
    """Findings of the tasks of a service that were created on a day."""
    findings = reading.findings
    return findings[(findings["service"] == service) & (findings["created_at"].dt.strftime("%Y-%m-%d") == day)]


def test_nothing_is_lost(reading: Reading) -> None:
    """Every file is read, no record is set aside, and all totals tie (or the run would have stopped)."""
    files = [path for path in Path(FOLDER).iterdir() if path.suffix == ".json"]
    assert reading.totals.seen.records == len(files)
    assert reading.quarantine.empty
    assert set(reading.totals.seen.records_by_file.values()) == {1}


def test_only_placeholders_are_unreadable(reading: Reading) -> None:
    """The only fields that cannot be read are the placeholder times of the schema sample."""
    assert reading.totals.seen.problem_counts == {"unreadable_time": 2}


def test_index_is_skipped_and_named() -> None:
    """The page that describes the examples is passed over, and said to be."""
    found = find_sources([FOLDER])
    assert [name for name, _ in found.skipped] == ["INDEX.md"]


def test_kling_leaves_one_file_with_each(reading: Reading) -> None:
    """A Kling video from a picture: the watermarked file is the vendor's, the clean one is kept for three days."""
    findings = of_service(reading, "kling", "2025-08-14")
    assert findings["watermarked"].astype(str).tolist() == ["true", "false"]
    assert findings["verdict"].astype(str).tolist() == ["vendor_cdn", "expired"]
    clean = findings.iloc[1]
    assert clean["expires_earliest"] - clean["created_at"] == pd.Timedelta(3 * DAY)
    assert clean["expires_latest"] - clean["completed_at"] == pd.Timedelta(3 * DAY)
    assert findings["evidence"].astype(str).tolist() == ["agrees", "agrees"]


def test_luma_is_with_the_vendor(reading: Reading) -> None:
    """The files of Luma are with the vendor; the pending record and the finished one are one task."""
    findings = of_service(reading, "luma", "2026-01-07")
    assert set(findings["verdict"].astype(str)) == {"vendor_cdn"}
    assert len(findings) == 3
    assert findings["source"].str.count(";").eq(1).all()


def test_sora_is_ungoverned(reading: Reading) -> None:
    """For Sora nothing is published, and that is the answer."""
    findings = of_service(reading, "sora2", "2025-10-29")
    assert findings["verdict"].astype(str).tolist() == ["ungoverned"]
    assert findings["reason"].astype(str).tolist() == ["no_published_rule"]


def test_waiting_tasks_are_counted_by_reason(reading: Reading) -> None:
    """Tasks that wait, or whose status is empty or a placeholder, leave no asset and are counted."""
    without = reading.without
    assert without["pending"] >= 1
    assert without["unknown_status"] >= 1
    assert sum(without.values()) == reading.totals.tasks.tasks - reading.totals.tasks.with_assets


def test_urls_of_inputs_are_no_assets(reading: Reading) -> None:
    """No asset lies where only inputs lie: webhooks, picture hosts, samples."""
    hosts = set(reading.findings["url_host"].dropna().astype(str))
    assert not {host for host in hosts if "webhook" in host or "ibb.co" in host}
