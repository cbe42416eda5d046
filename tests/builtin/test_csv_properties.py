"""The CSV reader against a slow and simple one, on hostile bytes and in any pieces."""

from __future__ import annotations

import os
import re
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from io import BytesIO
from itertools import pairwise
from unittest import mock

import csv_reference
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from stagepipe.builtin.csv import body, convert, cutting, parsing, sifting
from stagepipe.builtin.csv import lines as lines_module
from stagepipe.builtin.csv.cutting import HEAD_BYTES
from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.encoding import transcoded
from stagepipe.builtin.csv.explain import take_apart, unfit_records
from stagepipe.builtin.csv.layout import layout_of
from stagepipe.builtin.csv.margins import top
from stagepipe.builtin.csv.plain import plain_copy
from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.builtin.csv.structure import Structure
from stagepipe.contracts import ColumnSpec, DeadSegment, SegmentBytes, TableSpec
from stagepipe.model import InputFile, Segment
from stagepipe.plan.work import SourceWork
from stagepipe.run import portions

EXAMPLES = int(os.environ.get("STAGEPIPE_EXAMPLES", "60"))
some = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

KINDS = (
    pa.string(),
    pa.int8(),
    pa.int64(),
    pa.uint16(),
    pa.float32(),
    pa.float64(),
    pa.decimal128(4, 2),
    pa.decimal128(38, 20),
    pa.bool_(),
    pa.date32(),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.time64("us"),
)
CHECKS = {
    pa.string(): [("max_length", 3), ("one_of", ("a", "1", "")), ("pattern", "[^\n]*")],
    pa.int8(): [("min", 0), ("max", 9)],
    pa.float64(): [("min", 0.5), ("max", 20.0)],
}
# Delimiter, quote, escape, comment.
DIALECTS = (
    *((",", '"', None, None), (";", "", None, None), ("\t", '"', None, None)),
    *((" ", "'", None, None), ("a", '"', None, None), ("|", "x", None, None)),
    *((",", '"', None, "#"), (";", "", None, "--"), (",", '"', "\\", None), (",", '"', '"', "é")),
    *(("||", '"', None, None), ("ab", "'", "\\", "#"), ("§", "«", None, None)),
    *(("::", "", "\\", "//"), ("é\t", '"', "^", "-"), ("|", "é", "x", "#")),
)
ENCODINGS = ("iso8859-1", "cp1252", "ascii", "cp437", "cp037", "utf-16", "utf-16-be", "utf-32-le")
ENCODINGS += ("shift_jis", "cp932", "gb18030", "euc_jp", "iso2022_jp", "hz", "big5")
NULLS = (("",), ("", "NA"), (), ("0", "NA"), ("\n", "true"))
NAMES = ("p", "q", "r", "s")
FORMATS = {
    pa.date32(): ("%d.%m.%Y", "%Y%m%d", "%m/%d/%y", "%b %d %Y", "%d%B%Y", "%%%d.%m1%Y"),
    pa.timestamp("us"): ("%d.%m.%Y %H:%M", "%Y%m%d%H%M%S", "%m/%d/%Y %I:%M %p", "%d.%m.%Y"),
    pa.timestamp("us", "UTC"): ("%d.%m.%Y %H:%M %z", "%d/%b/%Y:%H:%M:%S.%f%z"),
    pa.time64("us"): ("%H.%M", "%I:%M:%S.%f%p", "%H%M%S%f", "%H"),
}
DEFAULTS = {
    pa.string(): "d",
    pa.int8(): 7,
    pa.uint16(): 0,
    pa.float64(): 0.25,
    pa.decimal128(4, 2): Decimal("1.5"),
    pa.bool_(): False,
    pa.date32(): date(2000, 2, 29),
    pa.timestamp("us", "UTC"): datetime(2000, 1, 1, tzinfo=UTC),
    pa.time64("us"): time(1, 2, 3),
}
BITS = (b"\n", b"\r", b"\r\n", b"0", b"1", b"a", b"x", b"X", b"e", b"-", b".", b"+", b" ", b"\t")
BITS += (b"\x00", b"\xff", b"\xc3", "é".encode(), "\U0001f40d".encode(), csv_reference.BOM, b"0x1A")
TEXTS = (b"", b"12", b"-7", b"300", b"0x1A", b"1.50", b"9.999", b"1e400", b"1e-2", b"5e-45", b"nan")
TEXTS += (b"NA", b"true", b"2013-01-18", b"2013-02-29", b"2013-01-18 10:11:12.5", b"10:11", b"x y")
TEXTS += ("naïve".encode(), b"N840XA", b'6" deep', b"0", b"99.99", b"100", b"-inf", b"a\xffb")

FITTING = {
    pa.int8(): (b"12", b"-7", b" 0", b"007"),
    pa.int64(): (b"12", b"-7", b"300", b"0\t"),
    pa.uint16(): (b"12", b"300"),
    pa.float32(): (b"12", b"1.50", b"-7", b"1e-2", b"1e-50"),
    pa.float64(): (b"12", b"1.50", b"9.999", b"1e-2", b"1e-400"),
    pa.decimal128(4, 2): (b"12", b"1.50", b"99.99", b"-7"),
    pa.decimal128(38, 20): (b"12", b"1.50", b"9.999", b"5e-20"),
    pa.bool_(): (b"true", b"0"),
    pa.date32(): (b"2013-01-18",),
    pa.timestamp("us", "UTC"): (b"",),
    pa.timestamp("us"): (b"2013-01-18 10:11:12.5", b"2013-01-18"),
    pa.time64("us"): (b"10:11",),
}
WORDS = (b"", b"a", b"x y", b'6" deep', b"\n", b"a\nb,c", b"\r\n", b",", b";", b"N840XA", b"e-1")


NUMBERS = [text.encode() for text in (
    *("1.234", "1,234", "12,5", "1.234,5", "1,234.5", "1.23", "0.123", "0,123", "1.234.567,89"),
    *("1,234,567.89", "12.34,5", "1234.567", "-1 234", "+1'234'567", "1\u202f234,5", "1.2.3"),
    *("1e3", "1,5e3", "1.234e-2", "9_999", ".5", ",5", ",", ".", "-", "1.234,", "Inf", "1..234"),
    *("1.234,567.8", "1\u202f23", "1.234.56", "1,2,3", "4.000", "4,00", " 1.5", "1,5\t", "12 "),
)]  # fmt: skip
TRUTHS = (b"ja", b"nein", b"Y", b"y", b"1", b"0", b"true", b"false", b" ja", b"JA", b"j")
DAYS = [text.encode() for text in (
    *("31.12.2024", "1.2.2024", "29.02.2023", "29.02.2024", "31.02.2024", "20241231", "2024123"),
    *("12/31/24", "1/1/69", "12/31/68", "Dec 31 2024", "DEC 1 2024", "Dez 31 2024", "May 1 2024"),
    *("1March2024", "31december0000", "3Sept2024", "%1.121999", "%01.1212024", "31.12.24"),
    *("31.12.2024 23:59", "31.12.2024 24:00", "1.1.2024 0:00", "20241231235960", "20241231235959"),
    *("12/31/2024 12:00 AM", "12/31/2024 12:30 pm", "1/1/2024 0:30 AM", "1/1/2024 13:00 PM"),
    *("31.12.2024 23:59 +0100", "31.12.2024 23:59 -05", "1.1.2024 1:02 Z", "1.1.2024 1:02 +1"),
    *("1.1.2024 1:02 +24:00", "1.1.2024 1:02 z", "31/Dec/2024:10:11:12.5+01:00", "10.5", "7"),
    *("1/jan/2024:1:1:1.1234567Z", "12:00:00.5AM", "01:2:3.000001pm", "1011125", "10111", "23"),
    *("\u0663\u0661.12.2024", "31.12.2024 ", " 31.12.2024", "31.12.2024x", "31-12-2024", "24"),
    *("31.12.2024\n", "+1.12.2024", "1.1.10000", "0.1.2024", "1.0.2024", "1.13.2024", "5.60"),
)]  # fmt: skip
LIKELY = (*NUMBERS, *TRUTHS, *DAYS)


@st.composite
def notations(draw):
    """How values are written; half of all files need nothing of it."""
    if draw(st.booleans()):
        return {}
    has_comma = draw(st.booleans())
    others = [None, None, "'", " ", "\u202f", "_", "." if has_comma else ","]
    words = [(None, None), (("ja", "Y"), ("nein",)), (("x", "1"), None), (None, ("y", "0", ""))]
    true, false = draw(st.sampled_from(words))
    return {
        "decimal_comma": has_comma,
        "thousands": draw(st.sampled_from(others)),
        "true_values": true,
        "false_values": false,
        "trim": draw(st.sampled_from((False, False, True))),
    }


def fitting(column, options):
    """Fields that fit, as a file with these options would have them."""
    names = {field.name for field in fields_of(csv_reference.Written)}
    written = {name: value for name, value in options.items() if name in names}
    return _fitting(column.arrow_type, column.format, csv_reference.Written(**written))


@cache
def _fitting(kind, format, how):
    column = ColumnSpec("a", "a", kind, format=format)
    texts = [*FITTING.get(kind, WORDS), *LIKELY]
    return [text for text in texts if _fits(text.decode(), column, how)] or [b""]


def _fits(text, column, how):
    try:
        csv_reference.value_of(text, column, how)
    except ValueError:
        return False
    return True


@st.composite
def specs(draw, width):
    """Columns over some of the file's fields, in any order."""
    wanted = draw(st.permutations(NAMES[:width]))[: draw(st.integers(1, width))]
    columns = []
    for name in wanted:
        kind = draw(st.sampled_from(KINDS))
        checks = [c for c in CHECKS.get(kind, ()) if draw(st.sampled_from((False, False, True)))]
        required = draw(st.sampled_from((False, False, True)))
        formats = FORMATS.get(kind, ())
        wanted_format = draw(st.sampled_from((None, *formats))) if formats else None
        default = DEFAULTS.get(kind) if draw(st.sampled_from((False, False, True))) else None
        more = (required, tuple(checks), wanted_format, default)
        columns.append(ColumnSpec(name.upper(), name, kind, *more))
    if draw(st.sampled_from((False,) * 5 + (True,))):
        default = draw(st.sampled_from((None, 5)))
        columns.append(ColumnSpec("Z", "z", pa.int8(), required=True, default=default))
    return TableSpec(tuple(columns), extra_columns="ignore", missing_columns="null")


def hostile_bodies(delimiter, quote, escape, comment):
    """Any bytes of a small alphabet."""
    marks = (delimiter.encode(),) * 4 + (quote.encode(),) * 4 + (b"\n",) * 3
    marks += ((escape or "").encode(),) * 3 + ((comment or "").encode(),) * 2
    return st.lists(st.sampled_from(marks + BITS + TEXTS + LIKELY), max_size=30).map(b"".join)


@st.composite
def plausible_bodies(draw, columns, options, is_trailing):
    """Records that are mostly whole, with values and quoting that are mostly right."""
    delimiter, mark = options["delimiter"].encode(), options["quote"].encode()
    comment = (options["comment"] or "").encode()
    doubled = st.sampled_from((mark * 2, (options["escape"] or options["quote"]).encode() + mark))
    pools = [fitting(column, options) if column else WORDS for column in columns]
    blanks = (b"", b"", b" ", b"\t ") if options.get("trim") else (b"",)
    end = draw(st.sampled_from((b"\n", b"\n", b"\r\n", b"\r")))
    is_clean = draw(st.booleans())
    is_bare = draw(st.sampled_from((False, False, False, True)))
    is_open = False  # whether the record before has a quote that a quoted value here may close
    records = []
    for _ in range(draw(st.integers(0, 14 if is_bare else 6))):
        fields = []
        for pool in pools:
            if not is_clean and draw(st.integers(0, 7)) == 0:
                pool = TEXTS + BITS + LIKELY
            field = draw(st.sampled_from(blanks)) + draw(st.sampled_from(pool))
            field += draw(st.sampled_from(blanks))
            special = (b"\n", b"\r", delimiter, *([mark] if mark else []))
            must = any(byte in field for byte in special)
            if is_bare:
                field = b"" if must else field
            elif draw(st.sampled_from((must, must, must, True))):
                field = mark + field.replace(mark, draw(doubled)) + mark if mark else field
            fields.append(field)
        if is_open:
            words = (b"x", b"x y", b"", b" ", delimiter + b"x")
            fields[draw(st.integers(0, len(columns) - 1))] = (
                mark + draw(st.sampled_from(words)) + mark
            )
        is_open = bool(mark) and not is_clean and draw(st.integers(0, 5)) == 0
        if is_open:
            fields[draw(st.integers(0, len(columns) - 1))] = mark + b"x"
        elif is_bare and draw(st.integers(0, 5)) == 0:
            fields[draw(st.integers(0, len(columns) - 1))] = mark + b"x" + end
        elif not is_clean and draw(st.integers(0, 3)) == 0:
            stray = draw(st.sampled_from((mark, mark, b"a" + mark, b"")))
            fields[draw(st.integers(0, len(columns) - 1))] += stray
            fields[draw(st.integers(0, len(columns) - 1))] = stray
        fields += [b""] * is_trailing
        records.append(delimiter.join(fields))
        if comment and draw(st.integers(0, 2)) == 0:
            records.append(comment + draw(st.sampled_from((b"", mark, b"x", b"1,2"))))
    return end.join(records) + draw(st.sampled_from((end, end, b"")))


@st.composite
def cases(draw):
    """A file, its schema and its dialect."""
    marks = delimiter, quote, escape, comment = draw(st.sampled_from(DIALECTS))
    width = draw(st.integers(1, 4))
    spec = draw(specs(width))
    is_trailing = draw(st.sampled_from((False,) * 5 + (True,)))
    if draw(st.booleans()) and {c.header for c in spec.columns} == {*NAMES[:width]}:
        spec = replace(spec, extra_columns="refuse")
    nulls = draw(st.sampled_from(NULLS))
    options = {"delimiter": delimiter, "quote": quote, "null_values": nulls, **draw(notations())}
    options |= {"escape": escape, "comment": comment}
    by_name = {column.header: column for column in spec.columns}
    columns = [by_name.get(name) for name in NAMES[:width]]
    plausible = plausible_bodies(columns, options, is_trailing)
    body = draw(st.one_of(hostile_bodies(*marks), plausible, plausible))
    end = draw(st.sampled_from((b"\n", b"\n", b"\r\n", b"\r")))
    blank = " " if options.get("trim") and delimiter[0] not in " \t" else ""
    names = [name + blank for name in NAMES[:width]]
    top = delimiter.join([*names, *[blank] * is_trailing]).encode() + end
    if draw(st.integers(0, 5)) == 0:
        options["header"] = draw(st.sampled_from((0, False, 1, 2)))
        top = {0: b"", 1: top, 2: _in_two(names, delimiter, end)}[int(options["header"])]
    if draw(st.integers(0, 5)) == 0:
        options["skip_lines"] = draw(st.integers(1, 3))
        line = st.sampled_from((b"", quote.encode(), b"a" + delimiter.encode(), b"\xff"))
        top = b"".join(draw(line) + end for _ in range(options["skip_lines"])) + top
    else:
        top = draw(st.sampled_from((b"", b"", b"", b"\n\r\n"))) + top
    if draw(st.integers(0, 5)) == 0:
        options["skip_footer"] = draw(st.integers(1, 3))
    if draw(st.integers(0, 5)) == 0:
        options["tables"] = "first"
        void = draw(st.sampled_from((b"", b" \t", delimiter.encode(), delimiter.encode() * 2)))
        others = (end, void + end, top, b"Total" + end, quote.encode() + end, b"x" + end)
        body += draw(st.sampled_from((b"", end))) + void + end
        body += b"".join(draw(st.lists(st.sampled_from(others), max_size=6)))
    data = top + body
    if draw(st.integers(0, 2)) == 0:
        options["encoding"] = draw(st.sampled_from([e for e in ENCODINGS if _has(e, marks)]))
        data = _encoded(data, options["encoding"])
    else:
        data = draw(st.sampled_from((b"", b"", b"", csv_reference.BOM))) + data
    for key in draw(st.sets(st.sampled_from(("escape", "comment")))):
        if options[key] is None:  # as options are where nobody names it
            del options[key]
    try:
        top_of(data, options)
    except DeadSegment:
        assume(False)
    assume(not csv_reference.is_ambiguous(data, **options))
    return data, spec, options


def top_of(data, options):
    """What the reader makes of a file's beginning."""
    dialect = Dialect.of(options)
    text = transcoded(data, dialect.codec).text
    return top(text, dialect.structure, dialect.margins)


def _has(encoding, marks):
    """Whether an encoding has these characters."""
    text = "".join(filter(None, marks))
    return text.encode(encoding, "ignore").decode(encoding) == text


def _in_two(names, delimiter, end):
    """A header of two lines that has these names."""
    above = [name if n % 2 else "" for n, name in enumerate(names)]
    below = ["" if n % 2 else name for n, name in enumerate(names)]
    lines = (delimiter.join(line).encode() for line in (above, below))
    return b"".join((line or delimiter.encode()) + end for line in lines)


def _encoded(data, encoding):
    """UTF-8 with bad bytes in another encoding; what that lacks is a question mark."""
    pieces = (
        [data] if encoding.startswith("utf-") else re.split(rb"(\xff|\xc3(?![\x80-\xbf]))", data)
    )
    is_bad = False
    found = b""
    for piece in pieces:
        text = piece.decode("utf-8", "replace")
        found += piece if is_bad else text.encode(encoding, "replace")
        is_bad = not is_bad
    return found


def whole(data):
    return Segment(InputFile("f.csv", len(data), 0, 0), 0, len(data))


def rows_of(table):
    """Rows that can be compared, also where they are no numbers."""
    columns = [column.to_pylist() for column in table.columns]
    return [tuple(map(repr, row)) for row in zip(*columns, strict=True)]


def agree(data, spec, options, table, rejects, records, lines, places):
    expected = csv_reference.read(data, spec, **options)
    assert list(rejects) == expected.rejects
    assert rows_of(table) == [
        tuple(repr(_as_stored(v, c.arrow_type)) for v, c in zip(row, spec.columns, strict=True))
        for row in expected.rows
    ]
    assert (records, lines) == (expected.records, expected.lines)
    assert places == expected.places
    assert records == table.num_rows + len(rejects)
    assert table.schema == pa.schema([(c.name, c.arrow_type) for c in spec.columns])


def places_of(result, start=0, lines=0):
    """Where a segment's rows begin, when it begins there itself, after so many lines."""
    assert result.places.schema == pa.schema([("offset", pa.int64()), ("line", pa.int64())])
    columns = (column.to_pylist() for column in result.places.columns)
    return [(offset + start, line + lines) for offset, line in zip(*columns, strict=True)]


def _as_stored(value, kind):
    return value if value is None else pa.scalar(value, kind).as_py()


@pytest.mark.parametrize(
    ("block", "pieces", "most_doubtful"),
    [
        (7, (1,), -1),
        (16, (40, 9), -1),
        (convert.BLOCK_BYTES, body.PIECE_BYTES, -1),
        (7, (40, 9), 1),
        (16, (1,), 0.2),
        (convert.BLOCK_BYTES, body.PIECE_BYTES, 1),
    ],
)
@given(case=cases())
@some
def test_reads_what_the_rules_say(block, pieces, most_doubtful, case):
    """Rows and their places, rejects and counts of whole files are those of the slow reader, into
    whatever pieces something amiss in them has them cut, and whatever goes through the sieve."""
    data, spec, options = case
    with (
        mock.patch.object(convert, "BLOCK_BYTES", block),
        mock.patch.object(parsing, "MOST_AT_ONCE", block),
        mock.patch.object(body, "PIECE_BYTES", pieces),
        mock.patch.object(sifting, "MOST_DOUBTFUL", most_doubtful),
    ):
        result = CsvReader().read(data, data, whole(data), spec, options, with_places=True)
    agree(
        data,
        spec,
        options,
        result.table,
        result.rejects,
        result.records,
        result.lines,
        places_of(result),
    )


@given(case=cases(), chunk_size=st.integers(1, 60), block=st.integers(1, 60))
@some
def test_reads_the_same_in_any_pieces(tmp_path_factory, case, chunk_size, block):
    """A file read in pieces gives the rows, places and rejects of the file read at once."""
    data, spec, options = case
    path = tmp_path_factory.getbasetemp() / "cut.csv"
    path.write_bytes(data)
    with mock.patch.object(cutting, "BLOCK_BYTES", block):
        cuts = CsvReader().cuts(path, len(data), chunk_size, options)
    assert not data or all(a < b for a, b in pairwise([0, *cuts, len(data)]))
    tables, rejects, places, records, lines = [], [], [], 0, 0
    first_lines = iter([1, *CsvReader().first_lines(path, cuts)])
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        piece = data[start:end]
        head = data[:HEAD_BYTES] if start else piece
        segment = Segment(InputFile("f.csv", len(data), 0, 0), start, end)
        is_last = end == len(data)
        result = CsvReader().read(
            piece, head, segment, spec, options, with_places=True, is_last=is_last
        )
        assert next(first_lines) == lines + 1
        places += places_of(result, start, lines)
        tables.append(result.table)
        rejects += [
            reject._replace(byte_offset=reject.byte_offset + start, line=reject.line + lines)
            for reject in result.rejects
        ]
        records += result.records
        lines += result.lines
    agree(data, spec, options, pa.concat_tables(tables), rejects, records, lines, places)


ALL_FOOTER = (
    b"\n12\n\n12\n",
    TableSpec((ColumnSpec("a", "a", pa.int8()),)),
    {"delimiter": ";", "quote": "", "null_values": ("",), "header": 0, "skip_footer": 2},
)


@example(case=ALL_FOOTER, size=1)
@given(case=cases(), size=st.integers(1, 60))
@some
def test_reads_the_same_in_any_portions(case, size):
    """A file that comes as a stream gives the rows, places and rejects of the file read at once,
    in any encoding and with any footer; and its lines and records are found again."""
    data, spec, options = case
    csv, how = CsvReader(), SourceWork("csv", options, 1)
    tables, rejects, places, records, lines, end = [], [], [], 0, 0, 0
    for portion in portions.cut(BytesIO(data), csv, how, size):
        assert portion.start == end
        assert not places or portion.data
        end += len(portion.data)
        assert portion.is_last is (end == len(data))
        inside = portion.within(InputFile("f.csv.gz", 1, 0, 0), 1)
        result = csv.read(
            portion.data,
            portion.head,
            inside,
            spec,
            options,
            with_places=True,
            is_last=portion.is_last,
        )
        offsets = result.places["offset"].to_pylist()
        found = csv.records_at(portion.data, portion.head, offsets, options)
        assert [line for line, _ in found] == result.places["line"].to_pylist()
        assert result.lines == csv.count_lines(portion.data, portion.head, options)
        places += places_of(result, portion.start, lines)
        tables.append(result.table)
        rejects += [
            reject._replace(
                byte_offset=reject.byte_offset + portion.start, line=reject.line + lines
            )
            for reject in result.rejects
        ]
        records += result.records
        lines += result.lines
    assert end == len(data)
    agree(data, spec, options, pa.concat_tables(tables), rejects, records, lines, places)


@given(case=cases())
@some
def test_records_that_come_back_are_what_they_were_in_their_file(case):
    """A file with the same beginning and the same records, those that may not stand beside others
    read by themselves, gives the same rows and the same rejects."""
    data, spec, options = case
    reader = CsvReader()
    whole_file = reader.read(data, data, whole(data), spec, options, with_places=True)
    offsets = [offset for offset, _ in places_of(whole_file)]
    found = {
        offset: raw
        for offset, (_, raw) in zip(
            offsets, reader.records_at(data, data, offsets, options), strict=True
        )
    }
    bad = [reject for reject in whole_file.rejects if reject.reason != "another_table"]
    found.update({reject.byte_offset: reject.raw for reject in bad})
    records = [found[offset] for offset in sorted(found)]
    copy, (one, two) = reader.copy_with(data, [b"", b""], options)
    beginning, end = copy[:one], copy[one:two]
    copy, starts = reader.copy_with(beginning, records, options)
    tables, rejects, together = [], [], []

    def read_together():
        if together:
            start, stop = starts[together[0]], starts[together[-1]] + len(records[together[-1]])
            segment = Segment(InputFile("f", len(copy), 0, 0, is_mended=True), start, stop)
            text = copy[start:stop]
            result = reader.read(text, copy, segment, spec, options, is_last=False)
            tables.append(result.table)
            rejects.extend(result.rejects)
            together.clear()

    for number, record in enumerate(records):
        try:
            inside = list(reader.records_in(record + end, copy, options))
        except DeadSegment:
            inside = []
        if inside != [(record, True)]:
            read_together()
            together.append(number)
            read_together()
        else:
            together.append(number)
    read_together()
    rows = [row for table in tables for row in rows_of(table)]
    assert rows == rows_of(whole_file.table)
    assert [r[5:8] for r in rejects] == [r[5:8] for r in bad]
    for reject, before in zip(rejects, bad, strict=True):
        # Blank lines behind an open quote are the record's own only where more follows.
        assert reject.raw == before.raw or reject.reason == "unclosed_quote"


@given(case=cases())
@some
def test_each_record_is_found_again_at_its_offset(case):
    """Its raw bytes are those of the slow reader."""
    data, _, options = case
    rules = csv_reference.Rules(**options)
    text = csv_reference.text_of(data, rules.encoding)
    start, _ = csv_reference.body(text.characters, rules)
    records = list(csv_reference.records(text.characters, start, len(text.characters), rules))
    offsets = [text.offsets[record.start] for record in records]
    found = CsvReader().records_at(data, data, offsets, options)
    assert found == [
        (text.lines_before(record.start) + 1, data[offset : text.offsets[record.end]])
        for record, offset in zip(records, offsets, strict=True)
    ]


@given(
    data=st.lists(st.sampled_from((b"\n", b"\r", b"\r\n", b"x"))).map(b"".join),
    block=st.integers(1, 9),
)
@some
def test_lines_are_the_same_in_blocks_of_any_size(tmp_path_factory, data, block):
    """A CRLF of which two blocks have a byte each ends one line."""
    path = tmp_path_factory.getbasetemp() / "lines.csv"
    path.write_bytes(data)
    cuts = [cut for cut in range(len(data) + 1) if data[max(cut - 1, 0) : cut + 1] != b"\r\n"]
    with mock.patch.object(lines_module, "BLOCK_BYTES", block):
        found = CsvReader().first_lines(path, cuts)
    assert found == [csv_reference.text_of(data, "ascii").lines_before(cut) + 1 for cut in cuts]


@given(data=st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"a"])).map(b"".join))
@some
def test_quotes_are_regular_by_their_neighbours_as_by_their_places(data):
    structure = Structure(b",", b'"')
    view = lines_module.view_of(data)
    quotes = structure.quotes(view)
    is_regular = structure.misplaced(view, quotes).is_empty()
    assert structure.count_regular(view) == (len(quotes) if is_regular else None)


@given(case=cases())
@some
def test_the_slow_path_agrees_with_what_the_fast_one_takes(case):
    """Where the fast path takes a segment, the slow path finds as many records, and all fit."""
    data, spec, options = case
    dialect = Dialect.of(options)
    data = transcoded(data, dialect.codec).text
    if plain_copy(data, 0, dialect.structure, 0) is not None:
        return
    beginning = top(data, dialect.structure, dialect.margins)
    layout, start = layout_of(data, beginning, spec, dialect), beginning.start
    survey = dialect.structure.survey(data, start)
    alone = dialect.structure.survey(data[start:])
    assert (survey.is_even, survey.lines) == (alone.is_even, alone.lines)
    assert survey.records == alone.records or not survey.is_even
    records, _, is_even, has_inner_ends = survey
    if has_inner_ends and dialect.structure.has_torn(data, start):
        return
    table = parsing.typed_table(data, start, layout, dialect)
    if table is None or not is_even or table.num_rows != records:
        return
    taken = list(take_apart(data, start, dialect.structure, layout))
    assert len(taken) == records
    assert not unfit_records(taken, layout, dialect.notation)


@st.composite
def several_files(draw):
    """Files that begin with one header, their schema and their dialect: any bytes cut anywhere, or
    such as are read as one."""
    if draw(st.booleans()):
        data, spec, options = draw(cases())
        start = min(top_of(data, options).start, len(data))
        cuts = draw(st.sets(st.integers(start, len(data)), max_size=3))
        edges = sorted({start, len(data), *cuts})
        head, bodies = data[:start], [data[a:b] for a, b in pairwise(edges)] or [b""]
        return [head + body for body in (*bodies, bodies[0])], spec, options
    delimiter, quote, _, _ = draw(st.sampled_from(DIALECTS[:6]))
    spec = draw(specs(width := draw(st.integers(1, 4))))
    spec = replace(spec, extra_columns="ignore", missing_columns="null")
    options = {"delimiter": delimiter, "quote": quote, "null_values": draw(st.sampled_from(NULLS))}
    options |= {"escape": None, "comment": None, **draw(notations())}
    columns = [next((c for c in spec.columns if c.header == n), None) for n in NAMES[:width]]
    bodies = st.lists(plausible_bodies(columns, options, False), min_size=2, max_size=4)
    head = delimiter.join(NAMES[:width]).encode() + b"\n"
    return [head + body for body in draw(bodies)], spec, options


@pytest.mark.parametrize("most_doubtful", [0.2, 1])
@given(case=several_files(), is_last=st.booleans(), block=st.just(2**22) | st.integers(1, 99))
@some
def test_reads_the_same_beside_others(most_doubtful, case, is_last, block):
    """Each of several files gives what it gives by itself, also where they are read as one, and
    that piece by piece."""
    files, spec, options = case
    reader, how = CsvReader(), {"with_places": True, "is_last": is_last}
    several = [SegmentBytes(file, file, whole(file), options, is_last) for file in files]
    with (
        mock.patch.object(sifting, "MOST_DOUBTFUL", most_doubtful),
        mock.patch.object(parsing, "MOST_AT_ONCE", block),
    ):
        together = reader.read_all(several, spec, with_places=True)
    for file, found in zip(files, together, strict=True):
        if isinstance(found, DeadSegment):
            with pytest.raises(DeadSegment, match=f"^{re.escape(str(found))}$"):
                reader.read(file, file, whole(file), spec, options, **how)
            continue
        alone = reader.read(file, file, whole(file), spec, options, **how)
        assert rows_of(found.table) == rows_of(alone.table)
        assert places_of(found) == places_of(alone)
        for name in ("records", "lines", "header", "other_tables"):
            assert getattr(found, name) == getattr(alone, name)
        assert list(found.rejects) == list(alone.rejects)
