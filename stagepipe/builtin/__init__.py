"""The built-ins, registered through the same hooks as any plugin. Imports are late: a command that
only prints help loads neither polars nor pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stagepipe.contracts import ExecutorFactory, Reader, Sink
from stagepipe.hookspecs import hookimpl


@hookimpl
def stagepipe_steps() -> Mapping[str, Callable[..., Any]]:
    """The steps of `stagepipe.builtin.steps`."""
    from stagepipe.builtin.steps import STEPS

    return STEPS


@hookimpl
def stagepipe_readers() -> Mapping[str, Reader]:
    """`csv`."""
    from stagepipe.builtin.csv.reader import CsvReader

    return {"csv": CsvReader()}


@hookimpl
def stagepipe_sinks() -> Mapping[str, Sink]:
    """`parquet`."""
    from stagepipe.builtin.parquet import ParquetSink

    return {"parquet": ParquetSink()}


@hookimpl
def stagepipe_executors() -> Mapping[str, ExecutorFactory]:
    """`processes`."""
    from stagepipe.builtin.executors import ProcessPool

    return {"processes": ProcessPool()}
