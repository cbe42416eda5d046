"""Records that came back mended, kept beside the files from which they were rejected.

In `<state>/mended/<pipeline>/` there lie `<id>.records`, a file that begins as the rejected
records' own files do and has the mended records after that, and `<id>.json`, which says of each of
them whose place it takes. The second is written last, in one instant: where it stands, the records
count. Neither ever changes. Of two texts for one record the later one counts; which texts rest,
because the record itself passes now, stands in `resting.json`; which of those that a table holds
for good were rejected on their way there, in `outcomes.json`.

Unlike all else in the state folder these are rows of a table, and nothing can make them again.
"""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from stagepipe.errors import StagepipeError
from stagepipe.model import InputFile, printable, to_plain
from stagepipe.record.spool import fsync

DATA_SUFFIX, NOTE_SUFFIX = ".records", ".json"
RESTING, OUTCOMES = "resting.json", "outcomes.json"
FORMAT = 1


class Origin(NamedTuple):
    """A record of a source's file, with the names as rejects have them."""

    source: str
    file: str
    byte_offset: int


@dataclass(frozen=True, slots=True)
class MendedRecord:
    """A text that takes a record's place: where it stands in the mended file, and of which of its
    `files` the record is, at which offset and line, and which stage rejected it (`by_step` where it
    was a step). `raw_sha256` is that of the record itself, `records` how many the text is. One that
    `stands_alone` is read apart from those around it."""

    start: int
    end: int
    file: int
    byte_offset: int
    line: int | None
    stage: str
    by_step: bool
    raw_sha256: str
    records: int = 1
    stands_alone: bool = False


@dataclass(frozen=True, slots=True)
class OriginFile:
    """A file of which records were mended, as it was then."""

    file: InputFile
    sha256: str


@dataclass(frozen=True, slots=True)
class MendedFile:
    """Mended records of one source whose files begin alike."""

    id: str
    source: str
    files: tuple[OriginFile, ...]
    records: tuple[MendedRecord, ...]

    def origin(self, record: MendedRecord) -> Origin:
        """Whose place a record takes."""
        path = self.files[record.file].file.path
        return Origin(printable(self.source), printable(path), record.byte_offset)


class Mended(NamedTuple):
    """One of the records of a mended file."""

    file: MendedFile
    number: int

    @property
    def record(self) -> MendedRecord:
        """What is known of it."""
        return self.file.records[self.number]

    @property
    def origin(self) -> Origin:
        """Whose place it takes."""
        return self.file.origin(self.record)

    @property
    def origin_file(self) -> OriginFile:
        """The file of which that record is."""
        return self.file.files[self.record.file]

    @property
    def mark(self) -> tuple[str, int]:
        """What tells it from all others."""
        return self.file.id, self.number


class MendedStore:
    """The mended records of one pipeline. The folder need not exist to look into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def current(self) -> dict[Origin, tuple[Mended, ...]]:
        """For each record that was mended the text that counts; of one whose file had other content
        in between, one for each content, the last one last. Raises StagepipeError."""
        found: dict[Origin, dict[str, Mended]] = {}
        for file in self.files():
            for number in range(len(file.records)):
                mended = Mended(file, number)
                of_record = found.setdefault(mended.origin, {})
                of_record.pop(mended.origin_file.sha256, None)
                of_record[mended.origin_file.sha256] = mended
        return {origin: tuple(of_record.values()) for origin, of_record in found.items()}

    def files(self) -> Iterator[MendedFile]:
        """All files, in the order in which they came. Raises StagepipeError."""
        if self.folder.is_dir():
            for path in sorted(self.folder.glob(f"[0-9]*{NOTE_SUFFIX}")):
                yield _read(path)

    def data(self, id: str) -> Path:
        """Where the records of a mended file lie."""
        return self.folder / f"{id}{DATA_SUFFIX}"

    def add(
        self,
        source: str,
        files: Sequence[OriginFile],
        records: Sequence[MendedRecord],
        data: bytes,
    ) -> None:
        """Keep mended records: all of them or, after a kill, none. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plain = {
            "format": FORMAT,
            "source": source,
            "files": [to_plain(file) for file in files],
            "records": [list(_values(record)) for record in records],
        }
        note = json.dumps(plain).encode()
        serial = 1 + max((int(path.name[:6]) for path in self.folder.glob("[0-9]*")), default=0)
        id = f"{serial:06}-{hashlib.sha256(note + data).hexdigest()[:8]}"
        _write(self.data(id), data)
        _write(self.folder / f"{id}{NOTE_SUFFIX}", note)

    def resting(self) -> set[tuple[str, int]]:
        """The marks of the records that are left out. Raises StagepipeError."""
        return {(str(id), int(number)) for id, number in self._noted(RESTING, [])}

    def rest(self, marks: Collection[tuple[str, int]]) -> None:
        """Have these records left out, and no others. Raises OSError."""
        _write(self.folder / RESTING, json.dumps(sorted(marks)).encode())

    def outcomes(self) -> dict[str, frozenset[int]]:
        """For each mended file that was appended to a table, which of its records were rejected.
        Raises StagepipeError."""
        return {id: frozenset(failed) for id, failed in self._noted(OUTCOMES, {}).items()}

    def note_outcomes(self, failed: Mapping[str, Collection[int]]) -> None:
        """Note which records of these files were rejected, before the others are appended. Raises
        OSError, StagepipeError."""
        known = {**self.outcomes(), **failed}
        plain = {id: sorted(numbers) for id, numbers in known.items()}
        _write(self.folder / OUTCOMES, json.dumps(plain).encode())

    def _noted(self, name: str, nothing: Any) -> Any:
        path = self.folder / name
        try:
            found = json.loads(path.read_bytes())
            if type(found) is not type(nothing):
                raise TypeError("it is not what was written")
        except FileNotFoundError:
            return nothing
        except (OSError, ValueError, TypeError) as error:
            raise _damaged(path, error) from error
        return found


class Origins:
    """Whose place the records of a mended file take, by where they stand in it."""

    def __init__(self, file: MendedFile) -> None:
        self._file = file
        self._starts = [record.start for record in file.records]

    def at(self, offset: int) -> tuple[str, int | None, int]:
        """File, line and byte offset of the record whose place is taken at an offset."""
        record = self._file.records[bisect_right(self._starts, offset) - 1]
        origin = self._file.origin(record)
        return origin.file, record.line, origin.byte_offset

    def of(self, offsets: Iterable[int]) -> list[tuple[str, int | None, int]]:
        """The same for several."""
        return list(map(self.at, offsets))


@lru_cache(maxsize=16)
def origins_of(data: Path) -> Origins:
    """Whose place the records of a mended file take, by the path of its records. Raises
    StagepipeError."""
    return Origins(_read(data.with_suffix(NOTE_SUFFIX)))


def _values(record: MendedRecord) -> Iterator[Any]:
    return (getattr(record, name) for name in MendedRecord.__dataclass_fields__)


def _read(path: Path) -> MendedFile:
    try:
        plain = json.loads(path.read_bytes())
        if plain["format"] != FORMAT:
            raise ValueError(f"it has format {plain['format']}")
        files = tuple(
            OriginFile(InputFile(**file["file"]), file["sha256"]) for file in plain["files"]
        )
        records = tuple(MendedRecord(*values) for values in plain["records"])
        return MendedFile(path.stem, plain["source"], files, records)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StagepipeError:
    return StagepipeError(
        f"{path} cannot be read: {error}",
        "it says which records were mended: bring it back from a backup, or move the folder it "
        "lies in away and replay the mended records again",
    )


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    fsync(temporary)
    os.replace(temporary, path)  # noqa: PTH105 - as it says
    fsync(path.parent)
