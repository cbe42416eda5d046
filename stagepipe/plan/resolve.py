"""From what the user wrote to what workers can do: steps found, options checked, types made.

All that can be known before a file is opened is checked here, all faults at once. The steps are
also tried on a table without rows, which finds a misspelt column before the night begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.contracts import ColumnSpec, TableSpec
from stagepipe.declare import Column, ColumnType, Pipeline, Stage, Use, fault_at
from stagepipe.errors import Fault, PluginError, StagepipeError
from stagepipe.plan.work import StageWork, StepWork, file_digest, step_message
from stagepipe.plugins import Plugins, Step

if TYPE_CHECKING:
    import pyarrow as pa

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The stages of a pipeline with their steps and sinks found, as far as that went."""

    plugins: Plugins
    stages: tuple[StageWork, ...]
    faults: list[Fault]


def find_steps(pipeline: Pipeline) -> Found:
    """Load the plugins that the pipeline names, and find its executor, steps and sinks."""
    plugins = Plugins()
    faults: list[Fault] = []
    for index, text in enumerate(pipeline.plugins):
        try:
            plugins.add_file(pipeline.folder / text)
        except PluginError as error:
            faults.append(fault_at(pipeline, ("pipeline", "plugins", index), error.message))
    if faults:
        # What such a plugin would bring is not known: other names may be right.
        return Found(plugins, (), faults)
    try:
        plugins.executor(pipeline.executor)
    except PluginError as error:
        faults.append(fault_at(pipeline, ("pipeline", "executor"), error.message))
    stages = [
        _stage(pipeline, plugins, index, stage, faults)
        for index, stage in enumerate(pipeline.stages)
    ]
    return Found(plugins, tuple(stages), faults)


def _stage(
    pipeline: Pipeline, plugins: Plugins, index: int, stage: Stage, faults: list[Fault]
) -> StageWork:
    steps = [
        found
        for position, use in enumerate(stage.steps)
        for found in _step(pipeline, plugins, use, ("stage", index, "steps", position), faults)
    ]
    sink = stage.sink
    if sink is None:
        return StageWork(stage.name, tuple(steps), None, {})
    try:
        plugins.sink(sink.use)
    except PluginError as error:
        faults.append(fault_at(pipeline, ("stage", index, "sink", "use"), error.message))
    return StageWork(stage.name, tuple(steps), sink.use, dict(sink.options))


def _step(
    pipeline: Pipeline, plugins: Plugins, use: Use, location: Location, faults: list[Fault]
) -> Iterator[StepWork]:
    try:
        step = plugins.step(use.use)
    except PluginError as error:
        faults.append(fault_at(pipeline, (*location, "use"), error.message))
        return
    options = _checked_options(pipeline, step, use, location, faults)
    if options is None:
        return
    reads = {}
    for name, value in options.items():
        if isinstance(value, Path):
            options[name] = path = pipeline.folder / value
            try:
                reads[name] = file_digest(path)
            except OSError as error:
                message = f"{path} cannot be read: {error.strerror}"
                faults.append(fault_at(pipeline, (*location, name), message))
    yield StepWork(step.where, options, step.mark.reshapes, step.digest, reads)


def _checked_options(
    pipeline: Pipeline, step: Step, use: Use, location: Location, faults: list[Fault]
) -> dict[str, Any] | None:
    from pydantic import ValidationError

    from stagepipe.declare.words import did_you_mean, from_pydantic

    try:
        model = step.options_model.model_validate(dict(use.options))
    except ValidationError as error:
        known = [field.alias for field in step.options_model.model_fields.values()]
        for detail in error.errors(include_url=False):
            key = str(detail["loc"][0])
            complaint = from_pydantic(detail, known)
            if complaint.kind == "unknown":
                text = f"step {use.use!r} has no option {key!r}{did_you_mean(key, known)}"
            elif complaint.kind == "lacks":
                text = f"step {use.use!r} lacks its option {key!r}"
            else:
                text = f"{key} of step {use.use!r} {complaint.text}"
            place = location if complaint.kind == "lacks" else (*location, key)
            faults.append(fault_at(pipeline, place, text))
        return None
    except PluginError as error:
        faults.append(fault_at(pipeline, location, error.message))
        return None
    return {
        field.alias or name: getattr(model, name)
        for name, field in type(model).model_fields.items()
    }


def reader_faults(pipeline: Pipeline, plugins: Plugins, table: TableSpec) -> list[Fault]:
    """What the sources' readers cannot do, or that there is no such reader."""
    faults = []
    for index, source in enumerate(pipeline.sources):
        try:
            reader = plugins.reader(source.use)
        except PluginError as error:
            faults.append(fault_at(pipeline, ("source", index, "use"), error.message))
            continue
        faults += [
            fault_at(pipeline, ("schema", "columns", column, key), message)
            for column, key, message in reader.faults(table)
        ]
    return list(dict.fromkeys(faults))


def table_spec(pipeline: Pipeline) -> TableSpec:
    """The schema as readers take it."""
    schema = pipeline.schema_
    return TableSpec(
        tuple(_column_spec(name, column) for name, column in schema.columns.items()),
        extra_columns=schema.extra_columns,  # type: ignore[arg-type]  # "keep" is refused earlier
        missing_columns=schema.missing_columns,
    )


def _column_spec(name: str, column: Column) -> ColumnSpec:
    checks = tuple(
        (check, value)
        for check in ("min", "max", "one_of", "pattern", "min_length", "max_length")
        if (value := getattr(column, check)) is not None
    )
    return ColumnSpec(name, column.header, arrow_type(column.type), column.required, checks)


def arrow_type(kind: ColumnType) -> pa.DataType:
    """The Arrow type of a column type. Times and datetimes count microseconds."""
    import pyarrow as pa

    match kind.kind:
        case "decimal":
            return pa.decimal128(kind.precision, kind.scale)
        case "date":
            return pa.date32()
        case "time":
            return pa.time64("us")
        case "datetime":
            return pa.timestamp("us", kind.timezone)
        case "bool":
            return pa.bool_()
        case name:
            return getattr(pa, name)()


def try_steps(pipeline: Pipeline, work: Sequence[StageWork], table: TableSpec) -> list[Fault]:
    """Apply all steps to a table without rows; the faults of built-in steps.

    That goes as far as the first step of a plugin: it may do more than compute, so it is not called
    before the run, and what columns it gives is not known.
    """
    if not any(stage.steps for stage in work):
        return []
    import polars as pl
    import pyarrow as pa

    from stagepipe.plugins import load_step

    empty = pa.schema([(c.name, c.arrow_type) for c in table.columns]).empty_table()
    frame = pl.DataFrame(pl.from_arrow(empty))
    for index, stage in enumerate(work):
        for position, step in enumerate(stage.steps):
            if not step.where.module.startswith("stagepipe.builtin."):
                return []
            try:
                frame = load_step(step.where)(frame, **step.options)
            except (KeyboardInterrupt, StagepipeError):
                raise
            except BaseException as error:  # noqa: BLE001 - polars' panics are no Exceptions
                location = ("stage", index, "steps", position)
                return [fault_at(pipeline, location, step_message(step, error, frame))]
    return []
