"""Appending: which files a table holds already, so that only new ones are read.

A table that is appended to grows by generations, each the rows of the files that were new to a run.
Its manifest names the files; one of them that has another content now cannot be taken out of the
table any more, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stagepipe.declare import Pipeline, fault_at
from stagepipe.errors import OutputError
from stagepipe.model import InputFile, printable
from stagepipe.plan.extras import Fixed
from stagepipe.plan.files import SourceFiles
from stagepipe.record.manifest import shown


def leave_out(
    pipeline: Pipeline, sources: Sequence[SourceFiles]
) -> tuple[tuple[SourceFiles, ...], tuple[InputFile, ...]]:
    """The sources without the files that the last stage's table holds, and those files. Raises
    OutputError when one of them changed since."""
    table = _table(pipeline)
    if table is None:
        return tuple(sources), ()
    manifest = shown(table)
    known = {path: (size, time) for path, size, time in manifest.inputs} if manifest else {}
    kept, left_out = [], []
    for source in sources:
        new = []
        for file in source.files:
            if file.path not in known:
                new.append(file)
            elif known[file.path] == (file.size, file.mtime_ns):
                left_out.append(file)
            else:
                raise OutputError(
                    str(
                        fault_at(
                            pipeline,
                            ("stage", len(pipeline.stages) - 1, "sink", "on_existing"),
                            f"{printable(file.path)} changed since its rows were appended to "
                            f"{table}: give what is new in it another name, or move the table "
                            "away to make it anew",
                        )
                    )
                )
        kept.append(replace(source, files=tuple(new)))
    return tuple(kept), tuple(left_out)


def fixed_columns(pipeline: Pipeline) -> Fixed | None:
    """Which columns beyond the schema a table has that is appended to; None where there is none
    yet, which would begin with those of its files."""
    table = _table(pipeline)
    manifest = shown(table) if table is not None else None
    return None if manifest is None else Fixed(str(table), manifest.extra)


def _table(pipeline: Pipeline) -> Path | None:
    """The table that the pipeline appends to."""
    sink = pipeline.stages[-1].sink
    is_appended_to = sink is not None and sink.on_existing == "append"
    return pipeline.output_path / sink.path if sink is not None and is_appended_to else None
