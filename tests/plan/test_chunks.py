"""Cutting and packing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagepipe.model import InputFile, Segment
from stagepipe.plan.chunks import pack, segments


def file(path: str, size: int) -> InputFile:
    return InputFile(path, size, 1, 1)


def whole(path: str, size: int) -> Segment:
    return Segment(file(path, size), 0, size)


@pytest.mark.parametrize(
    ("size", "cuts", "expected"),
    [
        (0, [], [(0, 0)]),
        (10, [], [(0, 10)]),
        (10, [4], [(0, 4), (4, 10)]),
        (10, [1, 9], [(0, 1), (1, 9), (9, 10)]),
    ],
)
def test_segments_lie_between_the_cuts(
    size: int, cuts: list[int], expected: list[tuple[int, int]]
) -> None:
    """A file is cut at its cuts and nowhere else; an empty file is one empty segment."""
    found = list(segments(file("a", size), cuts))
    assert [(segment.start, segment.end) for segment in found] == expected


@pytest.mark.parametrize(
    ("pieces", "chunk_size", "expected"),
    [
        ([], 10, []),
        ([("x", 0)], 10, [[0]]),
        ([("x", 5), ("x", 5)], 10, [[5, 5]]),
        ([("x", 5), ("x", 6)], 10, [[5], [6]]),
        ([("x", 50), ("x", 1)], 10, [[50], [1]]),
        ([("x", 1), ("y", 1), ("y", 1)], 10, [[1], [1, 1]]),
        ([("x", 10), ("x", 0), ("x", 0)], 10, [[10, 0, 0]]),
    ],
)
def test_pack_fills_chunks_in_order(
    pieces: list[tuple[str, int]], chunk_size: int, expected: list[list[int]]
) -> None:
    """Segments of one source are packed as long as they fit, and a larger one stays alone."""
    named = [(source, whole(f"{number}", size)) for number, (source, size) in enumerate(pieces)]
    chunks = list(pack(named, chunk_size))
    assert [[segment.size for segment in chunk.segments] for chunk in chunks] == expected


@st.composite
def cut_files(draw: st.DrawFn) -> list[tuple[str, Segment]]:
    """Segments of some files of some sources, in order."""
    found = []
    for number, source in enumerate(sorted(draw(st.lists(st.sampled_from("abc"), max_size=12)))):
        size = draw(st.integers(0, 60))
        cuts = sorted(draw(st.sets(st.integers(1, size - 1), max_size=5))) if size > 1 else []
        found += [(source, s) for s in segments(file(f"{source}/{number:03}", size), cuts)]
    return found


@given(cut_files(), st.integers(1, 50), st.integers(0, 9))
def test_every_byte_is_packed_once_and_in_order(
    pieces: list[tuple[str, Segment]], chunk_size: int, first_index: int
) -> None:
    """Unpacking all chunks gives back just the segments, each with its own source."""
    chunks = list(pack(pieces, chunk_size, first_index))
    unpacked = [(chunk.source, segment) for chunk in chunks for segment in chunk.segments]
    assert unpacked == pieces
    assert [c.index for c in chunks] == list(range(first_index, first_index + len(chunks)))


@given(cut_files(), st.integers(1, 50))
def test_chunks_are_as_full_as_they_may_be(
    pieces: list[tuple[str, Segment]], chunk_size: int
) -> None:
    """No chunk is larger than asked, but for a single segment, and none could take its next."""
    chunks = list(pack(pieces, chunk_size))
    for chunk in chunks:
        assert chunk.segments
        last = chunk.segments[-1].size
        assert chunk.size <= chunk_size or chunk.size == last or chunk.segments[0].size == last
        assert len(chunk.segments) == 1 or chunk.size <= chunk_size
    for before, after in pairwise(chunks):
        is_full = before.size + after.segments[0].size > chunk_size
        assert is_full or before.source != after.source


@given(cut_files(), st.integers(1, 50), st.integers(0, 60))
def test_a_file_that_comes_last_moves_no_other(
    pieces: list[tuple[str, Segment]], chunk_size: int, size: int
) -> None:
    """All chunks but the last stay as they were when a file is added at the end."""
    before = list(pack(pieces, chunk_size))
    after = list(pack([*pieces, ("c", whole("c/999", size))], chunk_size))
    assert after[: max(len(before) - 1, 0)] == before[:-1]
