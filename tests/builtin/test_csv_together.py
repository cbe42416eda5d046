"""Files read as one: each comes out as it does by itself, whatever stands in the others."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pyarrow as pa
import pytest

from stagepipe.builtin.csv import body, opening, parsing, sifting, together
from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.contracts import ColumnSpec, DeadSegment, SegmentBytes, TableSpec
from stagepipe.model import InputFile, Segment

OPTIONS = {"delimiter": ",", "quote": '"', "null_values": ("",)}
SPEC = TableSpec(
    (ColumnSpec("id", "id", pa.int64(), required=True), ColumnSpec("word", "word", pa.string()))
)
HEADER = b"id,word\n"


def bytes_of(data, options=OPTIONS, number=0, is_last=True):
    segment = Segment(InputFile(f"{number}.csv", len(data), 0, 0), 0, len(data))
    return SegmentBytes(data, data, segment, options, is_last)


def singly(files, spec=SPEC):
    """What the reader makes of each file by itself."""
    results = []
    for it in files:
        try:
            result = CsvReader().read(
                it.data,
                it.head,
                it.segment,
                spec,
                it.options,
                with_places=True,
                is_last=it.is_last,
            )
        except DeadSegment as error:
            result = error
        results.append(shown(result))
    return results


def jointly(files, spec=SPEC):
    return [shown(result) for result in CsvReader().read_all(files, spec, with_places=True)]


def shown(result):
    if isinstance(result, DeadSegment):
        return str(result)
    rows = [tuple(map(repr, row.values())) for row in result.table.to_pylist()]
    return replace(result, table=rows, places=result.places.to_pylist(), rejects=[*result.rejects])


@pytest.fixture
def no_single():
    """No file is read by itself."""
    with mock.patch.object(together, "read_opened", side_effect=AssertionError):
        yield


GOOD = [
    [b"1,x\n2,y\n", b"3,z\n"],
    [b"1,x\n2,y", b"3,z", b"4,"],  # no end behind the last
    [b"1,x\r\n2,y\r\n", b"3,z\r\n"],
    [b"1,x\r\n2,y", b"3,z\n4,a\r\n"],
    [b'1,"a\nb"\n2,"c ""d"""\n', b'3,"\nq"\n'],
    [b"1,x\n\n2,y\n\n", b"\n\n3,z\n"],
    [b"1,x\n", b"", b"2,y\n", b""],
    [b"1,x\r2,y\r", b"\n3,z\r"],
    [b"1,x\n" * 3, b"1,x\n" * 4],  # all rows are alike
    ["1,ä\n".encode(), "2,\ufeffö\n".encode()],
]
BAD = [
    [b"1,x\nq,y\n2,z\n", b"3,z\n"],
    [b"q,x\n", b"q,y\n1,x\n", b"2,z\n,z\n"],
    [b"q,x\n", b"q,y\n"],
    [b"1,x\n2\n3,z,a\n", b"q,z", b"4,x\n5"],
    [b'1,"a\nb"\n"q\nr",x\n', b'3,"\nq"\n4\n'],
    [b"1,x\r\nq,y", b"3\n4,a\r\n"],
]


@pytest.mark.usefixtures("no_single")
@pytest.mark.parametrize("bodies", GOOD + BAD)
def test_read_as_one(bodies, monkeypatch):
    monkeypatch.setattr(sifting, "MOST_DOUBTFUL", 1)
    files = [bytes_of(HEADER + each, number=number) for number, each in enumerate(bodies)]
    assert jointly(files) == singly(files)


@pytest.mark.parametrize(
    "bodies",
    [
        [b'1,"x\n', b'2,y"\n'],  # a quote that the next file would close
        [b'1,x"\n', b'2,y"\n3,z\n'],
        [b'1,"x\n2,y\n', b"3,z\n"],
        [b"1,\xff\n", b"2,x\n"],
        [b'"1"2,x\n3,"a"\n', b'4,"b"c"\n"5,d\n'],
    ],
)
def test_left_to_themselves(bodies):
    """What more is amiss than single bad records stays in its file."""
    files = [bytes_of(HEADER + each, number=number) for number, each in enumerate(bodies)]
    assert jointly(files) == singly(files)


def test_each_has_its_own_header_and_dialect():
    """Only files that are alike are read as one; and one that is dead leaves the others alone."""
    files = [
        bytes_of(b"id,word\n1,x\n"),
        bytes_of(b"word,id\ny,2\n"),
        bytes_of(b"id;word\n3;z\n", OPTIONS | {"delimiter": ";"}),
        bytes_of(b"id;word\n4;a\n", OPTIONS | {"delimiter": ";"}),
        bytes_of(b"\xef\xbb\xbfid,word\n5,b\n"),
        bytes_of(b""),
        bytes_of(b"id,word\n6,c\n"),
        bytes_of(b"else\n7\n"),
        bytes_of("id,word\n8,d\n".encode("utf-16"), OPTIONS | {"encoding": "utf-16"}),
    ]
    results = jointly(files)
    assert results == singly(files)
    assert ["dead" if isinstance(each, str) else each.table[0] for each in results] == [
        ("1", "'x'"),
        ("2", "'y'"),
        ("3", "'z'"),
        ("4", "'a'"),
        ("5", "'b'"),
        "dead",
        ("6", "'c'"),
        "dead",
        ("8", "'d'"),
    ]


def test_one_bad_file_leaves_most_together():
    """What is amiss is looked for in parts: of forty files but a few are read by themselves."""
    bodies = [b'1,"x\n' if number == 20 else b"1,x\n" for number in range(40)]
    files = [bytes_of(HEADER + each, number=number) for number, each in enumerate(bodies)]
    with mock.patch.object(together, "read_opened", wraps=opening.read_opened) as alone:
        results = jointly(files)
    assert results == singly(files)
    assert alone.call_count <= together.PARTS


def test_only_so_many_bytes_at_once(monkeypatch):
    files = [bytes_of(HEADER + b"%d,x\n" % n) for n in range(10)]
    monkeypatch.setattr(together, "MOST_AT_ONCE", 3 * len(files[0].data))
    with mock.patch.object(together, "read_at_once", wraps=body.read_at_once) as once:
        results = jointly(files)
    assert results == singly(files)
    assert once.call_count == 3  # the last one is alone


def test_more_at_once_where_the_file_before_had_bad_records(monkeypatch):
    """Those are sifted anyway, which is cheaper for many at once, and parsed piece by piece."""
    files = [bytes_of(HEADER + b"%d,x\nq,y\n%d,z,z\n" % (n, n)) for n in range(10, 30)]
    size = len(files[0].data)
    monkeypatch.setattr(sifting, "MOST_DOUBTFUL", 1)
    monkeypatch.setattr(parsing, "MOST_AT_ONCE", 2 * size)
    monkeypatch.setattr(together, "MOST_AT_ONCE", 2 * size)
    monkeypatch.setattr(together, "MOST_TO_SIFT", 9 * size)
    with mock.patch.object(together, "sift", wraps=sifting.sift) as sieve:
        results = jointly(files)
    assert sieve.call_count == 3  # two files, and twice nine
    assert results == singly(files)


@pytest.mark.parametrize("line", [b'5,6","x\n', b'5,6","x\r\n', b'5","x\n', b'5,6,"x"\n', b"5\n"])
@pytest.mark.parametrize("ends", range(8, 20))
def test_no_piece_ends_within_a_record(line, ends, monkeypatch):
    """A line with quotes enough may be a record that goes on in the next one; the parser says
    nothing of that where it leaves the record out and the piece ends with it."""
    files = [bytes_of(HEADER + b"1,a\n" + line + b"7,b\n8,c\n")]
    monkeypatch.setattr(sifting, "MOST_DOUBTFUL", 1)
    expected = singly(files)
    monkeypatch.setattr(parsing, "MOST_AT_ONCE", ends)
    assert singly(files) == expected


def test_rows_are_given_back_to_their_file():
    """With line ends in quotes, a parser that finds as many records as there are, but not where
    they are, is not believed."""
    files = [bytes_of(HEADER + b'1,"x\ny"\n2,y\n'), bytes_of(HEADER + b"3,z\n4,a\n")]
    alone = singly(files)

    def shifted(*how):
        found = body.read_at_once(*how)
        return replace(found, table=found.table.take([0, 1, 1, 2]))

    with mock.patch.object(together, "read_at_once", shifted):
        assert jointly(files) == alone
