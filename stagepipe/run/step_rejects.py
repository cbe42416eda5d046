"""The way back from a row that a step or an inner barrier rejected to the record that it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from stagepipe.contracts import DeadSegment, Reader, TableSpec
from stagepipe.errors import TaskError
from stagepipe.model import Chunk, Reject, Segment, printable
from stagepipe.plan.work import Work
from stagepipe.plugins import Plugins
from stagepipe.record.mended import origins_of
from stagepipe.run.applying import StepReject
from stagepipe.run.places import OFFSET_BITS
from stagepipe.run.portions import Portion, portions


class Place(NamedTuple):
    """A record in its file: the line from its segment's first, and what stands in it for each of
    the table's columns where that was asked for."""

    file: str
    line: int | None
    byte_offset: int
    raw: bytes
    texts: Sequence[str | None] = ()


def raw_rejects(
    plugins: Plugins, work: Work, chunk: Chunk, found: Sequence[StepReject]
) -> Iterator[tuple[int, Reject]]:
    """Rejects of steps with their files, lines (from the segment's first) and bytes, as far as the
    way back is known; each with the number of its segment. Raises TaskError."""
    known = {each.record for each in found if each.record is not None}
    spec = work.table if any(each.is_duplicate for each in found) else None
    places = _places_of(plugins, work, chunk, known, spec) if chunk.source in work.sources else {}
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
        yield each.record >> OFFSET_BITS, placed(plain, each, places[each.record], work.table)


def placed(plain: Reject, found: StepReject, place: Place, spec: TableSpec) -> Reject:
    """A reject with its place, and a duplicate's columns and value."""
    reject = plain._replace(
        file=place.file, line=place.line, byte_offset=place.byte_offset, raw=place.raw
    )
    if not found.is_duplicate:
        return reject
    column, *others = found.columns
    names = [each.name for each in spec.columns]
    also = ", ".join(f"{name}:{found.reason}" for name in others)
    return reject._replace(column=column, value=place.texts[names.index(column)], also=also or None)


def _places_of(
    plugins: Plugins, work: Work, chunk: Chunk, records: Iterable[int], spec: TableSpec | None
) -> dict[int, Place]:
    """Where these records are, with their texts where `spec` asks for them. Each segment is read
    once again."""
    by_segment: dict[int, list[int]] = {}
    for record in sorted(records):
        by_segment.setdefault(record >> OFFSET_BITS, []).append(record & (1 << OFFSET_BITS) - 1)
    how = work.sources[chunk.source]
    reader: Reader = plugins.reader(how.reader)
    found: dict[int, Place] = {}
    for number, offsets in by_segment.items():
        segment = chunk.segments[number]
        file = printable(segment.file.path)
        again = portions(Path(work.folder), segment, reader, how, work.chunk_size, work.table)
        try:
            for place in _found_in(file, again, offsets, reader, spec):
                found[(number << OFFSET_BITS) + place.byte_offset] = _at_origin(
                    place, segment, Path(work.folder)
                )
        except (DeadSegment, OSError) as error:
            raise TaskError(
                f"{file} cannot be read again for a rejected row: {error}",
                "run again when the file rests",
            ) from error
    return found


def _at_origin(place: Place, segment: Segment, folder: Path) -> Place:
    """A record's place; of one that came back mended that of the record itself."""
    if not segment.file.is_mended:
        return place
    file, line, byte_offset = origins_of(folder / segment.file.path).at(place.byte_offset)
    return place._replace(file=file, line=line, byte_offset=byte_offset)


def _found_in(
    file: str,
    again: Iterable[Portion],
    offsets: Sequence[int],
    reader: Reader,
    spec: TableSpec | None,
) -> Iterator[Place]:
    """The places of the records at these offsets, which ascend."""
    lines = 0
    for portion in again:
        end = portion.start + len(portion.data)
        inside = [offset for offset in offsets if portion.start <= offset < end]
        places = [offset - portion.start for offset in inside]
        found = reader.records_at(portion.data, portion.head, places, portion.options)
        raws = [raw for _, raw in found]
        texts: Sequence[Sequence[str | None]] = [()] * len(raws)
        if spec is not None and raws:
            texts = reader.texts(raws, portion.head, spec, portion.options)
        for offset, (line, raw), each in zip(inside, found, texts, strict=True):
            yield Place(file, lines + line, offset, raw, each)
        if not portion.is_streamed:
            return
        lines += reader.count_lines(portion.data, portion.head, portion.options)
