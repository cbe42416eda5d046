"""What a table consists of, written beside it: `.<table>.manifest.json`.

The manifest of a new table is written first, under another name, and takes its place right after
the table took its own. Whichever of the two agrees with the folder is the true one, so that a kill
between the two renames leaves nothing unknown.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stagepipe.model import PartFile, to_plain
from stagepipe.record.spool import file_sha256

FORMAT = 2
DATA_FILE = re.compile(r"\d{4,}-\d{6,}-[0-9a-f]{8}\.[a-z0-9]+")
"""`<generation>-<chunk>-<8 of sha256>`: two versions of a table never share a name."""
PARTITION = re.compile(r"[^/=]+=[^/]*")
"""A partition's folder, `column=value`."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of a table, named from the table's folder. Of a table that is one file the inode
    tells two versions apart that are as long."""

    name: str
    rows: int
    bytes: int
    sha256: str
    inode: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A table's files, and the keys of all parts that it was made from, in chunk order (a part
    without rows has no file); `made_of` is a digest of these parts' own files.

    Of a table that is appended to, keys and `made_of` are those of the last `generation`; `inputs`
    are the files whose rows it holds (path, size, mtime_ns), `columns` the types of its columns,
    `extra` the columns of its files that the schema did not name and that were kept.
    `unique` are the columns of the schema in which its records hold no value twice, with their
    declared types, and `unique_files` hold these values.
    """

    pipeline: str
    stage: str
    keys: tuple[str, ...]
    made_of: str
    files: tuple[DataFile, ...]
    generation: int = 1
    inputs: tuple[tuple[str, int, int], ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    unique: Mapping[str, str] = field(default_factory=dict)
    unique_files: tuple[DataFile, ...] = ()
    format: int = FORMAT

    def to_json(self) -> str:
        """The manifest as it is written."""
        return json.dumps(to_plain(self), indent=1) + "\n"


def made_of(parts: Iterable[tuple[str, Sequence[PartFile]]]) -> str:
    """A digest of parts, each a key and its files for the sink, in chunk order."""
    found = [(key, [file.sha256 for file in files]) for key, files in parts]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def manifest_path(table: Path) -> Path:
    """Where a table's manifest lies."""
    return table.parent / f".{table.name}.manifest.json"


def pending_path(table: Path) -> Path:
    """Where the manifest of a table that is about to be shown lies."""
    return table.parent / f".{table.name}.manifest.new.json"


def values_folder(table: Path) -> Path:
    """Where the values of unique columns lie that a table holds which is appended to."""
    return table.parent / f".{table.name}.unique"


def shown(table: Path) -> Manifest | None:
    """The manifest that tells what stands in the table's place, or None when none does."""
    there = _sizes(table)
    for path in (manifest_path(table), pending_path(table)):
        manifest = _read(path)
        if manifest and there == {f.name: (f.bytes, f.inode) for f in manifest.files}:
            return manifest
    return None


def table_above(place: Path) -> tuple[Path, Manifest] | None:
    """The table in whose folder a place lies, with its manifest; None where it lies in none. A
    table that was moved away has left its manifest perhaps, but none of its files."""
    for above in Path(os.path.realpath(place.parent), place.name).parents:
        for path in (manifest_path(above), pending_path(above)):
            manifest = _read(path)
            if manifest is None or not above.is_dir():
                continue
            if not manifest.files or any((above / file.name).exists() for file in manifest.files):
                return above, manifest
    return None


def is_ours(file: Path) -> bool:
    """Whether stagepipe wrote the file that stands there. One that was copied, with its manifest,
    has another inode; then its content tells."""
    if shown(file) is not None:
        return True
    known = [each for path in (manifest_path(file), pending_path(file)) if (each := _read(path))]
    digests = {each.sha256 for manifest in known for each in manifest.files}
    return bool(digests) and file_sha256(file) in digests


def is_pending(table: Path) -> bool:
    """Whether only the pending manifest tells what stands in the table's place."""
    manifest = shown(table)
    return manifest is not None and manifest != _read(manifest_path(table))


def strangers(table: Path) -> Sequence[str]:
    """What lies in the table's folder and was not written by stagepipe."""
    return sorted(
        name
        for name, entry in _entries(table)
        if not (DATA_FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False))
    )


def _sizes(table: Path) -> dict[str, tuple[int, int | None]] | None:
    try:
        if table.is_file():
            status = table.stat()
            return {table.name: (status.st_size, status.st_ino)}
        return {name: (entry.stat().st_size, None) for name, entry in _entries(table)}
    except OSError:
        return None


def _entries(table: Path, below: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What lies in a table's folder and in those of its partitions, named from the table's."""
    with os.scandir(table / below) as entries:
        for entry in entries:
            name = below + entry.name
            if PARTITION.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                yield from _entries(table, name + "/")
            else:
                yield name, entry


def _read(path: Path) -> Manifest | None:
    try:
        plain = json.loads(path.read_bytes())
        files = tuple(DataFile(**file) for file in plain.pop("files"))
        inputs = tuple((str(path), size, time) for path, size, time in plain.pop("inputs"))
        keys = tuple(plain.pop("keys"))
        extra = tuple(map(str, plain.pop("extra", ())))
        kept = tuple(DataFile(**file) for file in plain.pop("unique_files", ()))
        manifest = Manifest(
            files=files, keys=keys, inputs=inputs, extra=extra, unique_files=kept, **plain
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if manifest.format == FORMAT else None
