"""The way back: rejected records go out, come back mended, and are in the table once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stagepipe.errors import UsageError
from stagepipe.record.returning import Form, form, parse, with_status
from stagepipe.run.replay import Replay, replay

REPLACE = """\
sink = { use = "parquet", path = "letters", on_existing = "replace" }
"""
APPEND = REPLACE.replace("replace", "append")
HALF = """
[errors]
max_rejected = "50%"
"""
KILLS = int(os.environ.get("STAGEPIPE_TEST_KILLS", "3"))
BAD = "id,word\n1,one\nx2,two\n3,three\nx4,four\n5,five\n"


@pytest.fixture
def letters(project: Any) -> Any:
    """Two files, the first with two bad records."""
    project.declare(stages=REPLACE, after=HALF)
    project.write("landing/a.csv", BAD)
    project.letters("b.csv", range(10, 13))
    return project


def rejects_path(project: Any, result: Any) -> Path:
    return project.root / ".stagepipe/runs" / result.run / "rejects.parquet"


def returned(project: Any, result: Any) -> bytes:
    """What `rejects --return` writes of a run of which nothing is settled."""
    path = rejects_path(project, result)

    def found() -> Any:
        return [noted for noted, status in with_status(path, {}, 1) if status == "open"]

    return b"".join(form(found, "letters", result.run))


def mended(project: Any, result: Any, *changes: tuple[str, str]) -> Form:
    """The form of a run with changes to its text."""
    text = returned(project, result).decode()
    for old, new in changes:
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    return parse("form", text.encode())


def back(project: Any, given: Form | None = None, run: str | None = None) -> Replay:
    return replay(project.load(), run, given)


def ids(project: Any) -> list[int]:
    """The table's ids, in the order of its files."""
    return pl.read_parquet(project.root / "out/letters/*.parquet")["id"].to_list()


def statuses(project: Any, result: Any) -> list[str]:
    """What became of the rejects of a run."""
    from stagepipe.record.ledger import Ledger

    with Ledger(project.root / ".stagepipe/ledger.sqlite") as ledger:
        number = ledger.run(result.run)["number"]
        settled = ledger.settled("letters")
    path = rejects_path(project, result)
    return [str(status) for _, status in with_status(path, settled, number)]


def once(found: list[int]) -> list[int]:
    assert len(found) == len(set(found)), found
    return sorted(found)


BOTH = (("\nx2,two", "\n2,two"), ("\nx4,four", "\n4,four"))


@pytest.mark.parametrize("stages", [REPLACE, APPEND], ids=["replace", "append"])
def test_mended_records_are_added_once(letters: Any, stages: str, tree: Any) -> None:
    """They go through, their rejects are settled; a second replay and a plain run change nothing,
    and neither does --fresh where the table is made from all files."""
    letters.declare(stages=stages, after=HALF)
    first = letters.run()
    given = mended(letters, first, *BOTH)
    done = back(letters, given)
    assert done.result.error is None
    assert (done.asked, done.settled, done.still, done.left_out) == (2, 2, {}, {})
    assert once(ids(letters)) == [1, 2, 3, 4, 5, 10, 11, 12]
    assert statuses(letters, first) == ["settled", "settled"]
    rows = done.result.rows
    is_append = stages == APPEND
    assert (rows.read, rows.written, rows.rejected) == ((2, 2, 0) if is_append else (10, 8, 2))
    before = tree(letters.root / "out")
    again = back(letters, given)
    assert again.result.error is None
    assert (again.asked, again.settled) == (0, 0)
    assert again.left_out == {"they were settled before": 2}
    for fresh in (False, True):
        assert letters.run(fresh=fresh).error is None
        assert tree(letters.root / "out") == before
    assert statuses(letters, first) == ["settled", "settled"]


@pytest.mark.parametrize("stages", [REPLACE, APPEND], ids=["replace", "append"])
def test_what_is_wrong_again_stays_open_and_can_be_mended_again(letters: Any, stages: str) -> None:
    """With its new reason and text, at the place of the record itself."""
    letters.declare(
        stages=stages,
        after=HALF,
        columns='amount = { type = "int8", default = 1 }\n',
    )
    letters.write(
        "pipeline.toml",
        (letters.root / "pipeline.toml")
        .read_text()
        .replace("[schema.columns]", '[schema]\nmissing_columns = "null"\n[schema.columns]'),
    )
    first = letters.run()
    assert first.error is None
    done = back(letters, mended(letters, first, BOTH[0], ("\nx4,four", "\n,four")))
    assert done.result.error is None
    assert (done.asked, done.settled) == (2, 1)
    assert done.still == {("required", "id"): 1}
    assert once(ids(letters)) == [1, 2, 3, 5, 10, 11, 12]
    second = done.result
    assert b"\n,four\n" in returned(letters, second)
    assert b"landing/a.csv line 5" in returned(letters, second)
    is_append = stages == APPEND
    assert statuses(letters, second) == (["open"] if is_append else ["settled", "replaced", "open"])
    text = returned(letters, second).decode().replace("\n,four", "\n4,four")
    done = back(letters, parse("form", text.encode()))
    assert done.result.error is None
    assert (done.asked, done.settled, done.still) == (1, 1, {})
    assert once(ids(letters)) == [1, 2, 3, 4, 5, 10, 11, 12]
    assert letters.run().error is None
    assert once(ids(letters)) == [1, 2, 3, 4, 5, 10, 11, 12]


def test_a_schema_that_is_mended_after_its_records_adds_them_once(letters: Any) -> None:
    """The records themselves pass now: their mended texts rest. Back with the old schema, the
    mended ones count again."""
    letters.declare(columns='note = { type = "int8", name = "n" }', stages=REPLACE, after=HALF)
    letters.write("landing/a.csv", "id,word,n\n1,one,1\n2,two,200\n3,three,x\n4,four,4\n")
    letters.write("landing/b.csv", "id,word,n\n10,ten,1\n")
    first = letters.run()
    done = back(letters, mended(letters, first, (",200", ",20"), ("\n3,three,x", "\n3,three,3")))
    assert done.settled == 2

    def notes() -> dict[int, int]:
        frame = pl.read_parquet(letters.root / "out/letters/*.parquet")
        once(frame["id"].to_list())
        return dict(zip(frame["id"], frame["note"], strict=True))

    assert notes() == {1: 1, 2: 20, 3: 3, 4: 4, 10: 1}
    wide = (letters.root / "pipeline.toml").read_text().replace('"int8"', '"int16"')
    narrow = (letters.root / "pipeline.toml").read_text()
    letters.write("pipeline.toml", wide)
    result = letters.run()
    assert result.error is None
    assert (result.rows.read, result.rows.rejected) == (6, 1)
    assert notes() == {1: 1, 2: 200, 3: 3, 4: 4, 10: 1}
    assert letters.run().stages[0].made == 0
    letters.write("pipeline.toml", narrow)
    assert letters.run(fresh=True).error is None
    assert notes() == {1: 1, 2: 20, 3: 3, 4: 4, 10: 1}


def test_a_pipeline_file_that_was_mended_settles_what_passes(letters: Any) -> None:
    """A replay without mended records reads the files anew; each record is added once."""
    letters.declare(columns='note = { type = "int8", name = "n" }', stages=REPLACE, after=HALF)
    letters.write("landing/a.csv", "id,word,n\n1,one,1\n2,two,200\n3,three,x\n4,four,4\n")
    letters.write("landing/b.csv", "id,word,n\n10,ten,1\n")
    first = letters.run()
    wide = (letters.root / "pipeline.toml").read_text().replace('"int8"', '"int16"')
    letters.write("pipeline.toml", wide)
    done = back(letters)
    assert (done.of, done.asked, done.settled) == (first.run, 2, 1)
    assert done.still == {("type", "note"): 1}
    assert once(ids(letters)) == [1, 2, 4, 10]
    assert statuses(letters, first) == ["settled", "open"]
    again = back(letters, run=first.run)
    assert (again.asked, again.settled) == (1, 0)
    assert once(ids(letters)) == [1, 2, 4, 10]


def test_a_pipeline_file_that_was_mended_lets_records_of_an_appended_table_pass(
    letters: Any,
) -> None:
    """The files are not read again: the rejected records themselves come back, those that pass."""
    columns = 'note = { type = "int16", name = "n", max = 100 }'
    letters.declare(columns=columns, stages=APPEND, after=HALF)
    letters.write("landing/a.csv", "id,word,n\n1,one,1\n2,two,200\n3,three,x\n4,four,4\n")
    letters.write("landing/b.csv", "id,word,n\n10,ten,1\n11,eleven,300\n")
    first = letters.run()
    assert once(ids(letters)) == [1, 4, 10]
    for most, settled, found in ((250, 1, [1, 2, 4, 10]), (400, 1, [1, 2, 4, 10, 11])):
        text = (letters.root / "pipeline.toml").read_text()
        before = text.partition("max = ")[2].partition(" ")[0]
        letters.write("pipeline.toml", text.replace(f"max = {before}", f"max = {most}"))
        done = back(letters, run=first.run)
        assert done.result.error is None
        assert (done.asked, done.settled) == (1, settled)
        assert done.left_out["they would be rejected as before"] > 0
        assert once(ids(letters)) == found
        again = back(letters, run=first.run)
        assert (again.result.error, again.asked, again.result.rows.read) == (None, 0, 0)
        assert once(ids(letters)) == found


def test_replacement_characters_are_left_out(letters: Any) -> None:
    """They stand for what an editor could not read; a record that had them keeps them."""
    letters.write("landing/a.csv", BAD.replace("four", "\N{REPLACEMENT CHARACTER}"))
    first = letters.run()
    changes = (
        ("\nx2,two", "\n2,t\N{REPLACEMENT CHARACTER}o"),
        ("\nx4,", "\n4,"),
    )
    done = back(letters, mended(letters, first, *changes))
    assert (done.asked, done.settled) == (1, 1)
    ((why, records),) = done.left_out.items()
    assert (why.split(",")[0], records) == ("they have replacement characters (U+FFFD)", 1)
    assert once(ids(letters)) == [1, 3, 4, 5, 10, 11, 12]


def test_open_rejects_of_an_earlier_run_are_pointed_to(letters: Any) -> None:
    """Of a table that is appended to a later run reads other files: what is open stays where it
    is. Where the later run read the files again, the earlier rejects are no matter any more."""
    letters.declare(stages=APPEND, after=HALF)
    first = letters.run()
    letters.write("landing/c.csv", "id,word\n20,x\ny,y\n")
    second = letters.run()
    letters.letters("d.csv", range(30, 33))
    third = letters.run()
    done = back(letters)
    assert (done.of, done.asked, done.left_out) == (third.run, 0, {})
    assert dict(done.earlier) == {second.run: 1, first.run: 2}
    assert done.to_plain()["replay"]["earlier"] == {second.run: 1, first.run: 2}
    assert back(letters, mended(letters, second, ("\ny,y", "\n21,y"))).settled == 1
    assert dict(back(letters).earlier) == {first.run: 2}
    assert f"2 rejects are open in run {first.run}" in letters.program("rejects").err
    assert "are open" not in letters.program("rejects", first.run).err
    letters.declare(stages=REPLACE, after=HALF)
    shutil.rmtree(letters.root / "out")
    assert letters.run().error is None
    assert not letters.program("rejects").err


def test_records_of_a_file_that_changed_are_left_out(letters: Any, caplog: Any) -> None:
    """A corrected file under the same name has them itself. A file that was only touched or copied
    keeps them."""
    first = letters.run()
    back(letters, mended(letters, first, *BOTH))
    path = letters.root / "landing/a.csv"
    shutil.copy(path, path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)
    assert letters.run().error is None
    assert once(ids(letters)) == [1, 2, 3, 4, 5, 10, 11, 12]
    letters.write("landing/a.csv", BAD.replace("x2", "2"))
    result = letters.run()
    assert result.error is None
    assert once(ids(letters)) == [1, 2, 3, 5, 10, 11, 12]
    assert "landing/a.csv is another file now" in caplog.text
    assert statuses(letters, result) == ["open"]
    path.unlink()
    assert letters.run().error is None
    assert once(ids(letters)) == [10, 11, 12]
    assert "landing/a.csv is no longer there" in caplog.text
    gone = back(letters, mended(letters, result, BOTH[1]))
    assert gone.asked == 0
    assert list(gone.left_out) == ["their files are no longer among those of the pipeline"]


def test_the_same_text_for_a_file_that_changed_since(letters: Any) -> None:
    """What was mended in the file as it was is left out; the very same is taken for what it is."""
    back(letters, mended(letters, letters.run(), *BOTH))
    letters.write("landing/a.csv", BAD + "6,six\n")
    result = letters.run()
    assert once(ids(letters)) == [1, 3, 5, 6, 10, 11, 12]
    again = back(letters, mended(letters, result, *BOTH))
    assert (again.asked, again.settled) == (2, 2)
    assert once(ids(letters)) == [1, 2, 3, 4, 5, 6, 10, 11, 12]


def test_a_file_that_comes_back_has_its_own_mended_records_again(letters: Any) -> None:
    """Whatever was mended for another content under its name in between."""
    back(letters, mended(letters, letters.run(), *BOTH))
    other = BAD.replace("one", "eno")
    for content, words in ((other, ["eno", "zwei", "vier"]), (BAD, ["one", "two", "four"])) * 2:
        letters.write("landing/a.csv", content)
        result = letters.run()
        if content == other and statuses(letters, result) == ["open", "open"]:
            german = (("\nx2,two", "\n2,zwei"), ("\nx4,four", "\n4,vier"))
            assert back(letters, mended(letters, result, *german)).settled == 2
        table = pl.read_parquet(letters.root / "out/letters/*.parquet").sort("id")
        assert table["id"].to_list() == [1, 2, 3, 4, 5, 10, 11, 12]
        assert table.filter(pl.col("id").is_in([1, 2, 4]))["word"].to_list() == words


def test_mended_records_that_are_gone(letters: Any, caplog: Any) -> None:
    """A run says so, once; and the same form brings them back, whether a run came between or
    not."""
    first = letters.run()
    given = mended(letters, first, *BOTH)
    everything = [1, 2, 3, 4, 5, 10, 11, 12]
    for runs in (0, 2):
        assert back(letters, given).settled == 2
        assert once(ids(letters)) == everything
        shutil.rmtree(letters.root / ".stagepipe/mended")
        caplog.clear()
        for _ in range(runs):
            assert letters.run().error is None
        assert caplog.text.count("is gone, with records that were mended") == (runs > 0)
        assert once(ids(letters)) == ([1, 3, 5, 10, 11, 12] if runs else everything)
    assert back(letters, given).settled == 2
    assert once(ids(letters)) == everything


def test_mended_records_that_are_gone_are_in_a_table_that_was_appended_to(
    letters: Any, caplog: Any
) -> None:
    """Their rows stay, and nothing is said."""
    letters.declare(stages=APPEND, after=HALF)
    given = mended(letters, letters.run(), *BOTH)
    back(letters, given)
    shutil.rmtree(letters.root / ".stagepipe/mended")
    assert letters.run().error is None
    assert back(letters, given).left_out == {"they were settled before": 2}
    assert once(ids(letters)) == [1, 2, 3, 4, 5, 10, 11, 12]
    assert "is gone" not in caplog.text


def test_what_rests_is_told(letters: Any, caplog: Any) -> None:
    """Once, by the run in which it begins to; and so is what is taken up again."""
    back(letters, mended(letters, letters.run(), *BOTH))
    declared = (letters.root / "pipeline.toml").read_text()
    for pattern, told in (
        ('"string"', "2 mended records rest from now on"),
        ('"string"', None),
        (None, "2 mended records are taken up again"),
        (None, None),
    ):
        text = (
            declared.replace('id = { type = "int64"', f"id = {{ type = {pattern}")
            if pattern
            else declared
        )
        letters.write("pipeline.toml", text)
        caplog.clear()
        assert letters.run().error is None
        assert (told in caplog.text) if told else ("mended" not in caplog.text)


def test_what_follows_over_all_rows_is_made_again(project: Any) -> None:
    """An aggregate counts the mended records with all others; their parts alone are made."""
    stages = """
[[stage]]
name = "count"
steps = [{ use = "aggregate", by = ["word"], sum = ["id"] }]
sink = { use = "csv", path = "sums.csv", on_existing = "replace" }
"""
    project.declare(stages=stages, after=HALF)
    project.write("landing/a.csv", "id,word\n1,a\nx2,a\n3,b\n")
    first = project.run()
    assert (project.root / "out/sums.csv").read_text() == "word,sum_id\na,1\nb,3\n"
    done = back(project, mended(project, first, ("\nx2,a", "\n2,a")))
    assert done.result.error is None
    assert (project.root / "out/sums.csv").read_text() == "word,sum_id\na,3\nb,3\n"
    assert [(stage.made, stage.taken) for stage in done.result.stages] == [(1, 1), (1, 0)]
    assert done.settled == 1


@pytest.mark.parametrize("stages", [REPLACE, APPEND], ids=["replace", "append"])
def test_duplicates_come_back_with_another_value(project: Any, stages: str) -> None:
    """They are compared with all others: one that repeats a value again is a reject again, and
    none throws a record out that was in the table."""
    project.declare(stages=stages, after=HALF)
    text = (project.root / "pipeline.toml").read_text()
    project.write(
        "pipeline.toml", text.replace("required = true", "required = true, unique = true")
    )
    project.write("landing/a.csv", "id,word\n1,one\n1,uno\n2,two\n2,due\n7,x\n")
    project.letters("b.csv", range(10, 13))
    first = project.run()
    assert once(ids(project)) == [1, 2, 7, 10, 11, 12]
    done = back(project, mended(project, first, ("\n1,uno", "\n3,uno"), ("\n2,due", "\n11,due")))
    assert (done.asked, done.settled, done.still) == (2, 1, {("unique", "id"): 1})
    assert once(ids(project)) == [1, 2, 3, 7, 10, 11, 12]
    text = returned(project, done.result).decode().replace("\n11,due", "\n4,due")
    done = back(project, parse("form", text.encode()))
    assert (done.asked, done.settled, done.result.error) == (1, 1, None)
    assert project.run().error is None
    assert once(ids(project)) == [1, 2, 3, 4, 7, 10, 11, 12]


@pytest.mark.parametrize("stages", [REPLACE, APPEND], ids=["replace", "append"])
def test_columns_beyond_the_schema_come_back_too(project: Any, stages: str) -> None:
    """Those of the record's own header; a text of several records is looked at with them, too."""
    project.declare(stages=stages, after=HALF)
    text = (project.root / "pipeline.toml").read_text()
    text = text.replace("[schema.columns]", '[schema]\nextra_columns = "keep"\n[schema.columns]')
    project.write("pipeline.toml", text)
    project.write("landing/a.csv", "id,colour,word\n1,red,one\nx,blue,two\n3,green,three\n")
    project.letters("b.csv", range(10, 13))
    first = project.run()
    assert first.error is None, first.error
    given = mended(project, first, ("\nx,blue,two", "\n2,blue,two\n4,black,four"))
    done = back(project, given)
    assert (done.asked, done.settled, done.result.error) == (1, 1, None)
    frame = pl.read_parquet(project.root / "out/letters/*.parquet").sort("id")
    assert once(frame["id"].to_list()) == [1, 2, 3, 4, 10, 11, 12]
    assert frame["colour"].to_list()[:4] == ["red", "blue", "green", "black"]


PLUGIN = """
import polars as pl
from stagepipe import step

@step
def no_odd(frame: pl.DataFrame, *, reject) -> pl.DataFrame:
    return reject(frame, pl.col("id") % 2 == 1, "odd")
"""


@pytest.mark.parametrize("sink", [False, True], ids=["spool", "table before"])
def test_what_a_later_step_rejected(project: Any, sink: bool) -> None:
    """It comes back, unless a table before has its row already."""
    settings = 'chunk_size = "1kB"\nplugins = ["extras.py"]'
    between = 'sink = { use = "csv", path = "all.csv", on_existing = "replace" }' if sink else ""
    stages = f'{between}\n[[stage]]\nname = "even"\nsteps = ["no_odd"]\n{REPLACE}'
    project.write("extras.py", PLUGIN)
    project.declare(settings=settings, stages=stages, after=HALF)
    project.write("landing/a.csv", "id,word\n2,two\n3,three\n4,four\n6,six\nx,eight\n")
    first = project.run()
    assert first.error is None
    given = mended(project, first, ("\n3,three", "\n30,three"), ("\nx,eight", "\n8,eight"))
    done = back(project, given)
    assert done.result.error is None
    if sink:
        assert (done.asked, done.settled) == (1, 1)
        assert "the table of stage 'parse'" in next(iter(done.left_out))
        assert once(ids(project)) == [2, 4, 6, 8]
    else:
        assert (done.asked, done.settled) == (2, 2)
        assert once(ids(project)) == [2, 4, 6, 8, 30]
        assert [s.rows.rejected for s in done.result.stages] == [1, 1]
    # The step lets the record itself pass now: the mended one rests.
    project.write("extras.py", PLUGIN.replace("% 2 == 1", "> 100"))
    project.program("run", "-q")
    assert once(ids(project)) == [2, 3, 4, 6, 8]


def test_rows_of_a_record_that_became_several_do_not_come_back(project: Any) -> None:
    """Of a record of which one row was rejected the others are in the table."""
    settings = 'chunk_size = "1kB"\nplugins = ["extras.py"]'
    plugin = PLUGIN.replace('pl.col("id") % 2 == 1', 'pl.col("value") == "bad"')
    project.write("extras.py", plugin)
    project.declare(
        settings=settings,
        columns='other = "string"',
        first='{ use = "unpivot", columns = ["word", "other"] }, "no_odd"',
        after=HALF,
    )
    project.write("landing/a.csv", "id,word,other\n1,a,b\n2,c,bad\nx,e,f\n3,g,h\n")
    first = project.run()
    assert first.error is None, first.error
    given = mended(project, first, ("2,c,bad", "2,c,good"), ("\nx,e,f", "\n4,e,f"))
    done = back(project, given)
    assert (done.asked, done.settled) == (1, 1)
    assert "a step had made several rows" in next(iter(done.left_out))
    assert sorted(ids(project)) == [1, 1, 2, 3, 3, 4, 4]


def test_a_record_may_come_back_as_several(letters: Any) -> None:
    """As where a quote swallowed what follows it: all of them, or none where one is wrong still."""
    letters.write("landing/a.csv", 'id,word\n1,one\n2,"two\n3,three\n4,four\n')
    first = letters.run()
    assert b'\n2,"two\n3,three\n4,four\n' in returned(letters, first)
    bad = mended(letters, first, ('\n2,"two\n3,', "\n2,two\nx3,"))
    done = back(letters, bad)
    assert done.asked == 0
    assert "their text is several records, and some are wrong (type)" in done.left_out
    done = back(letters, mended(letters, first, ('\n2,"two', "\n2,two")))
    assert (done.asked, done.settled) == (1, 1)
    assert done.result.rows.read == 5 + 3
    assert once(ids(letters)) == [1, 2, 3, 4, 10, 11, 12]


@pytest.mark.parametrize("stages", [REPLACE, APPEND], ids=["replace", "append"])
def test_a_run_over_budget_is_within_it_when_its_records_are_mended(
    letters: Any, stages: str
) -> None:
    """What was mended does not count against `max_rejected`, then and in later runs."""
    letters.declare(stages=stages)
    failed = letters.run()
    assert failed.error is not None
    assert not (letters.root / "out/letters").exists()
    done = back(letters, mended(letters, failed, *BOTH))
    assert done.result.error is None
    assert done.settled == 2
    letters.letters("c.csv", range(20, 30))
    assert letters.run().error is None
    assert once(ids(letters)) == [1, 2, 3, 4, 5, 10, 11, 12, *range(20, 30)]


def test_dead_letters_are_tried_again(letters: Any) -> None:
    """A file that was dead, and can be read under the mended pipeline file."""
    letters.declare(stages=REPLACE, after=f"{HALF}max_dead = 1\n")
    letters.write("landing/c.csv", "id/word\n20/twenty\n")
    assert letters.run().files_dead == 1
    letters.write("landing/c.csv", "id,word\n20,twenty\n")
    done = back(letters)
    assert done.result.files_dead == 0
    assert once(ids(letters)) == [1, 3, 5, 10, 11, 12, 20]


@pytest.mark.parametrize("stages", [REPLACE, APPEND], ids=["replace", "append"])
def test_rejects_of_older_runs(letters: Any, stages: str) -> None:
    """What is still open in an older run comes back too. Of a table that is appended to only the
    run that brought the file's rows can tell what was rejected."""
    letters.declare(stages=stages, after=HALF)
    first = letters.run()
    letters.letters("c.csv", range(20, 23))
    assert letters.run().error is None
    given = mended(letters, first, BOTH[0])
    assert back(letters, given).settled == 1
    assert back(letters, mended(letters, first, *BOTH)).settled == 1
    assert once(ids(letters)) == [1, 2, 3, 4, 5, 10, 11, 12, 20, 21, 22]


def test_an_appended_table_does_not_take_back_what_another_run_let_pass(letters: Any) -> None:
    """A run failed; the next, with a mended schema, brought the record itself."""
    letters.declare(stages=APPEND, columns='note = { type = "int8", name = "n" }')
    letters.write("landing/a.csv", "id,word,n\n1,one,1\n2,two,200\n")
    (letters.root / "landing/b.csv").unlink()
    failed = letters.run()
    assert failed.error is not None
    text = (letters.root / "pipeline.toml").read_text()
    letters.write("pipeline.toml", text.replace('"int8"', '"int16"'))
    assert letters.run().error is None
    done = back(letters, mended(letters, failed, (",200", ",20")))
    assert done.asked == 0
    assert once(ids(letters)) == [1, 2]
    assert back(letters, run=failed.run).asked == 0
    assert once(ids(letters)) == [1, 2]


def test_a_table_that_must_not_be_replaced_refuses(letters: Any) -> None:
    """Before anything is kept."""
    letters.declare(stages=REPLACE.replace("replace", "error"), after=HALF)
    first = letters.run()
    with pytest.raises(UsageError, match='on_existing = "error"'):
        back(letters, mended(letters, first, *BOTH))
    assert not (letters.root / ".stagepipe/mended").exists()


def test_provenance_is_that_of_the_record(letters: Any) -> None:
    """Source, file and line, also in every cut and with several workers."""
    letters.declare(stages=REPLACE, after=HALF, settings='chunk_size = "1B"')
    text = (letters.root / "pipeline.toml").read_text()
    letters.write(
        "pipeline.toml",
        text.replace(
            "[schema.columns]",
            '[schema]\nprovenance = ["source", "file", "line"]\n[schema.columns]',
        ),
    )
    first = letters.run()
    assert back(letters, mended(letters, first, *BOTH)).settled == 2
    frame = pl.read_parquet(letters.root / "out/letters/*.parquet").sort("id")
    assert frame.rows()[:5] == [
        (1, "one", "acme", "landing/a.csv", 2),
        (2, "two", "acme", "landing/a.csv", 3),
        (3, "three", "acme", "landing/a.csv", 4),
        (4, "four", "acme", "landing/a.csv", 5),
        (5, "five", "acme", "landing/a.csv", 6),
    ]


SOURCES = """
[pipeline]
name = "letters"
chunk_size = "1kB"
[[source]]
name = "wide"
files = "wide/*.csv"
[source.csv]
encoding = "utf-16"
delimiter = ";"
skip_lines = 2
skip_footer = 1
[[source]]
name = "bare"
files = "bare/*.csv.gz"
[source.csv]
encoding = "shift_jis"
header = false
comment = "#~ "
quote = "'"
[[source]]
name = "old"
files = "old/*.csv"
[source.csv]
encoding = "cp1252"
escape = "\\\\"
[schema.columns]
id = { type = "int64", required = true }
word = "string"
[[stage]]
name = "parse"
sink = { use = "parquet", path = "letters", on_existing = "replace" }
[errors]
max_rejected = "90%"
"""


def test_sources_of_all_kinds_in_one_form(project: Any) -> None:
    """Encodings, headers, footers, packed files, record ends: each record keeps its own."""
    import gzip

    project.write("pipeline.toml", SOURCES)
    wide = 'Title\r\n\r\nword;id\r\nä;1\r\nö;x2\r\n"ü\r\n";x3\r\ntotal;2\r\n'
    project.write("wide/w.csv", wide.encode("utf-16"))
    bare = "1,一\r4,'二\r\nx'\rx5,#~ 三\r#~ x,y\rx6,'\n#~ 四'\r"
    project.write("bare/b.csv.gz", gzip.compress(bare.encode("shift_jis")))
    project.write("old/o.csv", "word,id\né,7\n\\\nx,x8\n#~ y,x9\n,x10".encode("cp1252"))
    first = project.run()
    assert first.error is None, first.error
    content = returned(project, first)
    assert content.startswith(b"#~2 ")
    for old, new, codec in (
        ("ö;x2", "ö;2", "utf-16-le"),
        ('";x3', '";3', "utf-16-le"),
        ("x5,", "5,", "shift_jis"),
        ("x6,", "6,", "shift_jis"),
        ("x,x8", "x,8", "cp1252"),
        ("y,x9", "y,9", "cp1252"),
        (",x10", ",10", "cp1252"),
    ):
        assert content.count(old.encode(codec)) == 1, old
        content = content.replace(old.encode(codec), new.encode(codec))
    done = back(project, parse("form", content))
    assert done.result.error is None
    assert (done.asked, done.settled, done.left_out) == (7, 7, {})
    frame = pl.read_parquet(project.root / "out/letters/*.parquet").sort("id")
    assert frame.rows() == [
        (1, "ä"), (1, "一"), (2, "ö"), (3, "ü\r\n"), (4, "二\r\nx"), (5, "#~ 三"), (6, "\n#~ 四"),
        (7, "é"), (8, "\nx"), (9, "#~ y"), (10, None),
    ]  # fmt: skip


@pytest.mark.timeout(900)
@pytest.mark.parametrize("stages", [REPLACE, APPEND], ids=["replace", "append"])
def test_killed_at_any_instant(
    letters: Any, stages: str, tmp_path: Path, tree: Callable[[Path], Any]
) -> None:
    """After kill -9 at some operation on files, the same replay ends as if nothing had been."""
    letters.declare(stages=stages, after=HALF)
    first = letters.run()
    content = returned(letters, first)
    for old, new in BOTH:
        content = content.replace(old.encode(), new.encode())
    letters.write("form", content)
    aside = tmp_path / "aside"
    shutil.copytree(letters.root, aside, copy_function=shutil.copy2)
    command = [sys.executable, "-c", KILLED, "{}", "replay", "--from", "form", "-j", "1", "-q"]
    operations = int(
        subprocess.run(
            [*command[:3], "-1", *command[4:]], cwd=letters.root, check=True, capture_output=True
        ).stderr.split()[-1]
    )
    assert once(ids(letters)) == [1, 2, 3, 4, 5, 10, 11, 12]
    undisturbed = tree(letters.root / "out")
    assert operations > KILLS
    for step in range(KILLS):
        shutil.rmtree(letters.root)
        shutil.copytree(aside, letters.root, copy_function=shutil.copy2)
        kill_at = 1 + step * (operations - 1) // KILLS
        killed = subprocess.run([*command[:3], str(kill_at), *command[4:]], cwd=letters.root)
        assert killed.returncode == -signal.SIGKILL
        assert set(ids(letters)) >= {1, 3, 5, 10, 11, 12}
        assert back(letters, parse("form", content)).result.error is None
        assert once(ids(letters)) == [1, 2, 3, 4, 5, 10, 11, 12], kill_at
        assert sorted(tree(letters.root / "out")) == sorted(undisturbed)
        assert statuses(letters, first) == ["settled", "settled"]


KILLED = """
import os, signal, sys
count, limit = 0, int(sys.argv.pop(1))
pid = os.getpid()
def hook(event, arguments):
    global count
    if os.getpid() != pid or event not in ("os.rename", "os.mkdir", "os.link", "os.remove"):
        return
    count += 1
    if count == limit:
        os.kill(pid, signal.SIGKILL)
if __name__ == "__main__":
    sys.addaudithook(hook)
    from stagepipe.cli import main
    try:
        main()
    finally:
        print(count, file=sys.stderr)
"""
