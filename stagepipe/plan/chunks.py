"""Cutting and packing: big files into segments, small files together into chunks. Pure.

Chunks are filled in file order, so that a file that comes last (a new day's, by name) leaves all
chunks but the last as they were, and their finished parts can be taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from stagepipe.model import Chunk, InputFile, Segment


def segments(
    file: InputFile, cuts: Sequence[int], lines: Sequence[int] | None = None
) -> Iterator[Segment]:
    """The pieces of a file between its cuts; an empty file is one empty segment. `lines` are those
    that begin at the cuts, where they are wanted."""
    edges = [0, *cuts, file.size]
    first_lines = [0] * (len(cuts) + 1) if lines is None else [1, *lines]
    for (start, end), line in zip(pairwise(edges), first_lines, strict=True):
        yield Segment(file, start, end, line)


def pack(
    pieces: Iterable[tuple[str, Segment]], chunk_size: int, first_index: int = 0
) -> Iterator[Chunk]:
    """Chunks of about `chunk_size` bytes, each of one source, from segments in order."""
    index, source, size = first_index, "", 0
    held: list[Segment] = []
    for name, segment in pieces:
        if held and (name != source or size + segment.size > chunk_size):
            yield Chunk(index, source, tuple(held))
            index, size, held = index + 1, 0, []
        source = name
        size += segment.size
        held.append(segment)
    if held:
        yield Chunk(index, source, tuple(held))
