"""A segment up to where its records begin: its bytes as UTF-8, and its layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stagepipe.builtin.csv.body import read_body
from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.encoding import Transcoded, codec_of, transcoded
from stagepipe.builtin.csv.explain import Layout
from stagepipe.builtin.csv.headers import LastHeader
from stagepipe.builtin.csv.layout import layout_of
from stagepipe.builtin.csv.lines import count_lines
from stagepipe.builtin.csv.margins import footer_start, top
from stagepipe.builtin.csv.returning import in_file
from stagepipe.builtin.csv.tables import check_beginning, other_tables, table_end
from stagepipe.contracts import DeadSegment, SegmentBytes, SegmentResult, TableSpec
from stagepipe.kinds import other_kind
from stagepipe.model import Reject

_known: LastHeader[tuple[Layout, int]] = LastHeader()


@dataclass(frozen=True, slots=True)
class Opened:
    """A segment of which the beginning was read. Its records stand in the text from `start` to
    `end`; at `stop`, if anywhere, other tables begin, and go on to `footer`."""

    of_file: Transcoded
    dialect: Dialect
    layout: Layout
    start: int
    stop: int | None
    footer: int

    @property
    def text(self) -> bytes:
        """All of it, as UTF-8."""
        return self.of_file.text

    @property
    def end(self) -> int:
        """Where the records of the table end."""
        return self.footer if self.stop is None else self.stop

    @property
    def is_all_records(self) -> bool:
        """Whether the file's own bytes, from `start` on, are the records."""
        return self.of_file.codec is None and not self.of_file.bom and self.end == len(self.text)


def opened(given: SegmentBytes, spec: TableSpec) -> Opened:
    """Read a segment's beginning. Raises DeadSegment."""
    data, segment, dialect = given.data, given.segment, Dialect.of(given.options)
    is_start = segment.start == 0
    raw_head = data if is_start else given.head
    codec = codec_of(raw_head, dialect.codec)
    of_file = transcoded(data, codec, is_start=is_start)
    text = of_file.text
    head = text if is_start else transcoded(given.head, codec).text
    try:
        layout, start = _known.told(head, spec, dialect) or _begun(head, spec, dialect)
    except DeadSegment as error:
        if (kind := other_kind(raw_head)) is None:
            raise
        raise DeadSegment(f"it is no CSV file: it begins as {kind}") from error
    start = start if is_start else 0
    end = len(text)
    if dialect.margins.skip_footer and given.is_last:
        end = footer_start(text, start, dialect.margins.skip_footer)
    stop = None
    if dialect.margins.has_others and not segment.file.is_mended:
        it, width = dialect.structure, layout.usual
        if is_start and dialect.margins.header_records:
            check_beginning(text[:end], start, it)
        stop = table_end(text[:end], start, it, width, is_begun=not is_start)
    return Opened(of_file, dialect, layout, start, stop, end)


def _begun(head: bytes, spec: TableSpec, dialect: Dialect) -> tuple[Layout, int]:
    """The layout of a file that begins like this, and where its records begin. Raises
    DeadSegment."""
    beginning = top(head, dialect.structure, dialect.margins)
    layout = layout_of(head, beginning, spec, dialect)
    if beginning.header:
        _known.keep(head[: beginning.start], (layout, beginning.start), spec, dialect)
    return layout, beginning.start


def read_opened(it: Opened, *, with_places: bool) -> SegmentResult:
    """The records as a table, and those that are bad as rejects. Raises DeadSegment."""
    text = it.text
    body = text if it.end == len(text) else text[: it.end]
    result = read_body(body, it.start, it.layout, it.dialect, with_places)
    if it.stop is not None:
        others = other_tables(text[: it.footer], it.stop, it.dialect.structure)
        result = _with_others(result, list(others))
    if it.end < len(text):
        result = replace(result, lines=count_lines(text))
    return in_file(replace(result, header=it.layout.header), it.of_file)


def _with_others(result: SegmentResult, others: Sequence[Reject]) -> SegmentResult:
    """The result with a reject for each of the tables that follow."""
    return replace(
        result,
        records=result.records + len(others),
        rejects=[*result.rejects, *others],
        other_tables=len(others),
    )
