"""Unique columns of a table that is appended to: what its rows hold counts too, so that has to be
known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stagepipe.declare import Pipeline
from stagepipe.plan.work import KeptValues
from stagepipe.record.manifest import Manifest, shown, values_folder


def kept_values(pipeline: Pipeline) -> tuple[KeptValues, ...] | None:
    """The values of unique columns that the table to append to holds; None where nothing is
    appended, or no column has to be unique."""
    sink = pipeline.stages[-1].sink
    if sink is None or sink.on_existing != "append" or not unique_columns(pipeline):
        return None
    table = pipeline.output_path / sink.path
    manifest = shown(table)
    if manifest is None:
        return ()
    folder = values_folder(table)
    return tuple(KeptValues(str(folder / f.name), f.sha256) for f in manifest.unique_files)


def unique_columns(pipeline: Pipeline) -> Mapping[str, str]:
    """The columns that have to be unique, with their types as declared."""
    columns = pipeline.schema_.columns
    return {name: str(column.type) for name, column in columns.items() if column.unique}


def values_not_kept(pipeline: Pipeline, table: Path, manifest: Manifest) -> str | None:
    """Why nobody knows whether a new record repeats a value of the table's, if nobody does."""
    for name, kind in unique_columns(pipeline).items():
        if manifest.unique.get(name) != kind:
            known = f"as {manifest.unique[name]}" if name in manifest.unique else "not"
            return (
                f"{table} was begun when column {name!r} was {known} unique, so that nobody knows "
                "which of its values it holds: move the table away, and it is made anew from all "
                "files"
            )
    for file in manifest.unique_files:
        path = values_folder(table) / file.name
        if not path.is_file() or path.stat().st_size != file.bytes:
            return (
                f"{path}, which holds values of unique columns, is not as stagepipe left it: move "
                f"{table} away, and it is made anew from all files"
            )
    return None
