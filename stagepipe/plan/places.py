"""Where sinks write: whether a place may be taken, and whether it shows what is wanted already."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stagepipe.declare import Pipeline, Sink, fault_at
from stagepipe.errors import Fault, OutputError
from stagepipe.model import Receipt, printable
from stagepipe.plan.kept_values import values_not_kept
from stagepipe.record.manifest import (
    Manifest,
    is_ours,
    made_of,
    manifest_path,
    shown,
    strangers,
    table_above,
)
from stagepipe.record.spool import Spool


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """Where a stage's rows go. `is_current` when the place shows just these parts already; None
    where it is not known yet which they are."""

    use: str
    table: Path
    is_current: bool | None


def leading_out(pipeline: Pipeline) -> Iterator[Fault]:
    """Sinks that a link leads out of the output folder, before anything touches them."""
    for index, stage in enumerate(pipeline.stages):
        if stage.sink is None:
            continue
        table = pipeline.output_path / stage.sink.path
        if not table.parent.resolve().is_relative_to(pipeline.output_path.resolve()):
            message = f"{table} leads out of the output folder through a link"
            yield fault_at(pipeline, ("stage", index, "sink", "path"), message)


def spool_of(pipeline: Pipeline) -> Spool:
    """The pipeline's own part of the spool."""
    return Spool(pipeline.spool_path / pipeline.name)


def odd_folders(pipeline: Pipeline) -> Iterator[Fault]:
    """Folders for parts and rejects in which Arrow and polars can open no file, for their names."""
    folders = {"state": pipeline.state_path}
    if pipeline.spool is not None:
        folders["spool"] = pipeline.spool_path
    for key, folder in folders.items():
        if (name := printable(str(folder))) != str(folder):
            message = f"the path {name} is not UTF-8: set {key!r} to a folder whose path is"
            yield fault_at(pipeline, ("pipeline", key), message)


def unwritable_folders(pipeline: Pipeline) -> Iterator[Fault]:
    """The folders of a run's own, where nothing could be written."""
    state = pipeline.state_path
    if trouble := _unwritable(state, "state"):
        yield fault_at(pipeline, ("pipeline", "state"), trouble)
        if pipeline.spool_path.is_relative_to(state):
            return
    if trouble := _unwritable(spool_of(pipeline).folder, "spool"):
        yield fault_at(pipeline, ("pipeline", "spool"), trouble)


def taken_places(pipeline: Pipeline) -> Iterator[Fault]:
    """Sinks whose place must not be taken, whatever the data are."""
    for index, stage in enumerate(pipeline.stages):
        if stage.sink is not None:
            table = pipeline.output_path / stage.sink.path
            if trouble := _not_ours(pipeline, stage.sink, table, shown(table)):
                yield fault_at(pipeline, ("stage", index, "sink", "path"), trouble)


def refuse_taken(pipeline: Pipeline, index: int) -> None:
    """Look at the place of a stage whose tasks are not known yet: a run must not come to it only to
    find that it is taken. Raises OutputError."""
    sink_plan(pipeline, index, ["not known"], {}, is_trusted=False)


def sink_plan(
    pipeline: Pipeline,
    index: int,
    stage_keys: Sequence[str],
    receipts: Mapping[str, Receipt],
    is_trusted: bool,
) -> SinkPlan | None:
    """What is to become of a stage's sink; `is_trusted` says that what its place shows may be what
    is wanted. Raises OutputError where the place must not be taken."""
    sink = pipeline.stages[index].sink
    if sink is None:
        return None
    table = pipeline.output_path / sink.path
    manifest = shown(table)
    made = [receipts.get(key) for key in stage_keys]
    is_current = manifest is not None and _shows(manifest, made)
    if sink.on_existing == "append":
        is_current = not stage_keys  # the files that the table holds are not read again
    is_same = manifest is not None and manifest.keys == tuple(stage_keys)
    trouble = _not_ours(pipeline, sink, table, manifest)
    if trouble is None and not is_same:
        trouble = _trouble(table, sink.on_existing, is_file=sink.is_file)
    if trouble:
        raise OutputError(str(fault_at(pipeline, ("stage", index, "sink", "path"), trouble)))
    is_append = sink.on_existing == "append"
    return SinkPlan(sink.use, table, is_current and (is_trusted or is_append))


def _not_ours(pipeline: Pipeline, sink: Sink, table: Path, manifest: Manifest | None) -> str | None:
    """Why this pipeline must not write here, whatever the data are."""
    if manifest is not None and manifest.pipeline != pipeline.name:
        return (
            f"{table} was written by pipeline {manifest.pipeline!r}: "
            "choose another path, or move it away"
        )
    if (found := table_above(table)) is not None:
        above, other = found
        return (
            f"{table} lies in the table {above} of pipeline {other.pipeline!r}, which holds "
            "nothing but its data: choose another path, or move that table away"
        )
    if sink.on_existing == "append" and (trouble := _unknown(table, manifest)):
        return trouble
    if sink.on_existing == "append" and manifest is not None:
        trouble = values_not_kept(pipeline, table, manifest)
        if trouble:
            return trouble
    return _trouble(table, "replace", is_file=sink.is_file)


def _unknown(table: Path, manifest: Manifest | None) -> str | None:
    """Why nobody knows of which files a table holds the rows, so that nothing can be appended."""
    if manifest is not None and not manifest.columns:
        return (
            f'{table} was not begun with on_existing = "append", so that it is not noted of which '
            "files it holds the rows: move it away, and it is made anew from all files"
        )
    # Of a table that was moved away the manifest may still be here; that is a beginning.
    was_ours = table.is_dir() and (any(table.iterdir()) or manifest_path(table).exists())
    if manifest is None and was_ours:
        return (
            f"{table} is not as stagepipe left it, so that nobody knows which rows it holds: "
            "move it away, and it is made anew from all files"
        )
    return None


def _shows(manifest: Manifest, receipts: Sequence[Receipt | None]) -> bool:
    """Whether a table consists of just the parts of these receipts."""
    there = [receipt for receipt in receipts if receipt is not None]
    if len(there) < len(receipts):
        return False
    return manifest.made_of == made_of((receipt.key, receipt.files) for receipt in there)


def _trouble(table: Path, on_existing: str, *, is_file: bool) -> str | None:
    """Why a new table must not take this place, if it must not."""
    try:
        if is_file:
            return _trouble_of_file(table, on_existing)
        if table.is_symlink() or (table.exists() and not table.is_dir()):
            return f"{table} is a file or a link, and would be replaced by a folder: move it away"
        if not table.is_dir():
            return _unwritable(table.parent)
        if others := strangers(table):
            return (
                f"{table} holds what stagepipe did not write ({printable(others[0])}): "
                "move it away, or choose another path"
            )
        if on_existing == "error" and any(table.iterdir()):
            return f'{table} is there already: move it away, or set on_existing = "replace"'
        return _unwritable(table.parent)
    except OSError as error:
        return f"{table} cannot be looked at: {error.strerror}"


def _trouble_of_file(file: Path, on_existing: str) -> str | None:
    if file.is_symlink() or (file.exists() and not file.is_file()):
        return f"{file} is a folder or a link, and would be replaced by a file: move it away"
    if file.exists() and not is_ours(file):
        return f"{file} was not written by stagepipe: move it away, or choose another path"
    if on_existing == "error" and file.exists():
        return f'{file} is there already: move it away, or set on_existing = "replace"'
    return _unwritable(file.parent)


def _unwritable(folder: Path, key: str = "output") -> str | None:
    """Why nothing can be written in a folder that may still have to be made, if it cannot. `key`
    is what names it in the pipeline file."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is not a folder: move it away, or set another '{key}'"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} cannot be written: see who owns it, or set another '{key}'"
    return None
