"""Appending: which files a table holds already, so that only new ones are read.

A table that is appended to grows by generations, each the rows of the files that were new to a run.
Its manifest names the files; one of them that has another content now cannot be taken out of the
table any more, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stagepipe.declare import Pipeline, fault_at
from stagepipe.errors import OutputError
from stagepipe.model import InputFile, printable
from stagepipe.plan.files import SourceFiles
from stagepipe.record.manifest import shown


def leave_out(
    pipeline: Pipeline, sources: Sequence[SourceFiles]
) -> tuple[tuple[SourceFiles, ...], tuple[InputFile, ...]]:
    """The sources without the files that the last stage's table holds, and those files. Raises
    OutputError when one of them changed since."""
    sink = pipeline.stages[-1].sink
    if sink is None or sink.on_existing != "append":
        return tuple(sources), ()
    table = pipeline.output_path / sink.path
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
