"""How each reader is asked for a case's file: with the columns, their types and the dialect told,
as its documentation advises. A reader that lacks a word for something is not told it."""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.dirt.cases import Case

KINDS = {"id": "int64", "name": "string", "amount": "decimal(12,2)"}
COLUMNS = tuple(KINDS)
Found = tuple[Sequence[Any], Sequence[tuple[int, str]]]
"""The rows, and the records that are reported beside them, by line and reason."""


def _delimiter(case: Case) -> str:
    return str(case.dialect.get("delimiter", ","))


def _nulls(case: Case) -> list[str]:
    return list(case.dialect.get("null_values", [""]))


def duckdb(path: Path, case: Case) -> Found:
    """`read_csv` with `store_rejects`."""
    import duckdb

    database = duckdb.connect()
    options: dict[str, Any] = {
        "delimiter": _delimiter(case),
        "header": True,
        "quotechar": '"',
        "escapechar": '"',
        "na_values": _nulls(case),
        "store_rejects": True,
    }
    if case.dialect.get("decimal_comma"):
        options |= {"decimal": ",", "thousands": "."}
    kinds = dict(zip(COLUMNS, ("BIGINT", "VARCHAR", "DECIMAL(12,2)"), strict=True))
    options["dtype"] = kinds
    rows = database.read_csv(str(path), **options).select(*COLUMNS).fetchall()
    reported = "SELECT DISTINCT ON (line) line, error_type FROM reject_errors"
    return rows, database.sql(reported).fetchall()


def polars(path: Path, case: Case) -> Found:
    """`read_csv` with the types of the columns."""
    import polars as pl

    kinds = {"id": pl.Int64(), "name": pl.String(), "amount": pl.Decimal(12, 2)}
    frame = pl.read_csv(
        path,
        separator=_delimiter(case),
        schema_overrides=kinds,
        null_values=_nulls(case),
        decimal_comma=bool(case.dialect.get("decimal_comma")),
    )
    return frame.select(COLUMNS).rows(), ()


def pyarrow(path: Path, case: Case) -> Found:
    """`read_csv` with the types of the columns."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    kinds = dict(zip(COLUMNS, (pa.int64(), pa.string(), pa.decimal128(12, 2)), strict=True))
    table = arrow.read_csv(
        str(path),
        parse_options=arrow.ParseOptions(delimiter=_delimiter(case), newlines_in_values=True),
        convert_options=arrow.ConvertOptions(
            column_types=kinds,
            null_values=_nulls(case),
            strings_can_be_null=True,
            include_columns=list(COLUMNS),
            decimal_point="," if case.dialect.get("decimal_comma") else ".",
        ),
    )
    return list(zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)), ()


def pandas(path: Path, case: Case) -> Found:
    """`read_csv` with types that know missing values; amounts are floats to it."""
    import pandas as pd

    frame = pd.read_csv(
        path,
        sep=_delimiter(case),
        dtype={"id": "Int64", "name": "string", "amount": "Float64"},
        na_values=_nulls(case),
        keep_default_na=False,
        skipinitialspace=bool(case.dialect.get("trim")),
        decimal="," if case.dialect.get("decimal_comma") else ".",
        thousands=case.dialect.get("thousands"),
    )
    values = frame[list(COLUMNS)].astype(object).itertuples(index=False, name=None)
    return [tuple(None if pd.isna(value) else value for value in row) for row in values], ()


def script(path: Path, case: Case) -> Found:
    """Python's `csv.DictReader`, `int` and `Decimal`: what many would write."""
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    nulls = set(_nulls(case))
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = []
        for record in csv.DictReader(file, delimiter=_delimiter(case)):
            texts = [record[name] for name in COLUMNS]
            number, name, amount = (None if text in nulls else text for text in texts)
            rows.append(
                (
                    None if number is None else int(number),
                    name,
                    None if amount is None else Decimal(_plain(amount, case)),
                )
            )
    return rows, ()


def _plain(amount: str, case: Case) -> str:
    if case.dialect.get("decimal_comma"):
        return amount.replace(".", "").replace(",", ".")
    return amount


def stagepipe(path: Path, case: Case) -> Found:
    """A pipeline of one stage, in this process's own Python."""
    import polars as pl

    import stagepipe as sp
    from stagepipe.record.rejects import read

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / path.name).write_bytes(path.read_bytes())
        pipeline = sp.Pipeline(
            name="dirt",
            sources=[sp.Source(name="s", files=path.name, csv=dict(case.dialect))],
            schema=sp.Schema(columns=KINDS, extra_columns=case.extra_columns),
            stages=[sp.Stage(name="read", sink=sp.Sink(use="parquet", path="t"))],
            errors={"max_rejected": "100%"},
            folder=folder,
        )
        result = sp.run(pipeline, jobs=1)
        if result.error is not None:
            raise result.error
        rejected = () if result.rejects is None else read(folder / result.rejects)
        rows = pl.read_parquet(folder / "out/t/*.parquet").rows()
        return rows, [(reject.line or 0, reject.reason) for reject in rejected]


READERS: dict[str, Callable[[Path, Case], Found]] = {
    "stagepipe": stagepipe,
    "DuckDB": duckdb,
    "Polars": polars,
    "pyarrow": pyarrow,
    "pandas": pandas,
    "csv": script,
}
"""By the names in the table. `csv` is Python's module in a script."""
