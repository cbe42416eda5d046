"""Steps over all rows: one task for the whole table, and what comes after it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stagepipe import events

SORTED = """
[[stage]]
name = "sorted"
steps = [{ use = "sort", by = ["word"], descending = true }]
"""
AGAIN = """
[[stage]]
name = "again"
steps = [STEPS]
sink = { path = "again", on_existing = "replace" }
"""
PLUGIN = """\
import os
import polars as pl
from stagepipe import step

@step(scope="all")
def half(frame, *, lazy: bool = False):
    assert isinstance(frame, pl.LazyFrame)
    result = frame.filter(pl.col("id") % 2 == 0).with_row_index("place")
    return result if lazy else result.collect()

@step
def pause(frame, *, at: int = -1, fifo: str = ""):
    # Whoever holds the other end of the pipe decides when this chunk goes on.
    if fifo and os.path.exists(fifo) and at in frame["id"]:
        open(fifo).read()
    return frame

@step(scope="all")
def wrong(frame):
    return frame.collect().rows()

@step(scope="all")
def more(frame):
    return pl.concat([frame, frame])

@step(scope="all", reshapes=True)
def twice(frame):
    return pl.concat([frame, frame])
"""
REFUSES = """\
from stagepipe import step

@step(scope="all")
def refuses(frame, *, reject):
    return frame
"""
WITH_PLUGIN = 'chunk_size = "1kB"\nplugins = ["own.py"]'


def land(project: Any, rows: int = 400, files: int = 4) -> None:
    for number in range(files):
        project.letters(
            f"{number}.csv", range(number * rows // files, (number + 1) * rows // files)
        )


def declare(project: Any, *, middle: str = SORTED, again: str = "", **how: Any) -> None:
    project.declare(stages="", after=middle + AGAIN.replace("STEPS", again), **how)


def stage_of(step: str, name: str = "all") -> str:
    return f'[[stage]]\nname = "{name}"\nsteps = [{step}]\n'


def read(project: Any, name: str = "again") -> pl.DataFrame:
    return pl.concat([pl.read_parquet(p) for p in sorted((project.root / "out" / name).iterdir())])


def words(rows: int) -> list[str]:
    return sorted((f"word{number}" for number in range(rows)), reverse=True)


def made(result: Any) -> list[tuple[int, int]]:
    return [(stage.made, stage.taken) for stage in result.stages]


@pytest.mark.parametrize(
    ("steps", "stage", "message"),
    [
        ("", 0, "the first stage reads files chunk by chunk: put it into a [[stage]] after"),
        ('"strip_text", ', 0, "the first stage reads files chunk by chunk"),
        ('"strip_text", ', 1, "stands after 'strip_text': begin a new [[stage]] with it"),
        ('{ use = "sort", by = ["id"] }, "strip_text", ', 1, "stands after 'strip_text'"),
    ],
)
def test_a_step_in_the_wrong_place_is_refused(
    project: Any, steps: str, stage: int, message: str
) -> None:
    """With its own place in the file, before anything is read."""
    land(project)
    sort = f'{steps}{{ use = "sort", by = ["word"] }}'
    if stage:
        declare(project, middle=stage_of(sort))
    else:
        project.declare(first=sort)
    ended = project.command()
    assert ended.code == 2
    assert f"step 'sort' needs every row, and {message}" in ended.message
    lines = (project.root / "pipeline.toml").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if '"sort", by = ["word"]' in text)
    column = lines[line - 1].rindex("{ use") + 1
    assert ended.message.startswith(f"pipeline.toml:{line}:{column}: ")
    assert not (project.root / ".stagepipe").exists()


def test_its_result_is_cut_and_read_whole(project: Any) -> None:
    """One task makes chunks again; the stages after it read all of them, in order, once."""
    land(project)
    declare(project, again='"strip_text"', settings='chunk_size = "1kB"')
    result = project.run(jobs=2)
    assert result.error is None
    first, middle, last = made(result)
    assert first[0] >= 4
    assert middle == (1, 0)
    assert last[0] > 5
    assert read(project)["word"].to_list() == words(400)
    assert [rows.rows.read for rows in result.stages] == [400] * 3
    assert len(list((project.root / "out/again").iterdir())) == last[0]
    # The memory that 1 kB of rows takes: ids of 8 bytes and words of about 7.
    sizes = [pl.read_parquet(p).height for p in (project.root / "out/again").iterdir()]
    assert max(sizes) < 100


def test_the_bytes_do_not_depend_on_the_workers(project: Any) -> None:
    land(project)
    declare(project, again='"strip_text"')
    found = []
    for jobs in (1, 4):
        assert project.run(jobs=jobs, fresh=True).error is None
        found.append({n: it for n, it in project.tree().items() if not n.startswith(".")})
        (project.root / "out").rename(project.root / f"out{jobs}")
    assert found[0] == found[1]


def test_a_second_run_makes_nothing(project: Any, decisions: Any) -> None:
    """All stages are planned at once then, and nothing is touched."""
    land(project)
    declare(project)
    project.run()
    before = [(p, p.stat().st_ino, p.stat().st_mtime_ns) for p in (project.root / "out").rglob("*")]
    plan = project.plan()
    assert not plan.is_open
    assert plan.is_empty
    result = project.run()
    assert result.error is None
    assert sum(stage.made for stage in result.stages) == 0
    after = [(p, p.stat().st_ino, p.stat().st_mtime_ns) for p in (project.root / "out").rglob("*")]
    assert after == before


def test_fresh_makes_everything(project: Any) -> None:
    """Also the stages that are planned on the way."""
    land(project)
    declare(project)
    first = project.run()
    assert project.plan(fresh=True).is_open
    result = project.run(fresh=True)
    assert result.error is None
    assert made(result) == made(first)
    assert not result.outputs[0].changed


@pytest.mark.parametrize("change", ["more", "fewer", "other"])
def test_a_changed_input_makes_it_anew(project: Any, change: str) -> None:
    """One more file, one less, or another content: never a row of the old one."""
    land(project)
    declare(project)
    project.run()
    if change == "more":
        project.letters("9.csv", range(400, 450))
        expected = words(450)
    elif change == "fewer":
        (project.root / "landing/3.csv").unlink()
        expected = words(300)
    else:
        project.write("landing/3.csv", "id,word\n1,zzz\n")
        expected = ["zzz", *words(300)]
    result = project.run()
    assert result.error is None
    assert made(result)[1] == (1, 0)
    assert result.stages[0].taken >= 3
    assert read(project)["word"].to_list() == expected


def test_a_change_after_it_leaves_it(project: Any) -> None:
    """Its finished part is read again, in as many pieces."""
    land(project)
    declare(project)
    first = project.run()
    declare(project, again='"strip_text"')
    result = project.run()
    assert result.error is None
    assert made(result)[1] == (0, 1)
    assert made(result)[2] == made(first)[2]
    assert read(project)["word"].to_list() == words(400)


def test_another_chunk_size_cuts_anew(project: Any) -> None:
    """The pieces are cut by it, so its part is another one, though what it reads is the same."""
    project.letters("a.csv", range(100))
    found = []
    for size in ("1300B", "8kB", "1300B"):
        declare(project, settings=f'chunk_size = "{size}"')
        result = project.run()
        assert result.error is None
        found.append(made(result))
        assert read(project)["word"].to_list() == words(100)
    assert found[0] == [(1, 0), (1, 0), (2, 0)]
    assert found[1] == [(0, 1), (1, 0), (1, 0)]
    assert found[2] == [(0, 1), *found[0][1:]]


@pytest.mark.skipif(sys.platform != "linux", reason="named pipes as on Linux")
@pytest.mark.parametrize("stage", ["sorted", "again"])
def test_a_kill_is_resumed(project: Any, stage: str) -> None:
    """Killed in the stage over all rows, or in one after it, whose chunks nobody knew at first:
    the next run takes what was finished and ends with the same bytes."""
    land(project)
    project.write("own.py", PLUGIN)
    fifo = project.root / "fifo"
    pause = f'{{ use = "pause", at = 0, fifo = "{fifo}" }}'  # row 0 comes last of all
    middle = SORTED if stage == "again" else SORTED.replace("true }", f"true }}, {pause}")
    again = pause if stage == "again" else '"strip_text"'
    declare(project, middle=middle, again=again, settings=WITH_PLUGIN)
    assert project.run(jobs=1).error is None
    whole = {n: it for n, it in project.tree().items() if not n.startswith(".")}
    for folder in ("out", ".stagepipe"):
        (project.root / folder).rename(project.root / f"{folder}.first")
    os.mkfifo(fifo)
    process = project.start("-j", "2")
    with fifo.open("w"):  # opens when the chunk with row 0 is at work
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    fifo.unlink()
    assert not (project.root / "out/again").exists()
    result = project.run()
    assert result.error is None
    assert made(result)[0] == (0, made(result)[0][1])
    assert made(result)[1] == ((1, 0) if stage == "sorted" else (0, 1))
    assert {n: it for n, it in project.tree().items() if not n.startswith(".")} == whole


@pytest.mark.parametrize("lazy", ["true", "false"])
def test_a_plugins_step(project: Any, lazy: str) -> None:
    """It gets a lazy frame over everything, and gives back a lazy or a plain one."""
    land(project)
    project.write("own.py", PLUGIN)
    half = stage_of(f'{{ use = "half", lazy = {lazy} }}')
    declare(project, middle=half, settings=WITH_PLUGIN)
    ended = project.command()
    assert ended.code == 0, ended.err
    assert read(project)["place"].to_list() == list(range(200))
    assert read(project)["id"].to_list() == list(range(0, 400, 2))
    assert ended.json["stages"][1]["rows"]["dropped"] == 200


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("wrong", "step 'wrong' returned a list, not a polars LazyFrame or DataFrame"),
        ("more", "step 'more' made 800 rows of 400"),
    ],
)
def test_a_plugins_step_that_is_wrong(project: Any, step: str, message: str) -> None:
    land(project)
    project.write("own.py", PLUGIN)
    declare(project, middle=stage_of(f'"{step}"'), settings=WITH_PLUGIN)
    ended = project.command()
    assert ended.code == 1
    assert f"stage 'all', chunk 0: {message}" in ended.message
    assert not (project.root / "out/again").exists()


def test_what_cannot_know_records_cannot_reject(project: Any) -> None:
    land(project)
    project.write("own.py", REFUSES)
    declare(project, middle=stage_of('"refuses"'), settings=WITH_PLUGIN)
    ended = project.command()
    assert ended.code == 2
    assert "step 'refuses'" in ended.message
    assert "takes reject" in ended.message


@pytest.mark.parametrize("apart", [False, True], ids=["in one stage", "in two"])
def test_two_in_a_row(project: Any, apart: bool) -> None:
    """The second one sees all rows of the first."""
    land(project)
    count = '{ use = "aggregate", count = "rows", first = ["word"], last = ["word"] }'
    middle = SORTED + stage_of(count) if apart else SORTED.replace("true }", f"true }}, {count}")
    declare(project, middle=middle, again='"strip_text"')
    result = project.run(jobs=2)
    assert result.error is None
    assert read(project).rows() == [(400, words(400)[0], words(400)[-1])]
    assert all(stage.made == 1 for stage in result.stages[1:])
    assert sum(stage.made for stage in project.run().stages) == 0
    project.letters("9.csv", range(400, 450))
    assert project.run().error is None
    assert read(project).rows() == [(450, words(450)[0], words(450)[-1])]


def test_stages_between_two_of_them(project: Any) -> None:
    """The plan is opened twice."""
    land(project)
    chunk = '{ use = "filter", expression = "id < 300" }'
    middle = SORTED + stage_of(chunk, "between") + stage_of('{ use = "sort", by = ["id"] }', "two")
    declare(project, middle=middle)
    seen: list[str] = []

    def listener(event: Any) -> None:
        if isinstance(event, events.StageCommitted):
            seen.append(event.stage)

    result = project.run(jobs=2, listeners=[listener])
    assert result.error is None
    assert seen == ["parse", "sorted", "between", "two", "again"]
    assert read(project)["id"].to_list() == list(range(300))
    assert not project.plan().is_open


@pytest.mark.parametrize(("step", "rows"), [("sort", 0), ("aggregate", 1)])
def test_an_empty_input(project: Any, step: str, rows: int) -> None:
    """Files without records: a sort has none, a total of nothing is one row."""
    project.write("landing/a.csv", "id,word\n")
    options = 'by = ["id"]' if step == "sort" else 'count = "n", sum = ["id"]'
    middle = stage_of(f'{{ use = "{step}", {options} }}')
    declare(project, middle=middle, again='"strip_text"')
    result = project.run()
    assert result.error is None
    found = read(project)
    assert found.height == rows
    if step == "aggregate":
        assert found.rows() == [(0, 0)]
    else:
        assert found.schema == {"id": pl.Int64, "word": pl.String}
    assert sum(stage.made for stage in project.run().stages) == 0


def test_what_steps_dropped_and_added_is_shown(project: Any) -> None:
    """By the step's name: a step that reshapes drops all that it got and adds all that it gave."""
    project.write("own.py", PLUGIN)
    project.write("landing/a.csv", "id,word\n1,a\n2,a\n3,b\n4,b\n4,b\n")
    middle = stage_of('"deduplicate"', "unique") + stage_of(
        '{ use = "aggregate", by = ["word"], count = "n" }, "twice"', "count"
    )
    declare(project, middle=middle, settings=WITH_PLUGIN)
    ended = project.command()
    assert ended.code == 0, ended.err
    unique, count = ended.json["stages"][1:3]
    assert (unique["rows"]["dropped"], unique["rows"]["added"]) == (1, 0)
    assert (count["rows"]["dropped"], count["rows"]["added"]) == (6, 6)
    assert read(project).rows() == [("a", 2), ("b", 2)] * 2
    shown = run(project, "show")
    for text in ("deduplicate dropped 1", "aggregate dropped 4", "twice dropped 2"):
        assert text in shown
    for text in ("aggregate added 2", "twice added 4"):
        assert text in shown


def run(project: Any, *words: str) -> str:
    return project.program(*words).out


@pytest.mark.parametrize("on_existing", ["error", "replace"])
def test_a_place_that_is_taken_is_refused_at_once(project: Any, on_existing: str) -> None:
    """Not when the stages before it have run: that of a stage which is planned later as well."""
    land(project)
    declare(project)
    text = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace('"replace" }', f'"{on_existing}" }}'))
    mine = project.write("out/again/mine.txt", "mine")
    ended = project.command()
    assert ended.code == 2
    assert "holds what stagepipe did not write (mine.txt)" in ended.message
    assert not (project.root / ".stagepipe/spool").exists()
    mine.unlink()
    assert project.command().code == 0
    assert project.command().code == 0
    project.letters("9.csv", range(400, 410))
    ended = project.command()
    assert ended.code == (2 if on_existing == "error" else 0)
    if on_existing == "error":
        assert "is there already" in ended.message
        assert read(project)["word"].to_list() == words(400)


def test_a_part_of_it_that_was_damaged_is_made_anew(project: Any) -> None:
    """One of its pieces is not as its receipt says: the run fails, and the next one mends it."""
    land(project)
    declare(project)
    assert project.run().error is None
    spool = project.root / ".stagepipe/spool/letters"
    receipts = [p.stem for p in spool.glob("*.json")]
    pieces = [sorted(spool.glob(f"{key}.*.arrow")) for key in receipts]
    cut: list[Path] = max(pieces, key=len)
    assert len(cut) > 5
    cut[3].write_bytes(cut[3].read_bytes()[:-1] + b"?")
    declare(project, again='"strip_text"')
    result = project.run()
    if result.error is not None:  # it may also be noticed while planning
        result = project.run()
    assert result.error is None
    assert result.stages[1].made == 1
    assert read(project)["word"].to_list() == words(400)
