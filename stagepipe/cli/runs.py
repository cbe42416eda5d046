"""`stagepipe runs`: what ran, the latest first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stagepipe.cli.command import Command
from stagepipe.cli.history import History, run_object
from stagepipe.cli.options import WholeNumber, as_json, history, loudness, option
from stagepipe.cli.session import session
from stagepipe.cli.wording import duration, local_time, number, table


@click.command("runs", cls=Command, short_help="List the runs.")
@history
@option("-n", "--limit", type=WholeNumber(min=1), default=20, show_default=True, help="So many.")
@as_json
@loudness
def command(pipeline: Path | None, state: Path | None, limit: int, *, as_json: bool) -> None:
    """List the runs of a pipeline, the latest first."""
    place = History.find(pipeline, state)
    found = place.runs(limit)
    out = session().out
    if as_json:
        out.json([run_object(row) for row in found])
    elif not found:
        out.lines("nothing has run here yet")
    else:
        out.lines(*_lines(found))


def _lines(found: list[dict[str, Any]]) -> list[str]:
    names = {row["pipeline"] for row in found}
    head = ["RUN", "STARTED", "TOOK", "STATUS", "READ", "WRITTEN", "REJECTED"]
    rows = [head + ["PIPELINE"] * (len(names) > 1)]
    for row in found:
        took = "-" if row["seconds"] is None else duration(row["seconds"])
        counts = [number(row[name]) for name in ("read", "written", "rejected")]
        status = row["status"] + (", a replay" if row.get("replay_of") else "")
        cells = [row["run"], local_time(row["started"]), took, status, *counts]
        rows.append(cells + [row["pipeline"]] * (len(names) > 1))
    return table(rows, right=(2, 4, 5, 6))
