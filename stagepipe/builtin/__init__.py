"""The built-ins, registered through the same hooks as any plugin. Imports are late: a command that
only prints help loads neither polars nor pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stagepipe.contracts import ExecutorFactory, Reader, Sink
from stagepipe.events import Listener, Screen
from stagepipe.hookspecs import hookimpl


@hookimpl
def stagepipe_steps() -> Mapping[str, Callable[..., Any]]:
    """The steps of `stagepipe.builtin.steps`."""
    from stagepipe.builtin.steps import STEPS
    from stagepipe.builtin.table_steps import TABLE_STEPS

    return STEPS | TABLE_STEPS


@hookimpl
def stagepipe_readers() -> Mapping[str, Reader]:
    """`csv`."""
    from stagepipe.builtin.csv.reader import CsvReader

    return {"csv": CsvReader()}


@hookimpl
def stagepipe_sinks() -> Mapping[str, Sink]:
    """`parquet`, `csv` and `arrow`."""
    from stagepipe.builtin.sinks.arrow import ArrowSink
    from stagepipe.builtin.sinks.delimited import CsvSink
    from stagepipe.builtin.sinks.parquet import ParquetSink

    return {"parquet": ParquetSink(), "csv": CsvSink(), "arrow": ArrowSink()}


@hookimpl
def stagepipe_executors() -> Mapping[str, ExecutorFactory]:
    """`processes`."""
    from stagepipe.builtin.executors import ProcessPool

    return {"processes": ProcessPool()}


@hookimpl
def stagepipe_listeners(screen: Screen) -> Sequence[Listener]:
    """The display on a terminal, a line every few seconds elsewhere."""
    if screen.is_terminal:
        from stagepipe.builtin.progress import Progress

        return [Progress()]
    if screen.tell is not None:
        from stagepipe.builtin.heartbeat import Heartbeat

        return [Heartbeat(screen.tell)]
    return []
