"""`stagepipe run`: do it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stagepipe.cli.command import Command
from stagepipe.cli.options import (
    WholeNumber,
    as_json,
    fresh,
    loudness,
    option,
    overrides,
    pipeline_argument,
    profile,
)
from stagepipe.cli.session import Session, session

if TYPE_CHECKING:
    from stagepipe.declare import Pipeline
    from stagepipe.run.profile import Profile
    from stagepipe.run.result import RunResult
    from stagepipe.run.start import Request

log = logging.getLogger("stagepipe")


@click.command("run", cls=Command, short_help="Run a pipeline.")
@pipeline_argument
@option("-j", "--jobs", type=WholeNumber(min=0), help="Workers; 0 for one per core.")
@overrides
@fresh
@option("-k", "--keep-going", is_flag=True, help="Commit although a budget is exceeded; exit 1.")
@option("-x", "--fail-fast", is_flag=True, help="Stop at the first failure.")
@profile
@option("-n", "--dry-run", is_flag=True, help="Only say what would be done: `stagepipe plan`.")
@as_json
@loudness
def command(
    pipeline: Path,
    jobs: int | None,
    overrides: tuple[str, ...],
    *,
    fresh: bool,
    keep_going: bool,
    fail_fast: bool,
    profile: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Run a pipeline. What is finished already is taken, not made again."""
    here = session()
    if dry_run:
        from stagepipe.cli.plan import show_plan

        here.command = "plan"
        show_plan(here, pipeline, overrides, fresh, as_json)
        return 0
    get_ready(here)
    from stagepipe.plan.loading import load
    from stagepipe.run.lock import refuse_if_held

    declared = load(pipeline, overrides)
    here.pipeline = declared.name
    refuse_if_held(declared)
    result = execute(
        here,
        declared,
        jobs=jobs,
        fresh=fresh,
        keep_going=keep_going,
        fail_fast=fail_fast,
        profile=profile_of(here, profile),
    )
    tell(here, result, declared, _flags(pipeline), as_json)
    return result.exit_code


def execute(here: Session, declared: Pipeline, **how: Any) -> RunResult:
    """Run a pipeline and let the user watch. `how` is as `Request` has it."""
    from stagepipe.run.start import run_as

    return run_as(declared, request(here, declared, **how))


def profile_of(here: Session, is_wanted: bool) -> Profile | None:
    """What takes the times of a run, from the beginning of this call on."""
    if not is_wanted:
        return None
    from stagepipe.run.profile import Profile

    return Profile(here.began)


def request(here: Session, declared: Pipeline, **how: Any) -> Request:
    """A run that the user watches. `how` is as `Request` has it."""
    from stagepipe.cli.logs import Whereabouts
    from stagepipe.cli.watching import screen
    from stagepipe.plugins.no_pandas import put_pandas_off
    from stagepipe.run.start import Request

    if not declared.plugins:
        put_pandas_off()
    here.pipeline = declared.name
    whereabouts = Whereabouts()
    whereabouts.attach()
    return Request(listeners=(here.signals.insist, whereabouts), screen=screen(here), **how)


def get_ready(here: Session) -> None:
    """Have the fork server import what workers need while this process imports what it needs."""
    from stagepipe.builtin.executors import ProcessPool
    from stagepipe.run import WORKER_MODULES

    _ = here.out  # what is started from now on must not have the real stdout
    ProcessPool().prepare(WORKER_MODULES)


def tell(
    here: Session,
    result: RunResult,
    declared: Pipeline,
    flags: tuple[str, ...] | None,
    as_json: bool,
    plain: Mapping[str, Any] | None = None,
    more: Sequence[str] = (),
) -> None:
    """Say how it went: the error to stderr, the rest to stdout. `flags` are those by which the
    commands that look back find the run; None where there is nothing left to look at. `plain` is
    the object for --json where that has more than the run's, `more` the lines after the run's."""
    here.exit_code = result.exit_code
    here.signals.is_ending = True
    if result.error is not None:
        from stagepipe.cli.endings import say

        say(here, result.error)
    if as_json:
        here.out.json(plain or result.to_plain())
    elif not (here.quiet and result.error is None):
        from stagepipe.cli.summary import summary

        here.out.lines(*summary(result, declared, flags), *more)


def _flags(pipeline: Path) -> tuple[str, ...]:
    """What the commands that look back need to find this pipeline."""
    from stagepipe.cli.options import DEFAULT_PIPELINE

    return () if str(pipeline) == DEFAULT_PIPELINE else ("-p", str(pipeline))
