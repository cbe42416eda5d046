"""A power cut, played after the fact from what the operations on files were.

What a program wrote and did not bring to the disk may be lost, and so may names in folders that it
did not bring there. Real file systems lose less than that, each in its own way; what stands this
stands them all. Three disks are played:

- "emptied": all names are there, and what was not synced is not: such a file is as it was synced
  last, or empty;
- "zeros": the same, but it is as long as it was, and full of zeros, as after a delayed allocation;
- "forgotten": besides, each folder is as it was synced last.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from faults import Fault, Subject, digest, of

from stagepipe.record.manifest import shown

DISKS = ("emptied", "zeros", "forgotten")
TABLES = {"parse": "letters", "sums": "sums.csv"}


@dataclass(eq=False)
class File:
    """A file's content on the disk, and whether more was written to it."""

    kept: bytes = b""
    is_dirty: bool = False


@dataclass(eq=False)
class Folder:
    """What is in a folder now, and what is on the disk."""

    now: dict[str, File | Folder] = field(default_factory=dict)
    kept: dict[str, File | Folder] = field(default_factory=dict)


class Disk:
    """What is below one folder; made before a run, and told of its operations after it."""

    def __init__(self, root: Path, names: tuple[str, ...]) -> None:
        self.root = root
        self.names = names
        self.files: dict[int, File] = {}
        self.top = Folder()
        for name in names:
            if (root / name).is_dir():
                self.top.now[name] = self._look(root / name)
        self.top.kept = dict(self.top.now)

    def _look(self, path: Path) -> File | Folder:
        if not path.is_dir():
            inode = path.stat().st_ino
            return self.files.setdefault(inode, File(path.read_bytes()))
        found = {entry.name: self._look(entry) for entry in path.iterdir()}
        return Folder(found, dict(found))

    def replay(self, state: Path) -> None:
        """Take note of the operations that were written down in this folder."""
        for line in (state / "log").read_text().splitlines():
            kind, *words = line.split("\t")
            self._do(kind, words, state)

    def _do(self, kind: str, words: list[str], state: Path) -> None:
        match kind:
            case "C":
                self.files[int(words[0])] = file = File()
                self._put(words[1], file)
            case "W":
                if (written := self.files.get(int(words[0]))) is not None:
                    written.is_dirty = True
            case "S":
                file = self.files.setdefault(int(words[0]), File())
                file.kept, file.is_dirty = (state / "kept" / words[1]).read_bytes(), False
            case "D":
                folder = self._at(words[0])
                assert isinstance(folder, Folder)
                folder.kept = dict(folder.now)
            case "M":
                self._put(words[0], Folder())
            case "U":
                self._take(words[0])
            case "R":
                self._put(words[1], self._take(words[0]))
            case "X":
                one, other = self._take(words[0]), self._take(words[1])
                self._put(words[0], other)
                self._put(words[1], one)
            case "L":
                self._put(words[1], self._at(words[0]))

    def _above(self, path: str) -> tuple[Folder, str]:
        *folders, name = os.path.relpath(path, self.root).split("/")
        folder = self.top
        for each in folders:
            inside = folder.now[each]
            assert isinstance(inside, Folder)
            folder = inside
        return folder, name

    def _at(self, path: str) -> File | Folder:
        folder, name = self._above(path)
        return folder.now[name] if name != "." else self.top

    def _put(self, path: str, what: File | Folder) -> None:
        folder, name = self._above(path)
        folder.now[name] = what

    def _take(self, path: str) -> File | Folder:
        folder, name = self._above(path)
        return folder.now.pop(name)

    def lose(self, disk: str) -> None:
        """Have the folder as such a disk shows it after the cut."""
        if disk == "forgotten":
            for name in self.names:
                shutil.rmtree(self.root / name, ignore_errors=True)
            self._write(self.top, self.root, {})
            return
        for path in self.root.rglob("*"):
            file = self.files.get(path.lstat().st_ino)
            if file is None or not file.is_dirty or not path.is_file():
                continue
            size = path.stat().st_size
            with path.open("r+b") as out:  # in place: it may have several names
                if disk == "emptied":
                    out.truncate(0)
                out.write(file.kept if disk == "emptied" else file.kept[:size].ljust(size, b"\0"))
        for path in self.root.rglob("*-shm"):
            path.unlink()

    def _write(self, folder: Folder, path: Path, written: dict[File, Path]) -> None:
        for name, inside in folder.kept.items():
            target = path / name
            if isinstance(inside, Folder):
                target.mkdir()
                self._write(inside, target, written)
            elif inside in written:
                target.hardlink_to(written[inside])
            else:
                target.write_bytes(inside.kept)
                written[inside] = target


def cut(subject: Subject, fault: Fault, disk: str, *, with_old: bool) -> bool:
    """Cut the power; False where the run ended before."""
    subject.reset(with_old=with_old)
    played = Disk(subject.root, ("out", ".stagepipe"))
    ended = subject.run(fault, is_watched=True)
    if ended.count < fault.at:
        return False
    played.replay(subject.state)
    played.lose(disk)
    return True


def after(subject: Subject) -> list[str]:
    return [*unverified(subject), *subject.complaints()]


def unverified(subject: Subject) -> list[str]:
    """What is marked as committed and is not there."""
    found = []
    for stage, table in TABLES.items():
        path = subject.root / "out" / table
        manifest = shown(path)
        found += [
            f"{table}: {file.name} is not what its manifest says"
            for file in (manifest.files if manifest else ())
            if digest(path if path.is_file() else path / file.name) != file.sha256
        ]
        if stage in committed(subject) and of(table, subject.shown()) != of(table, subject.new):
            found.append(f"{table} is committed, says the ledger, and is not the new one")
    return found


def committed(subject: Subject) -> set[str]:
    """The stages that the ledger calls committed, of the run that was cut off."""
    path = subject.root / ".stagepipe/ledger.sqlite"
    if not path.exists():
        return set()
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
            rows = ledger.execute(
                "SELECT name FROM stages JOIN runs USING (run) WHERE runs.status = 'running' "
                "AND stages.status = 'succeeded'"
            ).fetchall()
    except sqlite3.Error:
        return set()  # the run has to say so
    return {name for (name,) in rows}
