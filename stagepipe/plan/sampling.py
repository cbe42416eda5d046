"""Looking at the beginning, middle and end of files of which nobody has said what is in them.

What their bytes mean is guessed in `stagepipe.declare.guess`; here they are read. A file that is
small enough is read whole. Middle and end of a bigger one are taken from a physical line on,
without the record that may have begun before; where quotes leave it open whether that line begins
inside a field, and the records do not have the header's width, the piece is left out, and said so.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from stagepipe.declare import guess
from stagepipe.declare.guess.dialect import SURE_SHARE, looks_like_footer
from stagepipe.declare.guess.encoding import likely_encoding
from stagepipe.declare.sources import MAX_INFLATION
from stagepipe.errors import InputError
from stagepipe.model import InputFile, printable
from stagepipe.packing import UnpackError, is_packed, unpacked

SAMPLE_BYTES = 2**23
"""So much is read of all files together, and of each at least the following."""
LEAST_BYTES = 2**16
BATCH_RECORDS = 10_000
NO_CSV = {
    b"\x1f\x8b": "is packed by gzip: its name has to end in .gz",
    b"PK\x03\x04": "is a workbook, or a zip whose name has to end in .zip",
    b"PAR1": "is a Parquet file, not CSV",
    b"ARROW1": "is an Arrow file, not CSV",
    b"\xff\xfe": 'is UTF-16: write a pipeline file, with encoding = "utf-16" in [source.csv]',
    b"\xfe\xff": 'is UTF-16: write a pipeline file, with encoding = "utf-16" in [source.csv]',
}
"""What the beginning of a file can say at once."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of a file from the beginning of a record on. It may end in the middle of one unless
    `is_to_end`."""

    text: str
    is_to_end: bool


@dataclass(frozen=True, slots=True)
class FileSample:
    """What was read of a file: its beginning, and perhaps its middle and its end. `doubts` are
    said of it; `encoding` is the likely one where it is not UTF-8."""

    file: InputFile
    guess: guess.FileGuess
    pieces: tuple[Piece, ...]
    is_whole: bool
    encoding: str | None
    doubts: tuple[str, ...]

    def batches(self) -> Iterator[list[list[str]]]:
        """The records after the header, some thousands at a time."""
        for position, piece in enumerate(self.pieces):
            skip = self.guess.title_lines if position == 0 else 0
            records = _records(piece, self.guess, skip)
            if position == 0:
                next(records, None)
            while batch := list(islice(records, BATCH_RECORDS)):
                yield batch


class TableSample:
    """What the samples of files of one header have shown. The columns are those of the first."""

    def __init__(self, header: Sequence[str]) -> None:
        self.evidence = [guess.Evidence(name) for name in header]
        self.records = 0
        self.is_all = True
        self.is_beginning = True

    def add(self, sample: FileSample) -> None:
        """Look at the records of a file; the order of its columns may be another one."""
        header = [name.strip(" \t") for name in sample.guess.header]
        order = [header.index(each.name.strip(" \t")) for each in self.evidence]
        self.is_all &= sample.is_whole
        self.is_beginning &= len(sample.pieces) == 1
        for batch in sample.batches():
            self.records += len(batch)
            columns = list(zip(*(row for row in batch if len(row) == len(header)), strict=True))
            for position, column in zip(order, self.evidence, strict=True):
                if columns:
                    column.add(columns[position])


def share_of(files: int) -> int:
    """How many bytes to read of each of so many files."""
    return max(SAMPLE_BYTES // max(files, 1), LEAST_BYTES)


def look_at(file: InputFile, share: int) -> FileSample:
    """Read so many bytes of a file. Raises InputError, naming it, when that cannot be done or when
    it is no CSV."""
    texts, is_whole = _read(file, share)
    found = _guess_file(file.path, texts[0], is_whole)
    pieces = [Piece(texts[0], is_whole)]
    doubts = list(_packed_told(file, is_whole))
    for where, text, is_to_end in zip(("middle", "end"), texts[1:], (False, True), strict=False):
        piece = Piece(text.partition("\n")[2], is_to_end)
        if _is_even(piece, found):
            pieces.append(piece)
        else:
            doubts.append(f"where a record begins in its {where} is not sure: not looked at")
    not_utf8 = next((text for text in texts if not guess.is_utf8(text)), None)
    if is_whole or len(texts) > 1:
        doubts += _footer_told(pieces[-1], found)
    encoding = None if not_utf8 is None else likely_encoding(not_utf8)
    return FileSample(file, found, tuple(pieces), is_whole, encoding, tuple(doubts))


def _packed_told(file: InputFile, is_whole: bool) -> Iterator[str]:
    if is_packed(file) and not is_whole:
        yield "it is packed: only its beginning was looked at"


def _records(piece: Piece, found: guess.FileGuess, skip: int = 0) -> Iterator[list[str]]:
    return guess.records(
        piece.text, found.delimiter, is_whole=piece.is_to_end, quote=found.quote, skip=skip
    )


def _is_even(piece: Piece, found: guess.FileGuess) -> bool:
    """Whether the records of a piece that begins somewhere have the header's width."""
    widths = [len(record) for record in islice(_records(piece, found), BATCH_RECORDS)]
    return widths.count(len(found.header)) > SURE_SHARE * len(widths) if widths else True


def _footer_told(last: Piece, found: guess.FileGuess) -> Iterator[str]:
    record: list[str] = []
    number = 0
    for number, record in enumerate(_records(last, found), 1):  # noqa: B007 - the last one
        pass
    if number > 1 and last.is_to_end and looks_like_footer(record, len(found.header)):
        text = found.delimiter.join(record)[:60]
        yield f"its last record looks like a total or a footer: {text!r}"


def checked(files: Iterable[str], hint: str) -> list[InputFile]:
    """The files. Raises InputError where one is none, or the same as another; `hint` says what to
    do about a name of nothing."""
    found = []
    seen: dict[tuple[int, int], str] = {}
    for file in files:
        name = printable(file)
        try:
            status = Path(file).stat()
        except FileNotFoundError:
            raise InputError(f"{name} does not exist", hint) from None
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


def _read(file: InputFile, share: int) -> tuple[list[str], bool]:
    """The beginning of a file as text, or its beginning, middle and end, and whether that is all of
    it."""
    name = printable(file.path)
    try:
        with Path(file.on_disk).open("rb") as raw, ExitStack() as opened:
            stream: Any = raw
            if is_packed(file):
                stream = opened.enter_context(unpacked(raw, file, MAX_INFLATION))
            data = stream.read(share)
            is_whole = not stream.read(1)
            _check_bytes(name, data)
            pieces = [data]
            if not is_whole and stream is raw:
                pieces = [data[: share // 2]]
                middle, end = (file.size - share // 4) // 2, file.size - share // 4
                for start in (middle, end):
                    raw.seek(max(start, share // 2))
                    pieces.append(raw.read(share // 4))
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error
    except UnpackError as error:
        raise InputError(f"{name}: {error}", "leave it out, or have it sent again") from error
    return [guess.text_of(piece) for piece in pieces], is_whole


def _check_bytes(name: str, data: bytes) -> None:
    for mark, what in NO_CSV.items():
        if data.startswith(mark):
            raise InputError(f"{name} {what}")
    if b"\0" in data:
        raise InputError(f"{name} is no text file: it has NUL bytes", "save it as CSV, in UTF-8")


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


def check_header(file: str, header: Sequence[str]) -> None:
    """Raise InputError for names that no table can have."""
    hint = "mend the header: each column needs a name of its own"
    names = [name.strip(" \t") for name in header]
    for position, name in enumerate(names, 1):
        if not guess.is_utf8(name):
            encoding = likely_encoding(name)
            raise InputError(
                f"the header of {printable(file)} is not UTF-8: {printable(name)!r}",
                f"convert the file: iconv -f {encoding} -t UTF-8 is a likely way",
            )
        if not name:
            raise InputError(f"column {position} of {printable(file)} has no name", hint)
        if names.index(name) < position - 1:
            raise InputError(f"the header of {printable(file)} names column {name!r} twice", hint)
