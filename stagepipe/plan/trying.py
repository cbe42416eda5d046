"""The steps tried on a table without rows: a misspelt column is found before the night begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stagepipe.contracts import Sink, TableSpec
from stagepipe.declare import Pipeline, fault_at
from stagepipe.errors import Fault, StagepipeError
from stagepipe.model import RECORD
from stagepipe.plan.resolve import Found
from stagepipe.plan.work import odd_result, provenance_type, step_message
from stagepipe.plugins import load_step

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_PERHAPS = '; a file may have it (extra_columns = "keep"), which is seen when a run is planned'


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of trying the steps: faults, and notes on what cannot be known yet."""

    faults: tuple[Fault, ...] = ()
    notes: tuple[Fault, ...] = ()


def try_steps(pipeline: Pipeline, found: Found, table: TableSpec, *, has_all: bool = True) -> Tried:
    """Apply all steps to a table without rows; the faults of built-in steps, and those of sinks
    that do not fit the columns.

    That goes as far as the first step of a plugin: it may do more than compute, so it is not called
    before the run, and what columns it gives is not known. Where the table does not have all of its
    columns, because some are to be read from the files (`has_all`), a column that is not there is
    no fault but a note, and ends the trial; it is tried again when the run is planned.
    """
    columns = dict(_columns(table))
    frame: Any = None  # polars is loaded only where there are steps
    faults: list[Fault] = []
    for index, stage in enumerate(found.stages):
        for position, step in enumerate(stage.steps):
            if not step.is_built_in:
                return Tried(tuple(faults))
            frame = _empty_frame(table) if frame is None else frame
            location = ("stage", index, "steps", position)
            try:
                given = frame.lazy() if step.is_over_all else frame
                frame = load_step(step.where)(given, **step.options).lazy().collect()
            except (KeyboardInterrupt, StagepipeError):
                raise
            except BaseException as error:  # noqa: BLE001 - polars' panics are no Exceptions
                text = step_message(step, error, frame)
                if not has_all and _lacks_column(error):
                    note = fault_at(pipeline, location, f"{text}{_PERHAPS}")
                    return Tried(tuple(faults), (note,))
                return Tried((*faults, fault_at(pipeline, location, text)))
            if wrong := _wrong_columns(frame.schema):
                text = f"step {step.where.name!r} {wrong}"
                return Tried((*faults, fault_at(pipeline, location, text)))
        if frame is not None:
            columns = dict(zip(frame.columns, frame.to_arrow().schema.types, strict=True))
        declared = pipeline.stages[index].sink
        if declared is not None and stage.sink is not None and has_all:
            sink: Sink = found.plugins.sink(stage.sink)
            unfit = sink.faults(stage.sink_options, is_file=declared.is_file, columns=columns)
            faults += [
                fault_at(pipeline, ("stage", index, "sink", key), message) for key, message in unfit
            ]
    return Tried(tuple(faults))


def _lacks_column(error: BaseException) -> bool:
    """Whether a step failed because a column is not there."""
    import polars as pl

    return isinstance(error, pl.exceptions.ColumnNotFoundError)


def _wrong_columns(columns: Mapping[str, pl.DataType]) -> str | None:
    """Why a step must not make these columns."""
    if RECORD in columns:
        return f"makes a column {RECORD!r}: the name is reserved"
    odd = odd_result(columns)
    return f"{odd[0]}: {odd[1]}" if odd else None


def _empty_frame(table: TableSpec) -> pl.DataFrame:
    """What a reader gives of a file without records."""
    import polars as pl
    import pyarrow as pa

    return pl.DataFrame(pl.from_arrow(pa.schema(list(_columns(table))).empty_table()))


def _columns(table: TableSpec) -> Iterator[tuple[str, pa.DataType]]:
    """The columns of what a reader gives, with those that say where a row is from."""
    yield from ((column.name, column.arrow_type) for column in table.columns)
    yield from ((f"_{name}", provenance_type(name)) for name in table.provenance)
