"""The CSV reader by tables: headers, nulls, types, checks, odd files and big ones."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from itertools import pairwise

import pyarrow as pa
import pytest

from stagepipe.builtin.csv import body, convert, cutting
from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.builtin.csv.structure import Structure
from stagepipe.contracts import ColumnSpec, DeadSegment, TableSpec
from stagepipe.model import InputFile, Segment

INT, TEXT = pa.int64(), pa.string()
OPTIONS = {"delimiter": ",", "quote": '"', "null_values": ("",)}


def columns(**kinds):
    return tuple(ColumnSpec(name, name, kind) for name, kind in kinds.items())


AB = TableSpec(columns(a=INT, b=TEXT))


def read(data, spec=AB, **options):
    data = data.encode() if isinstance(data, str) else data
    segment = Segment(InputFile("f.csv", len(data), 0, 0), 0, len(data))
    return CsvReader().read(data, data, segment, spec, OPTIONS | options)


def rows(result):
    return [tuple(row.values()) for row in result.table.to_pylist()]


def places(result):
    return [(r.line, r.byte_offset, r.column, r.value, r.reason, r.also) for r in result.rejects]


@pytest.fixture
def fast(monkeypatch):
    """Fail where a segment is taken apart: what a test reads has to stay on the fast path."""

    def refuse(*args):
        raise AssertionError("the slow path was taken")

    monkeypatch.setattr(body, "take_apart", refuse)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\r\n\n", "blank lines only"),
        (b"\xef\xbb\xbf", "blank lines only"),
        ("a,b\n1,x\n".encode("utf-16"), "UTF-16"),
        (b"\xfe\xff\x00a", "UTF-16"),
        (b"a,\xe9\n1,x\n", "header is not UTF-8"),
        (b"a;b\n1;x\n", "no delimiter ','"),
        (b'"a,b\n1,x\n', "quote that nothing closes"),
        (b"a,bb\n1,x\n", "lacks column 'b'; did the supplier rename it to 'bb'"),
        (b"a,c,d\n1,x,y\n", "lacks column 'b'"),
        (b"a,b,c,d\n1,x,y,z\n", "has columns 'c', 'd'"),
        (b"a,b,a\n1,x,2\n", "names column 'a' more than once"),
        (b"a,b \n1,x\n", "lacks column 'b'"),
        (b"A,b\n1,x\n", "lacks column 'a', but has 'A': letter case counts.* name = \"A\""),
        (b"A,B\n1,x\n", "lacks column 'a' and 1 more, but has 'A': letter case"),
        (b"A;B\n1;x\n", "lacks column 'a' and 1 more, but has 'A': letter case"),
    ],
)
def test_a_header_that_does_not_fit_makes_a_dead_letter(data, message):
    """The message says what is wrong with the header."""
    with pytest.raises(DeadSegment, match=message):
        read(data)


@pytest.mark.parametrize(
    ("data", "spec", "expected"),
    [
        (b"a,b\n1,x\n", AB, [(1, "x")]),
        (b"b,a\nx,1\n", AB, [(1, "x")]),
        (b"\xef\xbb\xbfa,b\n1,x\n", AB, [(1, "x")]),
        (b'\xef\xbb\xbf"a","b"\n1,x\n', AB, [(1, "x")]),
        (b"\n\r\n\ra,b\n1,x", AB, [(1, "x")]),
        (b"a,b\r\r1,x\r", AB, [(1, "x")]),
        (b"a,b", AB, []),
        (b"a,b\n\n\n", AB, []),
        (b"a,b,c\n1,x,y\n", TableSpec(AB.columns, extra_columns="ignore"), [(1, "x")]),
        (b"c,b,c,a\ny,x,y,1\n", TableSpec(AB.columns, extra_columns="ignore"), [(1, "x")]),
        (b"c,b,a\n\xff,x,1\n", TableSpec(AB.columns, extra_columns="ignore"), [(1, "x")]),
        (b'b,a,c\n"x",1,\xff\n', TableSpec(AB.columns, extra_columns="ignore"), [(1, "x")]),
        (b"b\nx\n", TableSpec(AB.columns, missing_columns="null"), [(None, "x")]),
        (
            b"c,b\n1,x\n0x1A,x\n",
            TableSpec(AB.columns, extra_columns="ignore", missing_columns="null"),
            [(None, "x")] * 2,
        ),
        (b"No.,b\n7,x\n", TableSpec((ColumnSpec("a", "No.", INT), AB.columns[1])), [(7, "x")]),
        (b'"x\ny",a\nz,1\n', TableSpec((ColumnSpec("b", "x\ny", TEXT), AB.columns[0])), [("z", 1)]),
    ],
)
def test_headers_that_fit(data, spec, expected, fast):
    """Columns are found by name, wherever they stand."""
    result = read(data, spec)
    assert rows(result) == expected
    assert (result.records, list(result.rejects)) == (len(expected), [])


def test_a_required_column_that_a_file_lacks_rejects_each_record():
    """A missing column is null, and `required` says what it always says."""
    spec = TableSpec((ColumnSpec("z", "z", INT, required=True), AB.columns[1]), "ignore", "null")
    result = read("b\nx\ny\n", spec)
    assert places(result) == [
        (2, 2, "z", None, "required", None),
        (3, 4, "z", None, "required", None),
    ]


@pytest.mark.parametrize(
    ("words", "texts", "expected"),
    [
        (("",), ["", '""', "NA", " "], [None, None, "NA", " "]),
        (("NA", ""), ["NA", '"NA"', "na", "NA ", " NA"], [None, None, "na", "NA ", " NA"]),
        ((), ['""', "x"], ["", "x"]),
        (('a"b',), ['"a""b"', 'a"b'], [None, None]),
    ],
)
def test_only_the_exact_words_are_null(words, texts, expected):
    """Quoted or not; blanks and case count."""
    spec = TableSpec(columns(b=TEXT, z=TEXT))
    result = read("b,z\n" + "".join(f"{text},\n" for text in texts), spec, null_values=words)
    assert result.table.column("b").to_pylist() == expected


def test_a_null_word_is_matched_before_blanks_are_trimmed():
    """` NA` is no number and no null word."""
    assert places(read("a,b\n NA,x\nNA,x\n", null_values=("NA",))) == [
        (2, 4, "a", " NA", "type", None)
    ]


def test_a_file_of_one_column():
    """A blank line is no record, a quoted empty field is one."""
    spec = TableSpec(columns(a=INT))
    result = read('a\n1\n\n""\n \n3', spec)
    assert rows(result) == [(1,), (None,), (3,)]
    assert places(result) == [(5, 8, "a", " ", "type", None)]
    assert result.records == 4


@pytest.mark.parametrize("text", ["N840XA", "A0x1A", "10x1A", "0x1Ag", "0x" + "1" * 40, "ab-0x1"])
def test_a_hexadecimal_look_in_text_stays_on_the_fast_path(text, fast):
    """Only a whole field can be a number that the converter should not take."""
    assert rows(read(f"a,b\n1,{text}\n")) == [(1, text)]
    table = pa.table({"0": pa.array([1])})
    data = f"1,{text}\n".encode()
    assert convert.is_trustworthy(table, data, delimiter=",", quote='"')


@pytest.mark.parametrize("text", ["5e-4f-2", "1e5", "e-12", "10-12-e5", "3e-4 x"])
def test_an_exponents_look_in_text_stays_on_the_fast_path(text, fast):
    """The same for decimals."""
    spec = TableSpec(columns(a=pa.decimal128(12, 2), b=TEXT))
    assert rows(read(f"a,b\n1,{text}\n", spec)) == [(Decimal(1), text)]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("0x1A", {}),
        (" 0x1A", {}),
        ("0X1a ", {}),
        ('"0x1A"', {}),
        ('" 0x1A "', {}),
        ('"0"x1A', {}),
        ('"0x"1A', {}),
        ('"0x1"A\t', {}),
        ("0x1A", {"delimiter": "a"}),
        ("0x1A", {"delimiter": "7"}),
        ("q0x1Aq", {"quote": "q"}),
    ],
)
def test_a_hexadecimal_number_is_a_reject(field, options):
    """The converter would take it for 26, wherever quotes and blanks stand."""
    delimiter = options.get("delimiter", ",")
    spec = TableSpec(columns(k=INT, m=INT))
    result = read(f"k{delimiter}m\n{field}{delimiter}3\n4{delimiter}{field}\n", spec, **options)
    assert rows(result) == []
    assert [(r.column, r.reason) for r in result.rejects] == [("k", "type"), ("m", "type")]


BERLIN = pa.timestamp("us", "Europe/Berlin")
D12, D38 = pa.decimal128(12, 2), pa.decimal128(38, 10)
TAKEN = [
    (pa.int8(), {"-128": -128, "127": 127, "007": 7, " 1\t": 1, "-0": 0}),
    (pa.uint64(), {"18446744073709551615": 2**64 - 1, "0": 0}),
    (pa.float64(), {"1": 1.0, "+1": 1.0, "1.": 1.0, ".5": 0.5, " 1e5": 1e5, "1e-400": 0.0}),
    (pa.float64(), {"inf": float("inf"), "-Infinity": -float("inf"), "0.1": 0.1, "1e22": 1e22}),
    (pa.float32(), {"1e38": 9.999999680285692e37, "16777217": 16777216.0}),
    (D12, {"1": 1, "1.50": "1.5", "9999999999.99": "9999999999.99", "+1": 1, "-.5": "-0.5"}),
    (D12, {"1e2": 100, "5e-2": "0.05", "100e-4": "0.01", "0e-99": None, "1.2300": "1.23"}),
    (D38, {"9999999999999999999999999999.9999999999": "9999999999999999999999999999.9999999999"}),
    (D38, {" 1e27": "1000000000000000000000000000", "-5": -5, "5e-10": "0.0000000005"}),
    (pa.decimal128(38, 38), {"0.5": "0.5", "5e-38": "5e-38"}),
    (pa.bool_(), dict.fromkeys(("true", "True", "TRUE", "1"), True)),
    (pa.bool_(), dict.fromkeys(("false", "False", "FALSE", "0"), False)),
    (pa.date32(), {"2013-01-18": date(2013, 1, 18), "2012-02-29": date(2012, 2, 29)}),
    (pa.date32(), {"0001-01-01": date(1, 1, 1), " 9999-12-31 ": date(9999, 12, 31)}),
    (
        pa.timestamp("us"),
        {
            "2013-01-18": datetime(2013, 1, 18),
            "2013-01-18T10": datetime(2013, 1, 18, 10),
            "2013-01-18 10:11": datetime(2013, 1, 18, 10, 11),
            "2013-01-18 10:11:12.5": datetime(2013, 1, 18, 10, 11, 12, 500_000),
            "2013-01-18T10:11:12.123456": datetime(2013, 1, 18, 10, 11, 12, 123_456),
        },
    ),
    (
        BERLIN,
        {
            "2013-01-18T09:00Z": datetime.fromisoformat("2013-01-18T09:00Z"),
            "2013-07-18 10:00:00+0200": datetime.fromisoformat("2013-07-18T08:00Z"),
            "2013-01-18 10:00:00-05": datetime.fromisoformat("2013-01-18T15:00Z"),
        },
    ),
    (pa.time64("us"), {"10:11": time(10, 11), "23:59:59.999999": time(23, 59, 59, 999_999)}),
    (pa.string(), {" x ": " x ", "NA": "NA", "a\x00b": "a\x00b", "\ufeffx": "\ufeffx"}),
]
REFUSED = [
    (
        pa.int8(),
        ("128", "-129", "1.0", "1e2", "+1", "--1", "1_0", "1 2", "0x1A", "-", "x", "1\x00"),
    ),
    (pa.uint8(), ("-1", "-0", "256")),
    (pa.int64(), ("9223372036854775808", "\u0661")),
    (pa.uint64(), ("18446744073709551616",)),
    (pa.float64(), ("1e400", "-1e400", "nan(12)", "nan()", "0x1p3", "1_0", ".", "1e", "1,5", "1d")),
    (pa.float32(), ("1e39",)),
    (
        D12,
        ("12345678901", "10000000000", "1.234", "1e10", "1e400", "5e-41", "5e-1193", "NaN", "1e"),
    ),
    (D12, ("1,5", "0x1A", "-", "1 0")),
    (pa.decimal128(4, 2), ("99.999", "100", "-100", "1e2")),
    (
        D38,
        ("12345678901234567890123456789012345678", "1e28", "1e30", "5e-41", "5e-232", "x", "nan"),
    ),
    (pa.decimal128(38, 1), ("-77777678901234567890123456789012345678", "1e37")),
    (pa.bool_(), ("tRue", "T", "yes", "01", " true", "2")),
    (pa.date32(), ("2013-1-18", "20130118", "2013-02-29", "2013-01-18T00:00", "18.01.2013")),
    (pa.date32(), ("0000-01-01", "0000-12-31", " 0000-02-29")),
    (pa.timestamp("us"), ("0000-01-01", "0000-12-31 23:59:59.999999", "0000-02-29T10:11")),
    (BERLIN, ("0000-06-01T00:00Z", "0000-12-31 23:59:59-00:00")),
    (pa.timestamp("us"), ("2013-01-18 24:00", "2013-01-18 10:11:12.1234567", "2013-01-18T10:11Z")),
    (pa.timestamp("us"), (" 2013-01-18", "2013-02-29 10:11", "2013-01-18 23:59:60")),
    (BERLIN, ("2013-01-18 10:11", "2013-01-18", "2013-01-18T10:11+25:00")),
    (pa.time64("us"), ("10", "24:00", "1:11", "10:11:12.1234567", "10:11Z")),
]


@pytest.mark.parametrize(("kind", "texts"), TAKEN, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("style", ["{}", '"{}"'])
def test_texts_that_fit_their_type(kind, texts, style):
    """Each gives its exact value, alone on the fast path and beside a bad record."""
    spec = TableSpec(columns(n=INT, v=kind))
    body = "".join(f"1,{style.format(text)}\n" for text in texts)
    expected = [
        Decimal(value or 0) if pa.types.is_decimal(kind) else value for value in texts.values()
    ]
    assert read("n,v\n" + body, spec).table.column("v").to_pylist() == expected
    result = read("n,v\n" + body + "x,\n", spec)
    assert result.table.column("v").to_pylist() == expected
    assert len(result.rejects) == 1


@pytest.mark.parametrize(("kind", "texts"), REFUSED, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("style", ["{}", '"{}"'])
def test_texts_that_do_not_fit_their_type(kind, texts, style):
    """Each is a reject with the text as it stands, alone and among others."""
    spec = TableSpec(columns(v=kind, n=INT))
    for text in texts:
        field = style.format(text) if "," not in text else f'"{text}"'
        result = read(f"v,n\n{field},1\n", spec)
        assert rows(result) == [], text
        assert places(result) == [(2, 4, "v", text, "type", None)]
    result = read("v,n\n" + "".join(f'"{text}",1\n,2\n' for text in texts), spec)
    assert rows(result) == [(None, 2)] * len(texts)
    assert [reject.value for reject in result.rejects] == list(texts)


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us")], ids=str)
def test_year_0000_in_a_split_file(tmp_path, kind):
    """A year that only Arrow knows is a reject in whatever segment of its file it stands."""
    lines = [f"{year:04},{year:04}-03-01\n" for year in (2013, 0, 1, 0, 9999)]
    data = ("n,v\n" + "".join(lines)).encode()
    path = tmp_path / "f.csv"
    path.write_bytes(data)
    edges = [0, *CsvReader().cuts(path, len(data), 20, OPTIONS), len(data)]
    assert len(edges) > 4
    file, spec = InputFile("f.csv", len(data), 0, 0), TableSpec(columns(n=INT, v=kind))
    results = [
        CsvReader().read(data[a:b], data, Segment(file, a, b), spec, OPTIONS)
        for a, b in pairwise(edges)
    ]
    assert [row[0] for result in results for row in rows(result)] == [2013, 1, 9999]
    assert [
        (a + offset, *fault)
        for a, result in zip(edges, results, strict=False)
        for _, offset, *fault in places(result)
    ] == [(data.index(b"0000,") + n, "v", "0000-03-01", "type", None) for n in (0, 32)]


def column(kind, *checks, required=False):
    return TableSpec((ColumnSpec("v", "v", kind, required, checks), ColumnSpec("n", "n", INT)))


CHECKED = [
    (column(INT, required=True), "required", ["0", "-1"], [""]),
    (column(TEXT, required=True), "required", [" ", "x"], ["", '""']),
    (column(INT, ("min", 0)), "min", ["0", "1", ""], ["-1"]),
    (column(INT, ("max", 2**62)), "max", [str(2**62)], [str(2**62 + 1)]),
    (column(pa.uint64(), ("max", 2**64 - 2)), "max", [str(2**64 - 2)], [str(2**64 - 1)]),
    (column(pa.float64(), ("min", 0.5)), "min", ["0.5", "inf", ""], ["0.49", "-inf", "nan"]),
    (column(pa.float64(), ("max", 0.5)), "max", ["0.5", "-inf"], ["inf", "nan"]),
    (column(pa.float32(), ("min", 0.1)), "min", ["0.1"], ["0.0999"]),
    (column(D12, ("min", Decimal("0.1"))), "min", ["0.1", "0.10", "5"], ["0.09", "-5"]),
    (column(D38, ("max", Decimal(10))), "max", ["10.0000000000"], ["10.0000000001"]),
    (column(pa.date32(), ("max", date(2013, 1, 18))), "max", ["2013-01-18"], ["2013-01-19"]),
    (
        column(BERLIN, ("min", datetime.fromisoformat("2013-01-18T10:00+01:00"))),
        "min",
        ["2013-01-18T09:00Z"],
        ["2013-01-18T09:59+01:00"],
    ),
    (column(pa.time64("us"), ("min", time(9))), "min", ["09:00"], ["08:59:59.999999"]),
    (column(INT, ("one_of", (1, 3))), "one_of", ["1", "03", ""], ["2"]),
    (column(TEXT, ("one_of", ("EUR", "USD"))), "one_of", ["EUR", "", '"USD"'], ["eur", "EUR "]),
    (column(D12, ("one_of", (Decimal("1.5"),))), "one_of", ["1.50"], ["1.51"]),
    (column(pa.bool_(), ("one_of", (True,))), "one_of", ["1", "True"], ["0"]),
    (column(TEXT, ("pattern", "N[0-9]+")), "pattern", ["N1", ""], ["N", "xN1", "N1x", '"N1\n"']),
    (column(TEXT, ("pattern", "a|ab")), "pattern", ["a", "ab"], ["abc", "b", "xa"]),
    (column(TEXT, ("min_length", 2)), "min_length", ["ab", "éé", "日本", ""], ["a", "é", "日"]),
    (column(TEXT, ("max_length", 2)), "max_length", ["ab", "éé", "日本"], ["abc", '"a,b"']),
]


@pytest.mark.parametrize(("spec", "reason", "good", "bad"), CHECKED)
def test_checks(spec, reason, good, bad):
    """Good values pass, each bad one is a reject with its text."""
    assert list(read("v,n\n" + "".join(f"{text},1\n" for text in good), spec).rejects) == []
    mixed = "".join(f"{text},1\n" for pair in zip(good * 5, bad, strict=False) for text in pair)
    result = read("v,n\n" + mixed, spec)
    assert [(r.column, r.reason, r.also) for r in result.rejects] == [("v", reason, None)] * len(
        bad
    )
    assert [r.value for r in result.rejects] == [text.strip('"') for text in bad]
    assert result.table.num_rows == len(bad)


def test_the_reasons_of_one_record_come_from_left_to_right():
    """Columns in the schema's order; in one column a type fault, else its checks in theirs."""
    spec = TableSpec(
        (
            ColumnSpec("a", "a", TEXT, True, (("pattern", "[a-z]+"), ("max_length", 2))),
            ColumnSpec("b", "b", INT, True, (("min", 0), ("max", -5))),
            ColumnSpec("c", "c", TEXT, False, (("min_length", 9),)),
            ColumnSpec("d", "d", pa.date32(), True),
        )
    )
    result = read(b"d,c,b,a\n2013,x,-1,ABC\n,\xff,z,\n2013-01-18,,,q\n1,2,3\n1,2,3,4,5\n", spec)
    assert [(r.column, r.reason, r.also) for r in result.rejects] == [
        ("a", "pattern", "a:max_length, b:min, b:max, c:min_length, d:type"),
        ("a", "required", "b:type, c:encoding, d:required"),
        ("b", "required", None),
        (None, "too_few_fields", None),
        (None, "too_many_fields", None),
    ]
    assert [r.value for r in result.rejects] == ["ABC", "", "", "3", "5"]


def test_lines_and_offsets_after_quoted_newlines_and_blank_lines():
    """Each physical line counts, whatever ends it and wherever it stands."""
    data = 'a,b\r\n\r\n1,"x\n\r\ry"\r\rz,1\n2,ok\n\n\n"q",é\r\n3,"no end\n4,x\n'
    result = read(data)
    assert rows(result) == [(1, "x\n\r\ry"), (2, "ok")]
    assert [(r.line, r.byte_offset, r.reason, r.raw) for r in result.rejects] == [
        (8, data.index("z,1"), "type", b"z,1"),
        (12, data.index('"q"'), "type", '"q",é'.encode()),
        (13, len(data[: data.index('3,"')].encode()), "unclosed_quote", b'3,"no end\n4,x'),
    ]
    assert (result.records, result.lines) == (5, 14)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('1,Snow 6" deep\n', [(1, 'Snow 6" deep')]),
        ('1,Snow 6" deep, 8" there\n'.replace(", ", ""), [(1, 'Snow 6" deep8" there')]),
        ('1,6" x\n2,"7"" y"\n3,z"\n', [(1, '6" x'), (2, '7" y'), (3, 'z"')]),
        ('1,"a"b"c"\n', [(1, 'ab"c"')]),
        ('1, "x"\n', [(1, ' "x"')]),
        ('1,""""\n2,""\n', [(1, '"'), (2, None)]),
        ('"1","x\n"\n', [(1, "x\n")]),
        ('1,a"b\n2,c"d\n', [(1, 'a"b'), (2, 'c"d')]),
        ('1,x\n2,"y\n"', [(1, "x"), (2, "y\n")]),
    ],
)
def test_quotes_in_odd_places(body, expected):
    """A quote opens a field only as its first byte."""
    result = read("a,b\n" + body)
    assert rows(result) == expected
    assert list(result.rejects) == []
    assert result.records == len(expected)


@pytest.mark.parametrize(
    "body",
    [
        'a"b,c\n1,"x\n2,3\n',
        'a"b,c\n1,"\n"",""""\n',
        'a"b,c\n1,"\n"",""""',
        'x,y"z\n1,"',
        'x,"z"y"\n1,"\n',
        'x,y"\n"z\n",q\n1,"\n',
    ],
)
@pytest.mark.parametrize("wanted", [TableSpec(columns(k=TEXT, m=TEXT)), TableSpec(columns(k=TEXT))])
def test_a_quote_that_nothing_closes_takes_no_row_with_it_in_silence(body, wanted):
    """Even where quotes are even in number and rows as many as lines seem to be."""
    spec = TableSpec(wanted.columns, extra_columns="ignore")
    result = read("k,m\n" + body, spec)
    assert [reject.reason for reject in result.rejects] == ["unclosed_quote"]
    assert result.records == result.table.num_rows + 1


@pytest.mark.parametrize(
    "torn",
    [
        '1,"x,y\n2,"z"',
        '1,"x\r2,"z",y',
        '"1\n"2","z"',
        '1,"x\n2, "z"',
        '"a,1\nb,", c"',
    ],
)
@pytest.mark.parametrize(
    "others", [[], ["7,z\n"] * 9, ['7,"y\nz"\n'] * 9, ['7,"y\nz"\n', '8,9"\n'] * 9]
)
def test_two_records_that_a_quote_made_one_are_no_row(torn, others):
    """Also where the number of fields comes out, and among others with lines or with quotes."""
    data = "k,m\n" + "".join(others) + torn + "\n" + "".join(others)
    result = read(data, TableSpec(columns(k=TEXT, m=TEXT)))
    (reject,) = result.rejects
    assert (reject.reason, reject.value, reject.raw) == ("unclosed_quote", None, torn.encode())
    assert result.table.num_rows == 2 * len(others)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ('1,"x\ny"\n', ("1", "x\ny")),
        ('1,"x\ny" \t\n', ("1", "x\ny \t")),
        ('1,"x""\ny"\n', ("1", 'x"\ny')),
        ('1,"x,y"z\n', ("1", "x,yz")),
        ('a",",\n"\n', ('a"', ",\n")),
        ('"x\n,",y"z\n', ("x\n,", 'y"z')),
        ('"x\ny",8"\n', ("x\ny", '8"')),
    ],
)
def test_lines_in_quotes_are_no_sign_of_two_records(record, expected):
    """Nor is a quote in the middle of a field, or text behind a closing one in a single line."""
    result = read("k,m\n" + record, TableSpec(columns(k=TEXT, m=TEXT)))
    assert rows(result) == [expected]


def test_a_header_that_is_made_of_two_records_makes_a_dead_letter():
    """Its names would be none."""
    spec = TableSpec(columns(k=TEXT), extra_columns="ignore")
    with pytest.raises(DeadSegment, match="quote that nothing closes"):
        read('k,"m\n1,"x"\n', spec)


def test_what_looks_like_a_bom_in_the_body_is_a_value():
    """A parser drops it at the start of what it gets, and that may be any record of a file."""
    spec = TableSpec(columns(a=TEXT))
    assert rows(read(b"a\n\xef\xbb\xbfx\n", spec)) == [("\ufeffx",)]
    assert [r.value for r in read(b"a\n\xef\xbb\n", spec).rejects] == ["\\xef\\xbb"]


def test_a_huge_field():
    """20 MB in one field are a value like any other, good or bad."""
    huge = "x" * 20_000_000
    result = read(f'a,b\n1,y\n2,"{huge}"\n3,{huge}\nz,{huge}\n4,y\n{huge},y\n')
    assert result.table.column("a").to_pylist() == [1, 2, 3, 4]
    assert result.table.column("b").to_pylist() == ["y", huge, huge, "y"]
    assert [(r.line, r.column, len(r.value)) for r in result.rejects] == [
        (5, "a", 1),
        (7, "a", 20_000_000),
    ]


@pytest.mark.parametrize("shift", [-2, -1, 0, 1])
@pytest.mark.parametrize("bad", ["", "z,\n"])
def test_a_line_end_in_quotes_survives_the_parsers_blocks(shift, bad):
    """pyarrow drops the LF of a CRLF that two of its blocks share."""
    before = "1," + "x" * (convert.BLOCK_BYTES - 5 + shift)
    data = f'a,b\r\n{before}\n2,"\r\ny"\n{bad}3,z\n'
    assert data.index("\r\ny") - len("a,b\r\n") == convert.BLOCK_BYTES + 1 + shift
    assert read(data).table.column("b").to_pylist()[1:] == ["\r\ny", "z"]


@pytest.mark.parametrize("block", [5, 60, 150, cutting.BLOCK_BYTES])
def test_cuts_stand_at_record_boundaries_after_the_header(tmp_path, monkeypatch, block):
    """A record larger than a chunk stays whole, and a header is never cut off its file."""
    monkeypatch.setattr(cutting, "BLOCK_BYTES", block)
    path = tmp_path / "f.csv"
    data = (
        b'\xef\xbb\xbf\n\n"a\nx",b\n1,"' + b"y\n" * 50 + b'"\n2,z\r\n\r\n3,"q"\r\n' + b"4,r\n" * 99
    )
    path.write_bytes(data)
    large, third = data.index(b"2,z"), data.index(b"3,")
    boundaries = {large, large + 5, large + 7, *range(third + 7, len(data), 4)}
    for chunk_size in (*range(1, 200), len(data)):
        cuts = CsvReader().cuts(path, len(data), chunk_size, OPTIONS)
        assert boundaries.issuperset(cuts)
        pieces = [b - a for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert all(size <= max(chunk_size, 8) for size in pieces[1:])
        assert pieces[0] <= max(chunk_size, 2 * large)


def test_lines_that_end_with_cr_alone_are_cut_as_finely(tmp_path):
    """Also where the header's ends with LF."""
    path = tmp_path / "f.csv"
    for head in (b"id,word\r", b"id,word\n"):
        data = head + b"1234,abcdef\r" * 1000
        path.write_bytes(data)
        edges = [0, *CsvReader().cuts(path, len(data), 500, OPTIONS), len(data)]
        assert all(b - a <= 500 for a, b in pairwise(edges))


def test_cuts_are_the_same_however_much_is_looked_at_at_a_time(tmp_path, monkeypatch):
    """Blocks end within quotes, or have none, or no line that ends outside of any."""
    path = tmp_path / "f.csv"
    records = ['1,"x\ny\n\nz"\n', "2,w\n", '3,"q\n' + "long\n" * 9 + '"\r\n', '"p\nq","r\ns"\n']
    data = ("a,b\n" + "".join(records) * 2).encode()
    path.write_bytes(data)
    begins = {span.start for span in Structure(b",", b'"').spans(data)}
    for chunk_size in range(10, 60, 3):
        monkeypatch.setattr(cutting, "BLOCK_BYTES", len(data))
        expected = CsvReader().cuts(path, len(data), chunk_size, OPTIONS)
        assert begins.issuperset(expected)
        for block in range(4, 40, 2):
            monkeypatch.setattr(cutting, "BLOCK_BYTES", block)
            assert CsvReader().cuts(path, len(data), chunk_size, OPTIONS) == expected


def test_a_header_that_no_later_segment_could_see_keeps_its_file_whole(tmp_path):
    """The beginning of a file that goes with each segment has an end."""
    path = tmp_path / "f.csv"
    data = b"\n" * 2**20 + b"a,b\n1,x\n2,y\n"
    path.write_bytes(data)
    assert CsvReader().cuts(path, len(data), 100, OPTIONS) == []


def test_many_bad_records_among_good_ones():
    """Rejects stay in file order and rows in theirs."""
    lines = [f"{n},w" if n % 3 else f"{n}?,w" for n in range(3000)]
    result = read("a,b\n" + "\n".join(lines))
    assert [row[0] for row in rows(result)] == [n for n in range(3000) if n % 3]
    assert [r.value for r in result.rejects] == [f"{n}?" for n in range(0, 3000, 3)]
    assert [r.line for r in result.rejects] == [n + 2 for n in range(0, 3000, 3)]


def read_with_places(data, spec=AB, **options):
    segment = Segment(InputFile("f.csv", len(data), 0, 0), 0, len(data))
    return CsvReader().read(data, data, segment, spec, OPTIONS | options, with_places=True)


@pytest.fixture
def vectorised(fast, monkeypatch):
    """Fail where records are looked for one by one."""

    def refuse(*args):
        raise AssertionError("records were looked for one by one")

    monkeypatch.setattr(Structure, "places_at", refuse)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a,b\n", []),
        (b"a,b", []),
        (b"a,b\n\n\n", []),
        (b"a,b\n1,x\n2,y\n", [(4, 2), (8, 3)]),
        (b"a,b\n1,x\n2,y", [(4, 2), (8, 3)]),
        (b"\n\r\na,b\n\n\n1,x\n\n2,y\n\n", [(9, 6), (14, 8)]),
        (b"a,b\r\n1,x\r\n\r\n2,y\r\n", [(5, 2), (12, 4)]),
        (b"a,b\r1,x\r\r2,y\r", [(4, 2), (9, 4)]),
        (b"a,b\n1,x\r2,y\r\n3,z\n\r4,w", [(4, 2), (8, 3), (13, 4), (18, 6)]),
        (b'a,b\n1,"x"\n"2",y\n', [(4, 2), (10, 3)]),
        (b'a,b\n1,"x\n\r\n\rx"\n2,y\n', [(4, 2), (15, 6)]),
        (b'a,b\n1,"""\n"""\n\n"2",""\n3,"\n."', [(4, 2), (15, 5), (22, 6)]),
        (b'"a","b"\n"1","\n"\n"\n2","y"\n', [(8, 2), (16, 4)]),
        (b"\xef\xbb\xbfa,b\n\xef\xbb\xbf,x\n", [(7, 2)]),
    ],
)
def test_where_rows_begin(data, expected, vectorised):
    """Blank lines hold no record, and a record may go on over several lines."""
    spec = TableSpec(columns(a=TEXT, b=TEXT))
    places = read_with_places(data, spec).places
    assert [tuple(place.values()) for place in places.to_pylist()] == expected
    assert places.schema == pa.schema([("offset", INT), ("line", INT)])


def test_places_are_found_where_quotes_stand_in_the_middle_of_fields(fast):
    """Taking every second quote for a closing one would find as many records in other places."""
    data = b'a,b\n1,6" deep\n2,"x\ny\nz"\n3,9"\n'
    places = read_with_places(data).places
    assert places["offset"].to_pylist() == [4, 14, 24]
    assert places["line"].to_pylist() == [2, 3, 6]


@pytest.mark.parametrize("sizes", [(), (8,), (16, 8), body.PIECE_BYTES])
def test_rejected_records_have_no_place(sizes, monkeypatch):
    """Those of the rows around them are counted from the segment's beginning all the same."""
    monkeypatch.setattr(body, "PIECE_BYTES", sizes)
    data = b'a,b\r\n1,"x\n"\r\n?,y\r\n\r\n2,z\r\n3\r\n"!",z\n4,"w\n'
    spec = TableSpec((ColumnSpec("a", "a", INT), ColumnSpec("b", "b", TEXT, required=True)))
    result = read_with_places(data, spec)
    assert result.table["a"].to_pylist() == [1, 2]
    assert result.places.to_pylist() == [{"offset": 5, "line": 2}, {"offset": 20, "line": 6}]
    assert [r.line for r in result.rejects] == [4, 7, 8, 9]
    none_left = read_with_places(b"a,b\n?,x\n", spec)
    assert none_left.places.num_rows == none_left.table.num_rows == 0


def test_places_of_rows_that_passed_checks():
    """Checks take rows from a table that was parsed whole."""
    spec = TableSpec((ColumnSpec("a", "a", INT, checks=(("min", 0),)), AB.columns[1]))
    result = read_with_places(b"a,b\n1,x\n-1,x\n\n2,y\n", spec)
    assert result.places.to_pylist() == [{"offset": 4, "line": 2}, {"offset": 14, "line": 5}]


def test_places_come_only_when_asked_for():
    """Most pipelines need none."""
    assert read("a,b\n1,x\n").places is None
    assert read("a,b\n?,x\n").places is None


def test_places_that_are_not_as_many_as_the_rows_make_a_dead_letter(monkeypatch):
    """No row may be said to come from where another one stands."""
    monkeypatch.setattr(Structure, "spans", lambda *args: iter(()))
    structure = Structure(b",", b'"')
    data = b'1,"x\n"\n2,y\n'
    assert structure.places(data, 0, 2).num_rows == 2
    assert structure.places(data, 0, 1) is structure.places(data, 0, 4) is None
    monkeypatch.undo()
    monkeypatch.setattr(Structure, "places", lambda *args: None)
    with pytest.raises(DeadSegment, match="disagree"):
        read_with_places(b"a,b\n1,x\n")


@pytest.mark.parametrize(
    ("offset", "record"),
    [(0, b"a,b"), (5, b'1,"x\r\ny"'), (15, b"2,z"), (21, b'3,"w\n')],
)
def test_a_record_is_found_again_at_its_offset(offset, record):
    """An unclosed quote goes on to the end of the data."""
    data = b'a,b\r\n1,"x\r\ny"\r\n2,z\r\n\n3,"w\n\n'
    ((_, raw),) = CsvReader().records_at(data, data, [offset], OPTIONS)
    assert raw == record


def test_records_are_found_again_in_any_order():
    """Each with its line; one may be asked for twice."""
    data = b'a,b\r\n1,"x\r\ny"\r\n2,z\r\n\n3,"w\n\n'
    found = CsvReader().records_at(data, data, [21, 5, 15, 5], OPTIONS)
    assert found == [(6, b'3,"w\n'), (2, b'1,"x\r\ny"'), (4, b"2,z"), (2, b'1,"x\r\ny"')]
    assert CsvReader().records_at(data, data, [], OPTIONS) == []


@pytest.mark.parametrize("offset", [3, 4, 9])
def test_line_ends_and_the_end_of_the_data_hold_no_record(offset):
    """An offset into these was not made from places."""
    with pytest.raises(ValueError, match=f"no record begins at byte {offset}"):
        CsvReader().records_at(b"a,b\r\n1,x\n", b"a,b\r\n1,x\n", [offset], OPTIONS)


def test_a_file_with_a_record_that_nobody_can_hold_is_not_cut(tmp_path, monkeypatch):
    """All of it is dead or none: a part of it beside would fail the stage."""
    monkeypatch.setattr(cutting, "LONGEST_RECORD", 1000)
    path = tmp_path / "f.csv"
    for length, is_cut in ((900, True), (1200, False)):
        data = b"a,b\n" + b"1,x\n" * 100 + b"2," + b"x" * length + b"\n" + b"3,x\n" * 500
        path.write_bytes(data)
        cuts = CsvReader().cuts(path, len(data), 100, OPTIONS)
        assert bool(cuts) is is_cut
        assert all(data[cut - 1 : cut] == b"\n" for cut in cuts)


def test_the_lines_that_begin_at_cuts(tmp_path):
    """As a file's segments have them, also after the end of a file that became shorter."""
    path = tmp_path / "f.csv"
    path.write_bytes(b'a,b\r\n1,"x\r\ny"\r2,z\n3,w\n')
    assert CsvReader().first_lines(path, [5, 15, 19]) == [2, 4, 5]
    assert CsvReader().first_lines(path, []) == []
    assert CsvReader().first_lines(path, [5, 1000]) == [2, 6]
