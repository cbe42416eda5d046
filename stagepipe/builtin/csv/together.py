"""Files that are alike, read as one: what each costs by itself is paid once for all of them.

Their records are joined and read at once, and what came out is given back to the files. How many
records each has is counted in its bytes. That the parser found as many there is sure where all came
to as many as lines end, since each takes a line at least; where lines end in quotes, too, the rows
with which the files should begin have to be what their first good records are by themselves.

What is amiss beyond single bad records is looked for in fewer files at a time, down to each by
itself, so that what is read of one never depends on the others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import pyarrow as pa

from stagepipe.builtin.csv.body import moved, moved_places, read_at_once
from stagepipe.builtin.csv.lines import LF, count_lines, view_of
from stagepipe.builtin.csv.opening import Opened, opened, read_opened
from stagepipe.builtin.csv.parsing import MOST_AT_ONCE, typed_table
from stagepipe.builtin.csv.sifting import NoSieve, is_known_to_be_bad, sift
from stagepipe.builtin.csv.structure import BOM, Structure, Survey
from stagepipe.contracts import DeadSegment, SegmentBytes, SegmentResult, TableSpec
from stagepipe.model import Reject
from stagepipe.stopwatch import timed

MOST_TO_SIFT = 4 * MOST_AT_ONCE
"""Of files like one that had bad records: what a sieve costs beside each byte is paid once."""
PARTS = 8
"""Into so many parts files are divided to be tried again: with halves it takes more rounds."""


def read_together(
    given: Sequence[SegmentBytes], spec: TableSpec, *, with_places: bool
) -> list[SegmentResult | DeadSegment]:
    """What the reader makes of each segment, or why it is dead."""
    results: list[SegmentResult | DeadSegment] = []
    for group in _groups(given, spec):
        if isinstance(group, DeadSegment):
            results.append(group)
            continue
        results += _read(group, with_places)
    return results


def _read(group: Sequence[Opened], with_places: bool) -> list[SegmentResult | DeadSegment]:
    if len(group) == 1:
        try:
            return [read_opened(group[0], with_places=with_places)]
        except DeadSegment as error:
            return [error]
    if joined := _Joined(group).read(with_places=with_places):
        return [*joined]
    step = -(-len(group) // PARTS)
    parts = (group[start : start + step] for start in range(0, len(group), step))
    return [result for part in parts for result in _read(part, with_places)]


def _groups(given: Sequence[SegmentBytes], spec: TableSpec) -> Iterator[list[Opened] | DeadSegment]:
    """The segments in their order, those that can be joined as lists."""
    group: list[Opened] = []
    size = 0
    for each in given:
        try:
            it = opened(each, spec)
        except DeadSegment as error:
            if group:
                yield group
            yield error
            group = []
            continue
        if group and not (_are_alike(group[-1], it) and size + len(it.text) <= _most(it)):
            yield group
            group = []
        size = len(it.text) + (size if group else 0)
        group.append(it)
    if group:
        yield group


def _most(it: Opened) -> int:
    """How many bytes of files like this one are joined."""
    return MOST_TO_SIFT if is_known_to_be_bad(it.layout, it.dialect) else MOST_AT_ONCE


def _are_alike(one: Opened, other: Opened) -> bool:
    return (
        _can_be_joined(one)
        and _can_be_joined(other)
        and (one.dialect, one.layout) == (other.dialect, other.layout)
    )


def _can_be_joined(it: Opened) -> bool:
    structure = it.dialect.structure
    is_plain = structure.is_plain and not structure.comment
    return is_plain and it.is_all_records and not it.text.startswith(BOM)


class _Joined:
    """The records of several files as the bytes of one."""

    def __init__(self, group: Sequence[Opened]) -> None:
        self._group = group
        self._layout, self._dialect = group[0].layout, group[0].dialect
        pieces: list[bytes | memoryview] = []
        edges = [0]
        for it in group:
            body = memoryview(it.text)[it.start :]
            pieces.append(body)
            is_ended = not body or body[-1] == LF
            if not is_ended:
                pieces.append(b"\n")
            edges.append(edges[-1] + len(body) + (not is_ended))
        self._data = b"".join(pieces)
        self._edges = edges

    @property
    def _structure(self) -> Structure:
        return self._dialect.structure

    def read(self, *, with_places: bool) -> list[SegmentResult] | None:
        """What the reader makes of each file; None where they are not to be read together."""
        data, layout, dialect = self._data, self._layout, self._dialect
        with timed("count"):
            survey = self._structure.survey(data)
            counts = self._counts(survey)
        if counts is None or not survey.records:
            return None
        try:
            whole = read_at_once(data, 0, survey, layout, dialect, with_places)
            if whole is None:
                with timed("explain"):
                    whole = sift(
                        data, 0, survey, layout, dialect, with_places=with_places, by_count=True
                    )
        except (DeadSegment, NoSieve):
            return None
        rejects = self._by_file(whole.rejects)
        if rejects is None:
            return None
        rows = [count.records - len(own) for count, own in zip(counts, rejects, strict=True)]
        is_sure = survey.lines == survey.records == whole.records
        if sum(rows) != whole.table.num_rows:
            return None
        if not is_sure and not self._begin_so(whole.table, rows, rejects):
            return None
        return list(self._results(whole, counts, rows, rejects))

    def _counts(self, survey: Survey) -> list[Survey] | None:
        """The survey of each file, without its header; None where they do not come to that of
        all."""
        if survey.lines == survey.records:
            is_end = view_of(self._data) == LF
            ends = [int(is_end[a:b].sum()) for a, b in pairwise(self._edges)]
            if sum(ends) == survey.records:  # so that each line is a record, and ends with LF
                return [Survey(count, count, True, False) for count in ends]
        counts = [self._structure.survey(self._data[a:b]) for a, b in pairwise(self._edges)]
        is_even = all(count.is_even for count in counts)
        return counts if is_even and sum(c.records for c in counts) == survey.records else None

    def _by_file(self, rejects: Sequence[Reject]) -> list[list[Reject]] | None:
        """The rejects of each file; None where one would not end where the file does."""
        found: list[list[Reject]] = [[] for _ in self._group]
        for reject in rejects:
            assert reject.byte_offset is not None
            assert reject.raw is not None
            number = bisect_right(self._edges, reject.byte_offset) - 1
            if reject.byte_offset + len(reject.raw) > self._edges[number + 1]:
                return None
            found[number].append(reject)
        return found

    def _begin_so(
        self, table: pa.Table, rows: Sequence[int], rejects: Sequence[Sequence[Reject]]
    ) -> bool:
        """Whether the rows with which the files should begin are their first good records."""
        texts, begins = [], []
        ends = accumulate(rows)
        for a, count, end, own in zip(self._edges[:-1], rows, ends, rejects, strict=True):
            if not count:
                continue
            text = self._first_but(a, {reject.byte_offset for reject in own})
            if text is None:
                return False
            texts.append(text)
            begins.append(end - count)
        firsts = typed_table(
            b"\n".join([*texts, b""]), 0, self._layout, self._dialect, is_examined=True
        )
        found = table.take(pa.array(begins, pa.int64()))
        return firsts is not None and firsts.equals(found)

    def _first_but(self, at: int, left_out: set[int | None]) -> bytes | None:
        """The first record from a place on that does not begin at one of some others."""
        patterns = self._structure.patterns
        while True:
            at = patterns.gap.match(self._data, at).end()  # type: ignore[union-attr]
            found = patterns.record.match(self._data, at)
            if found is None:
                return None
            if at not in left_out:
                return found[0]
            at = found.end()

    def _results(
        self,
        whole: SegmentResult,
        counts: Sequence[Survey],
        rows: Sequence[int],
        rejects: Sequence[Sequence[Reject]],
    ) -> Iterator[SegmentResult]:
        row = lines = 0
        for number, (it, count) in enumerate(zip(self._group, counts, strict=True)):
            edge, above = self._edges[number], count_lines(it.text[: it.start])
            is_ended = it.text.endswith((b"\n", b"\r")) or it.start == len(it.text)
            result = SegmentResult(
                whole.table.slice(row, rows[number]),
                count.records,
                above + count.lines - (not is_ended),
                [moved(reject, it.start - edge, above - lines) for reject in rejects[number]],
                header=it.layout.header,
            )
            if whole.places is not None:
                own = whole.places.slice(row, rows[number])
                places = moved_places(own, it.start - edge, above - lines)
                result = replace(result, places=places)
            yield result
            row += rows[number]
            lines += count.lines
