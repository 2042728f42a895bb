"""
Judges a pandas frame and an exported history, prints the totals and writes the report as one HTML page.

Run it from the root of the repository after `make report`: .venv/bin/python examples/analyst.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from policy_engine import PolicyEngineError, RulePack, build_report, evaluate, evaluate_history, load_pack, render

AS_OF = "2026-01-08T00:00:00Z"
EXPORT = Path(__file__).with_name("history.jsonl")


def judge_frame(pack: RulePack) -> pd.DataFrame:
    """Judge files of which only the service and the time of the task are known."""
    files = pd.DataFrame(
        {
            "service": ["flux", "suno", "udio"],
            "created_at": ["2026-01-05T12:00:00Z", "2026-01-01T08:30:00Z", "2026-01-07T23:00:00Z"],
        }
    )
    return evaluate(files, pack, as_of=AS_OF)


def judge_history(pack: RulePack, page: Path) -> None:
    """Judge an export in chunks, print the totals and write the page."""
    history = evaluate_history(EXPORT, pack=pack, as_of=AS_OF)
    urgent = pd.concat([findings[findings["verdict"] == "at_risk"] for findings in history])
    print(urgent[["asset_id", "expires_earliest"]].sort_values("expires_earliest").head(3).to_string(index=False))

    report = build_report(history)
    for line in report.verdicts:
        print(f"{line.title:<20}{line.amount.assets:>6} files{line.amount.cost_usd:>10} USD")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(report, "html"), encoding="utf-8")
    print(f"written: {page}")


def main(page: str = "build/analyst.html") -> int:
    """Run both; `page` is the HTML file to write."""
    try:
        pack = load_pack("piapi")
        print(judge_frame(pack)[["service", "verdict", "rule_id", "expires_earliest"]].to_string(index=False))
        judge_history(pack, Path(page))
    except PolicyEngineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
