"""Plugin code that does what it should not: the results are right, and nothing of it is left."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

PLUGIN = """
import locale, multiprocessing, os, sys, threading, time
from pathlib import Path
from stagepipe import hookimpl, step

kept = []

def stay():
    with Path({stayed!r}).open("a") as out:
        out.write(str(os.getpid()) + " ")
    time.sleep(1000)

{at_import}

@step
def odd(frame):
    {in_step}
    return frame

@hookimpl
def stagepipe_event(event):
    {in_hook}
"""
DEEDS = {
    "changes directory": "os.chdir('/')",
    "changes the environment": "os.environ.clear()",
    "closes stdout": "sys.stdout.close()",
    "closes stderr": "sys.stderr.close()",
    "closes descriptors": "os.close(1); os.close(2)",
    "leaks file handles": "kept.extend(open('/dev/null') for _ in range(200))",
    "changes the umask": "os.umask(0o077)",
    "forks": "os.fork() or os._exit(0)",
    "forks and stays": "os.fork() or stay()",
    "starts a thread": "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
    "sets a time zone": "os.environ.update(TZ='Asia/Tokyo'); time.tzset()",
    "sets a locale": "locale.setlocale(locale.LC_ALL, 'C')",
}
PLACES = ("at_import", "in_step", "in_hook")


@pytest.fixture
def stayed(tmp_path: Path) -> Iterator[Path]:
    """Where the processes that stay say their ids; they are ended after the test."""
    path = tmp_path / "stayed"
    yield path
    end_all(staying(path))


def staying(path: Path) -> list[psutil.Process]:
    """The processes of which the ids stand there that have not ended."""
    found = []
    for pid in path.read_text().split() if path.exists() else ():
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(int(pid)))
    return found


def end_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_a_plugin_that_misbehaves(project: Any, stayed: Path, deed: str) -> None:
    """At its import, in a step and in a hook: the table, the JSON and the exit code are those of a
    run without it, and the next run finds all of it done."""
    for place in PLACES:
        said = dict.fromkeys(PLACES, "pass") | {place: deed}
        project.write("odd.py", PLUGIN.format(**said, stayed=str(stayed)))
        project.letters("a.csv", range(100))
        project.declare(settings='plugins = ["odd.py"]\nchunk_size = "1kB"', first='"odd"')
        ended = project.command()
        assert ended.code == 0, (place, ended.err)
        assert ended.json["rows"]["written"] == 100
        assert not list((project.root / "out").glob("*.lock"))
    again = project.command()
    assert (again.code, again.json["stages"][0]["tasks"]["made"]) == (0, 0), again.err


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("at_import", 2, "does not import: SystemExit: 0"),
        ("in_step", 1, "SystemExit: 0"),
        ("in_hook", 0, "a listener failed"),
    ],
)
def test_a_plugin_that_ends_the_program(
    project: Any, stayed: Path, place: str, code: int, said: str
) -> None:
    """In the parent, where nobody else would tell of it: never as a success that it is not."""
    given = dict.fromkeys(PLACES, "pass") | {place: "os._exit(0)"}
    plugin = PLUGIN.format(**given, stayed=str(stayed))
    project.write("odd.py", plugin.replace("@step\n", "@step(io_bound=True)\n"))
    project.letters("a.csv", range(100))
    project.declare(settings='plugins = ["odd.py"]', first='"odd"')
    ended = project.command("--set", 'errors.backoff="1ms"')
    assert ended.code == code, ended.err
    assert said in ended.err
    assert ended.json["rows"]["written"] == (0 if code else 100)


STAYING = {
    "thread": "threading.Thread(target=time.sleep, args=(1000,)).start()",
    "process": "multiprocessing.get_context('fork').Process(target=stay).start()",
}


@pytest.mark.parametrize("deed", STAYING.values(), ids=STAYING)
def test_a_worker_that_does_not_end_itself_is_ended(project: Any, stayed: Path, deed: str) -> None:
    """Python waits for threads and for children at a worker's end; the run does not."""
    said = dict.fromkeys(PLACES, "pass") | {"in_step": deed}
    project.write("odd.py", PLUGIN.format(**said, stayed=str(stayed)))
    project.letters("a.csv", range(100))
    project.declare(settings='plugins = ["odd.py"]\nchunk_size = "1kB"', first='"odd"')
    ended = project.command()
    assert ended.code == 0, ended.err
    assert ended.json["rows"]["written"] == 100


STARTED = {
    "child": "os.fork() or stay()",
    "daemon": "os.fork() or (os.setsid(), os.fork() and os._exit(0), stay())",
}
ENDS = {
    "by itself": None,
    "by SIGTERM": psutil.Process.terminate,
    "by kill -9": psutil.Process.kill,
}


@pytest.mark.skipif(sys.platform != "linux", reason="nobody is told of orphans")
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("deed", STARTED.values(), ids=STARTED)
def test_nothing_that_a_step_starts_outlives_the_run(
    project: Any, stayed: Path, deed: str, end: Callable[[psutil.Process], None] | None
) -> None:
    """However the run ends, and however far away from it the process has put itself."""
    then = "pass" if end is None else "time.sleep(1000)"
    said = dict.fromkeys(PLACES, "pass") | {"in_step": f"{deed}; {then}"}
    project.write("odd.py", PLUGIN.format(**said, stayed=str(stayed)))
    project.letters("a.csv", range(10))
    project.declare(settings='plugins = ["odd.py"]', first='"odd"')
    process = project.start()
    try:
        while not (stayed.exists() and stayed.read_text().endswith(" ")):
            assert process.poll() is None
            select.select([], [], [], 0.05)
        if end is not None:
            end(psutil.Process(process.pid))
        process.wait(timeout=60)
        _, alive = psutil.wait_procs(staying(stayed), timeout=5)
    finally:
        process.kill()
        end_all(staying(stayed))
        process.communicate()
    assert not alive
