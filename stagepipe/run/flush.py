"""The flush: parts become a table, all at once or not at all.

The new table is put together in a hidden folder beside its place (hard links where the file system
allows, else copies), brought to the disk, and then swapped with what stands there. Readers find
the old table or the new one, whole. What a kill leaves behind is either hidden and removed by the
next run, or complete.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from stagepipe.errors import BalanceError, OutputError, RunError
from stagepipe.model import Output, Part, PartFile
from stagepipe.record.manifest import (
    DataFile,
    Manifest,
    is_ours,
    is_pending,
    made_of,
    manifest_path,
    pending_path,
    shown,
    strangers,
)
from stagepipe.record.spool import file_sha256, fsync
from stagepipe.run.disk import HINT, is_full
from stagepipe.run.kept_values import forget_others, keep
from stagepipe.run.naming import data_files, partitions
from stagepipe.run.replacing import clear_away, link_or_copy, put_in_place, remove
from stagepipe.stopwatch import timed

STILL_STANDS = "what stood there still stands, and finished parts are kept: mend it and run again"
NEEDS_ROOM = f"what stood there still stands: {HINT}"


@dataclass(frozen=True, slots=True)
class Appending:
    """What a run appends to a table: the rows of these files (path, size, mtime_ns), in columns of
    these types; `extra` are those of the files' columns that the schema does not name; and the
    values of the columns that have to be `unique`, in `values`, which lies at `values_path`."""

    inputs: tuple[tuple[str, int, int], ...]
    columns: Mapping[str, str]
    extra: tuple[str, ...] = ()
    unique: Mapping[str, str] = field(default_factory=dict)
    values: PartFile | None = None
    values_path: Path = Path()


class TablePlace:
    """The place of one table: a folder that holds data files and nothing else, or one file."""

    def __init__(
        self,
        table: Path,
        pipeline: str,
        stage: str,
        relative_to: Path,
        *,
        is_file: bool = False,
        appending: Appending | None = None,
    ) -> None:
        self.table = table
        self.is_file = is_file
        self._appending = appending
        self._pipeline = pipeline
        self._stage = stage
        self._relative_to = relative_to

    def publish(self, parts: Sequence[Part]) -> Output:
        """Show these parts, which are on the disk, as the table.

        Raises RunError; then the old table still stands.
        """
        if self._appending is not None and (before := shown(self.table)) is not None:
            return self._append(parts, before, self._appending)
        files = data_files(parts)
        manifest = self._manifest(parts, tuple(files.values()))
        with self._trouble_told():
            manifest = self._with_values(manifest)
            is_same = self._holds(manifest)
            self._write_pending(manifest)
            if not is_same:
                self._swap_in(files)
            self._take_pending()
        return self._output(manifest, is_changed=not is_same)

    def _append(self, parts: Sequence[Part], before: Manifest, appending: Appending) -> Output:
        """Show these parts beside what the table holds. Raises RunError."""
        if list(before.columns.items()) != list(appending.columns.items()):
            raise RunError(
                f"{self.table} has the columns {_listed(before.columns)}, and what is to be "
                f"appended has {_listed(appending.columns)}",
                "append what has the same columns and types, or write to another path",
            )
        generation = before.generation + 1
        files = {path: f for path, f in data_files(parts, generation).items() if f.rows}
        if files and partitions(files.values()) != partitions(before.files):
            raise RunError(
                f"{self.table} is partitioned in another way than what is to be appended",
                "set partition_by as it was when the table was begun, or write to another path",
            )
        held = {str(self.table / file.name): file for file in before.files}
        manifest = replace(
            self._manifest(parts, (*before.files, *files.values())),
            generation=generation if files else before.generation,
            inputs=(*before.inputs, *appending.inputs),
        )
        with self._trouble_told():
            manifest = self._with_values(manifest, before.unique_files)
            self._write_pending(manifest)
            if files:
                self._swap_in({**held, **files})
            self._take_pending()
        added = sum(file.rows for file in files.values())
        return replace(self._output(manifest, is_changed=bool(files)), appended=added)

    def publish_joined(
        self, parts: Sequence[Part], join: Callable[[Sequence[Part], Path], int]
    ) -> Output:
        """Show what `join` makes of these parts as one file; it says how many rows that has.

        Raises RunError or BalanceError; then the old file still stands.
        """
        now = shown(self.table)
        with self._trouble_told():
            if now is not None and now.made_of == _made_of(parts) and self._holds(now):
                manifest = self._manifest(parts, now.files)
                self._write_pending(manifest)
                self._take_pending()
                return self._output(manifest, is_changed=False)
            remove(self._new)
            with timed("join"):
                rows = join(parts, self._new)
            if rows != (wanted := sum(file.rows for part in parts for file in part.files)):
                remove(self._new)
                raise BalanceError(
                    f"{wanted} rows were to be written to {self.table}, and the new file has {rows}"
                )
            fsync(self._new)
            status = self._new.stat()
            sha256 = file_sha256(self._new)
            file = DataFile(self.table.name, rows, status.st_size, sha256, status.st_ino)
            held = now.files if now is not None and self._holds(now) else ()
            is_same = [replace(each, inode=0) for each in held] == [replace(file, inode=0)]
            manifest = self._manifest(parts, held if is_same else (file,))
            self._write_pending(manifest)
            if is_same:
                self._new.unlink()
            else:
                self._check_ours()
                self._new.replace(self.table)
            self._take_pending()
        return self._output(manifest, is_changed=not is_same)

    def _check_ours(self) -> None:
        """It was looked at while planning; what came since then is not ours to replace."""
        if self.table.is_symlink() or (self.table.exists() and not is_ours(self.table)):
            raise FileExistsError(errno.EEXIST, "what stands there now is not ours")

    def shows(self, parts: Sequence[Part]) -> bool:
        """Whether the place shows just these parts now, by its manifest."""
        now = shown(self.table)
        return now is not None and now.made_of == _made_of(parts)

    def current(self) -> Output | None:
        """What the place shows now, if stagepipe knows it."""
        manifest = shown(self.table)
        if manifest is None:
            return None
        output = self._output(manifest, is_changed=False)
        return output if self._appending is None else replace(output, appended=0)

    def prepare(self) -> None:
        """Make sure that a table can be written here, and clear away what a dead run left.

        Only for who holds the pipeline's lock. Raises OutputError.
        """
        probe = self.table.parent / f".{self.table.name}.probe"
        try:
            self.table.parent.mkdir(parents=True, exist_ok=True)
            self._recover()
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise OutputError(
                f"the output folder {self.table.parent} cannot be written: {error.strerror}",
                "check that it is a folder, who owns it, and that the disk is not full",
            ) from error

    def clear_old(self) -> None:
        """Remove the table that another one has taken the place of, as the last act of a run: no
        reader who began to list it is in the midst of that any more."""
        clear_away(self._new)

    def _recover(self) -> None:
        """After a kill between the two renames of the fallback: the old table stands again."""
        if not self.table.exists() and self._old.exists():
            self._old.rename(self.table)
        if is_pending(self.table):
            pending_path(self.table).replace(manifest_path(self.table))
        for leftover in (self._new, self._old):
            remove(leftover)
        pending_path(self.table).unlink(missing_ok=True)
        forget_others(self.table, shown(self.table))

    def _manifest(self, parts: Sequence[Part], files: tuple[DataFile, ...]) -> Manifest:
        return Manifest(
            pipeline=self._pipeline,
            stage=self._stage,
            keys=tuple(part.key for part in parts),
            made_of=_made_of(parts),
            files=files,
            inputs=self._appending.inputs if self._appending else (),
            columns=self._appending.columns if self._appending else {},
            extra=self._appending.extra if self._appending else (),
        )

    def _with_values(self, manifest: Manifest, before: Sequence[DataFile] = ()) -> Manifest:
        """The manifest with the values of unique columns, which lie beside the table then."""
        appending = self._appending
        if appending is None or appending.values is None:
            return manifest
        files = list(before)
        if appending.values.rows:
            found = appending.values, appending.values_path
            files.append(keep(self.table, *found, manifest.generation))
        return replace(manifest, unique=appending.unique, unique_files=tuple(files))

    @contextmanager
    def _trouble_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self.table} cannot be written: {error.strerror}",
                NEEDS_ROOM if is_full(error) else STILL_STANDS,
            ) from error

    def _take_pending(self) -> None:
        pending_path(self.table).replace(manifest_path(self.table))
        fsync(self.table.parent)

    @property
    def _new(self) -> Path:
        return self.table.parent / f".{self.table.name}.new"

    @property
    def _old(self) -> Path:
        return self.table.parent / f".{self.table.name}.old"

    def _holds(self, manifest: Manifest) -> bool:
        """Whether just these files stand there, byte for byte."""
        now = shown(self.table)
        return (
            now is not None
            and now.files == manifest.files
            and all(
                file_sha256(self.table if self.is_file else self.table / file.name) == file.sha256
                for file in now.files
            )
        )

    def _write_pending(self, manifest: Manifest) -> None:
        pending = pending_path(self.table)
        pending.write_text(manifest.to_json(), encoding="utf-8")
        fsync(pending)

    def _swap_in(self, files: dict[str, DataFile]) -> None:
        remove(self._new)
        self._new.mkdir()
        for path, file in files.items():
            target = self._new / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(Path(path), target)
        for folder, _, _ in os.walk(self._new):
            fsync(Path(folder))
        if self.table.exists() and (others := strangers(self.table)):
            # It was looked at while planning; what came since then is not ours to replace.
            raise FileExistsError(errno.EEXIST, f"it holds {others[0]!r} now, which is not ours")
        put_in_place(self._new, self.table, self._old)

    def _output(self, manifest: Manifest, *, is_changed: bool) -> Output:
        is_inside = self.table.is_relative_to(self._relative_to)
        path = self.table.relative_to(self._relative_to) if is_inside else self.table
        return Output(
            stage=self._stage,
            path=str(path),
            rows=sum(file.rows for file in manifest.files),
            files=len(manifest.files),
            bytes=sum(file.bytes for file in manifest.files),
            changed=is_changed,
        )


def _listed(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def _made_of(parts: Sequence[Part]) -> str:
    return made_of((part.key, part.files) for part in parts)
