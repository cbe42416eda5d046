"""The lock: one run at a time, and whoever looks at it is in nobody's way."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from waiting import WAITING

from stagepipe.errors import LockedError
from stagepipe.run import lock


@pytest.fixture
def pipeline(project: Any) -> Any:
    """A pipeline, with the file of its lock."""
    project.declare()
    pipeline = project.load()
    path = lock.lock_path(pipeline)
    path.parent.mkdir()
    path.touch()
    return pipeline


def look(path: Path) -> Callable[[], None]:
    """Hold the lock as one who looks does; what it gives ends the look."""
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return lambda: os.close(descriptor)


def test_a_run_waits_until_one_who_looks_has_looked(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment in which another process looks at the lock does not keep a run from starting."""
    look_away = look(lock.lock_path(pipeline))
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        look_away()

    monkeypatch.setattr(lock.time, "sleep", pause)
    with lock.only_run(pipeline):
        assert lock.is_held(lock.lock_path(pipeline))
    assert pauses == [lock.PAUSE_SECONDS]


def test_a_run_does_not_wait_for_a_run(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another run is at work, the answer comes at once."""
    monkeypatch.setattr(lock.time, "sleep", lambda _: pytest.fail("it waits"))
    with (
        lock.only_run(pipeline),
        pytest.raises(LockedError, match="is at work"),
        lock.only_run(pipeline),
    ):
        pass


def test_one_who_never_looks_away_ends_the_wait(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run does not try for ever."""
    pauses: list[float] = []
    monkeypatch.setattr(lock.time, "sleep", pauses.append)
    look_away = look(lock.lock_path(pipeline))
    with pytest.raises(LockedError), lock.only_run(pipeline):
        pass
    look_away()
    assert len(pauses) == lock.TRIES


def test_only_a_run_holds_the_lock(pipeline: Any) -> None:
    """Others who look do not count as a run, and neither does a file that is not there."""
    path = lock.lock_path(pipeline)
    assert not lock.is_held(path.with_name("other.lock"))
    look_away = look(path)
    assert not lock.is_held(path)
    look_away()
    with FileLock(path):
        assert lock.is_held(path)
    assert not lock.is_held(path)


@pytest.fixture
def at_work(project: Any, tmp_path: Path) -> Iterator[Any]:
    """A run of the pipeline "letters" that waits in a step, and the project."""
    never = tmp_path / "never"
    os.mkfifo(never)
    project.write("waits.py", WAITING.format(never=str(never)))
    project.letters("a.csv", range(3))
    project.declare(settings='plugins = ["waits.py"]', first='"wait"')
    process = project.start()
    with never.open("w"):  # opens when the step does
        yield process, project
    process.kill()
    process.communicate()


def second(project: Any, *words: str) -> Any:
    """Another pipeline, of a state folder of its own, on the same place."""
    text = (project.root / "pipeline.toml").read_text().replace('"letters"\n', '"others"\n')
    text = text.replace("plugins =", 'state = "elsewhere"\nplugins =').replace('"wait"', "")
    project.write("second.toml", text)
    return project.command("second.toml", *words)


def test_two_pipelines_on_one_place(at_work: Any) -> None:
    """One works; the other exits 75 and names it by pipeline, run and process."""
    process, project = at_work
    (run,) = project.program("runs", "--json").json
    refused = second(project)
    assert refused.code == 75, refused.err
    assert refused.json["status"] == "refused"
    assert "out/letters is being written by a run of pipeline 'letters'" in refused.message
    assert f"run {run['run']}, process {process.pid}" in refused.message
    again = project.command()
    assert (again.code, f"run {run['run']}, process {process.pid}" in again.message) == (75, True)


def test_a_pipeline_that_writes_within_the_table_of_another(at_work: Any) -> None:
    """Nothing but data lies there: while the one is at work, the other waits outside and makes no
    folder; when the table stands, it is refused as well."""
    process, project = at_work
    project.write("inner.csv", "id,word\n1,a\n")

    def inner() -> Any:
        text = (project.root / "pipeline.toml").read_text().replace('"letters"\n', '"inner"\n')
        text = text.replace('path = "letters"', 'path = "letters/inner"').replace('"wait"', "")
        project.write("second.toml", text.replace("plugins =", 'state = "elsewhere"\nplugins ='))
        return project.command("second.toml")

    refused = inner()
    assert refused.code == 75, refused.err
    assert "out/letters is being written by a run of pipeline 'letters'" in refused.message
    assert not (project.root / "out/letters").exists()
    process.kill()
    process.wait()
    project.declare()
    assert project.command().code == 0
    refused = inner()
    assert refused.code == 2, refused.err
    assert "out/letters/inner lies in the table" in refused.message
    assert "out/letters of pipeline 'letters'" in refused.message
    assert project.command().code == 0
    shutil.rmtree(project.root / "out/letters")
    assert inner().code == 0


def test_a_run_is_refused_before_its_plugins_are_imported(at_work: Any) -> None:
    """Who is locked out hears it at once, however long plugins take."""
    _, project = at_work
    text = (project.root / "pipeline.toml").read_text().replace("waits.py", "never.py")
    project.write("never.py", "raise SystemExit('it was imported')")
    project.write("second.toml", text)
    assert project.command("second.toml").code == 75


def test_a_place_is_free_when_its_run_is_killed(at_work: Any) -> None:
    """The kernel gives the lock back, whatever its file says; and no file of it stays."""
    process, project = at_work
    process.kill()
    process.wait()
    assert (project.root / "out/.letters.lock").exists()
    assert project.program("runs", "--json").json[0]["status"] == "interrupted"
    assert second(project).code == 0
    assert not (project.root / "out/.letters.lock").exists()
    assert {path.name for path in (project.root / "out").iterdir()} == {
        "letters",
        ".letters.manifest.json",
    }


def test_a_refused_run_leaves_no_folder(project: Any) -> None:
    """Holding the lock of a place that is not there yet makes nothing that stays."""
    project.declare()
    assert project.command().code == 2  # no file matches
    assert not (project.root / "out").exists()


def test_a_lock_that_was_removed_is_none(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opened the file just before its holder removed it, locks the next one."""
    path = lock.place_locks(pipeline)[0]
    path.parent.mkdir()
    path.touch()
    flock, inodes = fcntl.flock, []

    def removed(descriptor: int, how: int) -> None:
        if not inodes:
            path.unlink()
        inodes.append(os.fstat(descriptor).st_ino)
        flock(descriptor, how)

    monkeypatch.setattr(lock.fcntl, "flock", removed)
    with lock.only_run(pipeline):
        assert path.stat().st_ino == inodes[-1]
    assert not path.exists()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_outlives_its_run_holds_no_lock(pipeline: Any) -> None:
    """What a plugin forks from a run keeps none of its locks."""
    begun, begins = os.pipe()
    with lock.only_run(pipeline):
        child = os.fork()
        if not child:
            os.write(begins, b".")
            signal.pause()
        os.read(begun, 1)
    try:
        assert not lock.is_held(lock.lock_path(pipeline))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(begun)
        os.close(begins)
