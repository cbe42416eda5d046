"""Appending: each run adds the rows of new files, as a generation of files beside the others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from killed import is_run_killed

from stagepipe.errors import OutputError, PipelineError

APPEND = """\
sink = { use = "parquet", path = "letters", on_existing = "append" }
"""
KILLS = int(os.environ.get("STAGEPIPE_TEST_KILLS", "3"))


@pytest.fixture
def letters(project: Any) -> Any:
    """Two files, and a pipeline that appends them to a table."""
    project.declare(stages=APPEND)
    project.letters("a.csv", range(5))
    project.letters("b.csv", range(5, 9))
    return project


def ids(project: Any) -> list[int]:
    """The table's first column, in the order of its files."""
    paths = sorted((project.root / "out/letters").iterdir())
    return [number for path in paths for number in pq.read_table(path)["id"].to_pylist()]


def files(project: Any) -> dict[str, tuple[int, int, bytes]]:
    """The table's files, with inode, time and content."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted((project.root / "out/letters").iterdir())
    }


def counted(result: Any) -> tuple[int, int, int]:
    assert result.error is None, result.error
    return result.rows.written, result.files_read, result.files_skipped


def test_the_same_files_are_appended_once(letters: Any) -> None:
    """A second run skips all files, makes no task and leaves each file of the table as it is."""
    assert counted(letters.run()) == (9, 2, 0)
    before = files(letters)
    assert all(name.startswith("0001-") for name in before)
    again = letters.run()
    assert counted(again) == (0, 0, 2)
    assert not again.outputs[0].changed
    assert again.outputs[0].rows == 9
    assert files(letters) == before


def test_a_new_file_adds_a_generation(letters: Any) -> None:
    """Its rows stand in files `0002-…`; the old files keep name, inode, time and bytes. A file
    whose name comes first is new all the same."""
    letters.run()
    before = files(letters)
    letters.letters("0.csv", range(20, 23))
    result = letters.run()
    assert counted(result) == (3, 1, 2)
    assert result.outputs[0].rows == 12
    after = files(letters)
    assert {name: after[name] for name in before} == before
    added = after.keys() - before.keys()
    assert len(added) == 1
    assert all(name.startswith("0002-000000-") for name in added)
    assert ids(letters) == [*range(9), 20, 21, 22]
    letters.letters("z.csv", range(30, 31))
    letters.run()
    assert ids(letters) == [*range(9), 20, 21, 22, 30]
    assert sum(name.startswith("0003-") for name in files(letters)) == 1


def test_what_is_appended_has_the_bytes_of_one_worker(letters: Any) -> None:
    """A generation of many chunks does not depend on the number of workers."""
    found = []
    new = letters.letters("new.csv", range(1000, 1400), folder="elsewhere")
    for jobs in (1, 2):
        shutil.rmtree(letters.root / "out", ignore_errors=True)
        shutil.rmtree(letters.root / ".stagepipe", ignore_errors=True)
        letters.run(jobs=jobs)
        new.rename(letters.root / "landing/new.csv")  # which keeps time and inode
        letters.run(jobs=jobs)
        (letters.root / "landing/new.csv").rename(new)
        names = [name for name in files(letters) if name.startswith("0002-")]
        assert len(names) > 3
        found.append(letters.tree())
    assert found[0] == found[1]
    assert ids(letters) == [*range(9), *range(1000, 1400)]


def test_a_file_without_rows_is_not_read_again(letters: Any) -> None:
    """The table's files stay, and what was read is noted."""
    letters.run()
    before = files(letters)
    letters.write("landing/empty.csv", "id,word\n")
    result = letters.run()
    assert counted(result) == (0, 1, 2)
    assert not result.outputs[0].changed
    assert files(letters) == before
    assert counted(letters.run()) == (0, 0, 3)
    letters.letters("new.csv", range(20, 21))
    letters.run()
    assert [name[:5] for name in files(letters)][-1] == "0002-"


@pytest.mark.parametrize("how", ["longer", "touched", "replaced"])
def test_a_changed_file_is_refused(letters: Any, how: str) -> None:
    """Its old rows cannot be taken out again: exit 2, with the file's name, and nothing written."""
    letters.run()
    path = letters.root / "landing/b.csv"
    if how == "longer":
        letters.write("landing/b.csv", path.read_text() + "9,word9\n")
    elif how == "touched":
        os.utime(path, ns=(1, 1))
    else:
        letters.letters("b.csv", range(6, 10))
    letters.letters("new.csv", range(20, 21))
    before, state = files(letters), letters.tree(".stagepipe")
    ended = letters.command()
    assert ended.code == 2
    assert ended.json["status"] == "refused"
    assert "landing/b.csv changed since its rows were appended" in ended.message
    assert "pipeline.toml:18:" in ended.message
    assert files(letters) == before
    assert letters.tree(".stagepipe") == state


def test_other_columns_are_refused(letters: Any) -> None:
    """What a table has and what it was to get stand in the message, and the table stays."""
    letters.run()
    before = letters.tree()
    letters.letters("new.csv", range(20, 21))
    letters.declare(stages=APPEND, first='{ use = "derive", column = "n", expression = "id > 1" }')
    result = letters.run()
    assert result.exit_code == 1
    assert result.status == "failed"
    text = str(result.error)
    assert "has the columns id int64, word string" in text
    assert "what is to be appended has id int64, word string, n bool" in text
    assert letters.tree() == before
    letters.declare(stages=APPEND)
    assert counted(letters.run()) == (1, 1, 2)
    assert ids(letters) == [*range(9), 20]


def test_other_partitions_are_refused(letters: Any) -> None:
    """A folder of which some files are in partitions is one that no reader understands."""
    letters.run()
    before = files(letters)
    text = (letters.root / "pipeline.toml").read_text()
    by_word = text.replace('"append"', '"append", partition_by = ["word"]')
    assert by_word != text
    letters.write("pipeline.toml", by_word)
    letters.letters("c.csv", range(20, 23))
    result = letters.run()
    assert result.exit_code == 1
    assert "is partitioned in another way" in result.error.message
    assert files(letters) == before


def test_fresh_does_not_append_twice(letters: Any) -> None:
    """`--fresh` takes no finished part; the rows that stand in the table are no part."""
    letters.run()
    letters.letters("new.csv", range(20, 21))
    before = files(letters)
    assert counted(letters.run(fresh=True)) == (1, 1, 2)
    assert files(letters).items() > before.items()
    assert counted(letters.run(fresh=True)) == (0, 0, 3)
    assert ids(letters) == [*range(9), 20]


def test_nothing_is_lost_without_the_spool(letters: Any) -> None:
    """What is in the table is known from beside the table: the run's folders may be gone."""
    letters.run()
    shutil.rmtree(letters.root / ".stagepipe")
    letters.letters("new.csv", range(20, 21))
    assert counted(letters.run()) == (1, 1, 2)
    assert ids(letters) == [*range(9), 20]


def test_dead_letters_are_tried_again(letters: Any) -> None:
    """A file that could not be read within `max_dead` adds nothing, and is read when it is
    mended; as long as it is not, the table stays as it is."""
    letters.declare(stages=APPEND, after="[errors]\nmax_dead = 1\n")
    letters.write("landing/bad.csv", "id\n7\n")
    first = letters.run()
    assert counted(first) == (9, 2, 0)
    assert first.files_dead == 1
    before = files(letters)
    second = letters.run()
    assert counted(second) == (0, 0, 2)
    assert second.files_dead == 1
    assert not second.outputs[0].changed
    assert files(letters) == before
    letters.letters("bad.csv", range(40, 42))
    third = letters.run()
    assert counted(third) == (2, 1, 2)
    assert third.files_dead == 0
    assert ids(letters) == [*range(9), 40, 41]
    assert [name[:5] for name in files(letters)][-1] == "0002-"
    assert counted(letters.run()) == (0, 0, 3)


def test_rejects_of_a_file_are_counted_once(letters: Any) -> None:
    """A later run knows nothing of the rejects of files that it does not read."""
    letters.declare(stages=APPEND, after="[errors]\nmax_rejected = 1\n")
    letters.write("landing/c.csv", "id,word\nx,y\n10,z\n")
    assert letters.run().rows.rejected == 1
    again = letters.run()
    assert again.rows.rejected == 0
    assert again.rejects is None
    assert ids(letters) == [*range(9), 10]


def test_json_says_what_is_skipped(letters: Any) -> None:
    """`files.skipped` of `run --json`, and the files with the reason in `plan --json`."""
    letters.run()
    letters.letters("new.csv", range(20, 21))
    plan = letters.program("plan", "--json").json
    assert plan["skipped"] == [
        {"file": f"landing/{name}.csv", "reason": "out/letters holds their rows"} for name in "ab"
    ]
    assert [source["files"] for source in plan["sources"]] == [1]
    text = letters.program("plan").out
    assert "  skipped 2 files: out/letters holds their rows\n" in text
    assert "landing/a.csv" not in text
    assert "    landing/a.csv\n" in letters.program("plan", "-v").out
    ended = letters.command()
    assert ended.json["files"] == {"read": 1, "skipped": 2, "dead": 0}
    assert letters.program("show", "--json").json["files"] == ended.json["files"]
    assert "1 read, 2 skipped\n" in letters.program("show").out
    assert ended.json["rows"]["written"] == 1
    assert ended.json["outputs"][0]["rows"] == 10
    assert "nothing to do" in letters.program("plan").out


# -- tables that nobody knows --------------------------------------------------------------------


def remove_one(table: Path) -> None:
    sorted(table.iterdir())[0].unlink()


def remove_all(table: Path) -> None:
    for path in table.iterdir():
        path.unlink()


def put_a_stranger(table: Path) -> None:
    (table / "notes.txt").write_text("mine")


def put_one_like_ours(table: Path) -> None:
    shutil.copy(sorted(table.iterdir())[0], table / "0001-000009-00000000.parquet")


def shorten_one(table: Path) -> None:
    path = sorted(table.iterdir())[0]
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1])


def forget_the_manifest(table: Path) -> None:
    (table.parent / f".{table.name}.manifest.json").unlink()


@pytest.mark.parametrize(
    "spoil",
    [
        remove_one,
        remove_all,
        put_a_stranger,
        put_one_like_ours,
        shorten_one,
        forget_the_manifest,
    ],
)
@pytest.mark.parametrize("is_new", [True, False], ids=["a new file", "nothing new"])
def test_a_table_that_was_touched_is_refused(letters: Any, spoil: Any, is_new: bool) -> None:
    """Nobody knows any more which rows it holds, so nothing is added, and nothing is read."""
    letters.letters("a.csv", range(200))
    letters.run()
    spoil(letters.root / "out/letters")
    if is_new:
        letters.letters("new.csv", range(20, 21))
    before = letters.tree()
    with pytest.raises(OutputError, match=r"nobody knows|did not write") as caught:
        letters.run()
    assert "pipeline.toml:18:" in str(caught.value)
    assert letters.tree() == before
    with pytest.raises(OutputError):
        letters.plan()


def test_a_table_that_was_moved_away_is_made_anew(letters: Any) -> None:
    """As the messages advise; from all files that there are."""
    letters.run()
    (letters.root / "out/letters").rename(letters.root / "elsewhere")
    letters.letters("new.csv", range(20, 21))
    assert counted(letters.run()) == (10, 3, 0)
    assert ids(letters) == [*range(9), 20]


def test_a_table_that_was_replaced_before_is_refused(letters: Any) -> None:
    """A table begun with `replace` does not know its files: all of them would come twice."""
    letters.declare(stages=APPEND.replace("append", "replace"))
    letters.run()
    letters.declare(stages=APPEND)
    with pytest.raises(OutputError, match="was not begun with on_existing"):
        letters.run()
    assert ids(letters) == list(range(9))


def test_replace_makes_one_table_of_generations(letters: Any) -> None:
    """The other way round there is nothing to be lost."""
    letters.run()
    letters.letters("new.csv", range(20, 21))
    letters.run()
    letters.declare(stages=APPEND.replace("append", "replace"))
    assert counted(letters.run()) == (10, 3, 0)
    assert all(name.startswith("0001-") for name in files(letters))


def test_a_place_behind_a_step_over_all_rows_is_looked_at_first(letters: Any) -> None:
    """Also where the stages after it are planned only when it has run, the refusal comes before
    anything is read."""
    stages = 'sink = { use = "csv", path = "x.csv", on_existing = "replace" }\n'
    all_rows = '[[stage]]\nname = "sorted"\nsteps = [{ use = "sort", by = ["id"] }]\n'
    letters.declare(stages=f'{all_rows}[[stage]]\nname = "last"\n{APPEND}')
    letters.write("out/letters/mine.txt", "mine")
    with pytest.raises(OutputError, match="nobody knows"):
        letters.run()
    assert not (letters.root / ".stagepipe/ledger.sqlite").exists()
    shutil.rmtree(letters.root / "out")
    letters.declare(stages=f'{all_rows}[[stage]]\nname = "last"\n{stages}')
    letters.write("out/x.csv", "mine")
    with pytest.raises(OutputError, match="was not written by stagepipe"):
        letters.run()
    assert not (letters.root / ".stagepipe/ledger.sqlite").exists()


# -- what cannot be appended ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "place", "text"),
    [
        (f'{APPEND}[[stage]]\nname = "last"\n', "18:45", "only in the last stage"),
        (
            'sink = { use = "csv", path = "all", on_existing = "replace" }\n'
            f'[[stage]]\nname = "last"\n{APPEND}',
            "18:8",
            "beside a last stage that appends",
        ),
        (
            APPEND.replace('"letters"', '"letters.parquet"'),
            "18:27",
            "one file: appending adds files to a folder",
        ),
    ],
    ids=["not last", "beside another", "one file"],
)
def test_what_cannot_be_appended_is_refused(
    letters: Any, stages: str, place: str, text: str
) -> None:
    """With its place in the pipeline file."""
    letters.declare(stages=stages)
    with pytest.raises(PipelineError) as caught:
        letters.load()
    (fault,) = caught.value.faults
    assert text in fault.message
    assert f":{place}: " in str(fault)


def test_a_folder_may_have_a_dot(letters: Any) -> None:
    """Only the ending of a kind of file means one file."""
    letters.declare(stages=APPEND.replace('"letters"', '"letters.v2"'))
    assert counted(letters.run()) == (9, 2, 0)


def test_other_stages_work_on_new_rows_only(letters: Any) -> None:
    """With a step over all rows the last stage sees all rows of the new files."""
    stages = (
        '[[stage]]\nname = "sorted"\nsteps = [{ use = "sort", by = ["id"], descending = true }]'
    )
    letters.declare(stages=f"{stages}\n{APPEND}")
    assert counted(letters.run()) == (9, 2, 0)
    letters.letters("new.csv", range(20, 23))
    assert counted(letters.run()) == (3, 1, 2)
    assert counted(letters.run()) == (0, 0, 3)
    assert ids(letters) == [*reversed(range(9)), 22, 21, 20]


# -- killed --------------------------------------------------------------------------------------


def test_a_run_killed_anywhere_adds_its_rows_once(letters: Any) -> None:
    """Killed before any operation in the output folder, a run leaves the old table or the new one;
    the next run ends with the new rows in it once."""
    letters.run()
    shutil.copytree(letters.root / "out", letters.root / "before", copy_function=os.link)
    letters.letters("new.csv", range(20, 23))
    seen, kill_at, step = set(), 0, 30 // KILLS or 1
    while True:
        for name in ("out", ".stagepipe"):
            shutil.rmtree(letters.root / name, ignore_errors=True)
        shutil.copytree(letters.root / "before", letters.root / "out", copy_function=os.link)
        was_killed = is_run_killed(letters.root, kill_at)
        now = ids(letters)
        assert now in ([*range(9)], [*range(9), 20, 21, 22])
        seen.add(len(now))
        again = letters.run()
        assert again.error is None
        assert counted(again)[2] == (3 if len(now) == 12 else 2)
        assert ids(letters) == [*range(9), 20, 21, 22]
        if not was_killed:
            break
        kill_at += step
    assert kill_at > 10
    assert seen == {9, 12}
