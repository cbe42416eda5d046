"""The bytes of a segment, as a reader takes them.

A segment of a file that could be cut is one portion. What cannot be cut while planning (a packed
file, a record that no chunk holds) is read from its beginning on, a portion after the other, each
of which ends with a record: so memory stays bounded, whatever comes out of a file.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from stagepipe.contracts import DeadSegment, Reader
from stagepipe.model import InputFile, Segment
from stagepipe.packing import UnpackError, is_packed, unpacked
from stagepipe.plan.work import SourceWork

HEAD_BYTES = 2**20
LONGEST_RECORD = 2**26
"""Where so many bytes hold no record's end, the file is none that can be read."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Some records of a file: `start` is where the first of them stands in it, unpacked; `head`
    is the file's beginning. `is_streamed` says that it is not the whole segment."""

    data: bytes
    head: bytes
    start: int
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
    folder: Path, segment: Segment, reader: Reader, how: SourceWork, size: int
) -> Iterator[Portion]:
    """The portions of a segment, of about `size` bytes where it has to be cut. Raises DeadSegment
    where the file is another one now or cannot be read, and OSError."""
    if is_streamed(segment, size):
        yield from streamed(folder, segment.file, reader, how, size)
        return
    with _opened(folder, segment.file) as raw:
        raw.seek(segment.start)
        data = head = raw.read(segment.size)
        if segment.start:
            raw.seek(0)
            head = raw.read(HEAD_BYTES)
    if len(data) != segment.size:
        raise DeadSegment("it became shorter while it was read: run again when it rests")
    yield Portion(data, head, segment.start)


def streamed(
    folder: Path, file: InputFile, reader: Reader, how: SourceWork, size: int
) -> Generator[Portion]:
    """A file from its beginning to its end. Raises DeadSegment and OSError."""
    with _opened(folder, file) as raw:
        if not is_packed(file):
            yield from _cut(raw, reader, how, size)
            return
        try:
            with unpacked(raw, file, how.max_inflation) as stream:
                yield from _cut(stream, reader, how, size)
        except UnpackError as error:
            raise DeadSegment(str(error)) from error


def _cut(stream: Stream, reader: Reader, how: SourceWork, size: int) -> Iterator[Portion]:
    head, data, start = b"", b"", 0
    while block := stream.read(max(size, len(data))):
        data += block
        end = reader.boundary(data, how.options, is_first=start == 0)
        if not end and len(data) > LONGEST_RECORD:
            raise DeadSegment(
                f"the record that begins at byte {start:,} does not end within the next "
                f"{len(data) // 2**20} MiB: a quote in it is not closed, or [source.csv] is wrong"
            )
        if end:
            head = head or data[: min(end, HEAD_BYTES)]
            yield Portion(data[:end], head, start, is_streamed=True)
            start += end
            data = data[end:]
    if data or not start:
        yield Portion(data, head or data[:HEAD_BYTES], start, is_streamed=True)


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
