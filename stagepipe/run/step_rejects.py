"""The way back from a row that a step rejected to the record that it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from stagepipe.contracts import DeadSegment, Reader
from stagepipe.errors import TaskError
from stagepipe.model import Chunk, Reject, printable
from stagepipe.plan.work import SourceWork, Work
from stagepipe.plugins import Plugins
from stagepipe.run.applying import StepReject
from stagepipe.run.portions import Portion, portions
from stagepipe.run.reading import OFFSET_BITS


def raw_rejects(
    plugins: Plugins, work: Work, chunk: Chunk, found: Sequence[StepReject]
) -> Iterator[tuple[int, Reject]]:
    """Rejects of steps with their files, lines (from the segment's first) and bytes, as far as the
    way back is known; each with the number of its segment. Raises TaskError."""
    known = {each.record for each in found if each.record is not None}
    places = _places_of(plugins, work, chunk, known) if chunk.source in work.sources else {}
    for each in found:
        plain = Reject(
            source=printable(chunk.source),
            file=None,
            line=None,
            byte_offset=None,
            stage="",
            column=None,
            value=None,
            reason=each.reason,
            also=None,
            raw=None,
        )
        if each.record is None or each.record not in places:
            yield 0, plain
            continue
        file, line, byte_offset, raw = places[each.record]
        placed = plain._replace(file=file, line=line, byte_offset=byte_offset, raw=raw)
        yield each.record >> OFFSET_BITS, placed


def _places_of(
    plugins: Plugins, work: Work, chunk: Chunk, records: Iterable[int]
) -> dict[int, tuple[str, int, int, bytes]]:
    """File, line, byte offset and raw bytes of these records. Each segment is read once again."""
    by_segment: dict[int, list[int]] = {}
    for record in sorted(records):
        by_segment.setdefault(record >> OFFSET_BITS, []).append(record & (1 << OFFSET_BITS) - 1)
    how = work.sources[chunk.source]
    reader: Reader = plugins.reader(how.reader)
    found = {}
    for number, offsets in by_segment.items():
        segment = chunk.segments[number]
        file = printable(segment.file.path)
        again = portions(Path(work.folder), segment, reader, how, work.chunk_size)
        try:
            for offset, line, raw in _found_in(again, offsets, reader, how):
                found[(number << OFFSET_BITS) + offset] = (file, line, offset, raw)
        except (DeadSegment, OSError) as error:
            raise TaskError(
                f"{file} cannot be read again for a rejected row: {error}",
                "run again when the file rests",
            ) from error
    return found


def _found_in(
    again: Iterable[Portion], offsets: Sequence[int], reader: Reader, how: SourceWork
) -> Iterator[tuple[int, int, bytes]]:
    """Offset in the file, line from the segment's first, and bytes of the records at these offsets,
    which ascend."""
    lines = 0
    for portion in again:
        end = portion.start + len(portion.data)
        inside = [offset for offset in offsets if portion.start <= offset < end]
        places = [offset - portion.start for offset in inside]
        placed = reader.records_at(portion.data, portion.head, places, how.options)
        for offset, (line, raw) in zip(inside, placed, strict=True):
            yield offset, lines + line, raw
        if not portion.is_streamed:
            return
        lines += reader.count_lines(portion.data, portion.head, how.options)
