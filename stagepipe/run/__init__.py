"""Doing it: limits, fan-out, workers, flush, and the loop that reads like the picture."""

WORKER_MODULES = (
    "stagepipe.run.worker",
    "stagepipe.builtin.csv.reader",
    "stagepipe.builtin.sinks.parquet",
    "pyarrow.csv",
    "pyarrow.parquet",
    "polars",
)
"""What a worker imports before its first task: itself, and what most pipelines use."""
