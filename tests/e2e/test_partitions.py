"""partition_by: folders named by values, whatever stands in them."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from stagepipe.builtin.sinks.parquet import ParquetSink, partitions

ODD = [
    "a/b", "..", "../../x", ".", "/", "=", "x=y", "", None, "é ☃", " blank ", "%41", "a\nb", "~",
    "NULL", "null", "None", "#?&", "\\", "'\"", "a", "0012", "*", "nan", ".hidden", "a:b", "é" * 40,
]  # fmt: skip
NULLS = '[source.csv]\nnull_values = ["NULL"]'
BY_WORD = 'sink = { path = "t", on_existing = "replace", partition_by = ["word"] }'
FOLDER = re.compile(r"word=[^/]*/0001-\d{6}-[0-9a-f]{8}\.parquet")


def land(project: Any, rows: int = 300) -> list[tuple[int, str | None]]:
    words = [word for word in ODD if word != "NULL"]  # which is what is missing here
    found = [(number, words[number * 7 % len(words)]) for number in range(rows)]
    for name in range(2):
        path = project.write(f"landing/{name}.csv", "")
        with path.open("w", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(["id", "word"])
            half = found[name * rows // 2 : (name + 1) * rows // 2]
            out.writerows([number, "NULL" if word is None else word] for number, word in half)
    return found


def data(project: Any) -> set[str]:
    table = project.root / "out/t"
    return {str(path.relative_to(table)) for path in table.rglob("*") if path.is_file()}


def read(table: Path) -> dict[str, list[Any]]:
    """What three readers find, in order of `id`."""
    files = f"{table}/*/*.parquet"
    lazy = pl.scan_parquet(files, hive_partitioning=True, hive_schema={"word": pl.String})
    schema = pa.schema([("word", pa.string())])
    partitioning = pa.dataset.partitioning(schema, flavor="hive")
    found = pa.dataset.dataset(table, partitioning=partitioning).to_table()
    return {
        "polars": sorted(lazy.select("id", "word").collect().rows()),
        "pyarrow": sorted(zip(found["id"].to_pylist(), found["word"].to_pylist(), strict=True)),
        "duckdb": duckdb.sql(
            f"SELECT id, word FROM read_parquet('{files}', hive_partitioning = true, "
            "hive_types_autocast = false) ORDER BY id"
        ).fetchall(),
    }


def test_odd_values_stay_in_the_folder_and_come_back(project: Any, tree: Any) -> None:
    """No value leads elsewhere; three readers find each row with its value; a second run changes
    nothing."""
    rows = land(project)
    project.declare(source=NULLS, stages=BY_WORD)
    before = set(tree(project.root.parent))
    result = project.run(jobs=2)
    assert result.error is None
    (output,) = result.outputs
    assert (output.rows, output.files) == (len(rows), len(data(project)))
    assert all(FOLDER.fullmatch(name) for name in data(project))
    new = {name for name in set(tree(project.root.parent)) - before if "/.stagepipe" not in name}
    assert {name for name in new if not name.startswith("project/out/t/")} == {
        "project/out", "project/out/t", "project/out/.t.manifest.json",
    }  # fmt: skip
    for reader, found in read(project.root / "out/t").items():
        assert found == rows, reader
    stats = [(p, p.stat().st_ino, p.stat().st_mtime_ns) for p in (project.root / "out").rglob("*")]
    assert not project.run().outputs[0].changed
    assert stats == [
        (p, p.stat().st_ino, p.stat().st_mtime_ns) for p in (project.root / "out").rglob("*")
    ]


def test_the_bytes_do_not_depend_on_the_workers(project: Any) -> None:
    land(project)
    project.declare(source=NULLS, stages=BY_WORD)
    found = []
    for jobs in (1, 3):
        assert project.run(jobs=jobs, fresh=True).error is None
        found.append({name: it for name, it in project.tree().items() if not name.startswith(".")})
        project.declare(source=NULLS, stages=BY_WORD.replace('"t"', '"u"'))
    first, second = found[0], {n: it for n, it in found[1].items() if n.startswith("u")}
    assert {n.replace("t", "u", 1) if n[0] == "t" else n: it for n, it in first.items()} == second


def test_a_replaced_table_is_wholly_another(project: Any) -> None:
    """No partition and no file of the old one stays, nor when it has none any more."""
    land(project)
    project.declare(source=NULLS, stages=BY_WORD)
    assert project.run().error is None
    for path in (project.root / "landing").iterdir():
        path.unlink()
    project.write("landing/new.csv", "id,word\n1,new\n2,a\n")
    assert project.run().error is None
    assert {name.partition("/")[0] for name in data(project)} == {"word=new", "word=a"}
    assert {path.name for path in (project.root / "out/t").iterdir()} == {"word=new", "word=a"}
    project.declare(source=NULLS, stages='sink = { path = "t", on_existing = "replace" }')
    assert project.run().error is None
    (name,) = data(project)
    assert "/" not in name
    assert [path.is_file() for path in (project.root / "out/t").iterdir()] == [True]


def test_what_is_not_ours_in_a_partition_is_refused(project: Any) -> None:
    """A file of the user's is not removed with the table."""
    project.write("landing/a.csv", "id,word\n1,a\n")
    project.declare(stages=BY_WORD)
    assert project.run().error is None
    project.write("landing/a.csv", "id,word\n1,b\n")
    mine = project.write("out/t/word=a/mine.txt", "mine")
    ended = project.command()
    assert ended.code == 2
    assert "holds what stagepipe did not write (word=a/mine.txt)" in ended.message
    assert mine.read_text() == "mine"


def test_later_stages_have_all_columns(project: Any) -> None:
    """What the folders' names hold is in the rows that are handed on, in their order."""
    rows = land(project)
    last = '[[stage]]\nname = "last"\nsink = { path = "last", on_existing = "replace" }'
    project.declare(source=NULLS, stages=BY_WORD, after=last)
    assert project.run().error is None
    assert pl.read_parquet(project.root / "out/last/*.parquet").rows() == rows


def test_without_rows_there_is_one_file_for_the_columns(project: Any) -> None:
    project.write("landing/a.csv", "id,word\n1,a\n")
    project.declare(first='{ use = "filter", expression = "id > 5" }', stages=BY_WORD)
    assert project.run().error is None
    (name,) = data(project)
    assert FOLDER.fullmatch(name)
    assert pl.read_parquet(project.root / "out/t" / name).schema == {"id": pl.Int64}


@pytest.mark.parametrize(
    ("by", "first", "message"),
    [
        ('["wrod"]', "", "partition_by names 'wrod'; the columns are: id, word"),
        ('["word"]', '{ use = "drop", columns = ["word"] }', "names 'word'; the columns are: id"),
        ('["word", "id"]', "", "partition_by names every column"),
        ('["word", "word"]', "", "partition_by names a column twice"),
        ('"word"', "", "partition_by of sink 'parquet'"),
    ],
)
def test_wrong_columns_are_found_by_check(project: Any, by: str, first: str, message: str) -> None:
    """With their place, before a file is opened."""
    project.write("landing/a.csv", "id,word\n1,a\n")
    project.declare(first=first, stages=BY_WORD.replace('["word"]', by))
    ended = project.command()
    assert ended.code == 2
    assert message in ended.message
    assert "pipeline.toml:18:47: " in ended.message
    assert not (project.root / ".stagepipe").exists()


PLUGIN = """\
from stagepipe import step

@step
def own(frame):
    return frame.drop("word")
"""


def test_a_column_that_a_plugin_took_is_found_by_the_run(project: Any) -> None:
    """What columns a plugin gives is known no sooner; the message is as clear."""
    project.write("landing/a.csv", "id,word\n1,a\n")
    project.write("own.py", PLUGIN)
    project.declare(settings='plugins = ["own.py"]', first='"own"', stages=BY_WORD)
    ended = project.command()
    assert ended.code == 1
    assert (
        "stage 'parse', chunk 0 (landing/a.csv): sink 'parquet': partition_by names 'word'; "
        "the columns are: id" in ended.message
    )


def test_a_file_cannot_be_partitioned(project: Any) -> None:
    project.write("landing/a.csv", "id,word\n1,a\n")
    project.declare(stages=BY_WORD.replace('"t"', '"t.parquet"'))
    ended = project.command()
    assert ended.code == 2
    assert "partition_by needs a folder" in ended.message


def test_a_value_too_long_for_a_folders_name_fails_its_task(project: Any) -> None:
    """And says so, and not only when all is done."""
    project.write("landing/a.csv", f"id,word\n1,{'é' * 42}\n")
    project.declare(stages=BY_WORD)
    ended = project.command()
    assert ended.code == 1
    assert "a value of 'word' is too long for the name of a folder: word=%C3%A9" in ended.message
    assert not (project.root / "out/t").exists()


def test_types_in_folders_names() -> None:
    """As Hive writes them, each value a folder of its own, in order of first appearance."""
    table = pa.table(
        {
            "b": [True, None, False, True],
            "d": pa.array([1, 2, None, 1], pa.date32()),
            "n": [0, 1, 2, 3],
        }
    )
    found = [(folder, rows["n"].to_pylist()) for folder, rows in partitions(table, ["b", "d"])]
    nothing = "__HIVE_DEFAULT_PARTITION__"
    assert found == [
        ("b=true/d=1970-01-02", [0, 3]),
        (f"b={nothing}/d=1970-01-03", [1]),
        (f"b=false/d={nothing}", [2]),
    ]
    ((folder, _),) = partitions(pa.table({"a": [nothing], "n": [1]}), ["a"])
    assert folder != f"a={nothing}"


@pytest.mark.parametrize(
    "name", ["Größe", "e\u0301", "a (b)", "a_b.c", "~a", "'a' & b", "row", "^.*$"]
)
def test_readers_find_a_column_under_its_name(tmp_path: Path, name: str) -> None:
    """Only the values are escaped in a folder's name: readers take the column's as it stands."""
    table = pa.table({"n": [1, 2, 3], name: ["a", "a/b", "a"]})
    for number, (folder, rows) in enumerate(partitions(table, [name])):
        (tmp_path / folder).mkdir()
        pyarrow.parquet.write_table(rows, tmp_path / folder / f"{number}.parquet")
    wanted = list(zip([1, 2, 3], ["a", "a/b", "a"], strict=True))
    files = f"{tmp_path}/*/*.parquet"
    frame = pl.read_parquet(files, hive_partitioning=True).sort("n")
    assert (frame.columns, frame.rows()) == (["n", name], wanted)
    found = pyarrow.dataset.dataset(tmp_path, partitioning="hive").to_table().sort_by("n")
    assert list(zip(found["n"].to_pylist(), found[name].to_pylist(), strict=True)) == wanted
    found = duckdb.sql(f"FROM read_parquet('{files}', hive_partitioning = true) ORDER BY n")
    assert (found.columns, found.fetchall()) == (["n", name], wanted)


def test_the_rows_of_all_partitions_sum_up(tmp_path: Path) -> None:
    """Each row is in one partition's file, which counts it itself."""
    table = pa.table({"word": ODD * 11, "n": range(len(ODD) * 11)})
    numbers = iter(range(1000))
    encoded = ParquetSink().encode(
        table, {"partition_by": ("word",)}, lambda: tmp_path / f"{next(numbers)}.parquet"
    )
    assert [each.rows for each in encoded] == [11] * len(ODD)
    assert len({each.folder for each in encoded}) == len(ODD)
    found = pl.read_parquet(tmp_path / "*.parquet")["n"]
    assert sorted(found) == list(range(table.num_rows))


def test_small_decimals_are_written_plainly() -> None:
    """No reader takes 1.200E-7 for the decimal that it was."""
    values = pa.array([Decimal("0.0000001200"), Decimal("-12"), None], pa.decimal128(20, 10))
    table = pa.table({"id": [1, 2, 3], "d": values})
    assert [folder for folder, _ in partitions(table, ["d"])] == [
        "d=0.0000001200",
        "d=-12.0000000000",
        "d=__HIVE_DEFAULT_PARTITION__",
    ]
