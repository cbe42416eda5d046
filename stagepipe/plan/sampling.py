"""Looking at the beginning, middle and end of files of which nobody has said what is in them.

What their bytes mean is guessed in `stagepipe.declare.guess`; here they are read. A file that is
small enough is read whole. Middle and end of a bigger one are taken from a physical line on,
without the record that may have begun before; where quotes leave it open whether that line begins
inside a field, and the records do not have the header's width, the piece is left out, and said so.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from stagepipe.declare import guess
from stagepipe.declare.guess.dialect import SURE_SHARE
from stagepipe.declare.guess.doubts import quoted
from stagepipe.declare.guess.files import COMMENTS
from stagepipe.declare.sources import MAX_INFLATION
from stagepipe.errors import InputError
from stagepipe.kinds import other_kind
from stagepipe.model import InputFile, printable
from stagepipe.packing import UnpackError, is_packed, unpacked

SAMPLE_BYTES = 2**23
"""So much is read of all files together, and of each at least the following."""
LEAST_BYTES = 2**16
WIDEST = 4
"""In no encoding has a character more bytes, where all have as many."""
BATCH_RECORDS = 10_000
MOST_NUL = 0.1
"""Of the characters of a text."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of a file from the beginning of a record on. It may end in the middle of one unless
    `is_to_end`."""

    text: str
    is_to_end: bool


@dataclass(frozen=True, slots=True)
class FileSample:
    """What was read of a file: its beginning, and perhaps its middle and its end, without other
    tables and footers. `doubts` are said of it."""

    file: InputFile
    guess: guess.FileGuess
    pieces: tuple[Piece, ...]
    is_whole: bool
    doubts: tuple[str, ...]

    def batches(self) -> Iterator[list[list[str]]]:
        """The records after the header, some thousands at a time."""
        for position, piece in enumerate(self.pieces):
            if position == 0:
                records = self.guess.data_records(piece.text, is_whole=piece.is_to_end)
            else:
                records = _records(piece, self.guess)
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
        names = [name.strip(" \t") for name in sample.guess.names]
        order = [names.index(each.name.strip(" \t")) for each in self.evidence]
        width = len(sample.guess.header)
        self.is_all &= sample.is_whole
        self.is_beginning &= len(sample.pieces) == 1
        for batch in sample.batches():
            self.records += len(batch)
            columns = list(zip(*(row for row in batch if len(row) == width), strict=True))
            for position, column in zip(order, self.evidence, strict=True):
                if columns:
                    column.add(columns[position])


def share_of(files: int) -> int:
    """How many bytes to read of each of so many files."""
    return max(SAMPLE_BYTES // max(files, 1), LEAST_BYTES)


def look_at(file: InputFile, share: int) -> FileSample:
    """Read so many bytes of a file. Raises InputError, naming it, when that cannot be done or when
    it is no CSV."""
    raw, is_whole = _read(file, share)
    encoding = guess.guess_encoding([_whole_lines(raw, number) for number in range(len(raw))])
    texts = [guess.text_of(piece, encoding.name) for piece in raw]
    found = _guess_file(file.path, texts[0], is_whole)
    if any(guess.has_marked_records(text, found) for text in texts[1:]):
        found = _guess_file(file.path, texts[0], is_whole, comments=())
    found = replace(found, encoding=encoding.name)
    doubts = [encoding.doubt] if encoding.doubt else []
    doubts += _nul_told(printable(file.path), texts[0], found)
    doubts += _packed_told(file, is_whole)
    doubts += guess.doubts_of(found, texts[0], is_whole=is_whole)
    if found.has_other_tables:
        end = guess.first_table_end(texts[0], found)
        texts, is_to_end = [texts[0][:end]], [True]
    else:
        is_to_end = [is_whole, False, True]
    pieces = [Piece(texts[0], is_to_end[0])]
    places = zip(("middle", "end"), texts[1:], is_to_end[1:], strict=False)
    for where, text, is_last in places:
        piece = Piece(text.partition("\n")[2], is_last)
        if _is_even(piece, found):
            pieces.append(piece)
        else:
            doubts.append(f"where a record begins in its {where} is not sure: not looked at")
    if pieces[-1].is_to_end and not found.has_other_tables:
        pieces[-1], found, told = _without_footer(pieces[-1], found, is_only=len(pieces) == 1)
        doubts += told
    return FileSample(file, found, tuple(pieces), is_whole, tuple(doubts))


def adapted(sample: FileSample, other: guess.FileGuess) -> FileSample:
    """The sample of a file with what another file of its source has and it has nothing of: an
    encoding, comments, escapes, other tables."""
    found, texts = sample.guess, [piece.text for piece in sample.pieces]
    text = "\n".join(texts)
    taken: dict[str, Any] = {}
    if other.encoding != found.encoding and found.encoding == "utf-8" and text.isascii():
        taken |= {} if other.encoding.startswith("utf-") else {"encoding": other.encoding}
    if not found.comment and not re.search(f"^{re.escape(other.comment)}", text, re.M):
        taken["comment"] = other.comment
    if not found.escape and other.escape and other.escape not in text:
        taken["escape"] = other.escape
    if other.has_other_tables and not guess.has_void_line(text, found.delimiter):
        taken["has_other_tables"] = True
    return replace(sample, guess=replace(found, **taken))


def _whole_lines(pieces: Sequence[bytes], number: int) -> bytes:
    """One of the pieces of a file, without what may be half a character at its beginning or end."""
    piece = pieces[number]
    if number:
        piece = piece.partition(b"\n")[2]
    if len(pieces) > 1:
        piece = piece.rpartition(b"\n")[0] or piece
    return piece


def _without_footer(
    last: Piece, found: guess.FileGuess, *, is_only: bool
) -> tuple[Piece, guess.FileGuess, list[str]]:
    """The last piece of a file without its footer, and what is to be said of that."""
    records = list(_records(last, found, found.title_lines if is_only else 0))
    if is_only:
        records = records[found.header_records :]
    text = last.text.rstrip("\r\n")
    width = len(found.header)
    lines = [line for line in text[-(2**16) :].splitlines() if line][-10:]
    number = guess.footer_lines(records, lines, width, is_all=is_only)
    if number:
        told = f"its last {'line looks' if number == 1 else f'{number} lines look'} like a footer"
        shown = quoted(lines[-number:])
        for _ in range(number):
            text = text[: max(text.rfind("\n"), text.rfind("\r"))].rstrip("\r\n")
        end = last.text[len(text) : len(text) + 2]
        piece = Piece(text + end[: 2 if end == "\r\n" else 1], True)
        return piece, replace(found, footer_lines=number), [f"{told}: {shown}"]
    if len(records) > 1 and guess.looks_like_footer(records[-1], width):
        shown = quoted([found.delimiter.join(records[-1])])
        told = "its last record looks like a total or a footer, and is kept"
        return last, found, [f"{told}: {shown}"]
    return last, found, []


def _packed_told(file: InputFile, is_whole: bool) -> Iterator[str]:
    if is_packed(file) and not is_whole:
        yield "it is packed: only its beginning was looked at"


def _records(piece: Piece, found: guess.FileGuess, skip: int = 0) -> Iterator[list[str]]:
    width = len(found.header)
    return guess.records(piece.text, found.marks, is_whole=piece.is_to_end, skip=skip, width=width)


def _is_even(piece: Piece, found: guess.FileGuess) -> bool:
    """Whether the records of a piece that begins somewhere have the header's width."""
    widths = [len(record) for record in islice(_records(piece, found), BATCH_RECORDS)]
    return widths.count(len(found.header)) > SURE_SHARE * len(widths) if widths else True


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


def _read(file: InputFile, share: int) -> tuple[list[bytes], bool]:
    """The beginning of a file, or its beginning, middle and end, and whether that is all of it."""
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
                    start = max(start, share // 2)
                    raw.seek(start - start % WIDEST)
                    pieces.append(raw.read(share // 4))
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error
    except UnpackError as error:
        raise InputError(f"{name}: {error}", "leave it out, or have it sent again") from error
    return pieces, is_whole


def _check_bytes(name: str, data: bytes) -> None:
    if kind := other_kind(data):
        raise InputError(f"{name} is no CSV file: it begins as {kind}")


def _nul_told(name: str, text: str, found: guess.FileGuess) -> Iterator[str]:
    """A word on NUL bytes: they belong to the values. A file that has them in its header, or has
    many, is none of text: raises InputError."""
    nul = text.count("\0")
    if any("\0" in column for column in found.header) or nul > MOST_NUL * len(text):
        raise InputError(f"{name} is no text file: it has NUL bytes", "save it as CSV, in UTF-8")
    if nul:
        yield f"it has NUL bytes in its values ({nul:,} seen): they are kept"


def _guess_file(
    file: str, text: str, is_whole: bool, comments: Sequence[str] = COMMENTS
) -> guess.FileGuess:
    try:
        found = guess.guess_file(text, is_whole=is_whole, comments=comments)
    except ValueError as error:
        raise InputError(
            f"it cannot be told how {printable(file)} is divided into fields: {error}",
            "write a pipeline file, in which [source.csv] says what is left out (delimiter, "
            "skip_lines, comment), or mend the file",
        ) from None
    if found is None:
        what = "it holds blank lines only" if text else "it is empty"
        raise InputError(f"{printable(file)} has no header: {what}", "leave it out")
    return found


def check_header(file: str, found: guess.FileGuess) -> None:
    """Raise InputError for a header that cannot be read, or names so few of its columns that it may
    be a title, or a record."""
    for name in found.header:
        if not guess.is_utf8(name):
            raise InputError(
                f"the header of {printable(file)} is not UTF-8: {printable(name.strip())!r}",
                "write a pipeline file, with the encoding in [source.csv]",
            )
    named, columns = sum(bool(name.strip(" \t")) for name in found.names_in_file), len(found.names)
    if 2 * named < columns:
        raise InputError(
            f"the first record of {printable(file)} names {named} of {columns} columns: "
            f"{quoted([found.delimiter.join(found.header)])}",
            "write a pipeline file: in [source.csv], skip_lines goes over titles above a header; "
            "with header = false the columns stand in [schema.columns] in the file's order, and "
            "the first record is one",
        )


def told_of(samples: Iterable[FileSample]) -> Iterator[str]:
    """What is said of files, of each kind the first one."""
    found: dict[str, tuple[str, int]] = {}
    for sample in samples:
        for doubt in sample.doubts:
            kind = doubt.partition(":")[0]
            first, times = found.get(kind, (f"{printable(sample.file.path)}: {doubt}", 0))
            found[kind] = first, times + 1
    for first, times in found.values():
        yield f"{first} (and in {times - 1:,} more)" if times > 1 else first
