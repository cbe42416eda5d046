"""A sink of one file: which places it takes, and which it leaves alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

KINDS = ("parquet", "csv", "arrow")


def declare(project: Any, kind: str, on_existing: str = "replace", **how: Any) -> None:
    sink = f'sink = {{ use = "{kind}", path = "t.{kind}", on_existing = "{on_existing}" }}'
    project.declare(stages=sink, **how)


def refused(project: Any, message: str) -> None:
    """Before anything is read or written, with the place; `check` says the same."""
    before = project.tree(".")
    ended = project.command()
    assert ended.code == 2
    assert message in ended.message
    assert "pipeline.toml:" in ended.message
    after = project.tree(".")
    assert {n: it for n, it in after.items() if n.startswith("out")} == {
        n: it for n, it in before.items() if n.startswith("out")
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_existing", ["error", "replace"])
def test_a_place_that_is_not_ours_is_refused(project: Any, kind: str, on_existing: str) -> None:
    """A folder, a link, a link to nothing, a file of the user's: none of them is touched."""
    project.letters("a.csv", range(3))
    declare(project, kind, on_existing)
    place = project.root / f"out/t.{kind}"
    place.mkdir(parents=True)
    refused(project, "is a folder or a link")
    place.rmdir()
    target = project.write("mine", "mine")
    for goal in (target, project.root / "nothing"):
        place.symlink_to(goal)
        refused(project, "is a folder or a link")
        place.unlink()
    os.mkfifo(place)
    refused(project, "is a folder or a link")
    place.unlink()
    place.write_text("mine")
    refused(project, "was not written by stagepipe")
    assert (place.read_text(), target.read_text()) == ("mine", "mine")


@pytest.mark.parametrize("way", ["written anew", "edited in place"])
def test_a_file_that_the_user_changed_is_refused(project: Any, way: str) -> None:
    """A manifest beside it does not make it ours."""
    project.letters("a.csv", range(3))
    declare(project, "csv")
    assert project.run().error is None
    place = project.root / "out/t.csv"
    if way == "written anew":
        place.unlink()
        place.write_text("mine")
    else:
        with place.open("a") as file:
            file.write("3,mine\n")
    project.letters("b.csv", range(3, 5))
    refused(project, "was not written by stagepipe")
    place.unlink()
    assert project.run().error is None
    assert len(place.read_text().splitlines()) == 6


def test_existing_is_an_error_unless_it_is_the_same(project: Any) -> None:
    """The file that the run would write may stand there; another one may not."""
    project.letters("a.csv", range(3))
    declare(project, "csv", "error")
    assert project.run().error is None
    assert not project.run().outputs[0].changed
    assert project.run(fresh=True).error is None
    project.letters("b.csv", range(3, 5))
    refused(project, 'is there already: move it away, or set on_existing = "replace"')
    declare(project, "csv")
    assert project.run().outputs[0].changed


def test_a_moved_project_goes_on(project: Any) -> None:
    """A copy has other inodes; the files are ours all the same."""
    project.letters("a.csv", range(3))
    declare(project, "csv")
    assert project.run().error is None
    copy = type(project)(project.root.with_name("copy"))
    shutil.copytree(project.root, copy.root)
    project.letters("b.csv", range(3, 5))
    shutil.copy(project.root / "landing/b.csv", copy.root / "landing/b.csv")
    assert copy.run().error is None
    assert len((copy.root / "out/t.csv").read_text().splitlines()) == 6


def test_another_pipelines_file_is_refused(project: Any) -> None:
    project.letters("a.csv", range(3))
    declare(project, "csv")
    assert project.run().error is None
    text = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace('name = "letters"', 'name = "other"', 1))
    refused(project, "was written by pipeline 'letters'")


@pytest.mark.parametrize(
    ("path", "use", "is_file"),
    [("t.csv", "csv", True), ("t.CSV", "csv", True), ("t.d", "csv", False), ("t", "csv", False)],
)
def test_an_ending_makes_a_file(project: Any, path: str, use: str, is_file: bool) -> None:
    project.letters("a.csv", range(300))
    sink = f'sink = {{ use = "{use}", path = "deep/{path}", on_existing = "replace" }}'
    project.declare(stages=sink)
    (output,) = project.run().outputs
    place: Path = project.root / "out/deep" / path
    assert place.is_file() == is_file
    assert (output.path, output.files > 1) == (f"out/deep/{path}", not is_file)


def test_an_ending_of_another_kind_is_refused(project: Any) -> None:
    project.letters("a.csv", range(3))
    project.declare(stages='sink = { use = "arrow", path = "t.csv" }')
    ended = project.command()
    assert ended.code == 2
    assert "'t.csv', which ends like a file of 'csv', and 'use' is 'arrow'" in ended.message


def test_a_file_that_is_gone_is_written_again(project: Any) -> None:
    """From the parts that are there; nothing else is made anew."""
    project.letters("a.csv", range(300))
    declare(project, "arrow")
    assert project.run().error is None
    before = project.tree()
    (project.root / "out/t.arrow").unlink()
    result = project.run()
    assert result.stages[0].made == 0
    assert result.outputs[0].changed
    after = project.tree()
    assert before["t.arrow"] == after["t.arrow"]
