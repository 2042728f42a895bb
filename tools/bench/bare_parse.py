"""
The floor of the bench: one scan of JSON Lines for the needed fields and nothing else, by the fastest reader measured.

Usage: bare_parse.py FILE THREADS
"""

from __future__ import annotations

import sys
from pathlib import Path

from duckdb_sql import TASK, reader


def main() -> int:
    """Parse, and add up lengths, so that no field can be skipped."""
    import duckdb

    connection = duckdb.connect(config={"threads": int(sys.argv[2])})
    used = [f"sum(length({name}))" for name, kind in TASK.items() if kind == "VARCHAR"]
    used += ["sum(length(output::VARCHAR))", "sum(length(config.service_mode))", "sum(length(meta.created_at))"]
    used += ["sum(length(meta.ended_at))", "sum(meta.usage.consume)", "count(meta.is_using_private_pool)"]
    used += ["sum(length(meta.usage.type))"]
    print(connection.execute(f"SELECT {', '.join(used)} FROM {reader(Path(sys.argv[1]))}").fetchone())
    return 0


if __name__ == "__main__":
    sys.exit(main())
