"""What a table consists of, written beside it: `.<table>.manifest.json`.

The manifest of a new table is written first, under another name, and takes its place right after
the table took its own. Whichever of the two agrees with the folder is the true one, so that a kill
between the two renames leaves nothing unknown.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stagepipe.model import to_plain

FORMAT = 1
DATA_FILE = re.compile(r"\d{4,}-\d{6,}-[0-9a-f]{8}\.[a-z0-9]+")
"""`<generation>-<chunk>-<8 of sha256>`: two versions of a table never share a name."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of a table."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A table's files, and the keys of all parts that it was made from, in chunk order (a part
    without rows has no file)."""

    pipeline: str
    stage: str
    keys: tuple[str, ...]
    files: tuple[DataFile, ...]
    format: int = FORMAT

    def to_json(self) -> str:
        """The manifest as it is written."""
        return json.dumps(to_plain(self), indent=1) + "\n"


def manifest_path(table: Path) -> Path:
    """Where a table's manifest lies."""
    return table.parent / f".{table.name}.manifest.json"


def pending_path(table: Path) -> Path:
    """Where the manifest of a table that is about to be shown lies."""
    return table.parent / f".{table.name}.manifest.new.json"


def shown(table: Path) -> Manifest | None:
    """The manifest that tells what stands in the table's place, or None when none does."""
    there = _sizes(table)
    for path in (manifest_path(table), pending_path(table)):
        manifest = _read(path)
        if manifest and there == {file.name: file.bytes for file in manifest.files}:
            return manifest
    return None


def is_pending(table: Path) -> bool:
    """Whether only the pending manifest tells what stands in the table's place."""
    manifest = shown(table)
    return manifest is not None and manifest != _read(manifest_path(table))


def strangers(table: Path) -> Sequence[str]:
    """What lies in the table's place and was not written by stagepipe."""
    with os.scandir(table) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not (DATA_FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False))
        )


def _sizes(table: Path) -> dict[str, int] | None:
    try:
        with os.scandir(table) as entries:
            return {entry.name: entry.stat().st_size for entry in entries}
    except OSError:
        return None


def _read(path: Path) -> Manifest | None:
    try:
        plain = json.loads(path.read_bytes())
        files = tuple(DataFile(**file) for file in plain.pop("files"))
        manifest = Manifest(files=files, keys=tuple(plain.pop("keys")), **plain)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if manifest.format == FORMAT else None
