"""Every kind of sink, as a folder and as one file: the rows, their types, their bytes."""

from __future__ import annotations

import csv
import os
import shutil
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from stagepipe.builtin.sinks import arrow, delimited, parquet

KINDS = ("parquet", "csv", "arrow")
WAYS = [f"{kind} {way}" for kind in KINDS for way in ("folder", "file")]
TYPES = """\
amount = "decimal(12,2)"
share = "float64"
is_new = "bool"
day = "date"
at = "time"
seen = "datetime"
noted = "datetime(UTC)"
small = "int8"
"""
NULLS = 'null_values = ["NULL"]'
WORDS = [
    "plain",
    "",
    None,
    "a,b",
    'he said "no"',
    "two\nlines",
    "cr\r\nlf",
    "é ☃",
    " blank ",
    "NULLE",
]
ROWS = [
    {
        "id": number,
        "word": WORDS[number % len(WORDS)],
        "amount": None if number % 7 == 0 else Decimal(number * 101 - 9000) / 100,
        "share": None if number % 5 == 0 else number / 3,
        "is_new": None if number % 4 == 0 else number % 2 == 0,
        "day": None if number % 6 == 0 else date(2024, 2, 1 + number % 29),
        "at": None if number % 8 == 0 else time(number % 24, 5, 6, number),
        "seen": None if number % 9 == 0 else datetime(2024, 2, 29, 12, number % 60, 1, number),
        "noted": None if number % 3 == 0 else datetime(2024, 2, 29, 23, 0, 1, number, tzinfo=UTC),
        "small": None if number % 5 == 1 else number % 256 - 128,
    }
    for number in range(200)
]
COLUMNS = list(ROWS[0])
WITH_PLUGIN = 'chunk_size = "1kB"\nplugins = ["own.py"]'
OWN = """\
from stagepipe import step

@step
def own(frame):
    return frame
"""
TURN = """\
from stagepipe import step

@step
def turn(frame, *, fifo: str, last: int):
    # The first chunk waits for the last one to be at work.
    if fifo and frame["id"][0] == 0:
        open(fifo).read()
    if fifo and frame["id"][-1] == last:
        open(fifo, "w").close()
    return frame
"""


def place_of(way: str) -> tuple[str, str]:
    """The sink's kind and its path."""
    kind, _, how = way.partition(" ")
    return kind, f"t.{kind}" if how == "file" else "t"


def stage_of(way: str, *options: str) -> str:
    kind, path = place_of(way)
    words = [f'use = "{kind}"', f'path = "{path}"', 'on_existing = "replace"', *options]
    return f"sink = {{ {', '.join(words)} }}"


def declare(project: Any, way: str, *options: str, **how: Any) -> None:
    how = {"source": f"[source.csv]\n{NULLS}", "columns": TYPES, **how}
    project.declare(stages=stage_of(way, *options), **how)


def written(value: Any) -> str:
    """A value as an input file has it."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else str(value)


def land(project: Any, rows: list[dict[str, Any]] = ROWS, files: int = 3) -> None:
    """The rows in some files."""
    for number in range(files):
        path = project.write(f"landing/{number}.csv", "")
        with path.open("w", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(rows[0])
            first, last = (len(rows) * each // files for each in (number, number + 1))
            out.writerows([written(value) for value in row.values()] for row in rows[first:last])


def files_of(project: Any, way: str) -> list[Path]:
    """The output's data files, in order."""
    _, path = place_of(way)
    place = project.root / "out" / path
    return sorted(place.iterdir()) if place.is_dir() else [place]


def stats(project: Any) -> list[Any]:
    """Everything in the output folder, hidden files as well, with what a change would change."""
    found = sorted((project.root / "out").rglob("*"))
    return [(p, p.stat().st_ino, p.stat().st_mtime_ns, p.stat().st_size) for p in found]


def data(project: Any) -> dict[str, str]:
    return {name: value for name, value in project.tree().items() if not name.startswith(".")}


@pytest.mark.parametrize("way", WAYS)
def test_rows_come_back_with_their_types(project: Any, way: str) -> None:
    """In order, whoever reads them; the counts are those of the result."""
    land(project)
    declare(project, way)
    result = project.run()
    assert result.error is None
    assert sum(len(stage.tasks) for stage in project.plan().stages) > 10
    (output,) = result.outputs
    files = files_of(project, way)
    assert (output.rows, output.files) == (len(ROWS), len(files))
    assert output.bytes == sum(file.stat().st_size for file in files)
    assert (len(files) == 1) == way.endswith("file")
    for name, read in READERS[way.split()[0]].items():
        found = [row for file in files for row in read(file)]
        assert found == ROWS, name


def with_polars(read: Any) -> Any:
    return lambda path: read(path).rows(named=True)


def by_duckdb(path: Path) -> list[dict[str, Any]]:
    return read_by_duckdb(duckdb.read_parquet(str(path)))


def read_by_duckdb(relation: Any) -> list[dict[str, Any]]:
    """Moments by way of their microseconds: duckdb gives them to Python only with pytz."""
    assert dict(zip(relation.columns, map(str, relation.types), strict=True)) == DUCKDB_TYPES
    rows = relation.project("* REPLACE (epoch_us(noted) AS noted)").fetchall()
    found = [dict(zip(relation.columns, row, strict=True)) for row in rows]
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return [
        {**row, "noted": row["noted"] and start + timedelta(microseconds=row["noted"])}
        for row in found
    ]


DUCKDB_TYPES = {
    "id": "BIGINT", "word": "VARCHAR", "amount": "DECIMAL(12,2)", "share": "DOUBLE",
    "is_new": "BOOLEAN", "day": "DATE", "at": "TIME", "seen": "TIMESTAMP",
    "noted": "TIMESTAMP WITH TIME ZONE", "small": "TINYINT",
}  # fmt: skip


def csv_by_duckdb(path: Path) -> list[dict[str, Any]]:
    duckdb.execute("SET TimeZone = 'UTC'")
    how = {"header": True, "allow_quoted_nulls": False, "sep": ",", "quotechar": '"'}
    return read_by_duckdb(
        duckdb.read_csv(str(path), columns=DUCKDB_TYPES, auto_detect=False, escapechar='"', **how)
    )


def csv_by_pyarrow(path: Path) -> list[dict[str, Any]]:
    """Types that pyarrow reads from text; the others as text, compared as text."""
    kinds = {"id": pa.int64(), "word": pa.string(), "amount": pa.decimal128(12, 2)}
    kinds |= {"share": pa.float64(), "is_new": pa.bool_(), "day": pa.date32()}
    kinds |= {"at": pa.time64("us"), "seen": pa.timestamp("us"), "noted": pa.string()}
    options = pa.csv.ConvertOptions(
        column_types=kinds | {"small": pa.int8()},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    rows: list[dict[str, Any]] = pa.csv.read_csv(
        path, parse_options=parse, convert_options=options
    ).to_pylist()
    return [{**row, "noted": row["noted"] and datetime.fromisoformat(row["noted"])} for row in rows]


READERS: dict[str, dict[str, Any]] = {
    "parquet": {
        "polars": with_polars(pl.read_parquet),
        "pyarrow": lambda path: pq.read_table(path).to_pylist(),
        "duckdb": by_duckdb,
    },
    "arrow": {
        "polars": with_polars(lambda path: pl.read_ipc(path)),
        "pyarrow": lambda path: pa.feather.read_table(path).to_pylist(),
    },
    "csv": {"duckdb": csv_by_duckdb, "pyarrow": csv_by_pyarrow},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_bytes_do_not_depend_on_the_workers(project: Any, way: str) -> None:
    """One worker and four make the same; so does a run in which the first chunk ends last."""
    land(project)
    project.write("own.py", TURN)
    turn = f'{{ use = "turn", last = {len(ROWS) - 1}, fifo = "" }}'
    declare(project, way, settings=WITH_PLUGIN, first=turn)
    found = []
    for jobs in (1, 4):
        assert project.run(jobs=jobs, fresh=True).error is None
        found.append(data(project))
        shutil.rmtree(project.root / "out")
    os.mkfifo(project.root / "fifo")
    turn = turn.replace('""', f'"{project.root / "fifo"}"')
    declare(project, way, settings=WITH_PLUGIN, first=turn)
    ended: list[int] = []

    def listener(event: Any) -> None:
        if type(event).__name__ == "TaskFinished":
            ended.append(event.chunk)

    assert project.run(jobs=2, listeners=[listener]).error is None
    assert ended.index(0) > ended.index(1)
    found.append(data(project))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("way", WAYS)
def test_what_changes_nothing_touches_nothing(project: Any, way: str) -> None:
    """Neither a second run nor parts that were made anew with the same bytes."""
    land(project)
    project.write("own.py", OWN)
    declare(project, way, settings=WITH_PLUGIN, first='"own"')
    assert project.command().json["status"] == "succeeded"
    before = stats(project)
    result = project.run()
    assert not result.outputs[0].changed
    assert stats(project) == before
    assert not project.run(fresh=True).outputs[0].changed
    project.write("own.py", OWN + "# other code\n")
    result = project.run()
    assert result.stages[0].made > 10
    assert not result.outputs[0].changed
    is_data = [not entry[0].name.startswith(".") for entry in before]
    after = stats(project)
    assert [entry for entry, it in zip(after, is_data, strict=True) if it] == [
        entry for entry, it in zip(before, is_data, strict=True) if it
    ]


@pytest.mark.parametrize("way", ["csv folder", "csv file"])
def test_each_csv_file_has_one_header(project: Any, way: str) -> None:
    """Once in a joined file, once in each file of a folder; never where none is wanted."""
    land(project)
    head = ",".join(COLUMNS).encode() + b"\n"
    declare(project, way)
    assert project.run().error is None
    for file in files_of(project, way):
        assert file.read_bytes().startswith(head)
        assert file.read_bytes().count(head) == 1
    whole = b"".join(file.read_bytes().removeprefix(head) for file in files_of(project, way))
    declare(project, way, "header = false")
    assert project.run().error is None
    assert b"".join(file.read_bytes() for file in files_of(project, way)) == whole


def test_csv_options(project: Any) -> None:
    """Another delimiter, and a word for what is missing."""
    land(project, [{"id": 1, "word": "a;b"}, {"id": 2, "word": None}, {"id": 3, "word": ""}], 1)
    declare(project, "csv file", 'delimiter = ";"', 'null_value = "n/a"', columns="")
    assert project.run().error is None
    text = (project.root / "out/t.csv").read_text()
    assert text == 'id;word\n1;"a;b"\n2;n/a\n3;""\n'


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ('delimiter = ";;"', "delimiter is ';;': it must be one ASCII character"),
        ('delimiter = "\\""', "it must be one ASCII character"),
        ('null_value = "a,b"', "null_value must hold no quote, no line end and no delimiter"),
        ("header = 3", "header of sink 'csv'"),
        ('quote = "x"', "sink 'csv' has no option 'quote'"),
        ('on_existng = "error"', "'on_existng'; did you mean 'on_existing'?"),
    ],
)
def test_wrong_csv_options_are_refused(project: Any, option: str, message: str) -> None:
    """With their place, before anything is read."""
    land(project, [{"id": 1, "word": "a"}], 1)
    declare(project, "csv file", option, columns="")
    ended = project.command()
    assert ended.code == 2
    assert message in ended.message
    assert "pipeline.toml:" in ended.message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("values", [["a", None, "é", None, "b"], [None, None, None]])
def test_one_column_with_nulls(project: Any, way: str, values: list[str | None]) -> None:
    """A record that is a missing value alone is a record all the same."""
    rows = [{"id": number, "word": value} for number, value in enumerate(values)]
    land(project, rows, 1)
    select = '{ use = "select", columns = ["word"] }'
    declare(project, way, columns="", settings='chunk_size = "15B"', first=select)
    result = project.run()
    assert result.error is None
    assert result.outputs[0].rows == len(values)
    found: list[Any] = []
    for file in files_of(project, way):
        match way.split()[0]:
            case "parquet":
                found += pq.read_table(file)["word"].to_pylist()
            case "arrow":
                found += pa.feather.read_table(file)["word"].to_pylist()
            case _:
                found += file.read_text().splitlines()[1 if way == "csv folder" else 0 :]
    if way == "csv file":
        assert found.pop(0) == '"word"'
    expected = ['""' if value is None else f'"{value}"' for value in values]
    assert found == (expected if way.startswith("csv") else values)


@pytest.mark.parametrize("way", WAYS)
def test_a_table_without_rows_has_its_columns(project: Any, way: str) -> None:
    """A reader finds one file with the columns and their types."""
    project.write("landing/a.csv", "id,word\n1,a\n")
    drop = '{ use = "filter", expression = "id > 5" }'
    declare(project, way, columns="", first=drop)
    result = project.run()
    assert result.error is None
    (file,) = files_of(project, way)
    assert (result.outputs[0].rows, result.outputs[0].files) == (0, 1)
    match way.split()[0]:
        case "parquet":
            found = pq.read_table(file)
        case "arrow":
            found = pa.feather.read_table(file)
        case _:
            assert file.read_text() == "id,word\n"
            return
    assert (found.num_rows, found.schema) == (
        0,
        pa.schema([("id", pa.int64()), ("word", pa.string())]),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_lost_in_encoding_are_not_counted(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is read off the file, not off the table that went in."""
    table = pa.table({"a": ["x", None, "two\nlines", "y"]})
    write_csv, new_file = pl.DataFrame.write_csv, pa.ipc.new_file

    class Loses:
        def __init__(self, *args: Any, **how: Any) -> None:
            self.writer = new_file(*args, **how)

        def __enter__(self) -> Any:
            self.writer.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self.writer.__exit__(*error)

        def write_table(self, rows: pa.Table) -> None:
            self.writer.write_table(rows.slice(1))

    write = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda rows, *a, **how: write(rows.slice(1), *a, **how))
    monkeypatch.setattr(pl.DataFrame, "write_csv", lambda f, **how: write_csv(f.slice(1), **how))
    monkeypatch.setattr(pa.ipc, "new_file", Loses)
    sinks = {
        "parquet": parquet.ParquetSink(),
        "csv": delimited.CsvSink(),
        "arrow": arrow.ArrowSink(),
    }
    (encoded,) = sinks[kind].encode(table, {}, lambda: tmp_path / "part")
    assert encoded.rows == 3


@pytest.mark.parametrize("kind", KINDS)
def test_rows_lost_in_joining_fail_the_run(
    project: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with fewer rows than its parts is not shown as if it had them all."""
    land(project)
    declare(project, f"{kind} file")
    rewrite, copy = parquet._rewrite, shutil.copyfileobj
    monkeypatch.setattr(parquet, "_rewrite", lambda paths, *rest: rewrite(paths[1:], *rest))
    monkeypatch.setattr(shutil, "copyfileobj", lambda a, b, *rest: b.write(a.read()[:-1]))
    read = arrow._read
    monkeypatch.setattr(arrow, "_read", lambda path: read(path).slice(1))
    error = project.run().error
    assert error is not None
    assert "rows" in str(error) or "damaged" in str(error)
    monkeypatch.setattr(parquet, "_rewrite", rewrite)
    monkeypatch.setattr(shutil, "copyfileobj", copy)
    monkeypatch.setattr(arrow, "_read", read)
    assert project.run(fresh=True).error is None


@pytest.mark.parametrize("way", WAYS)
def test_a_sink_in_the_middle_hands_its_rows_on(project: Any, way: str) -> None:
    """With their types and nulls, whatever the sink made of them."""
    land(project)
    last = '[[stage]]\nname = "last"\nsink = { path = "last", on_existing = "replace" }'
    project.declare(
        source=f"[source.csv]\n{NULLS}", columns=TYPES, stages=stage_of(way), after=last
    )
    result = project.run()
    assert result.error is None
    assert [output.rows for output in result.outputs] == [len(ROWS)] * 2
    found = pa.concat_tables(
        pq.read_table(p) for p in sorted((project.root / "out/last").iterdir())
    )
    assert found.to_pylist() == ROWS
    kinds = dict(zip(found.schema.names, map(str, found.schema.types), strict=True))
    assert kinds["amount"] == "decimal128(12, 2)"
    assert kinds["noted"] == "timestamp[us, tz=UTC]"
    assert kinds["small"] == "int8"
    assert project.run().stages[1].made == 0


@pytest.mark.parametrize("way", WAYS)
def test_categories_that_differ_from_chunk_to_chunk(project: Any, way: str) -> None:
    """A step may make them. Only one Arrow file cannot hold them, which is told in words."""
    project.letters("a.csv", range(300))
    project.write(
        "own.py",
        "import polars as pl\nfrom stagepipe import step\n@step\ndef own(frame):\n"
        "    return frame.with_columns(pl.col('word').cast(pl.Categorical))\n",
    )
    project.declare(settings=WITH_PLUGIN, first='"own"', stages=stage_of(way))
    ended = project.command()
    if way != "arrow file":
        assert ended.code == 0, ended.message
        assert ended.json["outputs"][0]["rows"] == 300
        return
    assert ended.code == 1
    assert "stage 'parse': sink 'arrow': a column has other categories" in ended.message
    assert "write a folder, or cast the column to string" in ended.message
    assert not list((project.root / "out").glob("[!.]*"))
