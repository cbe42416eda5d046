"""The CSV reader on files that are written in odd ways, by tables."""

from __future__ import annotations

import codecs
from itertools import pairwise

import pyarrow as pa
import pytest

from stagepipe.builtin.csv import encoding
from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.contracts import ColumnSpec, DeadSegment, TableSpec
from stagepipe.model import InputFile, Segment

INT, TEXT = pa.int64(), pa.string()
OPTIONS = {"delimiter": ",", "quote": '"', "null_values": ("",)}
AB = (ColumnSpec("a", "a", INT), ColumnSpec("b", "b", TEXT))
SPEC = TableSpec(AB)


def read(data, spec=SPEC, **options):
    data = data if isinstance(data, bytes) else data.encode(options.get("encoding", "utf-8"))
    segment = Segment(InputFile("f.csv", len(data), 0, 0), 0, len(data))
    return CsvReader().read(data, data, segment, spec, OPTIONS | options, with_places=True)


def rows(result):
    return [tuple(row.values()) for row in result.table.to_pylist()]


def rejects(result):
    return [(r.line, r.byte_offset, r.reason, r.value, r.raw) for r in result.rejects]


@pytest.mark.parametrize(
    ("body", "expected", "options"),
    [
        ("a||b\n1||x|y\n2|||\n", [(1, "x|y"), (2, "|")], {"delimiter": "||"}),
        ('a||b\n1||"x||""y"\n2||z"\n', [(1, 'x||"y'), (2, 'z"')], {"delimiter": "||"}),
        ("a§b\n1§«x»\n", [(1, "«x»")], {"delimiter": "§"}),
        ("a§b\n1§»x§»»y»\n", [(1, "x§»y")], {"delimiter": "§", "quote": "»"}),
        ('a,b\n1,x\\,y\n2,"\\"\\n\\\\"\n', [(1, "x,y"), (2, '"n\\')], {"escape": "\\"}),
        ('a,b\n1,"x""y"\n2,x\\\r\ny\n', [(1, 'x"y'), (2, "x\r\ny")], {"escape": "\\"}),
        ("a,b\n1,x\\", [(1, "x\\")], {"escape": "\\"}),
        ('a,b\n1,"x""y"\n', [(1, 'x"y')], {"escape": '"'}),
        ("a\tb\n1\tx\\\ty\n", [(1, "x\ty")], {"delimiter": "\t", "quote": "", "escape": "\\"}),
        ('#"\na,b\n#\n1,x\n#2,y\n3,"z\n#4"\n#', [(1, "x"), (3, "z\n#4")], {"comment": "#"}),
        ("a,b\n1,#x\n #2,y\n", [(1, "#x")], {"comment": "#"}),
        ('6" x\n\n,,,\na,b\n1,x\n', [(1, "x")], {"skip_lines": 3}),
        ("\ufeff6\na,b\r\n1,x\r\n", [(1, "x")], {"skip_lines": 1}),
        ("1,x\n2,\n", [(1, "x"), (2, None)], {"header": False}),
        ("", [], {"header": False}),
        ("\ufeff1,x", [(1, "x")], {"header": False}),
        ('a,b\n1,x\n2,y\n\ntotal,"\n\n', [(1, "x"), (2, "y")], {"skip_footer": 1}),
        ("a,b\n1,x\n", [], {"skip_footer": 3}),
        ("a,b,\n1,x,\n2,,\n", [(1, "x"), (2, None)], {}),
    ],
)
def test_files_that_are_written_in_odd_ways(body, expected, options):
    """Each gives the rows that stand in it."""
    result = read(body, **options)
    assert rows(result) == expected
    good = [r for r in result.rejects if not (r.raw or b"").startswith(b" #")]
    assert good == []


def test_a_header_of_two_lines():
    """The parts of a name are joined by a space, where there are two."""
    spec = TableSpec((ColumnSpec("a", "x a", INT), ColumnSpec("b", "b", TEXT)))
    assert rows(read("x,\na,b\n1,y\n", spec, header=2)) == [(1, "y")]
    assert rows(read("x\na,b\n1,y\n", spec, header=2)) == [(1, "y")]


@pytest.mark.parametrize(
    ("extra", "missing", "expected"),
    [
        ("refuse", "refuse", [(1, "x")]),
        ("ignore", "refuse", [(2, "y")]),
    ],
)
def test_files_without_a_header_may_have_more_columns(extra, missing, expected):
    """The first record tells how many, where the schema leaves it open."""
    result = read("2,y,z\n1,x\n", TableSpec(AB, extra, missing), header=False)
    assert rows(result) == expected
    assert len(result.rejects) == 1


def test_files_without_a_header_may_lack_columns():
    """What is missing is null."""
    spec = TableSpec(AB, missing_columns="null")
    assert rows(read("2\n1\n", spec, header=False)) == [(2, None), (1, None)]


def test_what_stands_behind_the_last_delimiter_is_no_column():
    """A record is bad where it has a value there, or no delimiter."""
    result = read("a,b,\n1,x,\n2,y,z\n3,w\n4,NA,NA\n", null_values=("", "NA"))
    assert rows(result) == [(1, "x"), (4, None)]
    assert [(r.line, r.reason, r.value) for r in result.rejects] == [
        (3, "too_many_fields", "3"),
        (4, "too_few_fields", "2"),
    ]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"x\n", {"skip_lines": 2}, "skip_lines is 2, and the file has no more lines"),
        (b"a,b\n", {"header": 2}, "the header has 2 lines, and the file no more than 1"),
        (b"a,a\n1,2\n", {}, "names column 'a' more than once"),
        (b"a,b,,\n", {}, "has column ''"),
        (codecs.BOM_UTF8 + b"a,b\n", {"encoding": "cp1252"}, 'UTF-8.*set encoding = "utf-8"'),
        (codecs.BOM_UTF16_BE + b"\0a", {"encoding": "utf-16-le"}, "contra|mark of UTF-16"),
        (codecs.BOM_UTF32_LE + b"a\0\0\0", {}, "mark of UTF-32"),
        (b"a,\x81\n", {"encoding": "cp1252"}, "the header is not cp1252"),
        ("a,b\n1,x\n".encode("utf-16-le"), {}, "lacks column"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", {}, r"it begins as a picture \(PNG\) does"),
        (b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0", {}, "it begins as a zip does, or an Excel file"),
        (b"a\0,b\n1,x\n", {}, "lacks column 'a'"),
        (b",".join(b"c%d" % n for n in range(100_000)), {}, "lacks columns 'a', 'b'"),
    ],
)
def test_files_of_which_nothing_can_be_made(data, options, message):
    """The message says what is wrong."""
    with pytest.raises(DeadSegment, match=message):
        read(data, **options)


ENCODINGS = ("cp1252", "iso8859-1", "utf-16", "utf-16-be", "utf-32", "cp500", "gb18030", "cp437")


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings(name):
    """Values are right, and rejects have the file's own bytes and offsets."""
    text = 'a,b\r\n1,é\r\n"ü\n",x\r\n2,"ü\n"\r\n'
    result = read(text, encoding=name)
    assert rows(result) == [(1, "é"), (2, "ü\n")]
    before = len("a,b\r\n1,é\r\n".encode(name))
    raw = '"ü\n",x'.encode(name.replace("utf-16", "utf-16-le").removesuffix("-le-be"))
    if name == "utf-16-be":
        raw = '"ü\n",x'.encode(name)
    if name == "utf-32":
        raw = '"ü\n",x'.encode("utf-32-le")
    assert rejects(result) == [(3, before, "type", "ü\n", raw)]
    at = [before, result.places["offset"][1].as_py()]
    data = text.encode(name)
    found = CsvReader().records_at(data, data, at, OPTIONS | {"encoding": name})
    assert [line for line, _ in found] == [3, 5]
    assert found[0][1] == raw


@pytest.mark.parametrize(
    ("data", "name", "value"),
    [
        (b"a,b\n1,\x81x\n2,y\n", "cp1252", "\\x81x"),
        (b"a,b\n1,\xc3\xa9\n2,y\n", "ascii", "\\xc3\\xa9"),
        (b"a,b\n1,\x81\n2,y\n", "shift_jis", "\\x81"),
        ("a,b\n1,".encode("utf-16-le") + b"A\xd8\n\0" + "2,y".encode("utf-16-le"), "utf-16", "A"),
    ],
)
def test_bytes_that_are_no_characters(data, name, value):
    """They reject their record alone, also where they would be a character in UTF-8."""
    result = read(data, encoding=name)
    assert rows(result) == [(2, "y")]
    (reject,) = result.rejects
    assert (reject.reason, reject.line) == ("encoding", 2)
    assert reject.value == value or value == "A"
    assert reject.raw in data


def test_half_a_character_before_a_line_end_moves_no_place():
    """Bytes that may begin a character are looked at with what follows, and count once."""
    data = b"a,b\n1,x\xff\n2,y\n3,\xff\n"
    result = read(data, encoding="gb18030")
    found = [(reject.line, reject.byte_offset, reject.raw) for reject in result.rejects]
    assert found == [(2, 4, b"1,x\xff"), (4, 13, b"3,\xff")]


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_half_a_line_end_is_none(name):
    """A CR before half an LF would look like a line end by itself, and lines count one more."""
    data = "a,b\n1,x\r\n".encode(name)
    options = OPTIONS | {"encoding": name}
    unit = len("a".encode(name))
    for size in range(len(data) - unit, len(data)):
        cut = CsvReader().boundary(data[:size], data, options, is_first=False)
        assert cut == 4 * unit


@pytest.mark.parametrize(
    ("name", "delimiter", "may_be"),
    [
        ("cp1252", "§", True),
        ("shift_jis", ",", True),
        ("shift_jis", "|", False),
        ("utf-16", ",", False),
        ("cp037", ",", False),
        ("gb18030", ",", False),
        ("utf-8", "§§", True),
    ],
)
def test_files_are_cut_where_their_encoding_allows_it(tmp_path, name, delimiter, may_be):
    """A line end must not be a part of another character."""
    path = tmp_path / "f.csv"
    lines = [f"a{delimiter}b", *(f"{n}{delimiter}x\uff5d"[: 5 + len(delimiter)] for n in range(50))]
    path.write_bytes("\n".join(lines).encode(name, "replace"))
    options = OPTIONS | {"encoding": name, "delimiter": delimiter}
    data = path.read_bytes()
    cuts = CsvReader().cuts(path, len(data), 40, options)
    assert bool(cuts) is may_be
    assert all(data[cut - 1 : cut] == b"\n" for cut in cuts)


def test_no_cut_falls_into_the_footer(tmp_path):
    """Else it would stand in two segments, and one would not know."""
    path = tmp_path / "f.csv"
    data = b"a,b\n" + b"1,x\n" * 20 + b"\n".join([b"total"] * 9) + b"\n"
    path.write_bytes(data)
    cuts = CsvReader().cuts(path, len(data), 10, OPTIONS | {"skip_footer": 9})
    assert max(cuts) < data.index(b"total") <= max(cuts) + 10
    edges = pairwise([0, *cuts, len(data)])
    file = InputFile("f.csv", len(data), 0, 0)
    options = OPTIONS | {"skip_footer": 9}
    parts = [
        CsvReader().read(
            data[a:b], data, Segment(file, a, b), SPEC, options, is_last=b == len(data)
        )
        for a, b in edges
    ]
    assert sum(part.records for part in parts) == sum(part.table.num_rows for part in parts) == 20
    assert sum(part.lines for part in parts) == 30


@pytest.mark.parametrize("name", sorted(encoding._MIXED))
def test_pieces_of_mixed_encodings_decode_as_the_whole_does(name):
    """Whatever stands before a line end, also half a character."""
    bad = 0
    for lead in range(0x80, 0x100):
        for second in range(0x30, 0x100, 5):
            before = bytes([lead, second, lead]) + b"\n"
            whole = encoding.transcoded(before + b"A\xa4\xa2", name).text
            parts = [encoding.transcoded(part, name).text for part in (before, b"A\xa4\xa2")]
            bad += whole != b"".join(parts) or not parts[0].endswith(b"\n")
    assert bad == 0


def test_a_record_that_a_copy_loses_makes_a_dead_letter(monkeypatch):
    """The records of a copy are counted otherwise as well."""
    from stagepipe.builtin.csv.structure import Structure

    spans = Structure.spans
    data = 'a||b\n1||x\n2||"\n"\n3||y\n'
    assert len(rows(read(data, delimiter="||"))) == 3
    monkeypatch.setattr(
        Structure,
        "spans",
        lambda *args: (span for span in spans(*args) if span.start != data.index("2")),
    )
    with pytest.raises(DeadSegment, match="disagree"):
        read(data, delimiter="||")


OPEN = 'a,b\n1,x\n2,"y\n'


@pytest.mark.parametrize(
    ("body", "taken", "raw"),
    [
        (OPEN + "3,z\n" * 6, 7, '2,"y'),
        (OPEN + "3,z\n" * 5, 1, '2,"y\n' + "3,z\n" * 4 + "3,z"),
        (OPEN + "z\n\n" + "3,z\n" * 10, 11, '2,"y\nz\n'),
        (OPEN + "3,z\n" * 9 + "4\n" + "5,w\n" * 6, 7, '2,"y\n' + "3,z\n" * 9 + "4"),
        (OPEN + "3,z\n" * 10 + "4\n", 11, '2,"y'),
        (OPEN + '3,""\n' * 6 + '4,""z""\n', 8, '2,"y'),
        (OPEN + '"3",z\n' * 9, 9, '2,"y\n"3",z'),
        ('a,b\n1,x\n2,"y\r\n' + "3,z\r\n" * 6, 7, '2,"y'),
        ('a,b\n1,x\n"1\n2","y\n' + "3,z\n" * 6, 7, '"1\n2","y'),
    ],
)
@pytest.mark.parametrize("options", [{}, {"escape": "\\"}, {"comment": "#"}])
def test_reading_goes_on_after_a_quote_that_nothing_closes(tmp_path, body, taken, raw, options):
    """At the first line from which on ten look right, or all with six delimiters; where another
    quote closes it, that is the record's end."""
    result = read(body, **options)
    opened = [reject for reject in result.rejects if reject.reason == "unclosed_quote"]
    assert [reject.raw.decode() for reject in opened] == [raw]
    assert result.table.num_rows == taken
    assert result.records == taken + len(result.rejects)
    path, data = tmp_path / "f.csv", body.encode()
    path.write_bytes(data)
    edges = [0, *CsvReader().cuts(path, len(data), 9, OPTIONS | options), len(data)]
    file = InputFile("f.csv", len(data), 0, 0)
    parts = [
        CsvReader().read(data[a:b], data, Segment(file, a, b), SPEC, OPTIONS | options)
        for a, b in pairwise(edges)
    ]
    assert [row for part in parts for row in rows(part)] == rows(result)
    assert [r.raw for part in parts for r in part.rejects] == [r.raw for r in result.rejects]


def test_a_text_that_was_cut_off_is_no_records():
    """Its lines have commas too, but not each as many as the header."""
    result = read('a,b\n1,x\n2,"Dear Sir,\nwe write, to you\nabout 3,z\n')
    assert result.table.num_rows == 1
    assert [reject.reason for reject in result.rejects] == ["unclosed_quote"]


def test_one_column_tells_nothing():
    """Any line would look right."""
    spec = TableSpec(AB[1:])
    result = read('b\nx\n"y\n' + "z\n" * 50, spec)
    assert rows(result) == [("x",)]
    assert len(result.rejects) == 1


def test_a_quote_that_opens_early_costs_little_of_a_large_file():
    """What follows is read the fast way."""
    data = OPEN + "".join(f"{n},z\n" for n in range(500_000))
    result = read(data)
    assert (result.table.num_rows, len(result.rejects)) == (500_001, 1)
    assert result.rejects[0].raw == b'2,"y'
