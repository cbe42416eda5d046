"""Segments that are read a portion after the other."""

from __future__ import annotations

import gzip
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.contracts import ColumnSpec, DeadSegment, TableSpec
from stagepipe.model import InputFile, Segment
from stagepipe.plan.work import SourceWork
from stagepipe.run import portions

OPTIONS = {"delimiter": ",", "quote": '"', "null_values": ("",)}
HOW = SourceWork("csv", OPTIONS, 500)
SPEC = TableSpec((ColumnSpec("a", "a", pa.int64()), ColumnSpec("b", "b", pa.string())))


def file_of(path: Path, data: bytes) -> InputFile:
    path.write_bytes(data)
    status = path.stat()
    return InputFile(path.name, status.st_size, status.st_mtime_ns, status.st_ino)


def test_a_long_segment_is_read_from_its_own_beginning_to_its_own_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it stands in its file; only the last portion of the last one is the last."""
    monkeypatch.setattr(portions, "LONGEST_RECORD", 100)
    data = b"a,b\n" + b"".join(b"%d,x\n" % n for n in range(300))
    file = file_of(tmp_path / "f.csv", data)
    edges = [0, data.index(b"100,"), data.index(b"200,"), len(data)]
    found = []
    for start, end in pairwise(edges):
        segment = Segment(file, start, end)
        assert portions.is_streamed(segment, 50)
        of_it = list(portions.portions(tmp_path, segment, CsvReader(), HOW, 50, SPEC))
        assert b"".join(portion.data for portion in of_it) == data[start:end]
        assert of_it[0].start == start
        assert all(portion.head.startswith(b"a,b\n") for portion in of_it)
        found += of_it
    assert [one.start + len(one.data) for one in found[:-1]] == [one.start for one in found[1:]]
    assert [portion.is_last for portion in found] == [False] * (len(found) - 1) + [True]


def test_the_digest_of_a_long_segment_is_that_of_its_bytes(tmp_path: Path) -> None:
    """Of a packed file it is that of the whole file on the disk."""
    from hashlib import sha256

    file = file_of(tmp_path / "f.csv", b"0123456789")
    digest = portions.streamed_sha256(tmp_path, Segment(file, 3, 7))
    assert digest == sha256(b"3456").hexdigest()
    packed = gzip.compress(b"0123456789")
    file = file_of(tmp_path / "f.csv.gz", packed)
    digest = portions.streamed_sha256(tmp_path, Segment(file, 0, len(packed)))
    assert digest == sha256(packed).hexdigest()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp037", "gb18030"])
def test_a_quote_that_stays_open_costs_a_stream_its_record_too(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """Where it is open for longer than any record may be; what follows is as in a whole file."""
    text = 'a,b\n1,x\n2,"open\nno record\n' + "".join(f"{n},x\n" for n in range(3, 800))
    data, options = text.encode(encoding), {**OPTIONS, "encoding": encoding}
    whole = Segment(InputFile("f.csv", len(data), 0, 0), 0, len(data))
    expected = CsvReader().read(data, data, whole, SPEC, options)
    monkeypatch.setattr(portions, "LONGEST_RECORD", 500)
    how = SourceWork("csv", options, 1)
    tables, rejects = [], []
    for portion in portions.cut(BytesIO(data), CsvReader(), how, 100):
        inside = portion.within(whole.file, 1)
        result = CsvReader().read(
            portion.data, portion.head, inside, SPEC, options, is_last=portion.is_last
        )
        tables.append(result.table)
        rejects += [(r.reason, (r.byte_offset or 0) + portion.start, r.raw) for r in result.rejects]
    assert len(tables) > 5
    assert pa.concat_tables(tables).equals(expected.table.combine_chunks())
    assert expected.table.num_rows == 798
    assert rejects == [(r.reason, r.byte_offset, r.raw) for r in expected.rejects]


def test_where_nothing_follows_that_looks_like_records_the_file_is_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody can tell where the record ends, nor hold it."""
    monkeypatch.setattr(portions, "LONGEST_RECORD", 500)
    stream = BytesIO(b'a,b\n1,x\n2,"open\n' + b"words\n" * 500)
    with pytest.raises(DeadSegment, match="begins at byte 8 does not end"):
        list(portions.cut(stream, CsvReader(), HOW, 100))
