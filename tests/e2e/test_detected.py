"""Whole runs over files of one source that are written each in its own way, and say nothing of it
in the pipeline file; and over files of several tables."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stagepipe.record.rejects import read_noted
from stagepipe.record.returning import Status, form, is_table, parse, with_status
from stagepipe.run.preview import preview
from stagepipe.run.replay import replay

REPLACE = 'sink = { path = "letters", on_existing = "replace" }'
APPEND = REPLACE.replace("replace", "append")
HALF = '[errors]\nmax_rejected = "50%"\n'
FIRST = '[source.csv]\ntables = "first"\n'
KEEP = '[schema]\nextra_columns = "keep"\n[schema.columns]'


def body(delimiter: str, rows: range) -> str:
    lines = (f'{n}{delimiter}"w{delimiter}\n{n}"\n' for n in rows)
    return f"id{delimiter}word\n" + "".join(lines)


def table(project: Any) -> pl.DataFrame:
    files = sorted((project.root / "out/letters").glob("*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files])


def rejects(project: Any, result: Any) -> list[tuple[Any, ...]]:
    path = project.root / ".stagepipe/runs" / result.run / "rejects.parquet"
    found = [noted.reject for noted in read_noted(path)]
    return [(Path(r.file or "").name, r.line, r.byte_offset, r.reason, r.raw) for r in found]


def returned(project: Any, result: Any) -> str:
    """What `rejects --return` writes of a run of which nothing is settled."""
    path = project.root / ".stagepipe/runs" / result.run / "rejects.parquet"

    def found() -> Any:
        return [noted for noted, status in with_status(path, {}, 1) if status is Status.OPEN]

    return b"".join(form(found, "letters", result.run)).decode()


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("chunk_size", ["10B", "64B", "1MB"])
def test_files_of_one_source_are_told_apart(project: Any, chunk_size: str, jobs: int) -> None:
    """All are one table, the same rows for any chunk size; plan and preview say what was found."""
    project.write("landing/a.csv", body(",", range(20)))
    project.write("landing/b.csv", "Words;;\nof March\n" + body(";", range(20, 40)))
    project.write("landing/c.csv", body("\t", range(40, 60)).encode("utf-16"))
    project.write("landing/d.csv", body("|", range(60, 80)).encode("utf-16-be"))
    project.write("landing/e.csv.gz", gzip.compress(body(";", range(80, 100)).encode()))
    project.declare(settings=f'chunk_size = "{chunk_size}"', source="")
    text = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace("landing/*.csv", "landing/*"))
    result = project.run(jobs=jobs)
    assert (result.error, result.files_dead) == (None, 0)
    marks = ",;\t|;"
    assert table(project).rows() == [(n, f"w{marks[n // 20]}\n{n}") for n in range(100)]
    expected = {
        "landing/b.csv": {"delimiter": ";", "skip_lines": 2},
        "landing/c.csv": {"delimiter": "\t", "encoding": "utf-16"},
        "landing/d.csv": {"delimiter": "|", "encoding": "utf-16-be"},
        "landing/e.csv.gz": {"delimiter": ";"},
    }
    (source,) = preview(project.load(), 100).sources
    assert source.detected == expected
    assert source.rows.height == 100
    before = project.tree()
    assert project.run(jobs=jobs).error is None
    assert project.tree() == before


def test_columns_beyond_the_schema_of_a_file_that_is_written_otherwise(project: Any) -> None:
    """They are kept like those of any file, under their own names."""
    project.write("landing/a.csv", "id,word,late\n1,one,x\n")
    project.write("landing/b.csv", 'Words\nnote;word;id;"a,b"\nhi;two;2;y\n')
    project.write("landing/c.csv", "id\tword\n3\tthree\n".encode("utf-16"))
    project.declare()
    text = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace("[schema.columns]", KEEP))
    assert project.run().error is None
    found = table(project).to_dicts()
    rows = [(1, "one", "x", None, None), (2, "two", None, "hi", "y"), (3, "three", *[None] * 3)]
    columns = ("id", "word", "late", "note", "a,b")
    assert found == [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.mark.parametrize("stages", [REPLACE, APPEND], ids=["replace", "append"])
def test_a_record_comes_back_by_what_was_found_in_its_file(project: Any, stages: str) -> None:
    """The source declares nothing; each mended record is read as the file that it is of."""
    files = {
        "a.csv": b"id,word\n1,one\nx2,t;wo\n",
        "b.csv": b"Words\nof March\nword;id\nthree;3\nf,our;x4\n",
        "c.csv": "id\tword\n5\tfive\nx6\ts;i,x\n".encode("utf-16"),
    }
    for name, content in files.items():
        project.write(f"landing/{name}", content)
    project.declare(stages=stages, after=HALF)
    first = project.run()
    assert first.error is None
    path = project.root / ".stagepipe/runs" / first.run / "rejects.parquet"
    raw = returned(project, first).encode("utf-8", "surrogateescape")
    wide = "x6\ts;i,x".encode("utf-16-le")
    assert raw.count(wide) == 1
    mended = raw.replace(b"\nx2,", b"\n2,").replace(b";x4\n", b";4\n").replace(wide, wide[2:])
    done = replay(project.load(), None, parse("form", mended))
    assert done.result.error is None
    assert (done.asked, done.settled, done.still, done.left_out) == (3, 3, {}, {})
    rows = [(1, "one"), (2, "t;wo"), (3, "three"), (4, "f,our"), (5, "five"), (6, "s;i,x")]
    assert sorted(table(project).rows()) == rows
    again = replay(project.load(), None, parse("form", mended))
    assert again.asked == 0
    assert sorted(table(project).rows()) == rows
    assert len(list(read_noted(path))) == 3


TWO = "id,word\n1,one\nx2,two\n,\n\nword,share,\none,0.5\n\n \nTotal\n9\n"


@pytest.mark.parametrize("chunk_size", ["10B", "1MB"])
@pytest.mark.parametrize("packing", ["", ".gz"])
def test_the_first_of_several_tables_is_taken(project: Any, chunk_size: str, packing: str) -> None:
    """The sum comes out, each of the others is one reject with its place and all its lines, and no
    budget counts them."""
    name = f"landing/a.csv{packing}"
    project.write(name, gzip.compress(TWO.encode(), mtime=0) if packing else TWO)
    project.write("landing/b.csv", "id,word\n3,three\n" + "".join(f"{n},x\n" for n in range(4, 9)))
    project.declare(
        settings=f'chunk_size = "{chunk_size}"',
        source=FIRST,
        after="[errors]\nmax_rejected = 1\n",
    )
    text = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace("landing/*.csv", "landing/*"))
    result = project.run()
    assert (result.error, result.files_dead) == (None, 0)
    rows = result.rows
    assert (rows.read, rows.written, rows.rejected) == (10, 7, 3)
    assert table(project)["id"].to_list() == [1, 3, 4, 5, 6, 7, 8]
    others = [b"word,share,\none,0.5", b"Total\n9"]
    assert rejects(project, result) == [
        (Path(name).name, 3, TWO.index("x2"), "type", b"x2,two"),
        (Path(name).name, 6, TWO.index("word,share"), "another_table", others[0]),
        (Path(name).name, 10, TWO.index("Total"), "another_table", others[1]),
    ]


def test_other_tables_do_not_come_back(project: Any) -> None:
    """They are no records of this table: a form leaves them out, and so does a replay."""
    project.write("landing/a.csv", TWO)
    project.declare(source=FIRST, stages=APPEND, after=HALF)
    first = project.run()
    path = project.root / ".stagepipe/runs" / first.run / "rejects.parquet"
    assert [is_table(noted) for noted in read_noted(path)] == [False, True, True]
    text = returned(project, first)
    assert "\nx2,two\n" in text
    assert "share" not in text
    assert "Total" not in text
    replayed = replay(project.load())
    (why,) = {why for why, n in replayed.left_out.items() if n == 2}
    assert why.startswith("they are tables that are not wanted")
    assert replayed.asked == 0
    done = replay(project.load(), first.run, parse("form", text.replace("x2,", "2,").encode()))
    assert (done.asked, done.settled) == (1, 1)
    assert sorted(table(project)["id"]) == [1, 2]


def test_a_mended_record_may_look_like_the_end_of_a_table(project: Any) -> None:
    """Among records that came back none ends a table."""
    columns = 'id = "int64"\nword = { type = "string", required = true }\n'
    project.write("landing/a.csv", "id,word\n7,\n1,one\n8,\n\nTotal\n")
    project.declare(source=FIRST, after=HALF)
    text = (project.root / "pipeline.toml").read_text()
    old = 'id = { type = "int64", required = true }\nword = "string"\n'
    assert old in text
    project.write("pipeline.toml", text.replace(old, columns))
    first = project.run()
    assert (first.rows.read, first.rows.rejected) == (4, 3)
    given = returned(project, first).replace("\n7,\n", "\n,\n").replace("\n8,\n", "\n8,x\n")
    done = replay(project.load(), None, parse("form", given.encode()))
    assert (done.result.error, done.asked, done.settled) == (None, 2, 1)
    assert done.still == {("required", "word"): 1}
    assert sorted(table(project)["id"]) == [1, 8]


def test_the_commands_name_other_tables(project: Any) -> None:
    """`run`, `rejects` and `rejects --return`, as anybody reads them."""
    import subprocess

    from tests.conftest import COMMAND

    project.write("landing/a.csv", TWO)
    project.declare(source=FIRST, after=HALF)
    found = project.command()
    assert found.code == 0
    assert json.loads(found.out)["rows"]["rejected"] == 3

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *words], cwd=project.root, capture_output=True, text=True)

    assert "landing/a.csv:6\n    another_table: '2'\n" in run("rejects").stdout
    done = run("rejects", "--return")
    assert "warning: 2 other tables are left out: what is wanted of one" in done.stderr
    assert "share" not in done.stdout


@pytest.mark.parametrize("chunk_size", ["10B", "1MB"])
@pytest.mark.parametrize("below", ["\n", ",\n", " \n\n"])
def test_rows_are_not_made_of_the_lines_of_another_table(
    project: Any, chunk_size: str, below: str
) -> None:
    """Below a header without records stands another table, perhaps: that file is a dead letter,
    and one in which nothing more stands is empty."""
    project.write("landing/a.csv", f"id,word\n{below}key,share\n1,0.5\n2,0.5\n")
    project.write("landing/b.csv", "id,word\n\n")
    project.write("landing/c.csv", "id,word\n3,three\n")
    project.declare(
        settings=f'chunk_size = "{chunk_size}"', source=FIRST, after="[errors]\nmax_dead = 1\n"
    )
    result = project.run()
    assert (result.error, result.files_dead) == (None, 1)
    assert table(project).rows() == [(3, "three")]


def test_a_run_says_what_it_detected_where_more_is_wanted(project: Any) -> None:
    """By file, on stderr, as `plan -v` does; else it says nothing of it."""
    project.write("landing/a.csv", "id,word\n1,one\n")
    project.write("landing/b.csv", "Words\nid;word\n2;two\n")
    project.declare()
    told = "landing/b.csv: delimiter ';', skip_lines 1 (detected)"
    assert told in project.program("run", "-v").err
    assert told in project.program("plan", "-v").out
    assert "detected" not in project.program("run").err
