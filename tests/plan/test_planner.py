"""The plan: what is taken, what is made, and why; and that it writes nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import stagepipe
from stagepipe.errors import InputError, OutputError, PipelineError, StagepipeError

TAKEN, MADE = "taken", "made"
THREE = """\
[[stage]]
name = "middle"
steps = [{ use = "filter", expression = "id > 0" }]

[[stage]]
name = "last"
steps = [{ use = "derive", column = "double", expression = "id * 2" }]
sink = { use = "parquet", path = "letters", on_existing = "replace" }
"""


@pytest.fixture
def three(project: Any) -> Any:
    """Three stages over three files, each a chunk of its own."""
    project.declare(settings='chunk_size = "1kB"', stages=THREE)
    for number, name in enumerate(("a.csv", "b.csv", "c.csv")):
        project.letters(name, range(number * 100, number * 100 + 70))
    return project


def test_all_is_new_at_first(three: Any, decisions: Any, reasons: Any) -> None:
    """Before the first run every task is made, because it is new."""
    plan = three.plan()
    assert decisions(plan) == [[MADE] * 3] * 3
    assert reasons(plan) == [["new"] * 3] * 3
    assert not plan.is_empty


def test_planning_writes_nothing(three: Any, tree: Any) -> None:
    """Neither a first nor a later plan changes anything in the project."""
    before = tree(three.root)
    three.plan()
    assert tree(three.root) == before
    three.run()
    three.letters("a.csv", range(5, 75))
    before = tree(three.root)
    three.plan()
    three.plan(fresh=True)
    assert tree(three.root) == before


def test_all_is_taken_after_a_run(three: Any, decisions: Any) -> None:
    """What is finished is not made again, and there is nothing to do."""
    three.run()
    plan = three.plan()
    assert decisions(plan) == [[TAKEN] * 3] * 3
    assert plan.is_empty


def test_a_changed_file_remakes_its_chunk_alone(three: Any, decisions: Any, reasons: Any) -> None:
    """One changed file is made again through all stages; the other chunks are taken."""
    three.run()
    three.letters("b.csv", range(300, 370))
    plan = three.plan()
    assert decisions(plan) == [[TAKEN, MADE, TAKEN]] * 3
    first, later = reasons(plan)[0][1], reasons(plan)[2][1]
    assert (first, later) == ("an input file changed", "the stage before it changed")


def test_touching_a_file_makes_it_another(three: Any, decisions: Any) -> None:
    """A file with another time may hold other bytes: it is read again."""
    three.run()
    os.utime(three.root / "landing/c.csv", ns=(1, 1))
    assert decisions(three.plan())[0] == [TAKEN, TAKEN, MADE]


@pytest.mark.parametrize("name", ["0.csv", "z.csv"])
def test_a_new_file_leaves_the_others(three: Any, decisions: Any, name: str) -> None:
    """A file that is added, in front too, remakes no chunk of another file."""
    three.run()
    three.letters(name, range(500, 570))
    new = 0 if name == "0.csv" else 3
    expected = [MADE if chunk == new else TAKEN for chunk in range(4)]
    assert decisions(three.plan()) == [expected] * 3


def test_a_file_in_front_gives_the_bytes_of_a_fresh_run(three: Any, tree: Any) -> None:
    """Parts that are taken for a chunk with another number stand where a fresh run puts them."""
    three.run()
    three.letters("0.csv", range(500, 570))
    three.run()
    resumed = three.tree()
    shutil.rmtree(three.root / "out")
    shutil.rmtree(three.root / ".stagepipe")
    three.run()
    assert three.tree() == resumed


def test_a_renamed_stage_takes_its_parts(three: Any, decisions: Any) -> None:
    """A stage's name is no part of what it makes, and a sink's part can still be read by it."""
    three.declare(stages="", after=TWO_SINKS)
    three.run()
    pipeline = (three.root / "pipeline.toml").read_text().replace('"second"', '"renamed"')
    pipeline = pipeline.replace("* 2", "* 3")
    three.write("pipeline.toml", pipeline)
    assert decisions(three.plan()) == [[TAKEN] * 3, [TAKEN] * 3, [MADE] * 3]
    result = three.run()
    assert result.error is None
    assert [stage.name for stage in result.stages] == ["parse", "renamed", "third"]


TWO_SINKS = """\
[[stage]]
name = "second"
sink = { use = "parquet", path = "second", on_existing = "replace" }

[[stage]]
name = "third"
steps = [{ use = "derive", column = "double", expression = "id * 2" }]
sink = { use = "parquet", path = "third", on_existing = "replace" }
"""


def test_another_schema_remakes_all(three: Any, decisions: Any, reasons: Any) -> None:
    """A changed schema reaches every stage."""
    three.run()
    text = (three.root / "pipeline.toml").read_text()
    three.write("pipeline.toml", text.replace("required = true", "required = true, min = 0"))
    plan = three.plan()
    assert decisions(plan) == [[MADE] * 3] * 3
    assert reasons(plan)[0] == ["[schema] changed"] * 3


def test_another_dialect_remakes_all(three: Any, reasons: Any) -> None:
    """A changed [source.csv] is said as such."""
    three.run()
    three.declare(stages=THREE, source='[source.csv]\nnull_values = ["NA"]')
    assert reasons(three.plan())[0] == ["[source.csv] changed"] * 3


def test_another_step_remakes_its_stage_and_later_ones(three: Any, decisions: Any) -> None:
    """A changed option leaves the stages before it alone."""
    three.run()
    three.declare(stages=THREE.replace("id > 0", "id > 10"))
    assert decisions(three.plan()) == [[TAKEN] * 3, [MADE] * 3, [MADE] * 3]


def test_a_mended_plugin_remakes_its_stage_and_later_ones(
    three: Any, decisions: Any, reasons: Any
) -> None:
    """The code of a plugin file is what its steps are made of."""
    code = "from stagepipe import step\n\n@step\ndef same(frame):\n    return frame\n"
    three.write("plugins/same.py", code)
    stages = THREE.replace('{ use = "filter", expression = "id > 0" }', '"same"')
    three.declare(settings='chunk_size = "1kB"\nplugins = ["plugins/same.py"]', stages=stages)
    three.run()
    assert three.plan().is_empty
    three.write("plugins/same.py", code + "\n# mended\n")
    plan = three.plan()
    assert decisions(plan) == [[TAKEN] * 3, [MADE] * 3, [MADE] * 3]
    assert reasons(plan)[1] == ["a step, its options or its code changed"] * 3


def test_another_reference_file_remakes_its_stage(three: Any, decisions: Any, reasons: Any) -> None:
    """The content of a file that a step reads counts; a touch of it does not."""
    join = '{ use = "join", file = "names.csv", on = "id" }'
    three.write("names.csv", "id,name\n1,one\n")
    three.declare(stages=THREE.replace('{ use = "filter", expression = "id > 0" }', join))
    three.run()
    os.utime(three.root / "names.csv", ns=(1, 1))
    assert three.plan().is_empty
    three.write("names.csv", "id,name\n1,uno\n")
    plan = three.plan()
    assert decisions(plan) == [[TAKEN] * 3, [MADE] * 3, [MADE] * 3]
    assert reasons(plan)[1] == ["a file that a step reads changed"] * 3


def test_another_chunk_size_cuts_otherwise(three: Any, reasons: Any, decisions: Any) -> None:
    """Chunks that are packed or cut otherwise are made anew."""
    three.run()
    plan = three.plan('pipeline.chunk_size="500B"')
    assert len(plan.chunks) > 3
    assert set(decisions(plan)[0]) == {MADE}
    assert "files are packed or cut otherwise" in reasons(plan)[0][0]


def test_fresh_takes_nothing(three: Any, decisions: Any) -> None:
    """With `fresh` every part is made again."""
    three.run()
    plan = three.plan(fresh=True)
    assert decisions(plan) == [[MADE] * 3] * 3
    assert not plan.is_empty


def test_a_lost_part_that_nobody_needs_is_not_made(three: Any, decisions: Any) -> None:
    """Where the table stands, parts between stages may be gone."""
    three.run()
    for part in (three.root / ".stagepipe/spool/letters").glob("*.arrow"):
        part.unlink()
    assert three.plan().is_empty
    three.letters("b.csv", range(300, 370))
    assert decisions(three.plan()) == [[TAKEN, MADE, TAKEN]] * 3


def test_a_lost_part_that_is_needed_is_made(three: Any, decisions: Any, reasons: Any) -> None:
    """A later stage that is made again brings back the parts that it reads."""
    three.run()
    for part in (three.root / ".stagepipe/spool/letters").glob("*.arrow"):
        part.unlink()
    three.declare(stages=THREE.replace("id * 2", "id * 3"))
    plan = three.plan()
    assert decisions(plan) == [[MADE] * 3] * 3
    assert reasons(plan)[0] == ["its finished part is gone or damaged"] * 3
    assert three.run().error is None


def test_a_lost_table_is_put_together_from_its_parts(three: Any, decisions: Any) -> None:
    """Without its table a sink's parts are taken, and the table comes back."""
    three.run()
    before = three.tree()
    shutil.rmtree(three.root / "out")
    plan = three.plan()
    assert decisions(plan) == [[TAKEN] * 3] * 3
    assert not plan.is_empty
    three.run()
    assert three.tree() == before


def test_a_missing_input_is_refused_with_its_place(three: Any) -> None:
    """A file that is not there is an InputError that names line and column."""
    shutil.rmtree(three.root / "landing")
    with pytest.raises(InputError, match=r"pipeline\.toml:7:9: no file matches"):
        three.plan()


# -- places --------------------------------------------------------------------------------------


def refusal(project: Any, kind: type[StagepipeError] = OutputError) -> str:
    with pytest.raises(kind) as caught:
        project.plan()
    assert caught.value.exit_code == 2
    return str(caught.value)


def error_sink(project: Any) -> None:
    project.declare(stages='sink = { path = "letters", on_existing = "error" }')


def test_a_table_in_the_way_is_refused(project: Any) -> None:
    """With on_existing = "error" a table with other rows is not touched."""
    project.letters("a.csv", range(5))
    error_sink(project)
    assert project.run().error is None
    assert project.plan().is_empty
    project.letters("a.csv", range(6))
    assert 'is there already: move it away, or set on_existing = "replace"' in refusal(project)


def test_an_empty_folder_is_in_nobodys_way(project: Any) -> None:
    """An empty folder may become a table, with on_existing = "error" too."""
    project.letters("a.csv", range(5))
    error_sink(project)
    (project.root / "out/letters").mkdir(parents=True)
    assert project.run().error is None


@pytest.mark.parametrize("what", ["notes.txt", "sub/x", "0001-000000-0123456j.parquet"])
def test_strangers_in_the_way_are_refused(project: Any, what: str) -> None:
    """A folder that holds what stagepipe did not write is never replaced."""
    project.letters("a.csv", range(5))
    project.declare()
    project.write(f"out/letters/{what}", "mine")
    assert f"holds what stagepipe did not write ({what.split('/')[0]})" in refusal(project)


def test_a_stranger_in_the_table_is_refused_after_a_run(project: Any) -> None:
    """What somebody put beside the data is not thrown away with the old table."""
    project.letters("a.csv", range(5))
    project.declare()
    project.run()
    project.write("out/letters/mine.txt", "mine")
    assert "mine.txt" in refusal(project)


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_a_file_or_a_link_in_the_place_is_refused(project: Any, kind: str) -> None:
    """A table never takes the place of a file or of a link."""
    project.letters("a.csv", range(5))
    project.declare()
    (project.root / "out").mkdir()
    place = project.root / "out/letters"
    target = project.root / "elsewhere"
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(target)
        if kind == "link":
            target.mkdir()
    assert "is a file or a link" in refusal(project)


def test_a_sink_does_not_leave_the_output_folder_by_a_link(project: Any, tree: Any) -> None:
    """A linked folder on the way is refused before anything is written behind it."""
    project.letters("a.csv", range(5))
    project.declare(stages='sink = { path = "sub/letters", on_existing = "replace" }')
    outside = project.root / "outside"
    (outside / ".letters.new").mkdir(parents=True)
    (outside / ".letters.new/mine.txt").write_text("mine")
    (project.root / "out").mkdir()
    (project.root / "out/sub").symlink_to(outside)
    before = tree(project.root)
    text = refusal(project, PipelineError)
    assert "leads out of the output folder through a link" in text
    with pytest.raises(PipelineError):
        project.run()
    assert tree(project.root) == before


def test_the_output_folder_itself_may_be_a_link(project: Any, tmp_path: Path) -> None:
    """Where the output folder as a whole lies is the user's own business."""
    project.letters("a.csv", range(5))
    project.declare()
    (tmp_path / "disk").mkdir()
    (project.root / "out").symlink_to(tmp_path / "disk")
    assert project.run().error is None
    assert (tmp_path / "disk/letters").is_dir()


# -- dead letters --------------------------------------------------------------------------------


def test_what_was_made_of_a_dead_letter_is_never_taken(project: Any) -> None:
    """A file that could not be read and now can has the same key: all that was made of it is made
    again, and its rows arrive in the last table."""
    project.declare(stages="", after=TWO_SINKS + "\n[errors]\nmax_dead = 1\n")
    project.letters("a.csv", range(5))
    path = project.letters("b.csv", range(5, 9))
    whole = path.read_bytes()
    status = path.stat()
    with path.open("r+b") as file:  # the same inode and size
        file.write(b"\xff\xfe")
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    first = project.run()
    assert (first.error, first.rows.written, first.files_dead) == (None, 5, 1)
    with path.open("r+b") as file:
        file.write(whole)
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert not project.plan().is_empty
    second = project.run()
    assert (second.error, second.rows.written, second.files_dead) == (None, 9, 0)
    assert sum(output.rows for output in second.outputs) == 18
    assert project.plan().is_empty


OVER_ALL = """\
[[stage]]
name = "sorted"
steps = [{ use = "sort", by = ["id"] }]
[[stage]]
name = "last"
sink = { use = "parquet", path = "letters", on_existing = "replace" }
"""


def test_a_dead_letter_shows_behind_a_stage_over_all_rows(project: Any) -> None:
    """The parts behind it have the same keys as when the file could not be read: what the table
    shows of them is not what is wanted."""
    project.declare(stages="", after=OVER_ALL + "\n[errors]\nmax_dead = 1\n")
    project.letters("a.csv", range(5))
    path = project.letters("b.csv", range(5, 9))
    whole = path.read_bytes()
    status = path.stat()
    with path.open("r+b") as file:  # the same inode and size
        file.write(b"\xff\xfe")
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert project.run().rows.written == 5
    with path.open("r+b") as file:
        file.write(whole)
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    second = project.run()
    assert (second.error, second.rows.written, second.files_dead) == (None, 9, 0)
    assert [output.rows for output in second.outputs] == [9]


def test_plan_is_the_public_function(three: Any) -> None:
    """`stagepipe.plan` gives a Plan with what a caller looks for."""
    plan = stagepipe.plan(three.load())
    assert [stage.name for stage in plan.stages] == ["parse", "middle", "last"]
    assert [file.path for file in plan.input_files] == [
        "landing/a.csv",
        "landing/b.csv",
        "landing/c.csv",
    ]
