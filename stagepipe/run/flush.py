"""The flush: parts become a table, all at once or not at all.

The new table is put together in a hidden folder beside its place (hard links where the file system
allows, else copies), brought to the disk, and then swapped with what stands there. Readers find
the old table or the new one, whole. What a kill leaves behind is either hidden and removed by the
next run, or complete.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from stagepipe.errors import OutputError, RunError
from stagepipe.model import Output, Part
from stagepipe.record.manifest import (
    DataFile,
    Manifest,
    is_pending,
    manifest_path,
    pending_path,
    shown,
    strangers,
)
from stagepipe.record.spool import file_sha256, fsync

GENERATION = 1
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


class TablePlace:
    """The place of one table: a folder that holds data files and nothing else."""

    def __init__(self, table: Path, pipeline: str, stage: str, relative_to: Path) -> None:
        self.table = table
        self._pipeline = pipeline
        self._stage = stage
        self._relative_to = relative_to

    def publish(self, parts: Sequence[Part]) -> Output:
        """Show these parts, which are on the disk, as the table.

        Raises RunError; then the old table still stands.
        """
        files = _data_files(parts)
        manifest = self._manifest(parts)
        try:
            is_same = self._holds(manifest)
            self._write_pending(manifest)
            if not is_same:
                self._swap_in(files)
            pending_path(self.table).replace(manifest_path(self.table))
            fsync(self.table.parent)
        except OSError as error:
            raise RunError(
                f"{self.table} cannot be written: {error.strerror}",
                "what stood there still stands, and finished parts are kept: mend it and run again",
            ) from error
        return self._output(manifest, is_changed=not is_same)

    def shows(self, parts: Sequence[Part]) -> bool:
        """Whether the place shows just these parts now, by its manifest."""
        return shown(self.table) == self._manifest(parts)

    def current(self) -> Output | None:
        """What the place shows now, if stagepipe knows it."""
        manifest = shown(self.table)
        return self._output(manifest, is_changed=False) if manifest else None

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

    def _recover(self) -> None:
        """After a kill between the two renames of the fallback: the old table stands again."""
        if not self.table.exists() and self._old.is_dir():
            self._old.rename(self.table)
        if is_pending(self.table):
            pending_path(self.table).replace(manifest_path(self.table))
        for leftover in (self._new, self._old):
            _remove(leftover)
        pending_path(self.table).unlink(missing_ok=True)

    def _manifest(self, parts: Sequence[Part]) -> Manifest:
        return Manifest(
            pipeline=self._pipeline,
            stage=self._stage,
            keys=tuple(part.key for part in parts),
            files=tuple(_data_files(parts).values()),
        )

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
            and all(file_sha256(self.table / file.name) == file.sha256 for file in now.files)
        )

    def _write_pending(self, manifest: Manifest) -> None:
        pending = pending_path(self.table)
        pending.write_text(manifest.to_json(), encoding="utf-8")
        fsync(pending)

    def _swap_in(self, files: dict[str, DataFile]) -> None:
        _remove(self._new)
        self._new.mkdir()
        for path, file in files.items():
            _link_or_copy(Path(path), self._new / file.name)
        fsync(self._new)
        if self.table.exists() and (others := strangers(self.table)):
            # It was looked at while planning; what came since then is not ours to replace.
            raise FileExistsError(errno.EEXIST, f"it holds {others[0]!r} now, which is not ours")
        if not self.table.exists():
            self._new.rename(self.table)
        elif _exchange(self._new, self.table):
            fsync(self.table.parent)
            shutil.rmtree(self._new)
        else:
            # No atomic exchange here (some network file systems): for a moment there is no table.
            self.table.rename(self._old)
            try:
                self._new.rename(self.table)
            except BaseException:
                if not self.table.exists():
                    self._old.rename(self.table)
                raise
            fsync(self.table.parent)
            shutil.rmtree(self._old)

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


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _data_files(parts: Sequence[Part]) -> dict[str, DataFile]:
    """The files of a table, by where their parts lie. One without rows stands only for all."""
    shown_parts = [part for part in parts if part.rows] or parts[:1]
    return {part.path: _data_file(part) for part in shown_parts}


def _data_file(part: Part) -> DataFile:
    suffix = Path(part.path).suffix
    name = f"{GENERATION:04d}-{part.chunk:06d}-{part.sha256[:8]}{suffix}"
    return DataFile(name, part.rows, part.bytes, part.sha256)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        shutil.copyfile(source, target)
        fsync(target)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one instant; False where the system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    result = libc.renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    )
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(other))
