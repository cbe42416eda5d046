"""Options of sinks that no file could be written with are found by `check`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stagepipe.builtin import stagepipe_sinks
from stagepipe.errors import PipelineError

FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("parquet", {"compression_level": 99, "compression": "gzip"}, "compression_level"),
    ("parquet", {"compression_level": 1, "compression": "snappy"}, "compression_level"),
    ("parquet", {"row_group_rows": 0}, "row_group_rows"),
    ("parquet", {"partition_by": ("a", "a")}, "partition_by"),
    *(
        ("parquet", {"partition_by": ("a", name)}, "partition_by")
        for name in ("_source", ".a", "a/b", "a=b", "50%", "a?", "a\\b", "a\nb")
    ),
    ("csv", {"delimiter": ";;"}, "delimiter"),
    ("csv", {"delimiter": '"'}, "delimiter"),
    ("csv", {"delimiter": ";", "null_value": "a;b"}, "null_value"),
]


@pytest.mark.parametrize(("use", "options", "key"), FAULTS)
def test_what_cannot_be_is_a_fault_of_its_key(use: str, options: dict[str, Any], key: str) -> None:
    sink = stagepipe_sinks()[use]
    assert [found for found, _ in sink.faults(options, is_file=False)] == [key]


def test_one_file_has_no_partitions() -> None:
    sink = stagepipe_sinks()["parquet"]
    assert not list(sink.faults({"partition_by": ("a",)}, is_file=False))
    assert [key for key, _ in sink.faults({"partition_by": ("a",)}, is_file=True)]


@pytest.mark.parametrize("use", ["parquet", "csv", "arrow"])
def test_without_options_nothing_is_wrong(use: str) -> None:
    assert not list(stagepipe_sinks()[use].faults({}, is_file=False))


ODD_TYPES = {
    "list": [pa.list_(pa.int64()), pa.large_list(pa.string()), pa.list_(pa.int8(), 2)],
    "struct": [pa.struct({"a": pa.int64()})],
    "binary": [pa.binary(), pa.large_binary(), pa.binary(3)],
    "duration": [pa.duration("us")],
}
ODD = [(word, kind) for word, kinds in ODD_TYPES.items() for kind in kinds]


@pytest.mark.parametrize(("word", "kind"), ODD)
@pytest.mark.parametrize(
    ("use", "options", "key"),
    [("csv", {}, "use"), ("parquet", {"partition_by": ("odd",)}, "partition_by")],
)
def test_what_has_no_text_is_refused(
    word: str, kind: pa.DataType, use: str, options: dict[str, Any], key: str
) -> None:
    """By `check` where the types are known, and else by the worker, with the column and its type.
    Parquet and Arrow keep such columns as they are."""
    columns = {"id": pa.int64(), "odd": kind}
    sink = stagepipe_sinks()[use]
    ((found, message),) = sink.faults(options, is_file=False, columns=columns)
    assert found == key
    assert re.search(f"'odd',? (which )?is of type {word}, ", message)
    table = pa.schema(list(columns.items())).empty_table()
    with pytest.raises(ValueError, match=re.escape(message)):
        sink.encode(table, options, lambda: Path("nowhere"))
    for other in ("parquet", "arrow"):
        assert not list(stagepipe_sinks()[other].faults({}, is_file=False, columns=columns))


def test_check_knows_the_types(project: Any) -> None:
    """Those of the schema, and those that built-in steps make."""
    sink = 'sink = { use = "csv", path = "t" }'
    step = '{ use = "derive", column = "took", expression = "day - day" }'
    project.declare(columns='day = "date"', stages=sink, first=step)
    project.letters("a.csv", range(3))
    with pytest.raises(PipelineError, match="column 'took' is of type duration, which CSV cannot"):
        project.plan()


def test_an_empty_text_of_one_column_needs_a_word_for_missing_values(tmp_path: Path) -> None:
    """Else both would be the same bytes; a chunk does not know whether others miss values."""
    sink = stagepipe_sinks()["csv"]

    def written(table: pa.Table, **options: str) -> str:
        path = tmp_path / "t.csv"
        sink.encode(table, options, lambda: path)
        return path.read_text()

    texts = pa.table({"w": ["a", None, ""]})
    for table in (texts, texts.slice(2), pa.table({"w": pa.array(["a", ""]).dictionary_encode()})):
        with pytest.raises(ValueError, match="column 'w' is the only one and has an empty text"):
            written(table)
    assert written(texts, null_value="NULL") == 'w\na\nNULL\n""\n'
    assert written(texts.slice(0, 2)) == '"w"\n"a"\n""\n'
    assert written(pa.table({"n": [1, None]})) == '"n"\n"1"\n""\n'
    assert written(texts.append_column("n", pa.array([1, 2, 3]))) == 'w,n\na,1\n,2\n"",3\n'
