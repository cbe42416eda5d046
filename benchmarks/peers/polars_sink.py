"""Polars: CSV → Parquet.

Run as `python -m benchmarks.peers.polars_sink PATTERN OUT WORKERS [parts]`.

Set up by Polars' own guide for data larger than memory: a lazy scan with the schema given, and a
streaming sink. Order is kept, the default; `maintain_order=False` is called unstable there and
gained less than the noise. With `parts` the sink writes a folder of files (`PartitionBy`, called
unstable too), now faster than one file and now slower.
"""

import os
import sys

from benchmarks.lineitem import COLUMNS

BYTES_PER_PART = 256 * 1024 * 1024  # in memory, before encoding


def main(pattern: str, out: str, workers: str, shape: str = "single") -> None:
    os.environ["POLARS_MAX_THREADS"] = workers  # read once, when polars is imported
    import polars as pl

    dtypes: dict[str, pl.DataType | type[pl.DataType]] = {
        "int64": pl.Int64,
        "int32": pl.Int32,
        "decimal(15,2)": pl.Decimal(15, 2),
        "date": pl.Date,
        "string": pl.String,
    }
    schema = {name: dtypes[kind] for name, kind in COLUMNS.items()}
    target: str | pl.PartitionBy = out
    if shape == "parts":
        target = pl.PartitionBy(out, approximate_bytes_per_file=BYTES_PER_PART)
    frame = pl.scan_csv(pattern, schema=schema)
    frame.sink_parquet(target, compression="zstd", mkdir=shape == "parts")


if __name__ == "__main__":
    main(*sys.argv[1:])
