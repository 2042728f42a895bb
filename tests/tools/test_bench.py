"""The rivals of the bench give the program's answers, and the bench notices when one does not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

BENCH = ROOT / "tools" / "bench"
TASKS = 300


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The modules of the bench, working in a folder of their own."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(BENCH))
    import common
    import programs

    folder = tmp_path_factory.mktemp("bench")
    for module in (common, programs):
        patch.setattr(module, "BUILD", folder)
    yield {"common": common, "programs": programs, "folder": folder}
    patch.undo()


@pytest.fixture(scope="module")
def findings(bench: Any) -> dict[str, Path]:
    """The program's own findings of each input."""
    common, programs, folder = bench["common"], bench["programs"], bench["folder"]
    csv, parquet = common.rows_of(TASKS)
    found = {}
    for source in (common.history(TASKS), csv, parquet):
        for suffix in ("parquet", "csv"):
            output = folder / f"ours-{source.suffix[1:]}.{suffix}"
            common.measure(programs.evaluate(source, output, 1))
            found[f"{source.suffix[1:]} to {suffix}"] = output
            found[source.suffix[1:]] = source
    return found


@pytest.mark.parametrize(
    ("rival", "kind", "suffix"),
    [
        ("duckdb_sql", "jsonl", "parquet"),
        ("duckdb_sql", "jsonl", "csv"),
        ("duckdb_sql", "csv", "parquet"),
        ("duckdb_sql", "parquet", "parquet"),
        ("polars_lazy", "jsonl", "parquet"),
        ("polars_lazy", "jsonl", "csv"),
        ("polars_lazy", "csv", "parquet"),
        ("polars_lazy", "parquet", "parquet"),
        ("pandas_masks", "jsonl", "parquet"),
        ("pandas_masks", "jsonl", "csv"),
        ("pandas_masks --whole", "jsonl", "parquet"),
    ],
)
def test_a_rival_gives_the_same_answers(
    bench: Any, findings: dict[str, Path], rival: str, kind: str, suffix: str
) -> None:
    """Each rival agrees with the program on every file, in all columns."""
    name, *more = rival.split()
    output = bench["folder"] / f"{name}-{len(more)}-{kind}.{suffix}"
    bench["common"].measure((*bench["programs"].rival(name, findings[kind], output, 2), *more))
    assert bench["common"].compare(findings[f"{kind} to {suffix}"], output) > TASKS


def test_dask_is_timed_beside_processes(bench: Any) -> None:
    """Both ways of working on several processes are run, give one answer, and are shown with their ratio."""
    table = bench["common"].Table()
    bench["programs"].time_dask(table, [TASKS], 1, 2)
    assert [row[0] for row in table.groups[0][1]] == ["--jobs 2", "--jobs 2 --scheduler local"]
    assert table.groups[0][1][0][-1] == "1.00x"


def test_engines_in_memory_give_the_same_answers(bench: Any, findings: dict[str, Path]) -> None:
    """Whatever judges a frame in memory agrees with the program, or the bench stops."""
    import engines

    table = bench["common"].Table()
    engines.time_engines(table, findings["jsonl to parquet"], 400, 1)
    names = [row[0] for row in table.groups[0][1]]
    for engine in ("policy-engine", "polars", "duckdb", "pandas, a mask", "pandas apply"):
        assert any(name.startswith(engine) for name in names), f"{engine} was not run: {names}"


@pytest.mark.parametrize("column", ["verdict", "expires_latest", "points", "cost_usd", "source"])
def test_one_changed_cell_stops_the_bench(bench: Any, findings: dict[str, Path], column: str) -> None:
    """A single differing cell is found, and named with its asset and column."""
    whole = pq.read_table(findings["jsonl to parquet"])
    values = whole[column].to_pylist()
    row = next(place for place, value in enumerate(values) if value is not None)
    values[row] = None
    kind = whole.schema.field(column).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    changed = bench["folder"] / f"changed-{column}.parquet"
    pq.write_table(whole.set_column(whole.column_names.index(column), column, pa.array(values, plain)), changed)
    with pytest.raises(bench["common"].Stop, match=f"(?s)1 of .* differ.*{column}"):
        bench["common"].compare(findings["jsonl to parquet"], changed)


def test_a_missing_asset_stops_the_bench(bench: Any, findings: dict[str, Path]) -> None:
    """A rival that leaves out a file is not believed, however fast it is."""
    whole = pq.read_table(findings["jsonl to parquet"])
    short = bench["folder"] / "short.parquet"
    pq.write_table(whole.slice(1), short)
    with pytest.raises(bench["common"].Stop, match="lacks 1 assets"):
        bench["common"].compare(findings["jsonl to parquet"], short)


def test_tables_replace_what_stood_between_the_marks(bench: Any, tmp_path: Path) -> None:
    """The page keeps its words; only what the bench wrote before is replaced."""
    common = bench["common"]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{common.BEGIN}\nold\n{common.END}\nafter\n")
    table = common.Table()
    table.head("Things")
    table.row("one", 1.5, 2.0, 3_000_000, "1.00x")
    common.write_markdown(page, table.markdown())
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "old" not in text
    assert "| one | 1.50 | 2.0 | 3 | 1.00x |" in text


def test_the_page_on_performance_has_the_marks(bench: Any) -> None:
    """The page that the tables are written into is ready for them."""
    page = (ROOT / "docs" / "development" / "performance.md").read_text(encoding="utf-8")
    assert page.index(bench["common"].BEGIN) < page.index(bench["common"].END)


def test_the_bare_parse_reads_every_field(bench: Any, findings: dict[str, Path]) -> None:
    """The floor is a parse of all the fields that are needed, not of some."""
    command = (sys.executable, str(BENCH / "bare_parse.py"), str(findings["jsonl"]), "1")
    assert bench["common"].measure(command).seconds > 0
