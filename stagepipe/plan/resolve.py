"""From what the user wrote to what workers can do: steps found, options checked, types made.

All that can be known before a file is opened is checked here, all faults at once; what the steps
make of the columns is seen by trying them (`plan.trying`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.contracts import CheckSpec, ColumnSpec, Sink, TableSpec
from stagepipe.declare import Column, ColumnType, Pipeline, Stage, Use, fault_at
from stagepipe.errors import Fault, PluginError
from stagepipe.plan.work import StageWork, StepWork, file_digest
from stagepipe.plugins import Plugins, sink_options_model

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
    return Found(plugins, tuple(_fitted(stages)), faults)


def _fitted(stages: Sequence[StageWork]) -> Iterator[StageWork]:
    """The stages with what each has to do for those after it. After a stage over all rows nobody
    knows any more which record a row is."""
    needs_records = False
    found: list[StageWork] = []
    for stage in reversed(stages):
        needs_records &= not stage.is_over_all
        reads = needs_records or any(step.takes_reject for step in stage.steps)
        found.append(replace(stage, keeps_records=needs_records, reads_records=reads))
        needs_records = reads and not stage.is_over_all
    last = len(found) - 1
    for index, stage in enumerate(reversed(found)):
        # A sink's files must not show the column that a later step needs.
        keeps = stage.keeps_pieces or stage.keeps_records
        yield replace(stage, keeps_pieces=stage.sink is None or (keeps and index < last))


def _stage(
    pipeline: Pipeline, plugins: Plugins, index: int, stage: Stage, faults: list[Fault]
) -> StageWork:
    steps = [
        found
        for position, use in enumerate(stage.steps)
        for found in _step(pipeline, plugins, use, ("stage", index, "steps", position), faults)
    ]
    faults += _misplaced(pipeline, index, steps)
    work = StageWork(
        stage.name,
        tuple(steps),
        None,
        {},
        is_over_all=any(step.is_over_all for step in steps),
        is_io_bound=any(step.is_io_bound for step in steps),
    )
    declared = stage.sink
    if declared is None:
        return work
    location = ("stage", index, "sink")
    try:
        sink: Sink = plugins.sink(declared.use)
    except PluginError as error:
        faults.append(fault_at(pipeline, (*location, "use"), error.message))
        return work
    options = _checked_options(
        pipeline,
        f"sink {declared.use!r}",
        lambda: sink_options_model(declared.use, sink),
        declared.options,
        location,
        faults,
        also_known=("use", "path", "on_existing"),
    )
    if options is None:
        return work
    wrong = list(sink.faults(options, is_file=declared.is_file))
    faults += [fault_at(pipeline, (*location, key), message) for key, message in wrong]
    keeps = not wrong and not sink.keeps_rows(options)
    return replace(work, sink=declared.use, sink_options=options, keeps_pieces=keeps)


def _misplaced(pipeline: Pipeline, index: int, steps: Sequence[StepWork]) -> Iterator[Fault]:
    """Steps over all rows that do not stand right behind a barrier, and steps that wait beside one
    over all rows: they run in this process, where sums of floats come from several threads."""
    computing = [s.where.name for s in steps if s.is_over_all and not s.is_io_bound]
    for position, step in enumerate(steps):
        if step.is_io_bound and computing:
            text = f"step {step.where.name!r} waits (io_bound), and {computing[0]!r} in its stage "
            text += "computes over all rows: begin a new [[stage]] with the one that stands last"
            yield fault_at(pipeline, ("stage", index, "steps", position), text)
    for position, step in enumerate(steps):
        name = step.where.name
        before = [other.where.name for other in steps[:position] if not other.is_over_all]
        if not step.is_over_all or (index and not before):
            continue
        if index:
            text = f"needs every row, and stands after {before[0]!r}: begin a new [[stage]] with it"
        else:
            text = "needs every row, and the first stage reads files chunk by chunk: put it into "
            text += "a [[stage]] after this one"
        yield fault_at(pipeline, ("stage", index, "steps", position), f"step {name!r} {text}")


def _step(
    pipeline: Pipeline, plugins: Plugins, use: Use, location: Location, faults: list[Fault]
) -> Iterator[StepWork]:
    try:
        step = plugins.step(use.use)
    except PluginError as error:
        faults.append(fault_at(pipeline, (*location, "use"), error.message))
        return
    options = _checked_options(
        pipeline, f"step {use.use!r}", lambda: step.options_model, use.options, location, faults
    )
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
    yield StepWork(
        step.where,
        options,
        step.mark.reshapes,
        step.digest,
        reads,
        is_over_all=step.mark.scope == "all",
        is_io_bound=step.mark.io_bound,
        takes_reject=step.takes_reject,
    )


def _checked_options(
    pipeline: Pipeline,
    owner: str,
    make_model: Callable[[], Any],
    given: Mapping[str, Any],
    location: Location,
    faults: list[Fault],
    also_known: Sequence[str] = (),
) -> dict[str, Any] | None:
    """The options of a step or a sink, each of its type; None when there are faults. `also_known`
    are keys that may have been meant by one that is misspelt."""
    from pydantic import ValidationError

    try:
        options_model = make_model()
        model = options_model.model_validate(dict(given))
    except ValidationError as error:
        known = [field.alias for field in options_model.model_fields.values()] + [*also_known]
        by_key: dict[str, list[Any]] = {}
        for detail in error.errors(include_url=False):
            by_key.setdefault(str(detail["loc"][0]), []).append(detail)
        for key, details in by_key.items():
            place, text = _option_fault(owner, key, details, given, known)
            faults.append(fault_at(pipeline, (*location, *place), text))
        return None
    except PluginError as error:
        faults.append(fault_at(pipeline, location, error.message))
        return None
    return {
        field.alias or name: getattr(model, name)
        for name, field in type(model).model_fields.items()
    }


def _option_fault(
    owner: str, key: str, details: Sequence[Any], given: Mapping[str, Any], known: Sequence[str]
) -> tuple[Location, str]:
    """Where an option is wrong, from the step or the sink on, and how."""
    from stagepipe.declare.places import readable
    from stagepipe.declare.words import did_you_mean, of_option

    if details[0]["type"] == "extra_forbidden":
        return (key,), f"{owner} has no option {key!r}{did_you_mean(key, known)}"
    if details[0]["type"] == "missing":
        return (), f"{owner} lacks its option {key!r}"
    inner, text = of_option(details, given[key])
    return (key, *inner), f"{readable((key, *inner))} of {owner} {text}"


def lost_records(pipeline: Pipeline, stages: Sequence[StageWork]) -> Iterator[Fault]:
    """Steps that reject rows of which nobody will know any more which records they are."""
    loser: str | None = None
    for index, stage in enumerate(stages):
        for position, step in enumerate(stage.steps):
            name = step.where.name
            if step.takes_reject and loser is not None:
                text = f"step {name!r} rejects rows that come out of {loser!r}: their lines and "
                text += "raw bytes are not known, and stay empty in the rejects"
                yield fault_at(pipeline, ("stage", index, "steps", position), text)
            if step.is_over_all or (step.reshapes and not step.is_built_in):
                loser = name


def unwatched_memory(pipeline: Pipeline, stages: Sequence[StageWork]) -> Iterator[Fault]:
    """Stages whose attempts `worker_memory` does not bound: nobody can tell what a thread needs."""
    for index, stage in enumerate(stages):
        if stage.is_io_bound and pipeline.worker_memory is not None:
            text = f"stage {stage.name!r} runs in threads, as a step of it waits (io_bound): "
            text += "worker_memory is not watched there"
            yield fault_at(pipeline, ("stage", index, "steps"), text)


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
            fault_at(pipeline, ("schema", *place), message)
            for place, message in reader.faults(table)
        ]
    return list(dict.fromkeys(faults))


def table_spec(pipeline: Pipeline) -> TableSpec:
    """The schema as readers take it."""
    schema = pipeline.schema_
    return TableSpec(
        tuple(_column_spec(name, column) for name, column in schema.columns.items()),
        extra_columns=schema.extra_columns,
        missing_columns=schema.missing_columns,
        provenance=schema.provenance,
        checks=tuple(CheckSpec(c.name, c.expression, c.message) for c in schema.checks),
        unique=tuple(name for name, column in schema.columns.items() if column.unique),
    )


def _column_spec(name: str, column: Column) -> ColumnSpec:
    checks = tuple(
        (check, value)
        for check in ("min", "max", "one_of", "pattern", "min_length", "max_length")
        if (value := getattr(column, check)) is not None
    )
    return ColumnSpec(
        name,
        column.header,
        arrow_type(column.type),
        column.required,
        checks,
        column.format,
        column.default,
    )


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
