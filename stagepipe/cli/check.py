"""`stagepipe check`: everything that can be wrong before a file is opened."""

from __future__ import annotations

from pathlib import Path

import click

from stagepipe.cli.command import Command
from stagepipe.cli.options import as_json, loudness, option, overrides, pipeline_argument
from stagepipe.cli.session import session
from stagepipe.cli.wording import count, shown


@click.command("check", cls=Command, short_help="Find all faults of a pipeline file.")
@pipeline_argument
@overrides
@option("--json-schema", is_flag=True, help="Print the JSON Schema of pipeline files, for editors.")
@as_json
@loudness
def command(
    pipeline: Path, overrides: tuple[str, ...], *, json_schema: bool, as_json: bool
) -> None:
    """Check a pipeline file, its plugins and its paths: all faults at once. Of data only the
    reference files that steps name are read."""
    out = session().out
    if json_schema:
        from stagepipe.declare import json_schema as schema

        out.json(schema())
        return
    from stagepipe.plan.loading import load
    from stagepipe.plan.planner import check

    checked = check(load(pipeline, overrides), with_paths=True)
    if as_json:
        out.json({"ok": True, "faults": [], "notes": [str(note) for note in checked.notes]})
        return
    declared = checked.pipeline
    steps = sum(len(stage.steps) for stage in declared.stages)
    what = [
        count(len(declared.stages), "stage"),
        count(steps, "step"),
        f"{count(len(declared.sources), 'source')} declared",
        count(len(declared.schema_.columns), "column"),
    ]
    out.lines(f"{pipeline}: fine ({', '.join(what)})")
    out.lines(*(shown(f"note: {note}") for note in checked.notes))
