"""Lists for a downloader: one address and one harmless name for each file, whatever an export says."""

from __future__ import annotations

import re

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.report.formats.aria2 import entries

ADDRESS = re.compile(r"https?://[!-~]+", re.IGNORECASE)
PART = re.compile(r"[A-Za-z0-9%_~-]([A-Za-z0-9._%~-]*[A-Za-z0-9%_~-])?")


def entry(url: str | None, asset_id: str, task_id: str) -> str:
    """The entry for one finding."""
    columns = {"url": [url], "asset_id": [asset_id], "task_id": [task_id]}
    (text,) = entries(pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()}))
    return text


def test_an_entry_as_written() -> None:
    """
    The address as it stands, then folder and name made from the id, with the ending of the address.
    """
    assert entry("https://a.example/x/Y.MP4?Expires=1&Signature=a~b", "kling/t-1/video/2", "t-1") == (
        "https://a.example/x/Y.MP4?Expires=1&Signature=a~b\n  dir=kling/t-1/video\n  out=2.mp4\n"
    )
    assert entry("https://a.example/a b\u00e9", "x/t/y/1", "t").startswith("https://a.example/a%20b%C3%A9\n")


def test_no_address_no_entry() -> None:
    """
    A file without an address, and what is no web address, is left out.
    """
    assert entry(None, "a/b/c/1", "b") == ""
    assert entry("file:///etc/passwd", "a/b/c/1", "b") == ""


@given(
    tail=st.text(max_size=60),
    service=st.text(min_size=1, max_size=20),
    task=st.one_of(
        st.text(min_size=1, max_size=40), st.sampled_from(["..", "../..", "/etc", "C:\\", "a\n  header=X: y"])
    ),
    output=st.text(min_size=1, max_size=20),
)
def test_nothing_leaves_its_place(tail: str, service: str, task: str, output: str) -> None:
    """
    Three lines and no more: one address, a folder of three plain parts, a plain name; no other option can appear.
    """
    text = entry(f"https://a.example/{tail}", f"{service}/{task}/{output}/1", task)
    address, folder, name, rest = text.split("\n")
    assert rest == ""
    assert ADDRESS.fullmatch(address)
    assert folder.startswith("  dir=")
    assert name.startswith("  out=")
    assert len(folder.removeprefix("  dir=").split("/")) == 3
    assert all(
        PART.fullmatch(part) for part in [*folder.removeprefix("  dir=").split("/"), name.removeprefix("  out=")]
    )
