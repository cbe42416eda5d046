"""`stagepipe` itself: the group of commands, each imported when it is used."""

from __future__ import annotations

from importlib import import_module

import click

from stagepipe.cli.later import refuse_what_is_later
from stagepipe.cli.options import loudness

COMMANDS = (
    "convert",
    "guess",
    "check",
    "preview",
    "plan",
    "run",
    "runs",
    "show",
    "rejects",
    "replay",
    "plugins",
)
HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class Program(click.Group):
    """The commands in the order in which people meet them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """One of them, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"stagepipe.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words mean. Raises UsageError for one that comes later."""
        if not ctx.resilient_parsing:  # completion says nothing
            refuse_what_is_later(args)
        return super().resolve_command(ctx, args)


@click.group(cls=Program, context_settings=HELP_NAMES)
@click.version_option(package_name="stagepipe", message="stagepipe %(version)s")
@loudness
def program() -> None:
    """Turn batches of CSV files into tables, in stages, and lose no row.

    A pipeline file says what is to be done: pipeline.toml when none is named. Each flag is also a
    variable: STAGEPIPE_JOBS=4 is --jobs 4, and a flag beats its variable.
    """
