"""Which rows repeat a value that has to be unique: what one reading in chunk order would find.

A row is a duplicate where any of its unique columns holds a value that a row before it holds, one
that stays. A duplicate itself makes no others: what it holds in its other columns may stand in a
later row. A null repeats nothing. Numbers that are equal are one value (0.0 and -0.0), and so are
those that are none (nan).

Memory goes to the values of unique columns, not to rows, and to values that stand in several rows
much more than to others: first each column's hashes, 8 bytes a value, are sorted, one column after
the other; only rows with a hash that stands in several are compared by the values themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from stagepipe.contracts import TableSpec
from stagepipe.model import RECORD
from stagepipe.run.applying import StepReject, Tally

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ROW = "row"
BATCH_ROWS = 2**16
SEED = 1


def keys_of(table: pa.Table, spec: TableSpec) -> pa.Table:
    """The unique columns of some rows, called by their numbers."""
    import pyarrow as pa

    names = [str(number) for number in range(len(spec.unique))]
    return pa.table([table.column(name) for name in spec.unique], names=names)


def duplicates(parts: Sequence[pl.LazyFrame], columns: int) -> list[pl.DataFrame]:
    """For each part, as `keys_of` makes them, its duplicates: the `row` within it (Int64), and for
    each column (by its number) whether it is one for that. The rows of all parts stand in the order
    in which they are looked at."""
    import polars as pl

    if not parts:
        return []
    contested = [_contested(parts, str(number)) for number in range(columns)]
    if not any(mask.any() for mask in contested):
        return [_none(columns)] * len(parts)
    rows = _contested_rows(parts, contested)
    del contested
    positions, failing = _repeating([rows[str(n)].rank("dense") for n in range(columns)])
    found = rows.select("part", ROW)[positions]
    found = found.with_columns(
        pl.Series(str(n), mask, pl.UInt8).cast(pl.Boolean) for n, mask in enumerate(failing)
    )
    by_part = found.partition_by("part", include_key=False, as_dict=True)
    return [by_part.get((number,), _none(columns)) for number in range(len(parts))]


def _none(columns: int) -> pl.DataFrame:
    import polars as pl

    kinds = {str(number): pl.Boolean() for number in range(columns)}
    return pl.DataFrame(schema={ROW: pl.Int64(), **kinds})


def _contested(parts: Sequence[pl.LazyFrame], name: str) -> pl.Series:
    """For each row of all parts, whether its value may stand in another row too."""
    import polars as pl

    hashed = pl.when(pl.col(name).is_not_null()).then(pl.col(name).hash(SEED))
    hashes = pl.concat([part.select(hashed).collect().to_series() for part in parts])
    ordered = hashes.drop_nulls().sort()
    repeated = ordered.filter(ordered == ordered.shift()).unique()
    del ordered
    if repeated.is_empty():
        return pl.Series([False]).new_from_index(0, len(hashes))
    return hashes.is_in(repeated.implode()).fill_null(False)


def _contested_rows(parts: Sequence[pl.LazyFrame], contested: Sequence[pl.Series]) -> pl.DataFrame:
    """The rows in which some value is contested: `part`, `row` within it, and these values; nulls
    stand for the others."""
    import polars as pl

    numbers = range(len(contested))
    heights = [part.select(pl.len()).collect().item() for part in parts]
    starts = accumulate(heights, initial=0)
    found = []
    for number, (part, start, height) in enumerate(zip(parts, starts, heights, strict=False)):
        here = [contested[n].slice(start, height).alias(f"{n}?") for n in numbers]
        if any(mask.any() for mask in here):
            frame = part.collect().hstack(here).with_row_index(ROW)
            values = [pl.when(f"{n}?").then(pl.col(str(n))).alias(str(n)) for n in numbers]
            found.append(
                frame.filter(pl.any_horizontal(mask.name for mask in here)).select(
                    pl.lit(number, pl.Int64).alias("part"), pl.col(ROW).cast(pl.Int64), *values
                )
            )
    return pl.concat(found)


def _repeating(codes: Sequence[pl.Series]) -> tuple[list[int], list[bytearray]]:
    """The positions of the rows that are duplicates, and for each column in which of these it is
    one for that. `codes` are numbers that stand for the values of each column."""
    seen = [bytearray(int(column.max() or 0) + 1) for column in codes]  # type: ignore[arg-type]
    positions: list[int] = []
    failing = [bytearray() for _ in codes]
    for start in range(0, len(codes[0]), BATCH_ROWS):
        batch = [column.slice(start, BATCH_ROWS).to_list() for column in codes]
        for position, row in enumerate(zip(*batch, strict=True), start):
            repeats = [
                code is not None and known[code] for known, code in zip(seen, row, strict=True)
            ]
            if any(repeats):
                positions.append(position)
                for mask, is_repeated in zip(failing, repeats, strict=True):
                    mask.append(bool(is_repeated))
                continue
            for known, code in zip(seen, row, strict=True):
                if code is not None:
                    known[code] = 1
    return positions, failing


def without(
    tables: Iterable[tuple[pa.Table, int]], found: pa.Table, spec: TableSpec, tally: Tally
) -> Iterator[tuple[pa.Table, int]]:
    """The tables of a part without its duplicates, which become rejects, each with its height;
    `found` is what `duplicates` says of the part."""
    import pyarrow as pa

    rows, *failing = (column.to_pylist() for column in found.columns)
    names = [
        tuple(name for name, is_failing in zip(spec.unique, each, strict=True) if is_failing)
        for each in zip(*failing, strict=True)
    ]
    start = taken = 0
    for table, height in tables:
        here = []
        while taken < len(rows) and rows[taken] < start + height:
            here.append(rows[taken] - start)
            taken += 1
        start += height
        if not here:
            yield table, height
            continue
        records = table.column(RECORD).take(pa.array(here, pa.int64())).to_pylist()
        columns = names[taken - len(here) : taken]
        tally.rejects += [
            StepReject("", "unique", record, each)
            for record, each in zip(records, columns, strict=True)
        ]
        stays = bytearray(b"\x01") * height
        for row in here:
            stays[row] = 0
        mask = pa.array(memoryview(stays), pa.uint8()).cast(pa.bool_())
        yield table.filter(mask), height - len(here)
