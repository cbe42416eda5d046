"""What `[source.csv]` leaves out, found in each file; and what is not taken for found."""

from __future__ import annotations

import codecs

import pyarrow as pa
import pytest

from stagepipe.builtin.csv.detecting import HEAD_BYTES, detect
from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.contracts import ColumnSpec, DeadSegment, TableSpec
from stagepipe.model import InputFile, Segment

LEFT_OUT = dict.fromkeys(("encoding", "delimiter", "quote", "skip_lines"))
OPTIONS = {**LEFT_OUT, "null_values": ("",)}
COLUMNS = tuple(ColumnSpec(name, name, pa.string()) for name in ("id", "amount", "note"))
SPEC = TableSpec(COLUMNS)
TYPED = TableSpec((ColumnSpec("id", "id", pa.int64()), *COLUMNS[1:]))
REQUIRED = TableSpec((*COLUMNS[:2], ColumnSpec("note", "note", pa.string(), required=True)))
LENIENT = TableSpec(COLUMNS, extra_columns="ignore", missing_columns="null")
ROW = ("1", "2.50", "x")


def found(data, spec=SPEC, **options):
    """What is found in a file."""
    given = OPTIONS | options
    made = detect(data, spec, given)
    return {key: value for key, value in made.items() if value != given.get(key)}


def read(data, spec=SPEC, **options):
    """The rows of a file that is read by what is found in it, and the reasons of its rejects."""
    made = detect(data, spec, OPTIONS | options)
    segment = Segment(InputFile("f.csv", len(data), 0, 0), 0, len(data))
    result = CsvReader().read(data, data, segment, spec, made)
    rows = [tuple(row.values()) for row in result.table.to_pylist()]
    return rows, [reject.reason for reject in result.rejects]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,amount,note\n1,2.50,x\n", {}),
        ("id;amount;note\n1;2.50;x\n", {"delimiter": ";"}),
        ("id\tamount\tnote\n1\t2.50\tx\n", {"delimiter": "\t"}),
        ("id||amount||note\n1||2.50||x\n", {"delimiter": "||"}),
        ("id|amount|note\n1|2.50|x\n", {"delimiter": "|"}),
        ("id::amount::note\n1::2.50::x\n", {"delimiter": "::"}),
        ("id amount note\n1 2.50 x\n", {"delimiter": " "}),
        ("id§amount§note\n1§2.50§x\n", {"delimiter": "§"}),
        ("'id','amount','note'\n1,'2.50',x\n", {"quote": "'"}),
        ("'id';'amount';'note'\n1;'2.50';x\n", {"delimiter": ";", "quote": "'"}),
        ('"id";"amount";"note"\n"1";2.50;x\n', {"delimiter": ";"}),
        ("Orders\nid,amount,note\n1,2.50,x\n", {"skip_lines": 1}),
        ("Orders;\nMarch\nid;amount;note\n1;2.50;x\n", {"delimiter": ";", "skip_lines": 2}),
        ('6" pipes\nid,amount,note\n1,2.50,x\n', {"skip_lines": 1}),
        ("note;id;amount\nx;1;2.50\n", {"delimiter": ";"}),
    ],
)
@pytest.mark.parametrize("encoding", [None, "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_header_with_all_columns_tells(text, expected, encoding):
    """With the columns in any order, and in UTF-16 with its mark or without."""
    data = text.encode(encoding or "utf-8")
    named = {"utf-16": "utf-16", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be"}
    with_encoding = {"encoding": named[encoding]} if encoding in named else {}
    assert found(data) == expected | with_encoding
    assert read(data) == ([ROW], [])


@pytest.mark.parametrize("spec", [TYPED, REQUIRED])
def test_titles_that_a_spreadsheet_filled_up(spec):
    """They are told from records by what could be no row."""
    text = b"Orders of March,,\n\nid,amount,note\n1,2.50,x\n"
    assert found(text, spec) == {"skip_lines": 1}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delimiter": ","}, "id;amount;note\n1;2;x\n"),
        ({"quote": '"'}, "'id','amount','note'\n1,2,x\n"),
        ({"skip_lines": 0}, "Orders\nid,amount,note\n1,2,x\n"),
        ({"encoding": "cp1252"}, "\0i\0d\0,"),
    ],
)
def test_what_is_declared_is_not_touched(options, text):
    """Such a file is a dead letter, as the pipeline file says."""
    assert found(text.encode(), **options) == {}
    with pytest.raises(DeadSegment):
        read(text.encode(), **options)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        # Lines above the header that may be records, or the header of another table.
        (SPEC, "nr,betrag,text\n7,8,y\nid,amount,note\n1,2,x\n"),
        (SPEC, "a,b,c\nid,amount,note\n1,2,x\n"),
        (LENIENT, "id,betrag,amount\n7,8,y\nid,amount,note\n1,2,x\n"),
        (SPEC, "Date;March\nid;amount;note\n1;2;x\n"),
        (SPEC, "1,5\n2,6\nid,amount,note\n4,8,x\n"),
        (SPEC, "Orders of March,,\nid,amount,note\n1,2,x\n"),
        (TYPED, "01,3,\n02,6,\nid,amount,note\n"),
        (TYPED, "7,,\nid,amount,note\n1,2,x\n"),
        # One of the columns was renamed: a record says nothing about the header.
        (SPEC, "id,amount,text\nid,amount,note\n"),
        # Blanks that stand for nothing.
        (SPEC, "id  amount note\n 1 2 x\n"),
        (TableSpec(COLUMNS, extra_columns="ignore"), " id amount note\n 1 2 x\n"),
        (SPEC, "id amount note\n1 2 x\n3  x\n"),
        (SPEC, "id amount note\n1 2 x\n10 2 x \n"),
        # What stands in names, and in texts.
        (TableSpec(COLUMNS[:2], extra_columns="ignore"), "id nr;due amount\nA B;C D\n"),
        (TableSpec(COLUMNS[:2], extra_columns="ignore"), "id:nr|due:amount\n1:2|3:4\n"),
        # Nothing of several columns.
        (TableSpec(COLUMNS[:1]), "id;other\n1;2\n"),
        (SPEC, "x;y;z\n1;2;3\n"),
    ],
)
def test_no_record_is_lost_for_a_header_further_down(spec, text):
    """Nor is one bent: what may be a table is not left out as a title, and a file that cannot be
    read for sure is a dead letter, or is read as it stands."""
    assert found(text.encode(), spec) == {}


@pytest.mark.parametrize(
    ("text", "expected", "rows"),
    [
        ("id,amount\n1,2\n", {}, [("1", "2", None)]),
        ("id;amount\n1;2\n", {"delimiter": ";"}, [("1", "2", None)]),
        ("id\n1\n", {}, [("1", None, None)]),
        ("of,id,\nid,amount,note\n1,2,x\n", {"skip_lines": 1}, [("1", "2", "x")]),
        ("id,x;amount\n1,2\n", {}, [("1", None, None)]),
        ("id,x;amount;note\n2;3;x\n", {"delimiter": ";"}, [(None, "3", "x")]),
    ],
)
def test_columns_that_may_be_missing(text, expected, rows):
    """The header with the most columns is taken, the plain one where others have no more."""
    assert found(text.encode(), LENIENT) == expected
    assert read(text.encode(), LENIENT) == (rows, [])


@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS[:1]])
def test_a_header_with_none_of_the_columns_makes_no_empty_rows(columns):
    """A column may be missing, but not all of them: then it is another file, or is written in a
    way that nothing told."""
    spec = TableSpec(columns, extra_columns="ignore", missing_columns="null")
    with pytest.raises(DeadSegment, match=r"has none of the columns of \[schema.columns\], but"):
        read(b"id/amount/note\n1/2/x\n", spec)


def test_a_dead_letter_says_what_was_tried():
    """So that nobody looks for it in vain."""
    with pytest.raises(DeadSegment, match=r"tried too, in vain: UTF-16, other delimiters, another"):
        read(b"nr/betrag/text\n1/2/x\n")
    with pytest.raises(DeadSegment, match=r"lacks column 'note'$"):
        read(b"id;amount;text\n1;2;x\n")


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_zeros_on_the_other_side(name):
    """Some characters of UTF-16 have theirs there; and a NUL makes no UTF-16 of a file."""
    text = "id;amount;note\n1;2.50;\u4e00\n"
    assert found(text.encode(name)) == {"delimiter": ";", "encoding": name}
    for at in (0, 1):
        data = b"id;amount;note\n" + b"1" * at + b"\0;2;x\n" + b"1;2;x\n" * 20
        assert found(data) == {"delimiter": ";"}


def test_without_a_header_only_a_mark_tells():
    """The delimiter is the one that files have where none is declared."""
    data = codecs.BOM_UTF16_LE + "1,2.50,x\n".encode("utf-16-le")
    assert found(data, header=False) == {"encoding": "utf-16"}
    assert read(data, header=False) == ([ROW], [])
    assert read(b"1;2.50;x\n", header=False) == ([], ["too_few_fields"])
    with pytest.raises(DeadSegment, match="its first record has no delimiter ','"):
        read(b"1;2.50;x\n", LENIENT, header=False)
    assert read(b"1\n", LENIENT, header=False, delimiter=",") == ([("1", None, None)], [])


def test_nothing_behind_the_first_mib_tells():
    """What is found is the same for whoever holds more of the file, or less."""
    text = b"Orders\n" + b"x" * 100 + b"\nid;amount;note\n" + b"1;2;x\n" * (HEAD_BYTES // 4)
    assert len(text) > HEAD_BYTES
    expected = {"delimiter": ";", "skip_lines": 2}
    assert found(text) == found(text[:HEAD_BYTES]) == expected
    late = b"t" * HEAD_BYTES + b"\nid;amount;note\n1;2;x\n"
    assert found(late) == found(late[:HEAD_BYTES]) == {}


def test_a_mark_that_contradicts_what_is_declared():
    """Then one of the two is wrong, and nobody knows which."""
    data = "id,amount,note\n1,2.50,x\n".encode("utf-16")
    assert found(data, encoding="utf-8") == {}
    with pytest.raises(DeadSegment, match=r"the byte order mark of UTF-16 .* set encoding = \"utf"):
        read(data, encoding="utf-8")


def test_a_header_that_does_is_looked_for_first_and_changes_nothing_else():
    """What is known of one header holds for files that begin with it, and for no others: neither
    for a longer one, nor for another schema, nor where more than the header tells."""
    names = ",".join(column.name for column in COLUMNS).encode()
    plain, options = names + b"\n1,2.50,x\n", {**OPTIONS}
    lenient = TableSpec(COLUMNS[:2], extra_columns="ignore")
    one = TableSpec((ColumnSpec("title", "title", pa.string()),), extra_columns="ignore")
    assert detect(plain, SPEC, options) is options
    assert detect(names + b"\n", SPEC, options) is options
    assert detect(names + b"\r\n", SPEC, options) is options
    assert detect(plain.replace(b",", b";"), SPEC, options) == {**options, "delimiter": ";"}
    assert detect(plain, SPEC, options) is options
    assert detect(b"title\n" + plain, one, options) is options
    assert detect(b"title\n" + plain, lenient, options) == {**options, "skip_lines": 1}
    assert detect(b"title\n" + plain, SPEC, options) == {**options, "skip_lines": 1}
    assert detect(plain, SPEC, options) is options
    assert detect(codecs.BOM_UTF16_LE + plain.decode().encode("utf-16-le"), SPEC, options) == {
        **options,
        "encoding": "utf-16",
    }
