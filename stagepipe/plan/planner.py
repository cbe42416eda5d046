"""The plan: every task of every stage, whether it is made or taken, and why. Writes nothing.

Each run plans anew. From the first stage on it is found out which tasks there are; then, from the
last stage back to the first, a finished part is taken when it is there, or when nobody needs it any
more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stagepipe.declare import Pipeline, Stage
from stagepipe.errors import Fault, PipelineError
from stagepipe.model import Chunk, Decision, InputFile, Piece, Receipt, Segment, Task
from stagepipe.packing import is_packed
from stagepipe.plan import chunks, tasks
from stagepipe.plan.appending import fixed_columns, leave_out
from stagepipe.plan.detecting import HEAD_BYTES, work_of_file
from stagepipe.plan.extras import with_extras
from stagepipe.plan.files import SourceFiles, find_files, look_for_files
from stagepipe.plan.kept_values import kept_values
from stagepipe.plan.loading import in_file_order
from stagepipe.plan.mended import NOTHING, MendedPlan, find_mended
from stagepipe.plan.places import (
    SinkPlan,
    leading_out,
    odd_folders,
    refuse_taken,
    sink_plan,
    spool_of,
    taken_places,
    unwritable_folders,
)
from stagepipe.plan.resolve import (
    Found,
    find_steps,
    lost_records,
    reader_faults,
    table_spec,
    unwatched_memory,
)
from stagepipe.plan.trying import try_steps
from stagepipe.plan.unique import folded, layers_of
from stagepipe.plan.work import Role, SourceWork, StageWork, Work
from stagepipe.plugins import Plugins


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage's tasks, in chunk order."""

    declared: Stage
    work: StageWork
    tasks: tuple[Task, ...]
    sink: SinkPlan | None

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.work.name

    @property
    def to_make(self) -> list[Task]:
        """The tasks that are not taken."""
        return [task for task in self.tasks if task.decision is Decision.MADE]


@dataclass(frozen=True, slots=True)
class Checked:
    """A pipeline of which all that can be known without its data is right. `notes` are no faults,
    but what its author may want to know."""

    pipeline: Pipeline
    plugins: Plugins
    work: Work
    notes: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do. `receipts` are those of the tasks that are taken, by key; `is_fresh` says
    that none of before may be, `skipped` are files that the table to append to holds already,
    `mended` are the records that came back. `layers` are the stages, one with an inner barrier as
    several (see `stagepipe.plan.unique`)."""

    checked: Checked
    sources: tuple[SourceFiles, ...]
    chunks: tuple[Chunk, ...]
    layers: tuple[StagePlan, ...]
    receipts: Mapping[str, Receipt]
    is_fresh: bool = False
    skipped: tuple[InputFile, ...] = ()
    mended: MendedPlan = NOTHING

    @property
    def is_open(self) -> bool:
        """Whether what comes after the last of `layers` is planned when that one has run."""
        return len(self.layers) < len(self.checked.work.stages)

    @property
    def stages(self) -> tuple[StagePlan, ...]:
        """The stages as they were declared, as far as they are planned."""
        if not any(layer.work.is_inner for layer in self.layers):
            return self.layers
        reads, _, *others = self.layers
        goes_on = others[0] if others else None
        tasks = tuple(folded(reads.tasks, goes_on.tasks if goes_on else None))
        if goes_on is not None:
            return (replace(goes_on, tasks=tasks), *others[1:])
        work = next(stage for stage in self.checked.work.stages if stage.role is Role.GOES_ON)
        declared = reads.declared.sink
        place = declared and self.checked.pipeline.output_path / declared.path
        is_current = False if any(task.decision is Decision.MADE for task in tasks) else None
        sink = SinkPlan(declared.use, place, is_current) if declared and place else None
        return (StagePlan(reads.declared, work, tasks, sink),)

    @property
    def open_stages(self) -> tuple[StageWork, ...]:
        """The stages of which nothing is planned yet."""
        begun = len(self.stages)
        return tuple(stage for stage in self.checked.work.stages if stage.position >= begun)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.is_open and all(
            not stage.to_make and (stage.sink is None or stage.sink.is_current)
            for stage in self.layers
        )

    @property
    def unsettled(self) -> tuple[InputFile, ...]:
        """The files that are left alone this time, as somebody may still be writing them."""
        return tuple(file for source in self.sources for file in source.unsettled)

    @property
    def input_files(self) -> Iterator[InputFile]:
        """All files of all sources."""
        return (file for source in self.sources for file in source.files)


def check(
    pipeline: Pipeline, *, worker_modules: Sequence[str] = (), with_paths: bool = False
) -> Checked:
    """Everything but the data. Raises PipelineError with all faults.

    Args:
        pipeline: what to check.
        worker_modules: a run follows, and its workers will import these: the executor may begin
            to get ready meanwhile.
        with_paths: look for the sources' files and at the sinks' places too, which a plan does
            in any case.
    """
    found = find_steps(pipeline)
    if worker_modules and not found.faults:
        found.plugins.executor(pipeline.executor).prepare(worker_modules)
    table = table_spec(pipeline)
    faults = [*found.faults, *reader_faults(pipeline, found.plugins, table)]
    notes: list[Fault] = []
    if not faults:
        tried = try_steps(pipeline, found, table, has_all=table.extra_columns != "keep")
        faults += tried.faults
        notes += tried.notes
    faults += leading_out(pipeline)
    faults += odd_folders(pipeline)
    faults += unwritable_folders(pipeline)
    if with_paths:
        faults += look_for_files(pipeline)[1]
        faults += taken_places(pipeline)
    if faults:
        raise PipelineError(in_file_order(faults))
    work = Work(
        folder=str(pipeline.folder),
        plugin_files=tuple(str(pipeline.folder / path) for path in pipeline.plugins),
        spool=str(spool_of(pipeline).folder),
        table=table,
        sources={},
        stages=layers_of(found.stages, table),
        chunk_size=pipeline.chunk_size,
    )
    notes += lost_records(pipeline, found.stages)
    notes += unwatched_memory(pipeline, found.stages)
    return Checked(pipeline, found.plugins, work, tuple(notes))


def with_sources(checked: Checked, sources: Sequence[SourceFiles]) -> Checked:
    """The work with how each source is read, and with what only its files tell: columns that are
    kept beyond the schema. Raises PipelineError where the steps do not fit these."""
    pipeline, work = checked.pipeline, checked.work
    how = {source.name: source_work(source) for source in sources}
    fixed = fixed_columns(pipeline)
    folder = Path(work.folder)
    table = with_extras(work.table, sources, how, checked.plugins, folder, fixed)
    if table.extra_columns == "keep":
        stages = tuple(stage for stage in work.stages if not stage.is_inner)
        found = Found(checked.plugins, stages, [])
        if faults := try_steps(pipeline, found, table).faults:
            raise PipelineError(faults)
    return replace(checked, work=replace(work, sources=how, table=table))


def plan(pipeline: Pipeline, *, fresh: bool = False) -> Plan:
    """What a run of the pipeline would do now, and why. Writes nothing.

    Raises PipelineError, PluginError, InputError or OutputError where a run would be refused.
    """
    return make_plan(check(pipeline), fresh=fresh)


def make_plan(
    checked: Checked, *, fresh: bool = False, made: Mapping[str, Receipt] | None = None
) -> Plan:
    """Look at the files and at what is done already. `fresh` takes no finished part, but those that
    the same run has `made` already.

    Raises InputError when files are missing or are none, OutputError when a place is taken,
    PipelineError when the steps do not fit the columns that are kept beyond the schema.
    """
    pipeline = checked.pipeline
    sources, skipped = leave_out(pipeline, find_files(pipeline))
    checked = with_sources(checked, sources)
    work = replace(checked.work, kept_values=kept_values(pipeline))
    checked = replace(checked, work=work)
    mended = find_mended(pipeline, sources)
    all_chunks = tuple(_chunks(checked, sources, mended))
    receipts = dict(made or {}) if fresh else spool_of(pipeline).receipts()
    cells = tasks.first_cells(all_chunks, checked.work, receipts)
    plan = Plan(checked, sources, all_chunks, (), {}, fresh, skipped, mended)
    return _planned(plan, [], cells, receipts)


def go_on(plan: Plan, receipts: Mapping[str, Receipt]) -> Plan:
    """Plan what follows a task over all rows, which has run now. `receipts` are those of all tasks
    up to there."""
    known = (
        dict(receipts)
        if plan.is_fresh
        else {**spool_of(plan.checked.pipeline).receipts(), **receipts}
    )
    before = [
        [tasks.Cell(task.chunk, task.inputs, task.ingredients, task.key) for task in layer.tasks]
        for layer in plan.layers
    ]
    following = tasks.next_cells(before, plan.checked.work, known)
    assert following is not None, "the stage before has not run"
    return _planned(plan, before, following, known)


def _planned(
    plan: Plan,
    before: Sequence[Sequence[tasks.Cell]],
    cells: list[tasks.Cell],
    receipts: Mapping[str, Receipt],
) -> Plan:
    """The plan with the layers from these cells on, as far as they are known."""
    pipeline, work = plan.checked.pipeline, plan.checked.work
    spool = spool_of(pipeline)
    layers = [*before, cells]
    while len(layers) < len(work.stages):
        following = tasks.next_cells(layers, work, receipts)
        if following is None:
            break
        layers.append(following)
    is_open = len(layers) < len(work.stages)
    for stage in work.stages[len(layers) :]:
        if not stage.is_inner:
            refuse_taken(pipeline, stage.position)
    planned: list[StagePlan] = []
    wanted = {Piece(cell.key) for cell in layers[-1]} if is_open else set()
    for index in reversed(range(len(before), len(layers))):
        layer, stage = layers[index], work.stages[index]
        sink = None if stage.is_inner else _sink(plan, stage, layer, receipts)
        if sink is not None and not sink.is_current:
            wanted |= {Piece(cell.key) for cell in layer}
        if stage.role is Role.COMPARES and work.kept_values is not None:
            wanted |= {Piece(cell.key) for cell in layer}  # its values go to the table
        decided = tasks.decide(index, layer, stage, receipts, wanted, spool)
        planned.insert(0, StagePlan(pipeline.stages[stage.position], stage, decided, sink))
        to_make = (task for task in decided if task.decision is Decision.MADE)
        wanted |= {piece for task in to_make for piece in task.inputs}
    taken = {
        # The same part may have been another chunk's, of a stage with another name.
        task.key: replace(receipts[task.key], chunk=task.chunk.index, stage=stage.name)
        for stage in planned
        for task in stage.tasks
        if task.decision is Decision.TAKEN
    }
    return replace(plan, layers=(*plan.layers, *planned), receipts={**plan.receipts, **taken})


def _sink(
    plan: Plan, stage: StageWork, layer: Sequence[tasks.Cell], receipts: Mapping[str, Receipt]
) -> SinkPlan | None:
    """What is to become of a stage's sink. What its place shows counts for nothing where parts are
    made anew under their old keys."""
    is_trusted = not plan.is_fresh and not any(
        cell.is_new or tasks.is_stale(cell, receipts) for cell in layer
    )
    keys = [cell.key for cell in layer]
    return sink_plan(plan.checked.pipeline, stage.position, keys, receipts, is_trusted)


def _chunks(
    checked: Checked, sources: Sequence[SourceFiles], mended: MendedPlan
) -> Iterator[Chunk]:
    size, index = checked.pipeline.chunk_size, 0
    of_files = ((s.name, segment) for s in sources for segment in _segments(checked, s))
    for chunk in chunks.pack(of_files, size):
        yield chunk
        index += 1
    came_back = ((name, segment) for name, found in mended.segments.items() for segment in found)
    yield from chunks.pack(came_back, size, index)


def _segments(checked: Checked, source: SourceFiles) -> Iterator[Segment]:
    pipeline = checked.pipeline
    reader = checked.plugins.reader(source.declared.use)
    how, table = source_work(source), checked.work.table
    needs_lines = "line" in table.provenance
    for file in source.files:
        cuts: Sequence[int] = ()
        lines: Sequence[int] | None = [] if needs_lines else None
        if file.size > pipeline.chunk_size and not is_packed(file):
            try:
                path = pipeline.folder / file.path
                options = work_of_file(reader, _beginning(path), how, table).options
                cuts = reader.cuts(path, file.size, pipeline.chunk_size, options)
                lines = reader.first_lines(path, cuts) if needs_lines else None
            except OSError:
                cuts = ()  # the worker meets the same trouble, and a dead letter says so
        yield from chunks.segments(file, cuts, lines)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def source_work(source: SourceFiles) -> SourceWork:
    """How workers read a source."""
    declared = source.declared
    dialect = {name: getattr(declared.csv, name) for name in type(declared.csv).model_fields}
    return SourceWork(declared.use, dialect, declared.max_inflation)
