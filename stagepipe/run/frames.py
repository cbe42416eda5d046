"""Between polars and Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


def to_arrow(frame: pl.DataFrame) -> pa.Table:
    """The frame as Arrow, in types that do not depend on how polars laid its memory out."""
    import polars as pl
    import pyarrow as pa

    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    plain = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    fields = [field.with_type(plain.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))
