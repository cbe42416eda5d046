"""Options of sinks that no file could be written with are found by `check`."""

from __future__ import annotations

from typing import Any

import pytest

from stagepipe.builtin import stagepipe_sinks

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
