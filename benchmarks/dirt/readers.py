"""How each reader is asked for a case's file: with the columns, their types and the dialect told,
as its documentation advises. A reader that lacks a word for something is not told it."""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
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


def _header_lines(case: Case) -> int:
    """How many lines a header has of which readers know nothing: they are told to skip them, and
    what the columns are called. 0 where it is one line."""
    lines = int(case.dialect.get("header", 1))
    return lines if lines > 1 else 0


def _nulls(case: Case) -> list[str]:
    return list(case.dialect.get("null_values", [""]))


def duckdb(path: Path, case: Case) -> Found:
    """`read_csv` with `store_rejects`."""
    import duckdb

    database = duckdb.connect()
    options: dict[str, Any] = {"na_values": _nulls(case), "store_rejects": True}
    if case.is_told:
        options |= {
            "delimiter": _delimiter(case),
            "header": not _header_lines(case),
            "quotechar": '"',
            "escapechar": case.dialect.get("escape", '"'),
        }
    if skipped := _header_lines(case):
        options |= {"skiprows": skipped, "names": list(COLUMNS)}
    options |= {key: case.dialect[key] for key in ("encoding", "comment") if key in case.dialect}
    if case.date_format:
        options["date_format"] = case.date_format
    if case.dialect.get("decimal_comma"):
        options |= {"decimal": ",", "thousands": "."}
    name = "DATE" if case.date_format else "VARCHAR"
    kinds = dict(zip(COLUMNS, ("BIGINT", name, "DECIMAL(12,2)"), strict=True))
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
        encoding=case.dialect.get("encoding", "utf8"),
        comment_prefix=case.dialect.get("comment"),
        skip_rows=_header_lines(case),
        has_header=not _header_lines(case),
        new_columns=COLUMNS if _header_lines(case) else None,
    )
    if case.date_format:
        frame = frame.with_columns(pl.col("name").str.to_date(case.date_format))
    return frame.select(COLUMNS).rows(), ()


def pyarrow(path: Path, case: Case) -> Found:
    """`read_csv` with the types of the columns."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    name = pa.timestamp("s") if case.date_format else pa.string()
    kinds = dict(zip(COLUMNS, (pa.int64(), name, pa.decimal128(12, 2)), strict=True))
    table = arrow.read_csv(
        str(path),
        read_options=arrow.ReadOptions(
            encoding=case.dialect.get("encoding", "utf8"),
            skip_rows=_header_lines(case),
            column_names=COLUMNS if _header_lines(case) else None,
        ),
        parse_options=arrow.ParseOptions(
            delimiter=_delimiter(case),
            escape_char=case.dialect.get("escape", False),
            newlines_in_values=True,
        ),
        convert_options=arrow.ConvertOptions(
            column_types=kinds,
            null_values=_nulls(case),
            strings_can_be_null=True,
            include_columns=list(COLUMNS),
            decimal_point="," if case.dialect.get("decimal_comma") else ".",
            timestamp_parsers=[case.date_format] if case.date_format else None,
        ),
    )
    if case.date_format:
        table = table.set_column(1, "name", table["name"].cast(pa.date32()))
    return list(zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)), ()


def pandas(path: Path, case: Case) -> Found:
    """`read_csv` with types that know missing values; amounts are floats to it."""
    import pandas as pd

    footer = case.dialect.get("skip_footer", 0)
    frame = pd.read_csv(
        path,
        sep=_delimiter(case) if case.is_told else None,
        engine="c" if case.is_told and not footer else "python",
        dtype={"id": "Int64", "name": "string", "amount": "Float64"},
        na_values=_nulls(case),
        keep_default_na=False,
        skipinitialspace=bool(case.dialect.get("trim")),
        decimal="," if case.dialect.get("decimal_comma") else ".",
        thousands=case.dialect.get("thousands"),
        encoding=case.dialect.get("encoding"),
        escapechar=case.dialect.get("escape"),
        comment=case.dialect.get("comment"),
        skipfooter=footer,
        skiprows=_header_lines(case),
        header=None if _header_lines(case) else 0,
        names=COLUMNS if _header_lines(case) else None,
    )
    if case.date_format:
        frame["name"] = pd.to_datetime(frame["name"], format=case.date_format).dt.date
    values = frame[list(COLUMNS)].astype(object).itertuples(index=False, name=None)
    return [tuple(None if pd.isna(value) else value for value in row) for row in values], ()


def script(path: Path, case: Case) -> Found:
    """Python's `csv.DictReader`, `int` and `Decimal`: what many would write."""
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    nulls = set(_nulls(case))
    encoding = case.dialect.get("encoding", "utf-8-sig")
    how: dict[str, Any] = {"escapechar": case.dialect.get("escape")}
    with opened(path, "rt", encoding=encoding, newline="") as file:
        rows = []
        for _ in range(_header_lines(case)):
            next(file)
            how["fieldnames"] = COLUMNS
        for record in csv.DictReader(file, delimiter=_delimiter(case), **how):
            texts = [record[name] for name in COLUMNS]
            number, name, amount = (None if text in nulls else text for text in texts)
            rows.append(
                (
                    None if number is None else int(number),
                    _day(name, case.date_format) if name and case.date_format else name,
                    None if amount is None else Decimal(_plain(amount, case)),
                )
            )
    return rows, ()


def _day(text: str, format: str) -> date:
    return datetime.strptime(text, format).date()


def _plain(amount: str, case: Case) -> str:
    if case.dialect.get("decimal_comma"):
        return amount.replace(".", "").replace(",", ".")
    return amount


def stagepipe(path: Path, case: Case) -> Found:
    """A pipeline of one stage, in this process's own Python."""
    import polars as pl

    import stagepipe as sp
    from stagepipe.record.rejects import read

    columns: dict[str, Any] = {**KINDS}
    if case.is_unique:
        columns["id"] = {"type": "int64", "unique": True}
    if case.date_format:
        columns["name"] = {"type": "date", "format": case.date_format}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / path.name).write_bytes(path.read_bytes())
        pipeline = sp.Pipeline(
            name="dirt",
            sources=[sp.Source(name="s", files=path.name, csv=dict(case.dialect))],
            schema=sp.Schema(columns=columns, extra_columns=case.extra_columns),
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
