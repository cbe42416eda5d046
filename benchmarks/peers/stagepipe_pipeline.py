"""The pipeline file of one work."""

import json
from collections.abc import Iterator

from benchmarks.data import Work
from benchmarks.lineitem import COLUMNS


def pipeline_toml(work: Work) -> str:
    """One stage from CSV to a Parquet table, and each folder of files a source of its own."""
    return "\n".join(_lines(work)) + "\n"


def _lines(work: Work) -> Iterator[str]:
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
        yield f"{column} = {json.dumps(kind)}"
    yield "\n[[stage]]"
    yield 'name = "table"'
    yield 'sink = { use = "parquet", path = "lineitem", on_existing = "replace" }'
