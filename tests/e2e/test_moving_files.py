"""Files that somebody still works on: they are left alone, or what happens to them is noticed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MOVING = """
import os
from pathlib import Path
from stagepipe import hookimpl, step

def append(file):
    with file.open("a") as out:
        out.write("9,more\\n")

def truncate(file):
    os.truncate(file, file.stat().st_size - 3)

def replace(file):
    new = file.with_name(".new")
    new.write_bytes(file.read_bytes())
    os.utime(new, ns=(file.stat().st_mtime_ns,) * 2)
    new.replace(file)

def remove(file):
    file.unlink()

def forge(file):
    before = file.stat().st_mtime_ns
    text = file.read_text().replace("word", "ward")
    file.write_text(text)
    os.utime(file, ns=(before, before))

def touch(file):
    file.chmod(0o600)

def obey(now):
    told = Path({order!r})
    when, what, file = told.read_text().split() if told.exists() else ("", "", "")
    if when == now:
        told.unlink()
        globals()[what](Path(file))

@step
def meddle(frame):
    if len(frame):  # a check tries each step on a table without rows
        obey("read")
    return frame

@hookimpl
def stagepipe_event(event):
    if type(event).__name__ == "RunStarted":
        obey("planned")
"""
SECOND = """
[[stage]]
name = "later"
steps = ["{step}"]
sink = {{ path = "later", on_existing = "replace" }}
"""
KINDS = ("append", "truncate", "replace", "remove")


@pytest.fixture
def moving(project: Any, tmp_path: Path) -> Callable[..., Any]:
    """Has a step of one of the stages do something to the first file, once."""
    order = tmp_path / "order"
    project.write("moves.py", MOVING.format(order=str(order)))
    for name in ("a", "b"):
        project.letters(f"{name}.csv", range(100))

    def begin(kind: str, *, is_late: bool = False, when: str = "read") -> Any:
        project.declare(
            settings='chunk_size = "1kB"\njobs = 1\nplugins = ["moves.py"]',
            first="" if is_late else '"meddle"',
            after=SECOND.format(step="meddle" if is_late else "strip_text"),
        )
        order.write_text(f"{when} {kind} {project.root / 'landing/a.csv'}")
        return project.command()

    return begin


def test_a_file_that_has_not_settled(project: Any) -> None:
    """It is left alone, and told of; the next run reads it, and those that have settled."""
    for name in ("a", "b"):
        os.utime(project.letters(f"{name}.csv", range(3)), (0, 0))
    young = project.letters("c.csv", range(3))
    project.declare(source='settle = "1h"')
    plan = project.program("plan", "--json").json
    assert plan["unsettled"] == ["landing/c.csv"]
    assert plan["sources"][0]["files"] == 2
    assert "left alone 1 file of acme: changed less than 1 h" in project.program("plan").out
    assert "landing/c.csv" in project.program("plan", "-v").out
    ended = project.command()
    assert (ended.code, ended.json["rows"]["read"]) == (0, 6)
    assert ended.json["unsettled"] == ["landing/c.csv"]
    assert "left alone this time: landing/c.csv, changed less than 3600 s ago" in ended.err
    assert "2 read" in project.program("run").out
    os.utime(young, (0, 0))
    ended = project.command()
    assert (ended.json["rows"]["read"], ended.json["unsettled"]) == (9, [])


@pytest.mark.parametrize(("on_existing", "code"), [("replace", 2), ("append", 0)])
def test_no_file_has_settled(project: Any, on_existing: str, code: int) -> None:
    """It is as if no file matched: refused, but for a table that is appended to."""
    project.letters("a.csv", range(3))
    sink = f'sink = {{ path = "letters", on_existing = "{on_existing}" }}'
    project.declare(source='settle = "1h"', stages=sink)
    ended = project.command()
    assert ended.code == code, ended.err
    if code:
        assert "no file has settled yet: landing/a.csv changed less than" in ended.message
        assert "pipeline.toml:" in ended.message
    else:
        assert ended.json["rows"]["read"] == 0


@pytest.mark.parametrize("seconds", [5, -5])
def test_a_file_server_with_another_clock(project: Any, seconds: int) -> None:
    """A file from the near future is as young as one from the near past."""
    now = time.time() + seconds
    os.utime(project.letters("a.csv", range(3)), (now, now))
    project.declare(source='settle = "1h"')
    assert project.plan("source.acme.settle=0s").unsettled == ()
    assert project.command().code == 2


@pytest.mark.parametrize("when", ["planned", "read"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_moves_before_it_is_committed(
    moving: Any, project: Any, kind: str, when: str
) -> None:
    """Between plan and read, or in the middle of the stage: nothing is committed; the next run
    reads it as it is then."""
    ended = moving(kind, when=when)
    assert ended.code == 1
    assert f"landing/a.csv {'is gone' if kind == 'remove' else 'changed'} since" in ended.message
    assert "dead letter" not in ended.err
    assert ended.json["files"]["dead"] == 0
    assert project.program("show", "--json").json["dead_letters"] == []
    assert not (project.root / "out/letters").exists()
    again = project.command()
    assert again.code == 0, again.err
    wanted = {"append": 201, "remove": 100}.get(kind, 200)
    assert again.json["rows"]["read"] == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_moves_between_stages(moving: Any, project: Any, kind: str) -> None:
    """All tables hold what was read, and the run says that the file has moved on since."""
    ended = moving(kind, is_late=True)
    assert (ended.code, ended.json["rows"]["written"]) == (0, 200), ended.err
    assert f"landing/a.csv {'is gone' if kind == 'remove' else 'changed'} since" in ended.err
    wanted = {"append": 201, "remove": 100}.get(kind, 200)
    again = project.command()
    assert (again.json["rows"]["read"], "since it was read" in again.err) == (wanted, False)


def test_a_file_that_is_rewritten_and_looks_as_before(moving: Any, project: Any) -> None:
    """A part of it was read before: nothing is committed, and the next run has it as it is then."""
    ended = moving("forge")
    assert ended.code == 1
    assert "landing/a.csv has other content than was read" in ended.message
    assert not (project.root / "out").exists() or not list((project.root / "out").glob("*"))


def test_a_file_that_is_touched_is_the_same(moving: Any) -> None:
    """As by a backup, or by who changes its rights."""
    ended = moving("touch")
    assert ended.code == 0, ended.message
