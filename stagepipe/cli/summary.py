"""What `stagepipe run` says at its end, to somebody who was woken at 3 a.m."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stagepipe.cli.wording import (
    command_line,
    count,
    duration,
    field,
    number,
    path_here,
    size,
    table,
)

if TYPE_CHECKING:
    from stagepipe.declare import Pipeline
    from stagepipe.run.result import RunResult


def summary(result: RunResult, pipeline: Pipeline, flags: tuple[str, ...] | None) -> Iterator[str]:
    """The lines. `flags` are what the commands that look back need to find the pipeline; None when
    they would find nothing."""
    took = duration(result.seconds)
    yield f"{pipeline.name}: {result.status} in {took} (run {result.run})"
    yield from _rows(result, pipeline)
    for index, line in enumerate(_outputs(result, pipeline)):
        yield field("" if index else "outputs", line)
    if not result.outputs:
        yield field("outputs", "none: nothing was committed")
    if result.rejects is not None:
        yield field("rejects", path_here(pipeline.folder / result.rejects))
        if flags is not None:
            yield field("", f"read them with: {command_line('rejects', *flags)}")
    if result.error is not None and flags is not None:
        yield from _next(result, flags)


def _rows(result: RunResult, pipeline: Pipeline) -> Iterator[str]:
    rows = result.rows
    added, dropped = _by_step(result, pipeline)
    yield field(
        "rows",
        f"{number(rows.read)} read, {number(rows.added)} added{_named(added)}, "
        f"{number(rows.written)} written, {number(rows.rejected)} rejected, "
        f"{number(rows.dropped)} dropped{_named(dropped)}",
    )
    dead = f", {count(result.files_dead, 'dead letter')}" if result.files_dead else ""
    skipped = f", {number(result.files_skipped)} skipped" if result.files_skipped else ""
    yield field("files", f"{number(result.files_read)} read{skipped}{dead}")
    made = sum(stage.made for stage in result.stages)
    taken = sum(stage.taken for stage in result.stages)
    is_done = result.error is None and not made
    idle = ": nothing was new" if is_done else ""
    yield field("tasks", f"{number(made)} made, {number(taken)} taken from before{idle}")


def _by_step(result: RunResult, pipeline: Pipeline) -> tuple[Counter[str], Counter[str]]:
    """Rows added and dropped, by step, over all stages: the ledger knows."""
    from stagepipe.errors import StagepipeError
    from stagepipe.record.ledger import Ledger

    added: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    try:
        with Ledger(pipeline.state_path / "ledger.sqlite", must_exist=True) as ledger:
            for stage in ledger.stages(result.run or ""):
                added.update(stage["added_by"])
                dropped.update(stage["dropped_by"])
    except StagepipeError:
        pass  # the run is over and its result stands; this only says more
    return added, dropped


def _named(by_step: Mapping[str, int]) -> str:
    named = [f"{step} {number(rows)}" for step, rows in by_step.items() if rows]
    return f" ({', '.join(named)})" if named else ""


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


def _next(result: RunResult, flags: tuple[str, ...]) -> Iterator[str]:
    """What to do now: look, mend, run again."""
    run = result.run or ""
    looks = [f"`{command_line('show', run, *flags)}` says what happened where"]
    if result.rejects is not None:
        looks.append(f"`{command_line('rejects', *flags)}` lists the bad records")
    again = command_line("run", *flags[1:])
    looks.append(f"then `{again}` goes on: finished parts are taken, not made again")
    for index, line in enumerate(looks):
        yield field("" if index else "next", line)
