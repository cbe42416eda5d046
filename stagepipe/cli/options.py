"""Flags that several commands share. Each flag is also a variable: `--log-format` is
`STAGEPIPE_LOG_FORMAT`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from stagepipe.cli.session import Session

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
DEFAULT_PIPELINE = "pipeline.toml"


def option(*names: str, **settings: Any) -> Callable[[Decorated], Decorated]:
    """A click option whose variable is named after its long form."""
    long = next(name for name in names if name.startswith("--"))
    variable = "STAGEPIPE_" + long.split("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


class WholeNumber(click.IntRange):
    """A whole number that is called so in messages, also where a variable gave it."""

    name = "whole number"


def _tell(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Hand a loudness flag to the session. After the command only the flag itself counts: its
    variable was heard before the command, where a flag may have beaten it."""
    assert parameter.name is not None
    found = ctx.find_object(Session)
    is_group = ctx.parent is None
    is_flag = ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    if found is not None and (is_group or is_flag):
        found.tell(parameter.name, value)


_LOUDNESS = (
    option("-q", "--quiet", is_flag=True, help="Only errors.", callback=_tell, expose_value=False),
    option(
        "-v",
        "--verbose",
        count=True,
        help="Say more; twice for all.",
        callback=_tell,
        expose_value=False,
    ),
    option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How stderr is written.",
        callback=_tell,
        expose_value=False,
    ),
)


def loudness(command: Decorated) -> Decorated:
    """-q, -v and --log-format."""
    for decorate in reversed(_LOUDNESS):
        command = decorate(command)
    return command


def as_json(command: Decorated) -> Decorated:
    """--json."""
    return option("--json", "as_json", is_flag=True, help="JSON on stdout, and nothing else.")(
        command
    )


def pipeline_argument(command: Decorated) -> Decorated:
    """PIPELINE, pipeline.toml when left out."""
    return click.argument(
        "pipeline",
        type=click.Path(path_type=Path),
        default=DEFAULT_PIPELINE,
        envvar="STAGEPIPE_PIPELINE",
    )(command)


def overrides(command: Decorated) -> Decorated:
    """--set key=value."""
    return option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Replace a value of the pipeline file, as in source.acme.max_concurrent=2.",
    )(command)


def fresh(command: Decorated) -> Decorated:
    """--fresh."""
    return option("--fresh", is_flag=True, help="Take no finished part.")(command)


def profile(command: Decorated) -> Decorated:
    """--profile."""
    return option(
        "--profile", is_flag=True, help="Write where the time went, and say what limited the run."
    )(command)


def history(command: Decorated) -> Decorated:
    """-p and --state, by which the commands that look back find the ledger."""
    command = option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        help="The state folder, instead of the pipeline file's.",
    )(command)
    return option(
        "-p",
        "--pipeline",
        type=click.Path(path_type=Path),
        help=f"The pipeline file; {DEFAULT_PIPELINE} when left out.",
    )(command)
