"""Columns beyond the schema that are kept: the union of all headers, read while planning."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

KEEP = '[schema]\nextra_columns = "keep"\n[schema.columns]'
APPEND = 'sink = { path = "letters", on_existing = "append" }'


def keep(project: Any, more: str = "", **how: Any) -> None:
    """Declare a pipeline that keeps extra columns."""
    project.declare(**how)
    text = (project.root / "pipeline.toml").read_text()
    schema = KEEP.replace("[schema]\n", f"[schema]\n{more}\n")
    project.write("pipeline.toml", text.replace("[schema.columns]", schema))


def table(project: Any) -> pl.DataFrame:
    files = sorted((project.root / "out/letters").glob("*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]).sort("id")


def zipped(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.csv", text)
    return out.getvalue()


@pytest.fixture
def mixed(project: Any) -> Any:
    """Files that are not alike: other orders, packed, without rows, and one that lacks all."""
    project.write("landing/a.csv", "id,word\n1,one\n")
    project.write("landing/b.csv", "late,id,word,note\n2024,2,two,hello\n")
    project.write("landing/c.csv.gz", gzip.compress(b"id,note,word,Note\n3,x,three,y\n"))
    project.write(
        "landing/d.zip", zipped(one="word,id,zip\nfour,4,z\n", two="id,word,_source\n5,five,me\n")
    )
    project.write("landing/e.csv", "only,word,id\n")
    keep(project)
    text = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace("landing/*.csv", "landing/*"))
    return project


@pytest.mark.parametrize("chunk_size", ["10B", "1kB"])
def test_the_union_of_all_headers(mixed: Any, chunk_size: str) -> None:
    """Behind the schema's columns stand the others in the order of their first appearance, as
    texts, null where a file lacks them, for any cut."""
    result = mixed.run(f"pipeline.chunk_size={chunk_size}")
    assert result.error is None
    found = table(mixed)
    assert found.columns == ["id", "word", "late", "note", "Note", "zip", "_source", "only"]
    assert set(found.dtypes[2:]) == {pl.String}
    assert found.rows() == [
        (1, "one", None, None, None, None, None, None),
        (2, "two", "2024", "hello", None, None, None, None),
        (3, "three", None, "x", "y", None, None, None),
        (4, "four", None, None, None, "z", None, None),
        (5, "five", None, None, None, None, "me", None),
    ]


def test_the_same_bytes_whatever_the_workers(mixed: Any) -> None:
    """The order is that of the plan, and no worker has a say in it."""
    mixed.run("pipeline.chunk_size=10B", jobs=1)
    one = {k: v for k, v in mixed.tree().items() if "manifest" not in k}
    mixed.run("pipeline.chunk_size=10B", jobs=2, fresh=True)
    assert one == {k: v for k, v in mixed.tree().items() if "manifest" not in k}


def test_a_new_column_makes_all_parts_anew_and_says_why(project: Any, reasons: Any) -> None:
    """A file without one leaves them; one with a new column changes the table, and all of it."""
    project.letters("a.csv", range(70))
    keep(project)
    project.run()
    project.letters("b.csv", range(70, 140))
    plan = project.plan()
    assert [task.decision for task in plan.stages[0].tasks] == ["taken", "made"]
    project.write("landing/c.csv", "id,word,more\n200,x,y\n")
    assert reasons(project.plan())[0][0] == "the files have other columns beyond the schema now"
    assert project.run().error is None
    assert table(project)["more"].drop_nulls().to_list() == ["y"]
    (project.root / "landing/c.csv").unlink()
    assert project.run().error is None
    assert table(project).columns == ["id", "word"]


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        (b"id,word,x,x\n1,a,b,c\n", "", ["names column 'x' more than once", '"ignore"']),
        (b"id,,word\n1,b,a\n", "", ["column 2 of the header has no name"]),
        (b"id,word,_record\n1,a,b\n", "", ["'_record'", "another column of the table"]),
        (b"id,word,_file\n1,a,b\n", 'provenance = ["file"]', ["'_file'", "another column"]),
        (b"ID,word,id\n1,a,b\n", "", ["'id'", "another column of the table is called so"]),
        (b"word,y\na,b\n", "", ["lacks column"]),
        (b"id,word,\xff\n1,a,b\n", "", ["the header is not UTF-8"]),
        (b"", "", ["the file is empty"]),
    ],
)
def test_a_header_that_cannot_be_kept(
    project: Any, content: bytes, more: str, words: list[str]
) -> None:
    """Its file is a dead letter, which adds no column; the others go on."""
    first = "ID" if b"ID" in content else "id"
    project.write("landing/a.csv", f"{first},word,good\n7,a,b\n")
    project.write("landing/b.csv", content)
    keep(project, more, after="[errors]\nmax_dead = 1")
    if b"ID" in content:
        text = (project.root / "pipeline.toml").read_text()
        text = text.replace('id = { type = "int64",', 'id = { type = "int64", name = "ID",')
        project.write("pipeline.toml", text)
    ended = project.command()
    assert (ended.code, ended.json["files"]) == (0, {"read": 1, "skipped": 0, "dead": 1})
    for word in ("dead letter: landing/b.csv", *words):
        assert word in ended.err
    assert [name for name in table(project).columns if name != "_file"] == ["id", "word", "good"]


def test_beside_a_unique_column(project: Any, reasons: Any) -> None:
    """They travel through the inner barrier, and their steps are tried as those of any stage."""
    project.write("landing/a.csv", "id,word,more\n1,a,x\n")
    project.write("landing/b.csv", "id,word,most\n1,b,y\n2,c,z\n")
    keep(
        project,
        columns='number = { type = "int64", unique = true, name = "no" }',
        first='{ use = "rename", columns = { most = "last" } }',
        after='[errors]\nmax_rejected = "90%"',
    )
    for name in ("a", "b"):
        path = project.root / f"landing/{name}.csv"
        path.write_text(path.read_text().replace("id,", "no,id,").replace("\n1,", "\n7,1,"))
    text = (project.root / "landing/b.csv").read_text().replace("\n2,", "\n8,2,")
    project.write("landing/b.csv", text)
    result = project.run()
    assert (result.error, result.rows.rejected) == (None, 1)
    assert table(project).columns == ["id", "word", "number", "more", "last"]
    assert table(project).rows() == [(1, "a", 7, "x", None), (2, "c", 8, None, "z")]
    project.write("landing/c.csv", "no,id,word,new\n9,3,d,e\n")
    assert "columns beyond the schema" in reasons(project.plan())[0][0]


def test_delimiters_at_the_end_are_no_column(project: Any) -> None:
    """Where header and records end with a delimiter nothing is kept; what stands behind one is a
    reject."""
    project.write("landing/a.csv", "id,word,more,\n1,a,b,\n2,c,d,e\n")
    keep(project, after='[errors]\nmax_rejected = "90%"')
    ended = project.command()
    assert (ended.code, ended.json["rows"]["rejected"]) == (0, 1)
    assert table(project).rows() == [(1, "a", "b")]


def test_files_without_a_header_have_nothing_to_keep(project: Any) -> None:
    """Their columns have no names: one more than the schema has is a reject."""
    project.write("landing/a.csv", "1,a\n2,b,c\n")
    keep(project, source="[source.csv]\nheader = false", after='[errors]\nmax_rejected = "90%"')
    ended = project.command()
    assert (ended.code, ended.json["rows"]["rejected"]) == (0, 1)
    assert table(project).rows() == [(1, "a")]


def test_headers_longer_than_what_is_read_at_first(project: Any) -> None:
    """All of a header counts, however long it is, in packed files and in other encodings too."""
    names = [f"column_{number:05}" for number in range(3000)]
    text = f"id,word,{','.join(names)}\n1,a{',x' * len(names)}\n"
    project.write("landing/a.csv", text.encode("utf-16"))
    project.write("landing/b.csv.gz", gzip.compress(text.replace("1,a", "2,b").encode("utf-16")))
    keep(project, source='[source.csv]\nencoding = "utf-16"')
    pipeline = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", pipeline.replace("landing/*.csv", "landing/*"))
    assert project.run().error is None
    assert table(project).columns == ["id", "word", *names]
    assert table(project)[names[-1]].to_list() == ["x", "x"]


def test_appending_keeps_the_columns_that_the_table_began_with(project: Any) -> None:
    """A file that lacks them has nulls; one with another is a dead letter that says so, and the
    rows of the others are appended."""
    project.write("landing/b.csv", "id,word,x,y\n1,a,b,c\n")
    keep(project, stages=APPEND)
    assert project.command().code == 0
    project.write("landing/a.csv", "id,word,y\n2,d,e\n")
    project.write("landing/c.csv", "id,word\n3,f\n")
    assert project.command().code == 0
    project.write("landing/d.csv", "id,word,z\n4,g,h\n")
    ended = project.command()
    assert ended.code == 1
    for word in ("landing/d.csv", "column 'z'", "out/letters does not have", "make it anew"):
        assert word in ended.message
    project.write("landing/e.csv", "id,word,x\n5,i,j\n")
    ended = project.command("--set", "errors.max_dead=1")
    assert ended.code == 0
    assert table(project).rows() == [
        (1, "a", "b", "c"),
        (2, "d", None, "e"),
        (3, "f", None, None),
        (5, "i", "j", None),
    ]


def said(project: Any, *words: str) -> tuple[int, str]:
    """What a command says."""
    ended = project.program(*words, code=None)
    return ended.code, ended.out + ended.err


def test_steps_may_name_columns_that_only_files_have(project: Any) -> None:
    """`check`, which reads no file, notes them; plan and run refuse them where no file has them."""
    step = '{ use = "rename", columns = { more = "less" } }'
    project.write("landing/a.csv", "id,word,more\n1,a,b\n")
    sink = 'sink = { path = "letters", on_existing = "replace", partition_by = ["other"] }'
    keep(project, first=step, stages=sink.replace("other", "less"))
    code, text = said(project, "check")
    assert (code, "note: pipeline.toml:20:10: step 'rename'" in text) == (0, True), text
    assert "a file may have it" in text
    assert project.command().code == 0
    assert [p.name for p in (project.root / "out/letters").iterdir()] == ["less=b"]
    code, text = said(project, "preview", "--json")
    assert (code, "less" in json.dumps(json.loads(text))) == (0, True)
    keep(project, first=step, stages=sink)
    ended = project.command()
    assert (ended.code, "partition_by names 'other'" in ended.message) == (2, True), ended.message
    project.write("landing/a.csv", "id,word\n1,a\n")
    keep(project, first=step)
    ended = project.command()
    assert ended.code == 2
    assert "step 'rename': there is no column 'more'; there are: id, word" in ended.message


def test_a_file_that_gets_a_column_after_the_plan(project: Any) -> None:
    """It is another file than the one that was planned: a dead letter."""
    from stagepipe.builtin.csv.reader import CsvReader
    from stagepipe.contracts import DeadSegment
    from stagepipe.model import InputFile, Segment
    from stagepipe.plan.files import find_files
    from stagepipe.plan.planner import check, with_sources

    project.write("landing/a.csv", "id,word\n1,a\n")
    keep(project)
    pipeline = project.load()
    work = with_sources(check(pipeline), find_files(pipeline)).work
    data = b"id,word,more\n1,a,b\n"
    segment = Segment(InputFile("landing/a.csv", len(data), 0, 0), 0, len(data))
    with pytest.raises(DeadSegment, match=r"'more'.* when the run was planned"):
        CsvReader().read(data, data, segment, work.table, work.sources["acme"].options)


def test_a_thousand_headers_are_read_from_their_first_bytes(project: Any, monkeypatch: Any) -> None:
    """Planning reads a few KiB of each file, of a zip that holds many only one directory."""
    from stagepipe import packing
    from stagepipe.plan import extras

    rows = "1,a,b\n" * 50_000
    project.write("landing/big.csv", "id,word,more\n" + rows)
    project.write("landing/big.csv.gz", gzip.compress(f"id,word,gz\n{rows}".encode()))
    project.write("landing/all.zip", zipped(**{f"f{n}": "id,word,zip\n1,a,b\n" for n in range(20)}))
    keep(project)
    pipeline = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", pipeline.replace("landing/*.csv", "landing/*"))
    taken: list[int] = []
    opened: list[Path] = []
    read, archive = packing.Unpacked.read, zipfile.ZipFile

    def counting(self: Any, size: int) -> bytes:
        taken.append(size)
        return read(self, size)

    class Counting(archive):
        def __init__(self, file: Any, *more: Any) -> None:
            opened.append(file)
            super().__init__(file, *more)

    monkeypatch.setattr(packing.Unpacked, "read", counting)
    monkeypatch.setattr(extras.zipfile, "ZipFile", Counting)
    plan = project.plan()
    extra = [column.name for column in plan.checked.work.table.columns if column.is_extra]
    assert extra == ["zip", "more", "gz"]
    assert set(taken) == {extras.FIRST_BYTES}
    assert len(opened) == 2, "one to list what is in it, one for the headers"
