#!/bin/sh
# The demo: real flights through three stages, then a set with faults. `make demo` runs it.
set -eu
cd -- "$(dirname -- "$0")"

say() {
    printf '\n# %s\n' "$1"
}

run() {
    printf '$ %s\n' "$*"
    "$@"
}

say 'What would be done: stages, sources, chunks, and why. This writes nothing.'
run stagepipe plan

say 'Do it: parse and check, then enrich, then summary; each stage ends before the next begins.'
run stagepipe run

say 'What was done, and whether every record is accounted for.'
run stagepipe show

say 'The first table is a folder of Parquet files, one for each chunk. Its first flights:'
python - <<'PYTHON'
import polars as pl

pl.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True)
flights = pl.read_parquet("out/flights").head(5)
print(flights.select("airline", "flight", "origin", "dest_name", "dep_delay", "speed_mph"))
PYTHON

say 'The second is one CSV file, with a line for each airline and day. Its first lines:'
run head -n 6 out/summary.csv

say 'Reports with faults (dirty/README.md lists each): good records are written, bad ones kept.'
run stagepipe run dirty/pipeline.toml

say 'The bad ones: file, line and reason.'
run stagepipe rejects -p dirty/pipeline.toml

cat <<'END'

# Where things lie, in sample_data/:
  pipeline.toml           the pipeline: sources, schema, three stages
  flights/                the input: a folder per airline, a file per day
  out/flights/            the first table: every flight, with names and speed
  out/summary.csv         the second table: flights, departures and delays per airline and day
  dirty/, out/dirty/      the reports with faults, and the table of their good records
  out/**/.stagepipe/      the ledgers, the run folders and the rejects

# Run it again: what is finished is taken, not made again. `make clean` removes all that was made.
END
