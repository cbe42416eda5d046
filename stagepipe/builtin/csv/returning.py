"""The way back: places and bytes in a copy or in UTF-8 become those of the file itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.encoding import Transcoded, codec_of, transcoded
from stagepipe.builtin.csv.explain import Layout, take_apart
from stagepipe.builtin.csv.layout import layout_of
from stagepipe.builtin.csv.lines import count_lines
from stagepipe.builtin.csv.margins import top
from stagepipe.builtin.csv.plain import Copy, plain_copy
from stagepipe.builtin.csv.structure import Span, Structure
from stagepipe.contracts import DeadSegment, SegmentResult, TableSpec
from stagepipe.model import Reject

DISAGREEMENT = (
    "stagepipe's two ways to read these bytes disagree, so neither is trusted; "
    "please report this file as a defect"
)


def from_copy(
    result: SegmentResult, copy: Copy, text: bytes, start: int, structure: Structure
) -> SegmentResult:
    """What was read from a copy of the text's records, with the places and bytes of the text, and
    with the records that are not in the copy. Raises DeadSegment where the copy lacks others."""
    if not copy.is_sound or result.records != len(copy.spans):
        raise DeadSegment(DISAGREEMENT)
    found = [(copy.span(reject.byte_offset or 0), reject) for reject in result.rejects]
    found += [(span, UNCLOSED) for span in copy.unclosed]
    found.sort(key=lambda each: each[0].start)
    places = None
    if result.places is not None:
        begins = [copy.span(offset).start for offset in result.places["offset"].to_pylist()]
        places = structure.places_at(text, start, begins)
    records = result.records + len(copy.unclosed)
    lines = count_lines(text)
    return SegmentResult(result.table, records, lines, list(_placed(found, text)), places)


UNCLOSED = Reject("", None, None, None, "", None, None, "unclosed_quote", None, None)


def _placed(found: Sequence[tuple[Span, Reject]], text: bytes) -> Iterator[Reject]:
    line, before = 1, 0
    for (start, end, _), reject in found:
        line += count_lines(text[before:start])
        before = start
        yield reject._replace(line=line, byte_offset=start, raw=text[start:end])


def in_file(result: SegmentResult, of_file: Transcoded) -> SegmentResult:
    """What was read from text, with the places and bytes of the file."""
    if of_file.codec is None:
        return result
    edges = [(r.byte_offset or 0, (r.byte_offset or 0) + len(r.raw or b"")) for r in result.rejects]
    places = result.places
    begins = [] if places is None else places["offset"].to_pylist()
    there = of_file.places_in_file([*begins, *(edge for pair in edges for edge in pair)])
    rejects = [
        reject._replace(byte_offset=there[start], raw=of_file.raw[there[start] : there[end]])
        for reject, (start, end) in zip(result.rejects, edges, strict=True)
    ]
    if places is not None:
        offsets = pa.array([there[offset] for offset in begins], pa.int64())
        places = pa.table([offsets, places["line"]], schema=places.schema)
    return replace(result, rejects=rejects, places=places)


def records_at(
    of_file: Transcoded, offsets: Sequence[int], structure: Structure
) -> list[tuple[int, bytes]]:
    """The lines on which the records at these offsets of the file begin, and their bytes. Raises
    ValueError where none begins."""
    try:
        there = of_file.places_in_text(offsets)
    except KeyError as error:
        raise ValueError(f"no record begins at byte {error}") from None
    found: dict[int, tuple[int, Span]] = {}
    line = 1
    before = 0
    for offset, place in there.items():
        span = structure.record_at(of_file.text, place)
        line += count_lines(of_file.text[before:place])
        before = place
        found[offset] = (line, span)
    here = of_file.places_in_file(span.end for _, span in found.values())
    return [(found[o][0], of_file.raw[o : here[found[o][1].end]]) for o in offsets]


def texts(
    records: Sequence[bytes], head: bytes, spec: TableSpec, dialect: Dialect
) -> list[list[str | None]]:
    """What stands in records of a file for each of the spec's columns, as `explain` has it; `head`
    is the file's beginning. Raises ValueError where one is no record."""
    codec = codec_of(head, dialect.codec)
    head = transcoded(head, codec).text
    layout = layout_of(head, top(head, dialect.structure, dialect.margins), spec, dialect)
    found = []
    for record in records:
        fields = _fields(transcoded(record, codec, is_start=False).text, layout, dialect)
        found.append([None if at is None else fields[at] for at in layout.positions])
    return found


def _fields(text: bytes, layout: Layout, dialect: Dialect) -> list[str]:
    copy = plain_copy(text, 0, dialect.structure, layout.usual)
    data, structure = (text, dialect.structure) if copy is None else (copy.data, copy.structure)
    record, *others = take_apart(data, 0, structure, layout, dialect.text_errors)
    if record.fields is None or others:
        raise ValueError("these bytes are no record of the file")
    return record.fields
