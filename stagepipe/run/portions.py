"""The bytes of a segment, as a reader takes them.

A segment of a file that could be cut is one portion. What cannot be cut while planning (a packed
file, a record that no chunk holds) is read from its beginning on, a portion after the other, each
of which ends with a record: so memory stays bounded, whatever comes out of a file.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from stagepipe.contracts import DeadSegment, Reader, TableSpec
from stagepipe.model import InputFile, Segment
from stagepipe.packing import UnpackError, is_packed, unpacked
from stagepipe.plan.detecting import HEAD_BYTES, work_of_file
from stagepipe.plan.work import SourceWork
from stagepipe.record.spool import file_sha256
from stagepipe.stopwatch import timed

LONGEST_RECORD = 2**26
"""Where so many bytes hold no record's end, the file is none that can be read."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Some records of a file: `start` is where the first of them stands in it, unpacked; `head`
    is the file's beginning, `options` are those by which the file is read. `is_streamed` says that
    it is not the whole segment, `is_last` that the file ends with it."""

    data: bytes
    head: bytes
    start: int
    options: Mapping[str, Any]
    is_last: bool
    is_streamed: bool = False

    def within(self, file: InputFile, first_line: int) -> Segment:
        """The segment that the portion is of a file, of which it begins on this line."""
        return Segment(file, self.start, self.start + len(self.data), first_line)


class Stream(Protocol):
    """What can be read from."""

    def read(self, size: int, /) -> bytes: ...  # noqa: D102 - as files have it


def is_streamed(segment: Segment, size: int) -> bool:
    """Whether a segment is read in portions of `size` bytes."""
    return is_packed(segment.file) or segment.size > size + LONGEST_RECORD


def portions(
    folder: Path, segment: Segment, reader: Reader, how: SourceWork, size: int, table: TableSpec
) -> Iterator[Portion]:
    """The portions of a segment, of about `size` bytes where it has to be cut. Raises DeadSegment
    where the file is another one now or cannot be read, and OSError."""
    if is_streamed(segment, size):
        yield from streamed(folder, segment, reader, how, size, table)
        return
    if segment.size == segment.file.size:
        data = head = beginning = _whole(folder, segment.file)
    else:
        with _opened(folder, segment.file) as raw:
            raw.seek(segment.start)
            data = head = beginning = raw.read(segment.size)
            if segment.start:
                raw.seek(0)
                head = beginning = raw.read(HEAD_BYTES)
            elif segment.size < HEAD_BYTES:
                beginning = data + raw.read(HEAD_BYTES - segment.size)
    if len(data) != segment.size:
        raise DeadSegment("it became shorter while it was read: run again when it rests")
    with timed("detect"):
        options = work_of_file(reader, beginning, how, table).options
    yield Portion(data, head, segment.start, options, segment.end == segment.file.size)


def streamed(
    folder: Path, segment: Segment, reader: Reader, how: SourceWork, size: int, table: TableSpec
) -> Generator[Portion]:
    """A segment, of a packed file all that is in it, from its beginning to its end. Raises
    DeadSegment and OSError."""
    file = segment.file
    with _opened(folder, file) as raw:
        if not is_packed(file):
            beginning = raw.read(HEAD_BYTES)
            with timed("detect"):
                how = work_of_file(reader, beginning, how, table)
            raw.seek(segment.start)
            part = _Part(raw, segment.size)
            head = beginning if segment.start else b""
            yield from cut(part, reader, how, size, head, segment.start, segment.end == file.size)
            return
        try:
            with unpacked(raw, file, how.max_inflation) as stream:
                beginning, whole = _looked_ahead(stream)
                with timed("detect"):
                    how = work_of_file(reader, beginning, how, table)
                yield from cut(whole, reader, how, size)
        except UnpackError as error:
            raise DeadSegment(str(error)) from error


def streamed_sha256(folder: Path, segment: Segment) -> str:
    """Of the bytes that a streamed segment has on the disk."""
    path = folder / segment.file.on_disk
    if is_packed(segment.file):
        return file_sha256(path)
    digest = hashlib.sha256()
    with path.open("rb") as raw:
        raw.seek(segment.start)
        part = _Part(raw, segment.size)
        while block := part.read(HEAD_BYTES):
            digest.update(block)
    return digest.hexdigest()


class _Part:
    """The next so many bytes of a file, as a stream."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw, self._left = raw, size

    def read(self, size: int) -> bytes:
        """As many bytes as were asked for; fewer only at the end."""
        block = self._raw.read(min(size, self._left))
        self._left -= len(block)
        return block


class _After:
    """A stream of which the beginning was read already, from that beginning on."""

    def __init__(self, beginning: bytes, stream: Stream) -> None:
        self._beginning, self._stream = io.BytesIO(beginning), stream

    def read(self, size: int) -> bytes:
        """At most as many bytes as were asked for, and none only at the end."""
        return self._beginning.read(size) or self._stream.read(size)


def _looked_ahead(stream: Stream) -> tuple[bytes, Stream]:
    """The first bytes of a stream, and the stream as if they had not been read."""
    beginning = b""
    while len(beginning) < HEAD_BYTES and (block := stream.read(HEAD_BYTES - len(beginning))):
        beginning += block
    return beginning, _After(beginning, stream)


def cut(
    stream: Stream,
    reader: Reader,
    how: SourceWork,
    size: int,
    head: bytes = b"",
    start: int = 0,
    is_whole: bool = True,
) -> Iterator[Portion]:
    """What comes out of a stream, which begins at `start` of a file that begins with `head`;
    `is_whole` says that the file ends with it."""
    first, data = start, b""
    while block := stream.read(_more(size, len(data))):
        data += block
        is_long = len(data) > LONGEST_RECORD
        with timed("parse"):
            end = reader.boundary(
                data, head or data[:HEAD_BYTES], how.options, is_first=start == 0, is_long=is_long
            )
        if not end and is_long:
            raise DeadSegment(
                f"the record that begins at byte {start:,} does not end within the next "
                f"{len(data) // 2**20} MiB: a quote in it is not closed, or [source.csv] is wrong"
            )
        if end:
            head = head or data[: min(end, HEAD_BYTES)]
            rest = data[end:] or stream.read(1)
            is_last = is_whole and not rest
            yield Portion(data[:end], head, start, how.options, is_last, is_streamed=True)
            start += end
            data = rest
    if data or start == first:
        head = head or data[:HEAD_BYTES]
        yield Portion(data, head, start, how.options, is_whole, is_streamed=True)


def _more(size: int, held: int) -> int:
    """How much to read to what is held back: as much again, so that a long record is looked at few
    times, but no more than it takes to see that it is too long."""
    if not held <= LONGEST_RECORD >= size:
        return max(size, held)
    return min(max(size, held), LONGEST_RECORD + 1 - held)


def _whole(folder: Path, file: InputFile) -> bytes:
    """All of a file, as `_opened` has it; by the system's own calls, as there may be thousands of
    files with less in them than a buffer takes time to be made."""
    descriptor = os.open(os.path.join(folder, file.on_disk), os.O_RDONLY)  # noqa: PTH118
    try:
        _check_same(descriptor, file)
        data = os.read(descriptor, file.size)
        while len(data) < file.size and (more := os.read(descriptor, file.size - len(data))):
            data += more
        _check_same(descriptor, file)
    finally:
        os.close(descriptor)
    return data


@contextmanager
def _opened(folder: Path, file: InputFile) -> Iterator[BinaryIO]:
    """The file as it lies on the disk, the one that was planned from the first byte to the last."""
    with (folder / file.on_disk).open("rb") as raw:
        _check_same(raw.fileno(), file)
        yield raw
        _check_same(raw.fileno(), file)


def _check_same(descriptor: int, file: InputFile) -> None:
    status = os.fstat(descriptor)
    if (status.st_size, status.st_mtime_ns, status.st_ino) != (
        file.size,
        file.mtime_ns,
        file.inode,
    ):
        raise DeadSegment("it changed after the run was planned: run again when it rests")
