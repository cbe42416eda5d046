"""What `stagepipe run` says at its end, to somebody who was woken at 3 a.m. On one screen: of what
may be many, the most frequent few, and the command that shows the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stagepipe.cli import wording
from stagepipe.cli.time_spent import workers_time_lines
from stagepipe.cli.wording import (
    command_line,
    count,
    duration,
    number,
    path_here,
    shortened,
    shown,
    size,
    table,
)

if TYPE_CHECKING:
    from stagepipe.declare import Pipeline
    from stagepipe.run.result import RunResult

FEW = 3
WIDTH = 80


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger knows beyond the result: rows that steps added and dropped, bytes read,
    rejects by (reason, column), dead letters, and how many mended records went through where any
    were read anew."""

    added: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    dead: tuple[Mapping[str, Any], ...] = ()
    mended: int = 0


def summary(result: RunResult, pipeline: Pipeline, flags: tuple[str, ...] | None) -> Iterator[str]:
    """The lines. `flags` are what the commands that look back need to find the pipeline; None when
    they would find nothing."""
    known = _known(result, pipeline)
    took = duration(result.seconds)
    yield f"{pipeline.name}: {result.status} in {took} (run {result.run})"
    yield from _rows(result, known)
    yield from _work(result, known)
    yield from _under("outputs", _outputs(result, pipeline))
    if not result.outputs:
        yield wording.field("outputs", "none: nothing was committed")
    if result.rejects is not None:
        rejects = [*_reasons(known), path_here(pipeline.folder / result.rejects)]
        if flags is not None:
            rejects.append(f"read them with: {command_line('rejects', *flags)}")
        yield from _under("rejects", rejects)
    if known.mended:
        yield wording.field("mended", f"{count(known.mended, 'mended record')} went through")
    yield from _under("dead", _dead(known, result, flags))
    yield from _under("drift", _drift(result, flags))
    if result.profile is not None:
        yield from _under("time", workers_time_lines(result.profile.to_plain()))
        yield wording.field("profile", path_here(pipeline.folder / result.profile.path))
    if result.error is not None and flags is not None:
        yield from _under("next", _next(result, flags))


def _known(result: RunResult, pipeline: Pipeline) -> _Known:
    from stagepipe.errors import StagepipeError
    from stagepipe.record.ledger import Ledger

    run, known = result.run or "", _Known()
    try:
        with Ledger(pipeline.state_path / "ledger.sqlite", must_exist=True) as ledger:
            for stage in ledger.stages(run):
                known.added.update(stage["added_by"])
                known.dropped.update(stage["dropped_by"])
            for found in ledger.reject_counts(run):
                known.rejected[found["reason"], found["column"] or ""] += found["records"]
            read = sum(source["bytes"] for source in ledger.sources(run))
            dead = tuple(ledger.dead_letters(run))
            mended = ledger.run(run)["mended"] if ledger.reads_mended(run) else 0
            return _Known(known.added, known.dropped, read, known.rejected, dead, mended)
    except StagepipeError:
        return known  # the run is over and its result stands; this only says more


def _rows(result: RunResult, known: _Known) -> Iterator[str]:
    """The sum, with the steps that changed the number of rows: on one line where that fits."""
    rows = result.rows
    added, dropped = _named(known.added), _named(known.dropped)
    line = wording.field(
        "rows",
        f"{number(rows.read)} read, {number(rows.added)} added{added}, "
        f"{number(rows.written)} written, {number(rows.rejected)} rejected, "
        f"{number(rows.dropped)} dropped{dropped}",
    )
    if len(line) <= WIDTH:
        yield line
        return
    yield wording.field(
        "rows",
        f"{number(rows.read)} read, {number(rows.added)} added, {number(rows.written)} written, "
        f"{number(rows.rejected)} rejected, {number(rows.dropped)} dropped",
    )
    for word, by_step in (("added", known.added), ("dropped", known.dropped)):
        for step, changed in by_step.items():
            if changed:
                yield wording.field("", f"{number(changed)} {word} by {step}")


def _named(by_step: Mapping[str, int]) -> str:
    named = [f"{step} {number(rows)}" for step, rows in by_step.items() if rows]
    return f" ({', '.join(named)})" if named else ""


def _work(result: RunResult, known: _Known) -> Iterator[str]:
    dead = f", {count(result.files_dead, 'dead letter')}" if result.files_dead else ""
    skipped = f", {number(result.files_skipped)} skipped" if result.files_skipped else ""
    read = f" ({size(known.bytes)})" if known.bytes else ""
    young = f", {number(len(result.unsettled))} left alone" if result.unsettled else ""
    yield wording.field("files", f"{number(result.files_read)} read{read}{skipped}{young}{dead}")
    made = sum(stage.made for stage in result.stages)
    taken = sum(stage.taken for stage in result.stages)
    is_done = result.error is None and not made
    idle = ": nothing was new" if is_done else ""
    yield wording.field("tasks", f"{number(made)} made, {number(taken)} taken from before{idle}")


def _outputs(result: RunResult, pipeline: Pipeline) -> list[str]:
    rows = [
        [
            path_here(pipeline.folder / output.path),
            count(output.rows, "row"),
            count(output.files, "file"),
            size(output.bytes),
            "" if output.changed else "unchanged",
        ]
        for output in result.outputs
    ]
    return table(rows, right=(1, 2, 3))


def _reasons(known: _Known) -> list[str]:
    """The most frequent reasons for rejects."""
    most = known.rejected.most_common(FEW)
    rows = [
        [number(records), shown(reason) + (f" in column {shown(column)!r}" if column else "")]
        for (reason, column), records in most
    ]
    if kinds := len(known.rejected) - len(most):
        rest = known.rejected.total() - sum(records for _, records in most)
        rows.append([number(rest), f"for {count(kinds, 'other reason')}"])
    return table(rows, right=(0,))


def _dead(known: _Known, result: RunResult, flags: tuple[str, ...] | None) -> Iterator[str]:
    """The first dead letters, each with its reason."""
    room = WIDTH - wording.LABEL_WIDTH
    for letter in known.dead[:FEW]:
        yield shortened(f"{letter['path']}: {letter['dead']}", 2 * room)
    if (more := len(known.dead) - FEW) > 0:
        show = "" if flags is None else f": {command_line('show', result.run or '', *flags)}"
        yield f"and {number(more)} more{show}"


def _drift(result: RunResult, flags: tuple[str, ...] | None) -> Iterator[str]:
    """The first things that are new about the files."""
    for noted in result.drift[:FEW]:
        yield noted.change.message
    if (more := len(result.drift) - FEW) > 0:
        show = "" if flags is None else f": {command_line('show', result.run or '', *flags)}"
        yield f"and {number(more)} more{show}"


def _next(result: RunResult, flags: tuple[str, ...]) -> Iterator[str]:
    """What to do now: look, mend, run again."""
    from stagepipe.errors import DriftError

    run = result.run or ""
    yield f"`{command_line('show', run, *flags)}` says what happened where"
    if isinstance(result.error, DriftError):
        settings = re.findall(r"--set \S+=accept", result.error.hint or "")
        if settings:
            words = (word for setting in settings for word in setting.split())
            yield f"`{command_line('run', *flags[1:], *words)}` takes it as it is, once"
        return
    again = command_line("run", *flags[1:])
    yield f"then `{again}` goes on: finished parts are taken, not made again"


def _under(label: str, lines: Iterator[str] | list[str]) -> Iterator[str]:
    """Lines below each other, the label before the first."""
    for index, line in enumerate(lines):
        yield wording.field("" if index else label, line)
