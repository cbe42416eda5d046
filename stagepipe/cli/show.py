"""`stagepipe show`: one run, as the ledger has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stagepipe.cli.command import Command
from stagepipe.cli.history import History, Row, run_object
from stagepipe.cli.options import as_json, history, loudness
from stagepipe.cli.session import session
from stagepipe.cli.time_spent import (
    slowest,
    slowest_lines,
    spent,
    time_lines,
    workers_time_lines,
)
from stagepipe.cli.wording import (
    command_line,
    count,
    duration,
    field,
    local_time,
    number,
    path_here,
    size,
    table,
)
from stagepipe.record.profile import profile_path, read_summary
from stagepipe.record.tracebacks import tracebacks_path

if TYPE_CHECKING:
    from stagepipe.record.ledger import Ledger

COUNTS = ("read", "added", "written", "rejected", "dropped")
FEW = 3
"""Of failed tasks: the others are seldom different."""
TASK_COUNTS = ("made", "taken", "dead", "retried")


@click.command("show", cls=Command, short_help="Show what a run did.")
@click.argument("run", required=False)
@history
@as_json
@loudness
def command(run: str | None, pipeline: Path | None, state: Path | None, *, as_json: bool) -> None:
    """Show RUN, the latest when left out: what was done, what became of each row, and where the
    time went."""
    place = History.find(pipeline, state)
    with place.open(run) as (ledger, row):
        about = to_plain(ledger, row, place.state)
    if as_json:
        session().out.json(about)
    else:
        session().out.lines(*_lines(place, row, about))


def to_plain(ledger: Ledger, row: Row, state: Path) -> dict[str, Any]:
    """The run as `--json` prints it: the words of `run --json`, and more."""
    run = row["run"]
    tasks = ledger.tasks(run)
    return {
        **run_object(row),
        "stages": [_stage_object(stage, tasks) for stage in ledger.stages(run)],
        "sources": ledger.sources(run),
        "dead_letters": [
            {"source": letter["source"], "file": letter["path"], "reason": letter["dead"]}
            for letter in ledger.dead_letters(run)
        ],
        "failed_tasks": [
            {name: task[name] for name in ("stage", "chunk", "source", "error")}
            for task in tasks
            if task["error"] is not None
        ],
        "drift": ledger.drift(run),
        "reject_counts": ledger.reject_counts(run),
        "outputs": [
            {**output, "changed": bool(output["changed"])} for output in ledger.outputs(run)
        ],
        "profile": read_summary(profile_path(state, run)),
        "task_seconds": spent(tasks),
        "slowest_tasks": slowest(tasks),
    }


def _stage_object(stage: Row, tasks: Sequence[Row]) -> dict[str, Any]:
    return {
        "name": stage["name"],
        "status": stage["status"],
        "rows": {name: stage[name] for name in COUNTS},
        "tasks": {name: stage[name] for name in TASK_COUNTS},
        "dropped_by": stage["dropped_by"],
        "added_by": stage["added_by"],
        "rejected_by": stage["rejected_by"],
        "seconds": stage["seconds"],
        "task_seconds": spent(task for task in tasks if task["stage"] == stage["name"]),
    }


def _lines(place: History, row: Row, about: Mapping[str, Any]) -> Iterator[str]:
    yield from _head(about)
    yield from _block("stages", _stages(about["stages"]))
    yield from _block("steps", _steps(about["stages"]))
    yield from _block("sources", _sources(about["sources"]))
    yield from _block("dead letters", _dead(about["dead_letters"]))
    yield from _block("drift", _drift(about["drift"]))
    yield from _block("failed tasks", _failed(place, row, about))
    yield from _block("rejects", _rejects(place, row, about))
    yield from _block("outputs", _outputs(place, row, about["outputs"]))
    yield from _block("where the time went: stages, and work of all workers", time_lines(about))
    yield from _block("slowest tasks", slowest_lines(about["slowest_tasks"]))
    yield from _block("profile", _profile(place, row, about["profile"]))


def _head(about: Mapping[str, Any]) -> Iterator[str]:
    yield f"run {about['run']} of {about['pipeline']}: {about['status']}"
    began, seconds = local_time(about["started"]), about["seconds"]
    took = f", took {duration(seconds)}" if seconds is not None else ", and did not note its end"
    yield field("when", f"{began}{took}, with {count(about['jobs'], 'worker')}")
    rows = about["rows"]
    if rows["read"] is not None:
        yield field("rows", ", ".join(f"{number(rows[name])} {name}" for name in COUNTS))
    files = about["files"]
    dead = f", {count(files['dead'], 'dead letter')}" if files["dead"] else ""
    skipped = f", {number(files['skipped'])} skipped" if files["skipped"] else ""
    yield field("files", f"{number(files['read'])} read{skipped}{dead}")
    if about["replay_of"]:
        yield field("replay", f"took up the rejects of run {about['replay_of']}")
    if about["mended"]:
        yield field("mended", f"{count(about['mended'], 'mended record')} went through")
    if about["error"]:
        yield field("error", about["error"]["message"])
        if about["error"]["hint"]:
            yield field("hint", about["error"]["hint"])


def _block(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", title, *(f"  {line}" for line in lines))


def _stages(stages: Sequence[Row]) -> list[str]:
    if not stages:
        return []
    # Columns of nothing but zeros are left out, so that the others fit a screen.
    has_added = any(stage["rows"]["added"] for stage in stages)
    counts = [name for name in COUNTS if name != "added" or has_added]
    tasks = [
        name
        for name in TASK_COUNTS
        if name == "made" or any(stage["tasks"][name] for stage in stages)
    ]
    rows = [["", "", *(name.upper() for name in (*counts, *tasks))]]
    for stage in stages:
        numbers = [number(stage["rows"][name]) for name in counts]
        numbers += [number(stage["tasks"][name]) for name in tasks]
        rows.append([stage["name"], stage["status"], *numbers])
    return table(rows, right=range(2, 2 + len(counts) + len(tasks)))


def _steps(stages: Sequence[Row]) -> list[str]:
    """What each step did to the number of rows."""
    rows = [
        [stage["name"], f"{step} {word} {number(records)}"]
        for stage in stages
        for word in ("dropped", "added", "rejected")
        for step, records in stage[f"{word}_by"].items()
        if records
    ]
    return table(rows)


def _sources(sources: Sequence[Row]) -> list[str]:
    if not sources:
        return []
    head = ["", "FILES", "RECORDS", "ROWS", "REJECTED", "DEAD", "SIZE"]
    names = ("files", "records", "rows", "rejected", "dead")
    rows = [
        [source["source"], *(number(source[name]) for name in names), size(source["bytes"])]
        for source in sources
    ]
    return table([head, *rows], right=range(1, 7))


def _dead(letters: Sequence[Row]) -> list[str]:
    return [f"{letter['file']}: {letter['reason']}" for letter in letters]


def _drift(changes: Sequence[Row]) -> list[str]:
    """What was new about the files, and what of it was accepted."""
    accepted = {"accept": " (accepted)"}
    return [f"{each['message']}{accepted.get(each['on_drift'], '')}" for each in changes]


def _failed(place: History, row: Row, about: Mapping[str, Any]) -> list[str]:
    """The first failed tasks, without the one that the run's error tells of already."""
    errors = [str(task["error"]) for task in about["failed_tasks"]]
    told = about["error"]["message"] if about["error"] else ""
    others = [error for error in errors if not told.startswith(error)]
    lines = others[:FEW]
    if len(others) > FEW:
        lines.append(f"and {number(len(others) - FEW)} more like it")
    path = tracebacks_path(place.state, row["run"])
    return [*lines, f"tracebacks: {path_here(path)}"] if path.exists() else lines


def _rejects(place: History, row: Row, about: Mapping[str, Any]) -> list[str]:
    if not about["reject_counts"]:
        return []
    totals: Counter[tuple[str, str]] = Counter()
    for found in about["reject_counts"]:
        totals[found["reason"], found["column"] or ""] += found["records"]
    rows = [[number(records), reason, column] for (reason, column), records in totals.most_common()]
    lines = table(rows, right=(0,))
    if about["rejects"]:
        lines.append(path_here(place.path(about["rejects"], row)))
        lines.append(f"read them with: {command_line('rejects', row['run'], *place.words)}")
    return lines


def _profile(place: History, row: Row, profile: Mapping[str, Any] | None) -> list[str]:
    if profile is None:
        return []
    return [*workers_time_lines(profile), path_here(profile_path(place.state, row["run"]))]


def _outputs(place: History, row: Row, outputs: Sequence[Row]) -> list[str]:
    rows = [
        [
            path_here(place.path(output["path"], row)),
            count(output["rows"], "row"),
            count(output["files"], "file"),
            size(output["bytes"]),
            "" if output["changed"] else "unchanged",
        ]
        for output in outputs
    ]
    return table(rows, right=(1, 2, 3))
