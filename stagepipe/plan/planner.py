"""The plan: every task of every stage, whether it is made or taken, and why. Writes nothing.

Each run plans anew. Keys are known for all stages before anything runs, because a part's key
follows from the key of the part before it. Then, from the last stage back to the first, a finished
part is taken when it is there, or when nobody needs it any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stagepipe.declare import Pipeline, Stage, fault_at
from stagepipe.errors import Fault, OutputError, PipelineError
from stagepipe.model import Chunk, Decision, InputFile, Receipt, Segment, Task, printable
from stagepipe.plan import chunks, keys
from stagepipe.plan.files import SourceFiles, find_files, look_for_files
from stagepipe.plan.loading import in_file_order
from stagepipe.plan.resolve import find_steps, reader_faults, table_spec, try_steps
from stagepipe.plan.work import SourceWork, StageWork, Work
from stagepipe.plugins import Plugins
from stagepipe.record.manifest import Manifest, shown, strangers
from stagepipe.record.spool import Spool


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """Where a stage's rows go. `is_current` when the place shows just these parts already."""

    use: str
    table: Path
    is_current: bool


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
    """A pipeline of which all that can be known without its data is right."""

    pipeline: Pipeline
    plugins: Plugins
    work: Work


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do. `receipts` are those of the tasks that are taken, by key."""

    checked: Checked
    sources: tuple[SourceFiles, ...]
    chunks: tuple[Chunk, ...]
    stages: tuple[StagePlan, ...]
    receipts: Mapping[str, Receipt]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return all(
            not stage.to_make and (stage.sink is None or stage.sink.is_current)
            for stage in self.stages
        )

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
    if not faults:
        faults += try_steps(pipeline, found.stages, table)
    faults += _leading_out(pipeline)
    faults += _odd_folders(pipeline)
    faults += _unwritable_folders(pipeline)
    if with_paths:
        faults += look_for_files(pipeline)[1]
        faults += _taken_places(pipeline)
    if faults:
        raise PipelineError(in_file_order(faults))
    work = Work(
        folder=str(pipeline.folder),
        plugin_files=tuple(str(pipeline.folder / path) for path in pipeline.plugins),
        spool=str(spool_of(pipeline).folder),
        table=table,
        sources={},
        stages=found.stages,
    )
    return Checked(pipeline, found.plugins, work)


def plan(pipeline: Pipeline, *, fresh: bool = False) -> Plan:
    """What a run of the pipeline would do now, and why. Writes nothing.

    Raises PipelineError, PluginError, InputError or OutputError where a run would be refused.
    """
    return make_plan(check(pipeline), fresh=fresh)


def spool_of(pipeline: Pipeline) -> Spool:
    """The pipeline's own part of the spool."""
    return Spool(pipeline.spool_path / pipeline.name)


def make_plan(checked: Checked, *, fresh: bool = False) -> Plan:
    """Look at the files and at what is done already. `fresh` takes no finished part.

    Raises InputError when files are missing or are none, OutputError when a place is taken.
    """
    pipeline = checked.pipeline
    sources = find_files(pipeline)
    how = {source.name: _source_work(source) for source in sources}
    work = replace(checked.work, sources=how)
    checked = replace(checked, work=work)
    all_chunks = tuple(_chunks(checked, sources))
    spool = spool_of(pipeline)
    receipts = {} if fresh else spool.receipts()
    ingredients = [_ingredients(work, chunk) for chunk in all_chunks]
    incomplete = _incomplete(all_chunks, ingredients, receipts)
    stages: list[StagePlan] = []
    needed: set[int] = set()
    for index in reversed(range(len(work.stages))):
        stage_keys = [keys.key_of(found[index]) for found in ingredients]
        is_trusted = not (fresh or incomplete)
        sink = _sink_plan(pipeline, index, stage_keys, receipts, is_trusted)
        tasks, needed = _decide(
            index,
            all_chunks,
            ingredients,
            receipts,
            spool,
            needed,
            incomplete,
            sink,
            work.stages[index],
        )
        stages.insert(0, StagePlan(pipeline.stages[index], work.stages[index], tasks, sink))
    taken = {
        # The same part may have been another chunk's, of a stage with another name.
        task.key: replace(receipts[task.key], chunk=task.chunk.index, stage=stage.name)
        for stage in stages
        for task in stage.tasks
        if task.decision is Decision.TAKEN
    }
    return Plan(checked, sources, all_chunks, tuple(stages), taken)


def _incomplete(
    all_chunks: Sequence[Chunk],
    ingredients: Sequence[Sequence[Mapping[str, str]]],
    receipts: Mapping[str, Receipt],
) -> set[int]:
    """The chunks with dead letters. They are tried again, and may give more rows under the same
    key: so nothing that was made from them may be taken."""
    found = zip(all_chunks, ingredients, strict=True)
    first = {chunk.index: receipts.get(keys.key_of(stages[0])) for chunk, stages in found}
    return {index for index, receipt in first.items() if receipt and not receipt.is_whole}


def _decide(
    index: int,
    all_chunks: Sequence[Chunk],
    ingredients: Sequence[Sequence[Mapping[str, str]]],
    receipts: Mapping[str, Receipt],
    spool: Spool,
    needed: set[int],
    incomplete: set[int],
    sink: SinkPlan | None,
    work: StageWork,
) -> tuple[tuple[Task, ...], set[int]]:
    """The tasks of a stage, and which chunks they need from the stage before.

    `needed` are the chunks whose part the stage after this one will read.
    """
    before = _ingredients_before(receipts, work.name)
    tasks = []
    wanted = set()
    for chunk, found in zip(all_chunks, ingredients, strict=True):
        key = keys.key_of(found[index])
        receipt = receipts.get(key)
        is_wanted = chunk.index in needed or (sink is not None and not sink.is_current)
        if chunk.index in incomplete:
            what = "the stage before it" if index else "it"
            decision, reason = Decision.MADE, f"{what} ended with dead letters"
        elif receipt is not None and index and not _is_from(receipt, found[index - 1], receipts):
            decision, reason = Decision.MADE, "the part that it was made from is another one now"
        elif receipt is not None and not is_wanted:
            decision, reason = Decision.TAKEN, "done, and nothing needs its part again"
        elif receipt is not None and spool.is_sound(receipt):
            decision, reason = Decision.TAKEN, "its finished part is there"
        else:
            decision = Decision.MADE
            reason = keys.changed(before.get(chunk.index), found[index])
        input_key = keys.key_of(found[index - 1]) if index else None
        tasks.append(Task(index, chunk, key, found[index], decision, reason, input_key))
        if decision is Decision.MADE:
            wanted.add(chunk.index)
    return tuple(tasks), wanted


def _is_from(
    receipt: Receipt, ingredients: Mapping[str, str], receipts: Mapping[str, Receipt]
) -> bool:
    """Whether a part was made from just the part that the stage before has now. After dead letters
    were mended, a part may have other rows under the same key."""
    before = receipts.get(keys.key_of(ingredients))
    return before is not None and before.sha256 == receipt.input_sha256


def _ingredients_before(
    receipts: Mapping[str, Receipt], stage: str
) -> dict[int, Mapping[str, str]]:
    return {r.chunk: r.ingredients for r in receipts.values() if r.stage == stage}


def _ingredients(work: Work, chunk: Chunk) -> list[dict[str, str]]:
    """The ingredients of a chunk's part in each stage."""
    first, *later = work.stages
    found = [keys.first_ingredients(chunk, work.sources[chunk.source], work.table, first)]
    for stage in later:
        found.append(keys.later_ingredients(keys.key_of(found[-1]), stage))
    return found


def _chunks(checked: Checked, sources: Sequence[SourceFiles]) -> Iterator[Chunk]:
    return chunks.pack(
        ((source.name, segment) for source in sources for segment in _segments(checked, source)),
        checked.pipeline.chunk_size,
    )


def _segments(checked: Checked, source: SourceFiles) -> Iterator[Segment]:
    pipeline = checked.pipeline
    reader = checked.plugins.reader(source.declared.use)
    options = _source_work(source).options
    for file in source.files:
        cuts: Sequence[int] = ()
        if file.size > pipeline.chunk_size:
            try:
                path = pipeline.folder / file.path
                cuts = reader.cuts(path, file.size, pipeline.chunk_size, options)
            except OSError:
                cuts = ()  # the worker meets the same trouble, and a dead letter says so
        yield from chunks.segments(file, cuts)


def _source_work(source: SourceFiles) -> SourceWork:
    declared = source.declared
    dialect = {name: getattr(declared.csv, name) for name in ("delimiter", "quote", "null_values")}
    return SourceWork(declared.use, dialect)


def _leading_out(pipeline: Pipeline) -> Iterator[Fault]:
    """Sinks that a link leads out of the output folder, before anything touches them."""
    for index, stage in enumerate(pipeline.stages):
        if stage.sink is None:
            continue
        table = pipeline.output_path / stage.sink.path
        if not table.parent.resolve().is_relative_to(pipeline.output_path.resolve()):
            message = f"{table} leads out of the output folder through a link"
            yield fault_at(pipeline, ("stage", index, "sink", "path"), message)


def _odd_folders(pipeline: Pipeline) -> Iterator[Fault]:
    """Folders for parts and rejects in which Arrow and polars can open no file, for their names."""
    folders = {"state": pipeline.state_path}
    if pipeline.spool is not None:
        folders["spool"] = pipeline.spool_path
    for key, folder in folders.items():
        if (name := printable(str(folder))) != str(folder):
            message = f"the path {name} is not UTF-8: set {key!r} to a folder whose path is"
            yield fault_at(pipeline, ("pipeline", key), message)


def _unwritable_folders(pipeline: Pipeline) -> Iterator[Fault]:
    """The folders of a run's own, where nothing could be written."""
    state = pipeline.state_path
    if trouble := _unwritable(state, "state"):
        yield fault_at(pipeline, ("pipeline", "state"), trouble)
        if pipeline.spool_path.is_relative_to(state):
            return
    if trouble := _unwritable(spool_of(pipeline).folder, "spool"):
        yield fault_at(pipeline, ("pipeline", "spool"), trouble)


def _taken_places(pipeline: Pipeline) -> Iterator[Fault]:
    """Sinks whose place must not be taken, whatever the data are."""
    for index, stage in enumerate(pipeline.stages):
        if stage.sink is not None:
            table = pipeline.output_path / stage.sink.path
            if trouble := _trouble(table, "replace"):
                yield fault_at(pipeline, ("stage", index, "sink", "path"), trouble)


def _sink_plan(
    pipeline: Pipeline,
    index: int,
    stage_keys: Sequence[str],
    receipts: Mapping[str, Receipt],
    is_trusted: bool,
) -> SinkPlan | None:
    sink = pipeline.stages[index].sink
    if sink is None:
        return None
    table = pipeline.output_path / sink.path
    manifest = shown(table)
    made = [receipts.get(key) for key in stage_keys]
    is_current = manifest is not None and _shows(manifest, made)
    if manifest is not None and manifest.pipeline != pipeline.name:
        trouble: str | None = (
            f"{table} was written by pipeline {manifest.pipeline!r}: "
            "choose another path, or move it away"
        )
    else:
        is_same = manifest is not None and manifest.keys == tuple(stage_keys)
        trouble = None if is_same else _trouble(table, sink.on_existing)
    if trouble:
        raise OutputError(str(fault_at(pipeline, ("stage", index, "sink", "path"), trouble)))
    return SinkPlan(sink.use, table, is_current and is_trusted)


def _shows(manifest: Manifest, receipts: Sequence[Receipt | None]) -> bool:
    """Whether a table consists of just the parts of these receipts."""
    there = [receipt for receipt in receipts if receipt is not None]
    if len(there) < len(receipts) or tuple(r.key for r in there) != manifest.keys:
        return False
    with_rows = [receipt for receipt in there if receipt.rows.written] or there[:1]
    parts = [(receipt.rows.written, receipt.bytes, receipt.sha256) for receipt in with_rows]
    return parts == [(file.rows, file.bytes, file.sha256) for file in manifest.files]


def _trouble(table: Path, on_existing: str) -> str | None:
    """Why a new table must not take this place, if it must not."""
    try:
        if table.is_symlink() or (table.exists() and not table.is_dir()):
            return f"{table} is a file or a link, and would be replaced by a folder: move it away"
        if not table.is_dir():
            return _unwritable(table.parent)
        if others := strangers(table):
            return (
                f"{table} holds what stagepipe did not write ({printable(others[0])}): "
                "move it away, or choose another path"
            )
        if on_existing == "error" and any(table.iterdir()):
            return f'{table} is there already: move it away, or set on_existing = "replace"'
        return _unwritable(table.parent)
    except OSError as error:
        return f"{table} cannot be looked at: {error.strerror}"


def _unwritable(folder: Path, key: str = "output") -> str | None:
    """Why nothing can be written in a folder that may still have to be made, if it cannot. `key`
    is what names it in the pipeline file."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is not a folder: move it away, or set another '{key}'"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} cannot be written: see who owns it, or set another '{key}'"
    return None
