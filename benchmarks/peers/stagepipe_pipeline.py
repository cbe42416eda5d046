"""The pipeline file of one work, bare or with more to do."""

import json
from collections.abc import Iterator

from benchmarks.data import Work
from benchmarks.lineitem import COLUMNS

CHECKED = {
    "l_orderkey": "required = true, min = 1",
    "l_linenumber": "min = 1, max = 7",
    "l_extendedprice": "min = 0",
    "l_returnflag": 'one_of = ["A", "N", "R"]',
    "l_comment": "max_length = 43",
}
"""Checks on five columns, which all records pass."""


def pipeline_toml(work: Work, *, with_checks: bool = False, further_stages: int = 0) -> str:
    """From CSV to a Parquet table, each folder of files a source of its own, in one stage. Further
    ones come before that with the sink: what they read goes through the spool."""
    return "\n".join(_lines(work, with_checks, further_stages)) + "\n"


def _lines(work: Work, with_checks: bool, further_stages: int) -> Iterator[str]:
    yield "[pipeline]"
    yield 'name = "lineitem"'
    yield 'output = "out"'
    for name, files in work.sources.items():
        yield "\n[[source]]"
        yield f"name = {json.dumps(name)}"  # a JSON string is a TOML string
        yield f"files = {json.dumps(files, ensure_ascii=False)}"
        yield "[source.csv]"
        yield 'delimiter = ","'
        yield "quote = '\"'"
        yield "header = true"
    yield "\n[schema.columns]"
    for column, kind in COLUMNS.items():
        checks = f", {CHECKED[column]}" if with_checks and column in CHECKED else ""
        yield f"{column} = {{ type = {json.dumps(kind)}{checks} }}"
    for number in range(further_stages):
        yield f'\n[[stage]]\nname = "before_{number}"'
    yield "\n[[stage]]"
    yield 'name = "table"'
    yield 'sink = { use = "parquet", path = "lineitem", on_existing = "replace" }'
