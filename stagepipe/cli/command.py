"""What each command is an instance of."""

from __future__ import annotations

from typing import Any

import click

from stagepipe.cli.session import Session


class Command(click.Command):
    """A command. From its first line on, stdout is kept for its results."""

    def invoke(self, ctx: click.Context) -> Any:
        """Do it, and hand back the exit code."""
        from stagepipe.cli import logs

        session = ctx.find_object(Session)
        assert session is not None
        session.command = self.name
        session.as_json = bool(ctx.params.get("as_json"))
        _ = session.out
        logs.begin(session)
        return super().invoke(ctx)
