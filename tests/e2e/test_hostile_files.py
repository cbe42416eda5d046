"""Files that nobody should send, by real runs: each costs what is bad of it, once and with a clear
reason, the files beside it go on, and the sum comes out."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import Any

import polars as pl
import pytest

GOOD = "id,word\n1,one\n2,two\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0" + bytes(range(256)) * 40
NAMES = [f"column_{number:06}" for number in range(100_000)]
WIDE = f"id,word,{','.join(NAMES)}\n3,w{',x' * len(NAMES)}\n4,w{',y' * len(NAMES)}\n".encode()


def excel() -> bytes:
    """As Excel writes it: a zip of XML."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        for name in ("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"):
            book.writestr(name, '<?xml version="1.0"?>\n' + "<c><v>1</v></c>\n" * 500)
    return out.getvalue()


def ended(project: Any, name: str, content: bytes, schema: str = "", **how: Any) -> dict[str, Any]:
    """Run with such a file between two good ones. Every count is there, and none is there twice."""
    project.write("landing/a.csv", GOOD)
    project.write(f"landing/{name}", content)
    project.write("landing/z.csv", GOOD)
    how = {"settings": "", "after": '[errors]\nmax_dead = 1\nmax_rejected = "90%"', **how}
    project.declare(**how)
    text = (project.root / "pipeline.toml").read_text()
    text = text.replace("landing/*.csv", "landing/*").replace(
        "[schema.columns]", f"[schema]\n{schema}\n[schema.columns]"
    )
    project.write("pipeline.toml", text)
    found = project.command()
    assert found.code == 0, found.err
    assert "Traceback" not in found.err
    rows = found.json["rows"]
    assert rows["read"] + rows["added"] == rows["written"] + rows["rejected"] + rows["dropped"]
    assert rows["written"] >= 4
    return {**found.json, "err": found.err}


def table(project: Any) -> pl.DataFrame:
    return pl.read_parquet(project.root / "out/letters/*.parquet")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.csv", PNG, "it is no CSV file: it begins as a picture (PNG) does"),
        ("m.csv", excel(), "it is no CSV file: it begins as a zip does, or an Excel file"),
        ("m.csv", gzip.compress(GOOD.encode()), "its name has to end in .gz"),
        ("m.csv", b"<html><body>502 Bad Gateway</body></html>", "begins as a web page does"),
        ("m.csv", WIDE, "'column_000004' and 99995 more, which [schema.columns] does not name"),
        ("m.csv", b"\0" * 5000, "\\x00…' has no delimiter ','"),
        ("m.csv.gz", gzip.compress(GOOD.encode() * 999)[:-40], "it cannot be unpacked"),
        ("m.csv.gz", gzip.compress(b"id,word\n" + b"1,a\n" * 2**24), "unpacks to more than"),
        ("m.csv.gz", gzip.compress(b"id,word\n1," + b"a" * 2**26), "unpacks to more than"),
        ("m.csv", b'"id,word\n1,a\n', "the header has a quote that nothing closes"),
        ("m.csv", b"id,word,../../etc/x\n3,a,b\n", "has column '../../etc/x'"),
    ],
    ids=[
        *("picture", "Excel", "gzip", "web page", "100,000 columns", "NULs", "cut off"),
        *("1000:1, records", "1000:1, a line", "quote", "path"),
    ],
)
def test_one_dead_letter_with_one_reason(
    project: Any, name: str, content: bytes, words: str
) -> None:
    """The others are the table."""
    found = ended(project, name, content)
    assert found["files"] == {"read": 2, "skipped": 0, "dead": 1}
    assert found["rows"]["written"] == 4
    lines = [line for line in found["err"].splitlines() if "dead letter" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"warning: dead letter: landing/{name}: ")
    assert words in lines[0]
    assert len(lines[0]) < 400
    assert table(project).rows() == [(1, "one"), (2, "two")] * 2


@pytest.mark.parametrize(
    ("record", "reason", "kept"),
    [
        (b"3,a\0b", None, "a\0b"),
        (b"3\0,ab", "type", None),
        (b"3,caf\xe9", "encoding", None),
        (b"3,\xed\xa0\x80", "encoding", None),
        *((f"3,{sign}1+1".encode(), None, f"{sign}1+1") for sign in "=+-@\t"),
    ],
)
def test_one_record_among_good_ones(
    project: Any, record: bytes, reason: str | None, kept: str | None
) -> None:
    """It is one reject, or the row that stands in the file; nothing else is touched."""
    filler = b"".join(b"%d,word\n" % number for number in range(10, 2000))
    found = ended(project, "m.csv", b"id,word\n" + filler + record + b"\n" + filler)
    words = table(project).filter(pl.col("id") == 3)["word"].to_list()
    assert words == ([kept] if reason is None else [])
    assert found["rows"]["written"] == 4 + 2 * 1990 + (reason is None)
    assert found["rows"]["rejected"] == (reason is not None)
    if reason is not None:
        from stagepipe.record import rejects

        (reject,) = rejects.read(project.root / found["rejects"])
        assert (reject.reason, reject.line, reject.raw) == (reason, 1992, record)


def test_a_hundred_thousand_columns_that_are_left_out(project: Any) -> None:
    """Those of the schema are read."""
    found = ended(project, "m.csv", WIDE, 'extra_columns = "ignore"')
    assert found["rows"]["written"] == 6
    assert table(project)["id"].to_list() == [1, 2, 3, 4, 1, 2]


def test_a_hundred_thousand_columns_that_would_be_kept(project: Any) -> None:
    """They would cost every row of the other files: one dead letter, and none of them is there."""
    found = ended(project, "m.csv", WIDE, 'extra_columns = "keep"')
    assert found["files"]["dead"] == 1
    assert "100,000 columns beyond the schema, and no more than 10,000" in found["err"]
    assert table(project).columns == ["id", "word"]


def test_a_column_that_is_a_path(project: Any) -> None:
    """It is a name like others in the table, and never a place: neither as a column that is kept
    nor as one of the schema, and by it nothing is partitioned."""
    content = b"id,word,../../etc/x,/etc/y\n3,a,b,c\n"
    before = {path.name for path in project.root.parent.iterdir()}
    ended(project, "m.csv", content, 'extra_columns = "keep"')
    assert table(project).columns == ["id", "word", "../../etc/x", "/etc/y"]
    assert table(project).row(2) == (3, "a", "b", "c")
    names = {path.name for path in (project.root / "out").iterdir()}
    assert names == {"letters", ".letters.manifest.json"}
    for use, path in (("csv", "c.csv"), ("arrow", "c.arrow")):
        sink = f'sink = {{ use = "{use}", path = "{path}" }}'
        ended(project, "m.csv", content, 'extra_columns = "keep"', stages=sink)
    sink = 'sink = { path = "parts", partition_by = ["../../etc/x"] }'
    project.declare(stages=sink)
    refused = project.command()
    assert (refused.code, "partition_by names '../../etc/x'" in refused.message) == (2, True)
    assert {path.name for path in project.root.parent.iterdir()} == before


def test_values_that_are_paths_stay_below_the_table(project: Any) -> None:
    """As names of folders they are written so that they lead nowhere else."""
    sink = 'sink = { path = "parts", partition_by = ["x"] }'
    content = b"id,word,x\n3,a,../../../etc\n4,b,/etc\n5,c,.\n"
    ended(project, "m.csv", content, 'extra_columns = "keep"', stages=sink)
    folders = {path.name for path in (project.root / "out/parts").iterdir()}
    assert len(folders) == 4
    assert all(name.startswith("x=") for name in folders)
    found = pl.read_parquet(project.root / "out/parts/**/*.parquet", hive_partitioning=True)
    assert sorted(found["x"].drop_nulls().to_list()) == [".", "../../../etc", "/etc"]
