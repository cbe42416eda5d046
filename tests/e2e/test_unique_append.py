"""Unique columns of a table that is appended to: what it holds already counts."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from killed import is_run_killed
from unique_reference import (
    Case,
    Found,
    Record,
    declared,
    of_duplicates,
    records,
    slow,
    table,
    told,
    written,
)

import stagepipe
from stagepipe import Sink
from stagepipe.errors import OutputError

EXAMPLES = int(os.environ.get("STAGEPIPE_TEST_PIPELINES", "15"))
SHRINK = bool(os.environ.get("STAGEPIPE_TEST_SHRINK"))
KILLS = int(os.environ.get("STAGEPIPE_TEST_KILLS", "3"))
UNIQUE = 'code = { type = "int32", unique = true }\n'
KEPT = "[errors]\nmax_rejected = 1000\n"
APPEND = 'sink = { use = "parquet", path = "letters", on_existing = "append" }\n'


@pytest.fixture
def growing(project: Any) -> Any:
    """Three files, of which the second repeats a value of the first, and the third one of each; and
    a table that they are appended to."""
    project.declare(settings='chunk_size = "30B"', columns=UNIQUE, stages=APPEND, after=KEPT)
    project.write("landing/b.csv", "id,word,code\n1,one,1\n2,two,2\n3,three,3\n")
    project.write("landing/c.csv", "id,word,code\n4,four,4\n5,five,2\n6,six,\n7,seven,\n")
    project.write("landing/d.csv", "id,word,code\n8,eight,8\n9,nine,04\n10,ten,+1\n11,eleven,1\n")
    return project


def ids(project: Any) -> list[int]:
    return [row[0] for row in table(project.root, "letters")]


def test_what_the_table_holds_counts(growing: Any) -> None:
    """A record of a new file is a duplicate of one that was appended days ago, also where that one
    is no more among the rows."""
    growing.declare(
        settings='chunk_size = "30B"',
        columns=UNIQUE,
        first='{ use = "filter", expression = "id <> 2" }, { use = "drop", columns = ["code"] }',
        stages=APPEND,
        after=KEPT,
    )
    first = growing.run()
    assert (first.error, ids(growing)) == (None, [1, 3, 4, 6, 7, 8])
    growing.write("landing/a.csv", "id,word,code\n20,a,2\n21,b,21\n22,c,21\n23,d,\n24,e,08\n")
    second = growing.run()
    assert (second.error, second.files_skipped) == (None, 3)
    assert ids(growing) == [1, 3, 4, 6, 7, 8, 21, 23]
    assert [(r.line, r.value) for r in told(growing.root, second)] == [
        (2, "2"),
        (4, "21"),
        (6, "08"),
    ]
    third = growing.run()
    assert (third.error, third.rows.read, third.outputs[0].changed) == (None, 0, False)
    growing.write("landing/e.csv", "id,word,code\n30,a,21\n31,b,2\n2,c,31\n")
    assert growing.run().rows.written == 0
    growing.write("landing/f.csv", "id,word,code\n40,a,31\n")
    fifth = growing.run()
    assert (fifth.rows.rejected, fifth.rows.written) == (1, 0)
    names = [path.name for path in (growing.root / "out/.letters.unique").iterdir()]
    assert len(names) == 3


class Delivery(NamedTuple):
    records: list[Record]
    chunk_size: int


@pytest.mark.timeout(100 + 5 * EXAMPLES)
def test_deliveries_are_one_reading_in_their_order() -> None:
    """Several runs that append keep what one reading of all files in the order of the runs would,
    whatever the files are called."""
    one = st.builds(Delivery, st.lists(records(), max_size=12), st.sampled_from([1, 40, 10**6]))

    @settings(
        max_examples=max(EXAMPLES // 4, 1),
        phases=set(Phase) if SHRINK else set(Phase) - {Phase.shrink, Phase.explain},
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(deliveries=st.lists(one, min_size=2, max_size=4), names=st.permutations("abcd"))
    def check(deliveries: list[Delivery], names: list[str]) -> None:
        note(repr((deliveries, names)))
        with tempfile.TemporaryDirectory(prefix="stagepipe-") as folder:
            check_deliveries(Path(folder), deliveries, names)

    check()


def check_deliveries(root: Path, deliveries: list[Delivery], names: list[str]) -> None:
    everything: list[tuple[Record, Found]] = []
    for name, delivery in zip(names, deliveries, strict=False):
        files = {f"in/one/{name}.csv": delivery.records}
        everything += written(root, files)
        pipeline = declared(root, Case(files, delivery.chunk_size, 1, is_two_stages=False))
        stage = pipeline.stages[0].model_copy(
            update={"sink": Sink(path="table", on_existing="append")}
        )
        result = stagepipe.run(pipeline.model_copy(update={"stages": (stage,)}), jobs=1)
        assert result.error is None, f"{result.error} {result.error.hint}"
        rows, duplicates = slow(everything)
        assert table(root) == [(*row, row[2] * 2) for row in rows]
        mine = [each for each in duplicates if each[0] in files]
        assert of_duplicates(told(root, result)) == mine


def test_unique_columns_may_become_fewer(growing: Any) -> None:
    """What is kept of the others is left out; to have them again, the table is made anew."""
    both = 'code = { type = "int32", unique = true }\nn = { type = "int8", unique = true }\n'
    for path in (growing.root / "landing").iterdir():
        path.unlink()
    growing.declare(columns=both, stages=APPEND, after=KEPT)
    growing.write("landing/a.csv", "id,word,code,n\n1,a,1,1\n2,b,2,1\n")
    assert growing.run().rows.written == 1
    text = (growing.root / "pipeline.toml").read_text()
    growing.write(
        "pipeline.toml", text.replace('n = { type = "int8", unique = true }', 'n = "int8"')
    )
    growing.write("landing/b.csv", "id,word,code,n\n3,c,1,1\n4,d,4,1\n")
    assert growing.run().rows.written == 1
    growing.write("pipeline.toml", text)
    with pytest.raises(OutputError, match="'n' was not unique"):
        growing.run()


def test_what_cannot_be_known_is_refused(growing: Any) -> None:
    """A table that was begun without the column being unique, or with another type; values that are
    gone. Each says to move the table away, and that helps."""
    growing.declare(
        settings='chunk_size = "30B"', columns='code = "int32"\n', stages=APPEND, after=KEPT
    )
    assert growing.run().error is None
    growing.declare(settings='chunk_size = "30B"', columns=UNIQUE, stages=APPEND, after=KEPT)
    ended = growing.command()
    assert ended.code == 2
    assert "was begun when column 'code' was not unique" in ended.message
    assert "move the table away" in ended.message
    (growing.root / "out/letters").rename(growing.root / "moved")
    assert growing.run().error is None
    assert ids(growing) == [1, 2, 3, 4, 6, 7, 8]
    growing.write("landing/e.csv", "id,word,code\n50,x,1\n51,y,51\n")
    (kept,) = (growing.root / "out/.letters.unique").iterdir()
    data = kept.read_bytes()
    kept.write_bytes(data[:-1])
    with pytest.raises(OutputError, match="not as stagepipe left it"):
        growing.run()
    kept.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    failed = growing.run()
    assert "not as stagepipe left it" in failed.error.message
    assert ids(growing) == [1, 2, 3, 4, 6, 7, 8]
    kept.write_bytes(data)
    assert growing.run().rows.written == 1
    growing.declare(
        settings='chunk_size = "30B"', columns=UNIQUE.replace("int32", "int64"), stages=APPEND
    )
    with pytest.raises(OutputError, match="was as int32 unique"):
        growing.run()


def test_another_table_has_other_values(growing: Any, tmp_path: Path) -> None:
    """What was found out of new records beside one table is not taken for another: here one that
    was put in its place, of files that were written elsewhere."""
    for path in (growing.root / "landing").iterdir():
        path.unlink()
    growing.write("landing/a.csv", "id,word,code\n1,a,1\n")
    other = tmp_path / "other"
    shutil.copytree(growing.root, other)
    (other / "landing/a.csv").write_text("id,word,code\n2,a,2\n")
    assert stagepipe.run(stagepipe.load(other / "pipeline.toml"), jobs=1).error is None
    assert growing.run().error is None
    growing.write("landing/b.csv", "id,word,code\n3,b,1\n4,b,4\n")
    assert growing.run("errors.max_rejected=0").error is not None
    shutil.rmtree(growing.root / "out")
    shutil.copytree(other / "out", growing.root / "out")
    shutil.copy2(other / "landing/a.csv", growing.root / "landing/a.csv")
    result = growing.run("errors.max_rejected=0")
    assert (result.error, ids(growing)) == (None, [2, 3, 4])


def test_values_that_were_damaged_before_the_commit(growing: Any) -> None:
    """They are made again, though all that was compared is known."""
    assert growing.run("errors.max_rejected=0").error is not None
    spool = growing.root / ".stagepipe/spool/letters"
    receipts = [json.loads(path.read_text()) for path in spool.glob("*.json")]
    (receipt,) = (receipt for receipt in receipts if "compared" in receipt["ingredients"])
    path = spool / receipt["files"][0]["name"]
    path.write_bytes(path.read_bytes()[:-1])
    assert growing.run().error is None
    growing.write("landing/e.csv", "id,word,code\n50,x,1\n51,y,51\n")
    assert growing.run().error is None
    assert ids(growing) == [1, 2, 3, 4, 6, 7, 8, 51]


def test_check_knows_it_too(growing: Any) -> None:
    """No run is needed to learn that a table was begun otherwise."""
    growing.declare(columns='code = "int32"\n', stages=APPEND, after=KEPT)
    assert growing.run().error is None
    growing.declare(columns=UNIQUE, stages=APPEND, after=KEPT)
    ended = growing.program("check", code=2)
    assert "was not unique" in ended.err + ended.out


def test_a_run_that_appends_may_be_killed_anywhere(growing: Any) -> None:
    """Before any operation in the output folder: the next run, and the one after it, come to what
    an undisturbed one would have."""
    growing.run()
    before = growing.root / "before"
    shutil.copytree(growing.root / "out", before, copy_function=os.link)
    growing.write("landing/e.csv", "id,word,code\n50,x,1\n51,y,51\n")
    seen, kill_at, step = set(), 0, 30 // KILLS or 1
    while True:
        for name in ("out", ".stagepipe"):
            shutil.rmtree(growing.root / name, ignore_errors=True)
        (growing.root / "landing/f.csv").unlink(missing_ok=True)
        growing.write("landing/e.csv", "id,word,code\n50,x,1\n51,y,51\n")
        shutil.copytree(before, growing.root / "out", copy_function=os.link)
        killed = is_run_killed(growing.root, kill_at)
        seen.add(tuple(ids(growing)))
        code = 51
        if 51 not in ids(growing):  # what the dead run kept of the file must count for nothing
            code = 53
            growing.write("landing/e.csv", f"id,word,code\n50,x,1\n51,y,{code}\n")
        assert growing.run().error is None
        assert ids(growing) == [1, 2, 3, 4, 6, 7, 8, 51]
        growing.write("landing/f.csv", f"id,word,code\n60,x,{code}\n61,y,1\n62,z,{104 - code}\n")
        assert growing.run().rows.rejected == 2
        assert ids(growing) == [1, 2, 3, 4, 6, 7, 8, 51, 62]
        assert len(list((growing.root / "out/.letters.unique").iterdir())) == 3
        if not killed:
            break
        kill_at += step
    assert len(seen) == 2
