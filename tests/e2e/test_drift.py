"""Drift, by real runs: what is new about a source's files is told, refused or accepted."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

BUDGET = '[errors]\nmax_rejected = "90%"'


def declare(project: Any, schema: str = "", **how: Any) -> None:
    """Declare a pipeline whose schema allows what drifts."""
    how.setdefault("after", BUDGET)
    project.declare(**how)
    text = (project.root / "pipeline.toml").read_text()
    allowed = 'extra_columns = "ignore"\nmissing_columns = "null"'
    project.write(
        "pipeline.toml",
        text.replace("[schema.columns]", f"[schema]\n{allowed}\n{schema}\n[schema.columns]"),
    )


def day(
    project: Any, number: int, head: str = "id,word", row: str = "{},w", rows: int = 40
) -> None:
    """A delivery."""
    lines = "".join(row.format(n) + "\n" for n in range(rows))
    project.write(f"landing/day{number:02}.csv", f"{head}\n{lines}")


def kinds(ended: Any) -> list[tuple[str, str | None]]:
    assert ended.code == 0, ended.err
    return [(each["kind"], each["column"]) for each in ended.json["drift"]]


def shown(project: Any) -> dict[str, Any]:
    """`stagepipe show --json` of the last run."""
    return project.program("show", "--json").json


@pytest.mark.parametrize(
    ("delivery", "kind", "column", "words"),
    [
        ({"head": "id,word,more", "row": "{},w,x"}, "new_column", "more", "in 1 of 1 new file"),
        ({"head": "id", "row": "{}"}, "missing_column", "word", "as in landing/day02.csv"),
        ({"row": "n{},w"}, "type", "id", "40 of 40 records; before 0 of 40 records"),
        ({"row": "{},"}, "empty", "word", "without a value in all of 40 rows"),
    ],
)
def test_each_kind_of_drift(
    project: Any, delivery: dict[str, str], kind: str, column: str, words: str
) -> None:
    """It is told once: by the run that reads the first such files, and not by those after it."""
    declare(project, after='[errors]\nmax_rejected = "100%"')
    day(project, 1)
    assert kinds(project.command()) == []
    day(project, 2, **delivery)
    ended = project.command()
    assert kinds(ended) == [(kind, column)]
    assert f"drift: source 'acme': column '{column}'" in ended.err
    assert words in ended.err
    (told,) = shown(project)["drift"]
    assert (told["kind"], told["column"], told["on_drift"]) == (kind, column, "warn")
    assert words in told["message"]
    assert kinds(project.command()) == []
    assert kinds(project.command("--fresh")) == []
    day(project, 3, **delivery)
    assert kinds(project.command()) == []


def test_what_came_back_is_told_too(project: Any) -> None:
    """A column that was gone and stands there again is new."""
    declare(project)
    day(project, 1)
    project.command()
    day(project, 2, head="id", row="{}")
    assert kinds(project.command()) == [("missing_column", "word")]
    day(project, 3)
    assert kinds(project.command()) == [("new_column", "word")]


def test_little_of_it_is_none(project: Any) -> None:
    """One bad value in many, and a column that was seldom filled, are no drift."""
    declare(project)
    day(project, 1, row="{}," + "w" * 0, rows=5)
    project.write("landing/day01b.csv", "id,word\n" + "1,\n" * 99 + "2,w\n")
    assert kinds(project.command()) == []
    project.write("landing/day02.csv", "id,word\n" + "1,\n" * 199 + "x,\n")
    assert kinds(project.command()) == []


def test_rows_far_off_the_usual(project: Any) -> None:
    """A file is far off beside the last seven or more, not beside the last one alone."""
    declare(project)
    for number in range(6):
        day(project, number, rows=100 + number)
    assert kinds(project.command()) == []
    day(project, 6, rows=3)
    assert kinds(project.command()) == [], "six are too few"
    day(project, 7, rows=130)
    assert kinds(project.command()) == []
    day(project, 8, rows=12)
    ended = project.command()
    assert kinds(ended) == [("rows", None)]
    assert "12 in landing/day08.csv; before 102, give or take 10" in ended.err
    day(project, 9, rows=101)
    assert kinds(project.command()) == []


def test_fail_keeps_the_table_and_the_parts(project: Any) -> None:
    """Nothing is committed, every later run fails as well, and accepting it once goes on with the
    finished parts; from then on it is the usual thing."""
    declare(project, 'on_drift = "fail"')
    day(project, 1)
    assert project.command().code == 0
    before = project.tree()
    day(project, 2, head="id,word,more", row="{},w,x")
    for made in (1, 0):
        ended = project.command()
        assert (ended.code, ended.json["status"]) == (1, "failed")
        for word in ("'acme'", "'more' is new", "in 1 of 1 new file", "before in none"):
            assert word in ended.message
        assert "--set schema.on_drift=accept" in ended.message
        assert ended.json["stages"][0]["tasks"]["made"] == made
        assert project.tree() == before
    lines = project.program("run", "-q", code=1).out.splitlines()
    assert (
        lines[-1].strip() == "`stagepipe run --set schema.on_drift=accept` takes it as it is, once"
    )
    ended = project.command("--keep-going")
    assert (ended.code, project.tree()) == (1, before), "that is for budgets"
    ended = project.command("--set", "schema.on_drift=accept")
    assert (ended.code, ended.json["rows"]["written"], ended.json["drift"]) == (0, 80, [])
    assert ended.json["stages"][0]["tasks"]["made"] == 0
    assert "drift" not in ended.err
    assert [told["on_drift"] for told in shown(project)["drift"]] == ["accept"]
    day(project, 3, head="id,word,more", row="{},w,x")
    assert project.command().code == 0


def test_a_run_that_fails_is_nothing_to_compare_with(project: Any) -> None:
    """What it read is new again for the next run, whatever it failed for."""
    declare(project, after="[errors]\nmax_rejected = 0")
    day(project, 1)
    assert project.command().code == 0
    day(project, 2, head="id,word,more", row="{},w,x")
    project.write("landing/day03.csv", "id,word,more\nx,w,x\n")
    ended = project.command()
    assert (ended.code, ended.json["drift"][0]["kind"]) == (1, "new_column")
    (project.root / "landing/day03.csv").unlink()
    assert kinds(project.command()) == [("new_column", "more")]


def test_the_source_beats_the_schema(project: Any) -> None:
    """One source may drift, another not; what to do about it names the right key."""
    declare(
        project,
        'on_drift = "accept"',
        after='[[source]]\nname = "other"\nfiles = "other/*.csv"\non_drift = "fail"\n' + BUDGET,
    )
    for folder in ("landing", "other"):
        project.letters("a.csv", range(9), folder)
    assert project.command().code == 0
    project.write("landing/b.csv", "id,word,x\n1,a,b\n")
    assert kinds(project.command()) == []
    project.write("other/b.csv", "id,word,x\n1,a,b\n")
    ended = project.command()
    assert (ended.code, "--set source.other.on_drift=accept" in ended.message) == (1, True)
    assert kinds(project.command("--set", "source.other.on_drift=accept")) == []


def test_appending_compares_what_it_reads(project: Any) -> None:
    """Files that the table holds are not read, and the next ones are compared all the same."""
    declare(project, stages='sink = { path = "letters", on_existing = "append" }')
    day(project, 1)
    project.command()
    assert kinds(project.command()) == []
    day(project, 2, head="word,id,more", row="w,{},x")
    assert kinds(project.command()) == [("new_column", "more")]


def test_behind_an_inner_barrier(project: Any) -> None:
    """With a unique column the headers come from the parts that were read before."""
    declare(project, columns='number = { type = "int64", unique = true }')
    day(project, 1, head="id,word,number", row="{0},w,{0}")
    assert kinds(project.command()) == []
    day(project, 2, head="id,word,number,x", row="{0},,7{0},y")
    assert kinds(project.command()) == [("new_column", "x"), ("empty", "word")]
    assert kinds(project.command()) == []


def test_without_a_header_only_values_are_compared(project: Any) -> None:
    """Columns by position have no names that could be new."""
    declare(project, source="[source.csv]\nheader = false")
    project.write("landing/a.csv", "1,w\n" * 40)
    project.command()
    project.write("landing/b.csv", "1,,more\n" * 40)
    assert kinds(project.command()) == [("empty", "word")]


def test_the_same_for_any_cut(project: Any) -> None:
    """What is told of a file does not depend on how it is cut and packed, nor on workers."""
    declare(project)
    day(project, 1)
    project.command()
    day(project, 2, head="id,word,x,y", row="n{},,x,y", rows=400)
    day(project, 3, head="id,word,x", row="{},,x", rows=2)
    found = []
    for chunk_size in ("20B", "500B", "1MB"):
        plain = project.run(
            f"pipeline.chunk_size={chunk_size}", "schema.on_drift=fail", jobs=1
        ).to_plain()
        assert plain["status"] == "failed"
        found.append(plain["drift"])
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 4


def test_an_older_ledger_is_migrated(project: Any) -> None:
    """One of before knows of no drift, is read by `show` as it is, and used by the next run."""
    import sqlite3

    declare(project)
    day(project, 1)
    assert project.command().code == 0
    with closing(sqlite3.connect(project.root / ".stagepipe/ledger.sqlite")) as db:
        for name in ("profiles", "profiled_files", "drift", "settled"):
            db.execute(f"DROP TABLE {name}")
        for table, column in (("runs", "replay_of"), ("runs", "mended"), ("files", "is_mended")):
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 3")
        db.commit()
    assert shown(project)["drift"] == []
    day(project, 2, head="id,word,x", row="{},w,x")
    assert kinds(project.command()) == []
    day(project, 3)
    assert kinds(project.command()) == []
    day(project, 4, head="id,word,z", row="{},w,x")
    assert kinds(project.command()) == [("new_column", "z")]
