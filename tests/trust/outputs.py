"""Runs every command of the program on the hostile files, and keeps all that it printed and wrote."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from tests.support.commands import Done, policy_engine
from tests.trust import hostile

FORMATS = ("text", "json", "github", "sarif", "markdown")
BROKEN = "::error::broken\x1b[2J##[error]"
"""Name of the folder of the broken pack."""


@dataclass
class Outputs:
    """All that came of the hostile files."""

    folder: Path
    """Holds the exports, the packs, and what was written: `report`, `shy` (no addresses asked for), `tables`."""
    said: dict[str, Done] = field(default_factory=dict)
    """What each command printed, by a name for it."""
    formats: dict[str, dict[str, Done]] = field(default_factory=dict)
    """Name of a format -> what was said in it."""

    @property
    def report(self) -> Path:
        """The report with everything that can be asked for."""
        return self.folder / "report"

    def csv_files(self) -> Iterator[Path]:
        """Every CSV file that was written."""
        yield from sorted((*self.report.glob("*.csv"), *(self.folder / "tables").glob("*.csv")))


def make(folder: Path) -> Outputs:
    """Write the hostile files and run every command on them; the working folder is `folder` meanwhile."""
    made = Outputs(folder)
    exports = hostile.write_history(folder / "exports")
    hostile.write_pack(folder / "pack")
    hostile.write_broken_pack(folder / BROKEN)
    hostile.write_torn_history(folder / "torn")
    marks = hostile.write_marks(folder / "marks")
    (folder / "tables").mkdir()
    _change(folder / "pack", folder / "changed")
    before = Path.cwd()
    os.chdir(folder)
    try:
        # click takes escapes out where there is no terminal, and would hide that there were any.
        with mock.patch("click.utils.should_strip_ansi", return_value=False):
            _run_all(made, exports, [str(part) for option in marks.items() for part in option])
    finally:
        os.chdir(before)
    return made


def _run_all(made: Outputs, exports: Path, marks: list[str]) -> None:
    def say(name: str, *arguments: object) -> None:
        made.said[name] = policy_engine(*arguments)

    asked = ("--pack", "pack", "--as-of", hostile.AS_OF)
    say("report", "report", exports, *asked, "-o", "report", "--xlsx", "--markdown", "--rescue", "aria2", "--show-urls",
        "--tz", "Europe/Berlin", *marks)  # fmt: skip
    say("shy report", "report", exports, *asked, "-o", "shy", "--markdown")
    for name in ("findings.csv", "findings.jsonl", "findings.parquet"):
        say(f"evaluate {name}", "evaluate", exports, *asked, "-o", f"tables/{name}")
    say(
        "fail-on",
        "evaluate",
        exports,
        *asked,
        "-o",
        "tables/again.csv",
        "--fail-on",
        "expired",
        "--max-quarantine",
        "1",
    )
    for number, value in enumerate(hostile.VALUES[::12]):
        if "\0" not in value and "\ud83d" not in value:  # no argument can hold these
            say(f"explain {number}", "explain", "--", value, exports)
    for number in range(1, len(hostile.VALUES), 33):
        say(f"explain m-{number}", "explain", f"m-{number}", exports, *asked)
        say(f"explain u-{number}", "explain", f"u-{number}-1", exports, *asked, "--show-urls")
    say("diff", "diff", "pack", "changed")
    say("impact", "impact", "pack", "changed", exports, "--as-of", hostile.AS_OF, "-o", "tables/changed.csv")
    say("rules", "rules", "pack")
    say("torn", "evaluate", *sorted(Path("torn").iterdir()), *asked, "-o", "-")
    for number, value in enumerate(hostile.VALUES[::3]):
        if "\0" not in value and "\ud83d" not in value:
            # The words of a person too: a shell may have filled them in from names of files.
            say(f"no pack {number}", "rules", "--", value)
    for number, value in enumerate(hostile.TERMINAL + hostile.RUNNERS):
        if "\0" not in value and "\ud83d" not in value:
            say(f"no file {number}", "evaluate", *asked, "-o", "-", "--", value)
            say(f"no option {number}", "evaluate", f"--{value}")
            say(f"no value {number}", "evaluate", "--as-of", value, "--horizon", value, "x", "-o", "-")
            say(f"no command {number}", value)
            say(f"no choice {number}", "lint", "--format", value)
            say(f"no revision {number}", "diff", value, value)
    for name in ("lint", "check", "test"):
        say(f"{name} broken", name, BROKEN)
    late = ("--as-of", "2027-12-01T00:00:00Z")
    for shape in FORMATS:
        made.formats[shape] = {
            " ".join(arguments[:2]): policy_engine(*arguments, "--format", shape)
            for arguments in (("validate", BROKEN), ("test", "changed", "--coverage"), ("check", "changed", *late),
                              ("lint", "pack", *late, "--review-after", "P1D"))
        }  # fmt: skip
    for shape in ("json", "markdown"):
        made.formats[shape]["diff"] = policy_engine("diff", "pack", "changed", "--format", shape)
        made.formats[shape]["impact"] = policy_engine(
            "impact", "pack", "changed", exports, "--as-of", hostile.AS_OF, "--format", shape
        )
    made.said |= {f"{name} as text": done for name, done in made.formats["text"].items()}


def _change(pack: Path, changed: Path) -> None:
    """The same pack with other periods, so that cases fail and answers change."""
    shutil.copytree(pack, changed)
    for path in (changed / "rules").iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace("period: P3D", "period: P2D"), encoding="utf-8")
