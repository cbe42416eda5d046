"""`stagepipe plan`: what a run would do now, and why. Writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stagepipe.cli.command import Command
from stagepipe.cli.options import as_json, fresh, loudness, overrides, pipeline_argument
from stagepipe.cli.session import Session, session
from stagepipe.cli.wording import (
    count,
    duration,
    number,
    path_here,
    shown,
    size,
    table,
)

if TYPE_CHECKING:
    from stagepipe.model import Chunk, Task
    from stagepipe.plan.files import SourceFiles
    from stagepipe.plan.planner import Plan, StagePlan
    from stagepipe.plan.work import StageWork


@click.command("plan", cls=Command, short_help="Say what a run would do, and why.")
@pipeline_argument
@overrides
@fresh
@as_json
@loudness
def command(pipeline: Path, overrides: tuple[str, ...], *, fresh: bool, as_json: bool) -> None:
    """Say what a run would do now: stages, sources, chunks, limits, and why. Writes nothing."""
    show_plan(session(), pipeline, overrides, fresh, as_json)


def show_plan(
    here: Session, pipeline: Path, overrides: tuple[str, ...], fresh: bool, as_json: bool
) -> None:
    """Make the plan and print it."""
    from stagepipe.plan.detecting import detected_in
    from stagepipe.plan.loading import load
    from stagepipe.plan.planner import plan

    declared = load(pipeline, overrides)
    here.pipeline = declared.name
    made = plan(declared, fresh=fresh)
    if as_json:
        here.out.json({**to_plain(made), "detected": dict(detected_in(made.checked, made.sources))})
    else:
        here.out.lines(*lines(made, is_long=here.verbose > 0))


def to_plain(plan: Plan) -> dict[str, Any]:
    """The plan as `--json` prints it."""
    chunks_of = Counter(chunk.source for chunk in plan.chunks)
    limits = plan.checked.pipeline.limits
    return {
        "pipeline": plan.checked.pipeline.name,
        "stages": [
            *(_stage_object(plan, stage) for stage in plan.stages),
            *(_open_stage_object(plan, work) for work in plan.open_stages),
        ],
        "sources": [
            {
                "name": source.name,
                "files": len(source.files),
                "bytes": _bytes(source),
                "chunks": chunks_of[source.name],
                "max_concurrent": source.declared.max_concurrent,
                "start_delay": source.declared.start_delay,
                "limits": list(source.declared.limits),
            }
            for source in plan.sources
        ],
        "skipped": [{"file": f.path, "reason": _why_skipped(plan)} for f in plan.skipped],
        "unsettled": [file.path for file in plan.unsettled],
        "chunks": [_chunk_object(chunk) for chunk in plan.chunks],
        "limits": {name: limit.max_concurrent for name, limit in limits.items()},
    }


def _stage_object(plan: Plan, stage: StagePlan) -> dict[str, Any]:
    sink = stage.sink and {
        "use": stage.sink.use,
        "path": _from_folder(plan, stage.sink.table),
        "is_current": stage.sink.is_current,
    }
    tasks = [
        {
            "chunk": task.chunk.index,
            "source": task.chunk.source,
            "decision": str(task.decision),
            "reason": task.reason,
        }
        for task in stage.tasks
    ]
    steps = [step.where.name for step in stage.work.steps]
    return {"name": stage.name, "steps": steps, "sink": sink, "tasks": tasks}


def _open_stage_object(plan: Plan, work: StageWork) -> dict[str, Any]:
    """A stage of which it is not known yet what it will do."""
    declared = plan.checked.pipeline.stages[work.position].sink
    sink = declared and {
        "use": declared.use,
        "path": _from_folder(plan, plan.checked.pipeline.output_path / declared.path),
        "is_current": None,
    }
    steps = [step.where.name for step in work.steps]
    return {"name": work.name, "steps": steps, "sink": sink, "tasks": None}


def _chunk_object(chunk: Chunk) -> dict[str, Any]:
    segments = [{"file": s.file.path, "start": s.start, "end": s.end} for s in chunk.segments]
    return {
        "index": chunk.index,
        "source": chunk.source,
        "bytes": chunk.size,
        "segments": segments,
    }


def _from_folder(plan: Plan, path: Path) -> str:
    """A path as `run --json` writes it: from the pipeline's folder where it lies inside."""
    folder = plan.checked.pipeline.folder
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _bytes(source: SourceFiles) -> int:
    return sum(file.size for file in source.files)


def lines(plan: Plan, *, is_long: bool) -> Iterator[str]:
    """The plan for a person; `is_long` names each chunk and each task."""
    pipeline = plan.checked.pipeline
    yield f"pipeline {pipeline.name}"
    yield ""
    yield from _source_lines(plan)
    yield from _skipped_lines(plan, is_long)
    yield from _unsettled_lines(plan, is_long)
    if is_long:
        from stagepipe.plan.detecting import detected_in, detected_lines

        yield from (f"  {line}" for line in detected_lines(detected_in(plan.checked, plan.sources)))
        yield from ("", *_chunk_lines(plan))
    for position, stage in enumerate(plan.stages, 1):
        yield ""
        yield from _stage_lines(position, stage, plan.checked.work.table.unique, is_long)
    if plan.open_stages:
        yield ""
    for work in plan.open_stages:
        after = plan.stages[-1].name
        yield f"stage {work.position + 1} {work.name!r}: planned when {after!r} has run"
    yield ""
    yield conclusion(plan)


def _source_lines(plan: Plan) -> Iterator[str]:
    chunks_of = Counter(chunk.source for chunk in plan.chunks)
    rows = [
        [
            source.name,
            count(len(source.files), "file"),
            size(_bytes(source)),
            count(chunks_of[source.name], "chunk"),
            _gentleness(source),
        ]
        for source in plan.sources
    ]
    if len(rows) > 1:
        files = sum(len(source.files) for source in plan.sources)
        total = size(sum(map(_bytes, plan.sources)))
        rows.append(["in all", count(files, "file"), total, count(len(plan.chunks), "chunk"), ""])
    yield count(len(plan.sources), "source")
    yield from table(rows, right=(1, 2, 3), indent="  ")
    for name, limit in plan.checked.pipeline.limits.items():
        yield f"  limit {name}: at most {limit.max_concurrent} at once, over all that share it"


def _skipped_lines(plan: Plan, is_long: bool) -> Iterator[str]:
    if plan.skipped:
        yield f"  skipped {count(len(plan.skipped), 'file')}: {_why_skipped(plan)}"
    if is_long:
        yield from (f"    {shown(file.path)}" for file in plan.skipped)


def _unsettled_lines(plan: Plan, is_long: bool) -> Iterator[str]:
    """The files that are left alone this time."""
    for source in plan.sources:
        if source.unsettled:
            files = count(len(source.unsettled), "file")
            age = duration(source.declared.settle)
            yield f"  left alone {files} of {shown(source.name)}: changed less than {age} ago"
        if is_long:
            yield from (f"    {shown(file.path)}" for file in source.unsettled)


def _why_skipped(plan: Plan) -> str:
    sink = plan.checked.pipeline.stages[-1].sink
    assert sink is not None, "only a table that is appended to has files skipped"
    return f"{_from_folder(plan, plan.checked.pipeline.output_path / sink.path)} holds their rows"


def _gentleness(source: SourceFiles) -> str:
    declared = source.declared
    pieces = []
    if declared.max_concurrent is not None:
        pieces.append(f"at most {declared.max_concurrent} at once")
    if declared.start_delay:
        pieces.append(f"starts {duration(declared.start_delay)} after the one before")
    if declared.limits:
        pieces.append(f"shares {', '.join(declared.limits)}")
    return ", ".join(pieces)


def _chunk_lines(plan: Plan) -> Iterator[str]:
    yield count(len(plan.chunks), "chunk")
    for chunk in plan.chunks:
        yield f"  chunk {chunk.index} of {chunk.source}, {size(chunk.size)}"
        for segment in chunk.segments:
            is_whole = segment.start == 0 and segment.end == segment.file.size
            cut = "" if is_whole else f" bytes {number(segment.start)} to {number(segment.end)}"
            yield f"    {segment.file.path}{cut}"


def _stage_lines(
    position: int, stage: StagePlan, unique: Sequence[str], is_long: bool
) -> Iterator[str]:
    decided = Counter(str(task.decision) for task in stage.tasks)
    made, taken = count(decided["made"], "task"), number(decided["taken"])
    undecided = f", {number(decided['open'])} open" if decided["open"] else ""
    yield f"stage {position} {stage.name!r}: {made} to make, {taken} taken{undecided}"
    steps = [step.where.name for step in stage.work.steps]
    if unique and position == 1:
        yield f"  unique {', '.join(unique)}: compared over all files, before the steps"
    yield f"  steps  {', '.join(steps) or 'none'}"
    if stage.sink is None:
        yield "  sink   the spool, for the next stage"
    else:
        state = "shows this already" if stage.sink.is_current else "will be written"
        if stage.sink.is_current is None:
            state = "will be written, unless it shows this already"
        yield f"  sink   {stage.sink.use} {path_here(stage.sink.table)} ({state})"
    if is_long:
        for task in stage.tasks:
            yield f"  chunk {task.chunk.index} of {_source(task)}: {_decided(task)}"
        return
    grouped = Counter(map(_decided, stage.tasks))
    yield from (f"  {number(tasks)} {decided}" for decided, tasks in grouped.most_common())


def _source(task: Task) -> str:
    from stagepipe.model import EVERYTHING

    return "all rows" if task.chunk.source == EVERYTHING else task.chunk.source


def _decided(task: Task) -> str:
    return shown(f"{task.decision}: {task.reason}")


def conclusion(plan: Plan) -> str:
    """What a run would do, in a sentence."""
    if plan.is_empty:
        return "nothing to do: a run would take everything from before and change nothing"
    decided = Counter(str(task.decision) for stage in plan.stages for task in stage.tasks)
    made, taken = decided["made"], decided["taken"]
    sinks = [s.sink for s in plan.stages if s.sink and s.sink.is_current is False]
    tables = ", ".join(path_here(sink.table) for sink in sinks)
    write = f" and write {tables}" if sinks else ""
    take = f", take {number(taken)} from before" if taken else ""
    more = f", and what of {number(decided['open'])} open has changed" if decided["open"] else ""
    more += f", and what follows {plan.stages[-1].name!r}" if plan.open_stages else ""
    return f"a run would make {count(made, 'task')}{take}{write}{more}"
