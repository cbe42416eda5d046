"""DuckDB: CSV → Parquet. Run as `python -m benchmarks.peers.duckdb_copy PATTERN OUT WORKERS
[rejects]`.

Set up by DuckDB's own guides: columns and dialect given, so that nothing is detected in 400 files;
one output file per thread ('Parquet Tips'); no insertion order kept ('Tuning Workloads'). Of the
combinations tried it is the fastest, though the order of the rows is lost.
"""

import sys

import duckdb

from benchmarks.lineitem import COLUMNS

SQL_TYPES = {
    "int64": "BIGINT",
    "int32": "INTEGER",
    "decimal(15,2)": "DECIMAL(15,2)",
    "date": "DATE",
    "string": "VARCHAR",
}


def main(pattern: str, out: str, workers: str, rejects: str = "") -> None:
    settings = {"threads": int(workers), "preserve_insertion_order": False}
    columns = ", ".join(f"'{name}': '{SQL_TYPES[kind]}'" for name, kind in COLUMNS.items())
    with duckdb.connect(config=settings) as connection:
        connection.execute(
            f"""
            COPY (
                SELECT * FROM read_csv(
                    {_literal(pattern)}, auto_detect = false, header = true,
                    delim = ',', quote = '"', escape = '"', columns = {{{columns}}}
                    {", store_rejects = true, rejects_limit = 0" if rejects else ""}
                )
            ) TO {_literal(out)} (FORMAT parquet, COMPRESSION zstd, PER_THREAD_OUTPUT)
            """
        )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    main(*sys.argv[1:])
