"""`stagepipe replay`: take up rejected records that were mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stagepipe.cli.command import Command
from stagepipe.cli.options import (
    DEFAULT_PIPELINE,
    WholeNumber,
    as_json,
    loudness,
    option,
    overrides,
    profile,
)
from stagepipe.cli.run import get_ready, profile_of, request, tell
from stagepipe.cli.session import session
from stagepipe.cli.wording import command_line, count, field
from stagepipe.errors import UsageError

if TYPE_CHECKING:
    from stagepipe.record.returning import Form
    from stagepipe.run.replay import Replay

FEW = 5
"""So many dead letters are named; `--json` has all."""


@click.command("replay", cls=Command, short_help="Take up rejects that were mended.")
@click.argument("run", required=False)
@option(
    "--from",
    "mended",
    type=click.Path(path_type=Path),
    help="What `rejects --return` wrote, with the records mended; - for stdin.",
)
@option(
    "-p",
    "--pipeline",
    type=click.Path(path_type=Path),
    default=DEFAULT_PIPELINE,
    help=f"The pipeline file; {DEFAULT_PIPELINE} when left out.",
)
@option("-j", "--jobs", type=WholeNumber(min=0), help="Workers; 0 for one per core.")
@overrides
@option("-k", "--keep-going", is_flag=True, help="Commit although a budget is exceeded; exit 1.")
@option("-x", "--fail-fast", is_flag=True, help="Stop at the first failure.")
@profile
@as_json
@loudness
def command(
    run: str | None,
    mended: Path | None,
    pipeline: Path,
    jobs: int | None,
    overrides: tuple[str, ...],
    *,
    keep_going: bool,
    fail_fast: bool,
    profile: bool,
    as_json: bool,
) -> int:
    """Run the rejects and dead letters of RUN again, the latest when left out; each is added once.

    With --from, the records that were mended by hand take the place of those that were rejected.
    Without it, the pipeline file was mended: what it lets pass now is added.
    """
    here = session()
    form = _read(mended) if mended is not None else None
    get_ready(here)
    from stagepipe.plan.loading import load
    from stagepipe.run.lock import refuse_if_held

    declared = load(pipeline, overrides)
    refuse_if_held(declared)
    from stagepipe.run.replay import replay

    how = request(
        here,
        declared,
        jobs=jobs,
        keep_going=keep_going,
        fail_fast=fail_fast,
        profile=profile_of(here, profile),
    )
    done = replay(declared, run, form, how)
    flags = () if str(pipeline) == DEFAULT_PIPELINE else ("-p", str(pipeline))
    tell(here, done.result, declared, flags, as_json, done.to_plain(), list(_lines(done, flags)))
    return done.result.exit_code


def _read(path: Path) -> Form:
    """The mended records. Raises UsageError."""
    import sys

    from stagepipe.record.returning import parse

    name = "stdin" if str(path) == "-" else str(path)
    try:
        content = sys.stdin.buffer.read() if name == "stdin" else path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", "`stagepipe rejects --return` writes such a file"
        ) from error
    return parse(name, content)


def _lines(done: Replay, flags: tuple[str, ...]) -> Iterator[str]:
    """What became of the rejects, for a person."""
    of = f"of run {done.of}"
    alive = sum(done.dead_letters.values())
    told = []
    if done.asked or not done.dead_letters:
        taken = f"{count(done.asked, 'reject')} {of} taken up, {done.settled} settled"
        told.append(taken if done.asked else f"nothing {of} was taken up")
    if done.dead_letters:
        tried = count(len(done.dead_letters), "dead letter")
        told.append(f"{tried} {of} tried again, {alive} alive now")
    yield from map(field, ("replay", ""), told)
    for path, is_alive in list(done.dead_letters.items())[:FEW]:
        yield field("", f"{path}: {'alive' if is_alive else 'dead again'}")
    if len(done.dead_letters) > FEW:
        yield field("", f"and {len(done.dead_letters) - FEW:,} more")
    for (reason, column), records in done.still.most_common():
        where = f" in column {column!r}" if column else ""
        yield field("", f"{records} rejected again: {reason}{where}")
    for why, records in done.left_out.most_common():
        yield field("", f"{records} left out: {why}")
    for run, records in done.earlier.items():
        line = command_line("replay", run, *flags)
        yield field("", f"{records} open in run {run}: {line}")
