"""How values are written: signs, words, formats, blanks and defaults, by tables."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest

from stagepipe.builtin.csv import body, formats
from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.contracts import ColumnSpec, TableSpec
from stagepipe.model import InputFile, Segment

INT, FLOAT, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()
D12, DATE, TIME, STAMP = pa.decimal128(12, 2), pa.date32(), pa.time64("us"), pa.timestamp("us")
BERLIN = pa.timestamp("us", "Europe/Berlin")
GERMAN = {"decimal_comma": True, "thousands": "."}
YES = {"true_values": ("ja", "Y"), "false_values": ("nein",)}


def read(data, *columns, **options):
    data = data.encode() if isinstance(data, str) else data
    segment = Segment(InputFile("f.csv", len(data), 0, 0), 0, len(data))
    options = {"delimiter": ";", "quote": '"', "null_values": ("",), **options}
    spec = TableSpec(columns, missing_columns="null")
    return CsvReader().read(data, data, segment, spec, options)


@pytest.fixture
def fast(monkeypatch):
    """Fail where a segment is taken apart: what a test reads has to stay on the fast path."""

    def refuse(*args):
        raise AssertionError("the slow path was taken")

    monkeypatch.setattr(body, "take_apart", refuse)


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def column_of(texts, kind, format=None, **options):
    spec = (ColumnSpec("v", "v", kind, format=format), ColumnSpec("n", "n", INT))
    return read("v;n\n" + "".join(f"{quoted(text)};1\n" for text in texts), *spec, **options)


TAKEN = [
    (D12, GERMAN, {"1.234.567,89": "1234567.89", "1234,5": "1234.5", "-1.000": -1000, ",5": "0.5"}),
    (
        D12,
        GERMAN,
        {"+12,": 12, " 7\t": 7, "999": 999, "1.234,5": "1234.5", "1234567,89": "1234567.89"},
    ),
    (D12, {"thousands": ","}, {"1,234.5": "1234.5", "12,345,678": 12345678, "1.5": "1.5"}),
    (D12, {"thousands": "'"}, {"1'234.50": "1234.5", "0.5": "0.5"}),
    (D12, {"thousands": "\u202f", "decimal_comma": True}, {"1\u202f234,50": "1234.5"}),
    (D12, {"thousands": " "}, {" 1 234 ": 1234, "1 234.5": "1234.5"}),
    (D12, {"decimal_comma": True}, {"1,5": "1.5", "1": 1, "150,e-1": 15, "-,5": "-0.5"}),
    (pa.decimal128(38, 10), GERMAN, {"1.234,5": "1234.5", "0,0000000001": "0.0000000001"}),
    (FLOAT, GERMAN, {"1.234,5": 1234.5, "1,5e3": 1500.0, "2,5E-1": 0.25, "1.000e1": 10000.0}),
    (INT, GERMAN, {"1.234.567": 1234567, "-12.345": -12345, "007": 7, "0": 0}),
    (pa.uint8(), {"thousands": "_"}, {"12": 12, "255": 255}),
    (BOOL, YES, {"ja": True, "Y": True, "nein": False}),
    (BOOL, {"true_values": ("x",)}, {"x": True, "0": False, "FALSE": False}),
    (BOOL, {"false_values": ("", "n"), "null_values": ("NA",)}, {"": False, "1": True}),
    (TEXT, {"trim": True}, {" x\ty \t": "x\ty", "\u00a0x": "\u00a0x", "\nx ": "\nx", "a": "a"}),
    (INT, {"trim": True}, {" 1 ": 1, "\t2": 2, "3": 3}),
    (BOOL, {"trim": True}, {" true ": True, "0": False}),
    (STAMP, {"trim": True}, {" 2024-12-31 10:11 ": datetime(2024, 12, 31, 10, 11)}),
    (TIME, {"trim": True}, {"10:11 ": time(10, 11)}),
    (INT, {"trim": True, "thousands": " "}, {" 1 234 ": 1234}),
]
REFUSED = [
    (D12, GERMAN, ("1.23", "1.2345", "12.34,5", "1234.567", "1..234", ".234", "1.234.", "1,234.5")),
    (D12, GERMAN, ("0.123", "01.234", "1,2,3", "1.5", ",", "-", "", "1 234", "1.234,567", "1.e3")),
    (D12, GERMAN, ("1,1.000", "x", "1.-234", "0x1A", "nan", '1"2', "1\n2", "\u0661.234")),
    (D12, {"decimal_comma": True}, ("1.5", "1.234,5", "1.234", "1,5,")),
    (D12, {"thousands": ","}, ("1,23", "1,234,5", "1.234,567", ",123", "1.5,000")),
    (INT, GERMAN, ("1.23", "1,0", "1.234,0", "1.0", "+1", "0x1A", "9.223.372.036.854.775.808")),
    (INT, {"thousands": " "}, ("1  234", "1 23", "1\t234")),
    (FLOAT, GERMAN, ("1.5", "1.23e5", "1e1.000", "1e400", "1,5x")),
    (pa.uint8(), GERMAN, ("1.000", "256", "-1")),
    (BOOL, YES, ("Ja", "ja ", "true", "1", "0", "jaja")),
    (BOOL, {"true_values": ("x",)}, ("true", "1", "X")),
    (INT, {"trim": True}, ("1 2", "\u00a01", "\n1")),
    (DATE, {"trim": True}, ("2024-2-9", "31.12.2024")),
]


@pytest.mark.parametrize(("kind", "options", "values"), TAKEN)
def test_values_that_are_written_otherwise(kind, options, values):
    """The slow path finds as many to fit."""
    expected = [Decimal(v) if pa.types.is_decimal(kind) else v for v in values.values()]
    slow = column_of([*values, "?"], kind, **options)
    result = column_of(values, kind, **options)
    assert result.table["v"].to_pylist() == expected
    if not pa.types.is_string(kind):
        assert slow.table["v"].to_pylist() == expected
        assert [r.value for r in slow.rejects] == ["?"]


@pytest.mark.parametrize(("kind", "options", "values"), TAKEN)
def test_clean_values_stay_on_the_fast_path(kind, options, values, fast):
    """All but what the converter alone makes take a second look at, too."""
    column_of([text for text in values if "e-" not in text.lower()], kind, **options)


@pytest.mark.parametrize(("kind", "options", "texts"), REFUSED)
def test_values_that_are_nearly_right_are_rejects(kind, options, texts):
    """None comes out as another value; each reject shows the text as the file has it."""
    result = column_of(texts, kind, null_values=("NA",), **options)
    assert result.table.num_rows == 0
    assert [(r.value, r.reason) for r in result.rejects] == [(text, "type") for text in texts]
    assert [r.raw.decode() for r in result.rejects] == [f"{quoted(text)};1" for text in texts]


DAY, NOON = date(2024, 12, 31), datetime(2024, 12, 31, 12, 30)
EARLY, BERLIN_NOON = datetime(2024, 1, 1, 0, 5), datetime.fromisoformat("2024-12-31T12:30+01:00")
FORMATTED = [
    (DATE, "%d.%m.%Y", {"31.12.2024": DAY, "1.2.2024": date(2024, 2, 1)}),
    (DATE, "%d.%m.%Y", {"29.02.2024": date(2024, 2, 29), "01.01.0001": date(1, 1, 1)}),
    (DATE, "%Y%m%d", {"20241231": DAY}),
    (DATE, "%m/%d/%Y", {"12/31/2024": DAY, "1/2/2024": date(2024, 1, 2)}),
    (DATE, "%d%m%y", {"311224": DAY, "010169": date(1969, 1, 1), "010168": date(2068, 1, 1)}),
    (DATE, "%b %d %Y", {"Dec 31 2024": DAY, "DEC 31 2024": DAY, "may 1 2024": date(2024, 5, 1)}),
    (DATE, "%d. %B %Y", {"31. December 2024": DAY, "1. MAY 2024": date(2024, 5, 1)}),
    (DATE, "%dé%m.%Y", {"1é12.2024": date(2024, 12, 1)}),
    (DATE, "%Y年%m月%d日", {"2024年12月31日": DAY, "2024年1月2日": date(2024, 1, 2)}),
    (DATE, "%%%Y(.*)%m\\%d", {"%2024(.*)12\\31": DAY}),
    (STAMP, "%d/%m/%Y %H:%M", {"31/12/2024 12:30": NOON, "1/1/2024 0:05": EARLY}),
    (STAMP, "%d.%m.%Y", {"31.12.2024": datetime(2024, 12, 31)}),
    (STAMP, "%m/%d/%Y %I:%M %p", {"12/31/2024 12:30 PM": NOON, "12/31/2024 12:30 pm": NOON}),
    (STAMP, "%Y%m%d%I%p", {"2024123112AM": datetime(2024, 12, 31)}),
    (STAMP, "%Y%m%d%H%M%S%f", {"202412311230005": datetime(2024, 12, 31, 12, 30, 0, 500_000)}),
    (
        BERLIN,
        "%d/%b/%Y:%H:%M %z",
        dict.fromkeys(("31/Dec/2024:12:30 +0100", "31/dec/2024:11:30 Z"), BERLIN_NOON),
    ),
    (TIME, "%H.%M", {"12.30": time(12, 30), "7.5": time(7, 5)}),
    (TIME, "%I %p", {"12 am": time(0), "12 PM": time(12), "1 PM": time(13), "11 pm": time(23)}),
    (TIME, "%H%M%S", {"235959": time(23, 59, 59)}),
]
MISFORMED = [
    (DATE, "%d.%m.%Y", ("31.02.2024", "29.02.2023", "31.12.24", "31.12.02024", "2024-12-31")),
    (DATE, "%d.%m.%Y", (" 31.12.2024", "31.12.2024 ", "31.12.2024x", "031.12.2024", "+1.1.2024")),
    (DATE, "%d.%m.%Y", ("\u0663\u0661.12.2024", "31.12.2024\n", "0.1.2024", "1.13.2024", "31.12.")),
    (DATE, "%d.%m.%Y", ("31,12,2024", "31.12.0000", "-1.12.2024", "31. 12.2024", "\n1.12.2024")),
    (DATE, "%d.%m.%Y", ("", "31", "....")),
    (DATE, "%Y%m%d", ("2024123", "202412311", "2024-12-31", "20240230")),
    (DATE, "%b %d %Y", ("Dez 31 2024", "December 31 2024", "Dec  31 2024", "De 31 2024")),
    (DATE, "%d. %B %Y", ("1. Sept 2024", "1. Mai 2024", "1. \u017feptember 2024")),
    (DATE, "%d%m%y", ("3112024", "31124", "320124")),
    (STAMP, "%d/%m/%Y %H:%M", ("31/12/2024", "31/12/2024 24:00", "31/12/2024 12:60")),
    (STAMP, "%d/%m/%Y %H:%M", ("1/1/2024T1:1", "1/1/2024 1:1:1", "1/1/2024  1:1")),
    (STAMP, "%m/%d/%Y %I:%M %p", ("12/31/2024 0:30 AM", "12/31/2024 13:30 PM")),
    (STAMP, "%m/%d/%Y %I:%M %p", ("1/1/2024 1:1 a.m.", "1/1/2024 1:1")),
    (BERLIN, "%d/%b/%Y:%H:%M %z", ("1/Dec/2024:12:30 ", "1/Dec/2024:12:30 +1")),
    (BERLIN, "%d/%b/%Y:%H:%M %z", ("1/Dec/2024:1:2 CET", "1/Dec/2024:1:2 z")),
    (BERLIN, "%d/%b/%Y:%H:%M %z", ("1/Dec/2024:12:30 +24:00", "1/Dec/2024:12:30 +01:60")),
    (TIME, "%H%M%S", ("23595", "235960", "240000")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "format", "values"), FORMATTED)
def test_dates_and_times_by_format(kind, format, values, fast):
    """One at a time and all at once, of the full length and shorter."""
    assert column_of(values, kind, format).table["v"].to_pylist() == list(values.values())
    alone = [column_of([text], kind, format).table["v"].to_pylist() for text in values]
    assert alone == [[value] for value in values.values()]
    assert formats.fault(format, kind) is None


@pytest.mark.parametrize(("kind", "format", "texts"), MISFORMED)
def test_dates_and_times_that_are_not_of_the_format(kind, format, texts):
    """Nothing is guessed, rolled over to the next month, or left out."""
    result = column_of(texts, kind, format, null_values=("NA",))
    assert result.table.num_rows == 0
    assert [(r.value, r.reason) for r in result.rejects] == [(text, "type") for text in texts]
    for text in texts:
        assert column_of([text], kind, format, null_values=("NA",)).table.num_rows == 0


@pytest.mark.parametrize(
    ("kind", "format", "fault"),
    [
        (DATE, "%d.%m.%j", "has '%j', which is none of %d %m %Y"),
        (DATE, "%d.%m.%Y%", "has '%', which is none of"),
        (DATE, "%-d.%m.%Y", "has '%-', which is none of"),
        (DATE, "%d.%m", "lacks %Y or %y"),
        (DATE, "%m/%Y", "lacks %d"),
        (DATE, "%d.%m.%Y %H", "has %H, of which the type keeps nothing"),
        (DATE, "%d.%m.%Y%z", "has %z, which only a datetime with a time zone takes"),
        (DATE, "%d.%m.%Y %y", "has more than one of %Y or %y"),
        (DATE, "%d %b %m %Y", "has more than one of %m or %b or %B"),
        (DATE, "%d.%d.%m.%Y", "has %d more than once"),
        (DATE, "%d.%m.%Y ", "begins or ends with a blank"),
        (DATE, "Y-m-d", "lacks %Y or %y"),
        (TIME, "%M:%S", "lacks %H or %I"),
        (TIME, "%H:%S", "has %S without %M"),
        (TIME, "%H:%M:%f", "has %f without %S"),
        (TIME, "%I:%M", "has %I without %p"),
        (TIME, "%H:%M %p", "has %p without %I"),
        (TIME, "%d %H:%M", "has %d, of which the type keeps nothing"),
        (STAMP, "%d.%m.%Y :%M", "lacks %H or %I"),
        (STAMP, "%d.%m.%Y %H:%M%z", "has %z, which only a datetime with a time zone takes"),
        (BERLIN, "%d.%m.%Y %H:%M", "lacks %z"),
        (BERLIN, "%d.%m.%Y %z", "lacks %H or %I"),
        (BERLIN, "%H:%M%z%d.%m.%Y", "has a number right after %z"),
    ],
)
def test_formats_that_make_no_value(kind, format, fault):
    """They are found before a file is opened."""
    spec = TableSpec((ColumnSpec("v", "v", kind, format=format),))
    ((place, message),) = CsvReader().faults(spec)
    assert place == ("columns", "v", "format")
    assert message.startswith(f"format of column 'v' {fault}")


def test_a_default_that_its_own_checks_refuse():
    """It would make a reject of each record that lacks the value."""
    spec = TableSpec((ColumnSpec("v", "v", INT, checks=(("min", 0), ("max", 9)), default=-1),))
    message = "default of column 'v' fails min, a check of its own column"
    assert list(CsvReader().faults(spec)) == [(("columns", "v", "default"), message)]


DEFAULTS = [
    (INT, 7),
    (FLOAT, 0.5),
    (D12, Decimal("1.5")),
    (BOOL, False),
    (TEXT, "none"),
    (TEXT, ""),
    (DATE, DAY),
    (TIME, time(1, 2)),
    (STAMP, NOON),
    (BERLIN, BERLIN_NOON),
]


@pytest.mark.parametrize(("kind", "default"), DEFAULTS)
@pytest.mark.parametrize("trim", [True, False])
def test_a_default_stands_where_the_file_has_no_value(kind, default, trim, fast):
    """For a null word and for a column that is not there, also a required one."""
    v = ColumnSpec("v", "v", kind, required=True, default=default)
    w = ColumnSpec("w", "w", kind, required=True, default=default)
    result = read(
        "n;v\n1;\n2;NA\n", v, w, ColumnSpec("n", "n", INT), null_values=("", "NA"), trim=trim
    )
    assert result.table["v"].to_pylist() == result.table["w"].to_pylist() == [default] * 2
    assert result.table.schema.types == [kind, kind, INT]


def test_a_default_is_checked_and_a_bad_value_never_becomes_it():
    """Checks see what was taken; a value that does not fit is a reject as ever."""
    v = ColumnSpec("v", "v", INT, True, (("max", 5),), default=7)
    n = ColumnSpec("n", "n", INT, default=1)
    result = read("v;n\n1;\n;2\nx;3\n5;y\n", v, n)
    assert [tuple(row.values()) for row in result.table.to_pylist()] == [(1, 1)]
    assert [(r.value, r.reason, r.also) for r in result.rejects] == [
        ("", "max", None),
        ("x", "type", None),
        ("y", "type", None),
    ]


def test_a_pattern_that_is_none_is_told_before_the_default_is_tried():
    """There is nothing to hold the default against."""
    spec = TableSpec((ColumnSpec("v", "v", TEXT, checks=(("pattern", "(?=a)"),), default="a"),))
    ((place, message),) = CsvReader().faults(spec)
    assert place == ("columns", "v", "pattern")
    assert message.startswith("pattern of column 'v' is none that RE2 takes: ")


@pytest.mark.parametrize("ends", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("kind", [INT, D12, STAMP, TIME])
def test_a_line_end_in_a_value_moves_no_other_value(ends, kind):
    """Two values in one field and none in another are as many as there are rows."""
    text = {STAMP: "2024-12-31", TIME: "10:11"}.get(kind, "1")
    result = column_of([f"{text}{ends}{text}", ""], kind, trim=True, null_values=("NA",))
    assert [r.value for r in result.rejects] == [f"{text}{ends}{text}", ""]
    assert result.table.num_rows == 0


def test_a_null_word_with_blanks_around_it_means_nothing_with_trim():
    """No field is such a word any more when null words are looked for."""
    result = column_of([" ", "NA"], TEXT, trim=True, null_values=(" ", "NA"))
    assert result.table["v"].to_pylist() == ["", None]


def test_blanks_are_left_out_before_null_words_are_looked_for():
    """Quotes do not keep them; without trim they count."""
    columns = (ColumnSpec("v", "v", TEXT), ColumnSpec("n", "n", INT, default=0))
    data = 'v;n\n x ;\t1\n NA; \n" y ";NA \nNA;2\n'
    trimmed = read(data, *columns, trim=True, null_values=("", "NA"))
    assert trimmed.table["v"].to_pylist() == ["x", None, "y", None]
    assert trimmed.table["n"].to_pylist() == [1, 0, 0, 2]
    kept = read(data, *columns, null_values=("", "NA"))
    assert kept.table["v"].to_pylist() == [" x ", None]
    assert [r.value for r in kept.rejects] == [" ", "NA "]


def test_blanks_around_the_names_in_a_header_are_left_out():
    """They are fields too."""
    result = read("v ; n\n1;2\n", ColumnSpec("v", "v", INT), ColumnSpec("n", "n", INT), trim=True)
    assert result.table.to_pylist() == [{"v": 1, "n": 2}]


def test_checks_see_the_value_and_rejects_show_the_text():
    """A pattern sees what is left of a text, a bound sees the number."""
    v = ColumnSpec("v", "v", D12, checks=(("max", Decimal(1000)),))
    t = ColumnSpec("t", "t", TEXT, checks=(("max_length", 2),))
    result = read("v;t\n1.000,00; ab \n1.000,01; abc\n", v, t, trim=True, **GERMAN)
    assert result.table.to_pylist() == [{"v": Decimal(1000), "t": "ab"}]
    assert [(r.column, r.value, r.reason, r.also, r.raw) for r in result.rejects] == [
        ("v", "1.000,01", "max", "t:max_length", b"1.000,01; abc")
    ]


def test_many_rows_with_nulls_and_bad_values_among_them():
    """Each value stays in its row."""
    texts = ["" if n % 7 == 0 else "?" if n % 11 == 0 else f"{n},5" for n in range(3000)]
    days = [f"{n % 28 + 1}.{n % 12 + 1}.2024" if n % 5 else "" for n in range(3000)]
    v, d = ColumnSpec("v", "v", D12), ColumnSpec("d", "d", DATE, format="%d.%m.%Y", default=DAY)
    lines = [f"{text};{day}" for text, day in zip(texts, days, strict=True)]
    result = read("v;d\n" + "\n".join(lines), v, d, decimal_comma=True)
    good = [n for n in range(3000) if texts[n] != "?"]
    assert result.table["v"].to_pylist() == [Decimal(f"{n}.5") if texts[n] else None for n in good]
    assert result.table["d"].to_pylist() == [
        date(2024, n % 12 + 1, n % 28 + 1) if n % 5 else DAY for n in good
    ]
    assert len(result.rejects) == 3000 - len(good)


@pytest.mark.parametrize("kind", [INT, D12, FLOAT, BOOL, DATE, STAMP, TIME, TEXT])
def test_files_without_a_value(kind, fast):
    """No record, and none but nulls."""
    format = {DATE: "%Y%m%d", STAMP: "%Y%m%d", TIME: "%H%M"}.get(kind)
    for text in ("", ";\n;\n"):
        columns = (ColumnSpec("v", "v", kind, format=format), ColumnSpec("n", "n", INT))
        result = read("v;n\n" + text, *columns, trim=True, **GERMAN, **YES)
        assert result.table["v"].to_pylist() == [None] * text.count("\n")
        assert result.table.schema.types == [kind, INT]
