"""Looking at the beginning of files of which nobody has said what stands in them.

What their bytes mean is guessed in `stagepipe.declare.guess`; here they are read, and held against
each other: files that become one table have one header.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from stagepipe.declare import guess
from stagepipe.declare.sources import MAX_INFLATION
from stagepipe.errors import InputError
from stagepipe.model import InputFile, printable
from stagepipe.packing import UnpackError, is_packed, unpacked
from stagepipe.plan.files import members_of

SAMPLE_BYTES = 2**23
"""So much is read of all files together, and of each at least the following."""
LEAST_BYTES = 2**16
BATCH_RECORDS = 10_000
NO_CSV = {
    b"\x1f\x8b": "is packed by gzip: its name has to end in .gz",
    b"PK\x03\x04": "is a workbook, or a zip whose name has to end in .zip",
    b"PAR1": "is a Parquet file, not CSV",
    b"ARROW1": "is an Arrow file, not CSV",
    b"\xff\xfe": "is UTF-16, which is not available yet: convert it to UTF-8",
    b"\xfe\xff": "is UTF-16, which is not available yet: convert it to UTF-8",
}
"""What the beginning of a file can say at once."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What some files look like. `files` are as the user named them; `records` of them were looked
    at, which `is_all` says are all there are. `is_header_odd` says that the header looks like a
    record, `not_utf8` names a file in which some bytes are no UTF-8."""

    files: tuple[str, ...]
    delimiter: str
    columns: tuple[guess.ColumnGuess, ...]
    records: int
    is_all: bool
    is_header_odd: bool
    not_utf8: str | None


def sample(files: Sequence[str]) -> Sample:
    """Look at files that are to become one table.

    Raises InputError, naming the file, when one cannot be read, is no CSV, or has another header
    than the first.
    """
    inputs = [each for file in _checked(files) for each in members_of(Path(), file)]
    share = max(SAMPLE_BYTES // len(inputs), LEAST_BYTES)
    first: guess.FileGuess | None = None
    evidence: list[guess.Evidence] = []
    records, is_all, not_utf8 = 0, True, None
    for file in inputs:
        text, is_whole = _text(file, share)
        is_all &= is_whole
        found = _guess_file(file.path, text, is_whole)
        if first is None:
            first = found
            _check_header(file.path, found.header)
            evidence = [guess.Evidence(name) for name in found.header]
        elif difference := _difference(found, first):
            raise InputError(
                f"{printable(file.path)} does not fit {printable(inputs[0].path)}: {difference}",
                "convert files of different headers one by one, or write a pipeline file",
            )
        if not_utf8 is None and not guess.is_utf8(text):
            not_utf8 = file.path
        for batch in _batches(text, first, is_whole):
            records += len(batch)
            fitting = [fields for fields in batch if len(fields) == len(evidence)]
            for column, values in zip(evidence, zip(*fitting, strict=True), strict=False):
                column.add(dict.fromkeys(values))
    assert first is not None, "no files"
    columns = tuple(column.guess() for column in evidence)
    return Sample(
        tuple(files), first.delimiter, columns, records, is_all, first.is_header_odd, not_utf8
    )


def _checked(files: Sequence[str]) -> list[InputFile]:
    """The files. Raises InputError where one is none, or the same as another."""
    found = []
    seen: dict[tuple[int, int], str] = {}
    for file in files:
        name = printable(file)
        try:
            status = Path(file).stat()
        except FileNotFoundError:
            raise InputError(f"{name} does not exist", "name the files to convert") from None
        except OSError as error:
            raise InputError(f"{name} cannot be looked at: {error.strerror}") from error
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{name} is a folder", f"name the files in it, as in {name}/*.csv")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{name} is no regular file", "write its content into a file first")
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            other = printable(seen[identity])
            what = "is named twice" if other == name else f"is the same file as {other}"
            raise InputError(f"{name} {what}: its rows would count twice", "name each file once")
        seen[identity] = file
        found.append(InputFile(file, status.st_size, status.st_mtime_ns, status.st_ino))
    return found


def _text(file: InputFile, share: int) -> tuple[str, bool]:
    """The beginning of a file as text, and whether that is all of it."""
    name = printable(file.path)
    try:
        with Path(file.on_disk).open("rb") as raw, ExitStack() as opened:
            stream: Any = raw
            if is_packed(file):
                stream = opened.enter_context(unpacked(raw, file, MAX_INFLATION))
            data = stream.read(share)
            is_whole = not stream.read(1)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error
    except UnpackError as error:
        raise InputError(f"{name}: {error}", "leave it out, or have it sent again") from error
    for mark, what in NO_CSV.items():
        if data.startswith(mark):
            raise InputError(f"{name} {what}")
    if b"\0" in data:
        raise InputError(f"{name} is no text file: it has NUL bytes", "save it as CSV, in UTF-8")
    return guess.text_of(data), is_whole


def _guess_file(file: str, text: str, is_whole: bool) -> guess.FileGuess:
    try:
        found = guess.guess_file(text, is_whole=is_whole)
    except ValueError as error:
        raise InputError(
            f"it cannot be told how {printable(file)} is divided into fields: {error}",
            "mend the file, or write a pipeline file",
        ) from None
    if found is None:
        what = "it holds blank lines only" if text else "it is empty"
        raise InputError(f"{printable(file)} has no header: {what}", "leave it out")
    return found


def _check_header(file: str, header: Sequence[str]) -> None:
    """Raise InputError for names that no table can have."""
    hint = "mend the header: each column needs a name of its own"
    for position, name in enumerate(header, 1):
        if not guess.is_utf8(name):
            raise InputError(
                f"the header of {printable(file)} is not UTF-8: {printable(name)!r}",
                "convert the file: iconv -f WINDOWS-1252 -t UTF-8 is a likely way",
            )
        if not name:
            raise InputError(f"column {position} of {printable(file)} has no name", hint)
        if header.index(name) < position - 1:
            raise InputError(f"the header of {printable(file)} names column {name!r} twice", hint)


def _difference(found: guess.FileGuess, first: guess.FileGuess) -> str | None:
    """How a file's header differs from that of the first file, if it does."""
    if found.header == first.header:
        # A header of one field does not tell by what fields are divided.
        if found.delimiter == first.delimiter or len(first.header) == 1:
            return None
    elif found.delimiter == first.delimiter:
        pieces = [
            f"{verb} {', '.join(repr(name) for name in names[:5])}{' …' * (len(names) > 5)}"
            for verb, names in (
                ("lacks", [name for name in first.header if name not in found.header]),
                ("also has", [name for name in found.header if name not in first.header]),
            )
            if names
        ]
        return f"it {' and '.join(pieces)}" if pieces else "its columns stand in another order"
    return f"its fields are divided by {found.delimiter!r}, not by {first.delimiter!r}"


def _batches(text: str, first: guess.FileGuess, is_whole: bool) -> Iterator[list[list[str]]]:
    """The records after the header, some thousands at a time."""
    records = guess.records(text, first.delimiter, is_whole=is_whole)
    next(records, None)
    while batch := list(islice(records, BATCH_RECORDS)):
        yield batch
