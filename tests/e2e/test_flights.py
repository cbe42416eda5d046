"""Real flights through the real program: the same bytes, however it is run and stopped."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

SAMPLE = Path(__file__).parents[2] / "sample_data"
KILLS = int(os.environ.get("STAGEPIPE_TEST_KILLS", "3"))
"""How often a run is killed. `make torture` and a doubtful evening may ask for more."""
SEED = int(os.environ.get("STAGEPIPE_TEST_SEED", "1"))
PATIENCE_SECONDS = 30
TABLES = ("flights/", "summary.csv")
"""How the names of what the pipeline writes begin, within its output folder."""


@pytest.fixture
def flights(project: Any) -> Any:
    """The sample pipeline and its data; the files are linked, which changes nothing of them."""
    shutil.copytree(SAMPLE / "flights", project.root / "flights", copy_function=os.link)
    for name in ("airlines.csv", "airports.csv", "pipeline.toml"):
        shutil.copy2(SAMPLE / name, project.root / name)
    text = (project.root / "pipeline.toml").read_text()
    text = text.replace('output = "out"', 'output = "out"\nspool = "spool"')
    text = text.replace('state = "out/.stagepipe"', 'state = "state"')
    (project.root / "pipeline.toml").write_text(text)
    return project


def forget(project: Any) -> None:
    for name in ("out", "state", "spool"):
        shutil.rmtree(project.root / name, ignore_errors=True)


def written(project: Any) -> dict[str, str]:
    """What stands in the output folder, with digests. The manifest of a table that is one file
    names its inode, which is another each time it is written."""
    tree = project.tree()
    tree.pop(".summary.csv.manifest.json", None)
    return tree


def rows(project: Any, table: str) -> list[Any]:
    return list(pq.read_table(project.root / "out" / table).to_pylist())


def test_the_number_of_workers_does_not_show(flights: Any) -> None:
    """With -j 1, 2 and 4 the outputs have the same names and the same bytes."""
    trees = []
    for jobs in ("1", "2", "4"):
        forget(flights)
        ended = flights.command("-j", jobs)
        assert ended.code == 0
        assert ended.json["rows"] == {
            "read": 12074,
            "added": 209,
            "written": 209,
            "rejected": 0,
            "dropped": 12074,
        }
        assert ended.json["files"] == {"read": 209, "skipped": 0, "dead": 0}
        trees.append(written(flights))
    assert trees[0] == trees[1] == trees[2]
    assert any(name.endswith(".parquet") for name in trees[0])


def test_the_chunk_size_does_not_show_in_the_rows(flights: Any) -> None:
    """Cut small or not at all, the tables hold the same rows in the same order."""
    found = []
    for size, chunks in (("8kB", 50), ("50kB", 16), ("32MB", 1)):
        forget(flights)
        ended = flights.command("--set", f"pipeline.chunk_size={size}")
        assert ended.code == 0, ended.err
        assert ended.json["stages"][0]["tasks"]["made"] >= chunks
        summary = (flights.root / "out" / "summary.csv").read_bytes()
        found.append((rows(flights, "flights"), summary))
    assert found[0] == found[1] == found[2]
    assert len(found[0][0]) == 12074


# -- stopped -------------------------------------------------------------------------------------


def spooled(project: Any) -> int:
    """How far a run got: finished parts."""
    return sum(1 for _ in (project.root / "spool").glob("*/[!.]*.json"))


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, and fail when it does not come."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def session(process: subprocess.Popen[str]) -> list[int]:
    """The living processes of the session that the process leads or led."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == process.pid:
                is_zombie = psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
                found += [] if is_zombie else [pid]
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9, and see that nothing of its session is left after a while."""
    process.kill()
    process.wait()
    try:
        until(lambda: not session(process))
    finally:
        for survivor in session(process):
            os.kill(survivor, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def undisturbed(flights: Any) -> Iterator[dict[str, str]]:
    """What a run that nobody disturbs writes."""
    assert flights.command().code == 0
    expected = written(flights)
    forget(flights)
    return expected


@pytest.fixture
def slow(flights: Any) -> Any:
    """The same pipeline, in enough chunks to be stopped between them."""
    text = (flights.root / "pipeline.toml").read_text()
    text = text.replace('state = "state"', 'state = "state"\nchunk_size = "20kB"')
    (flights.root / "pipeline.toml").write_text(text)
    return flights


@pytest.mark.timeout(60 + 20 * KILLS)
def test_killed_at_any_instant_it_goes_on(slow: Any, undisturbed: dict[str, str]) -> None:
    """kill -9 of the parent, and the next run takes what is finished, ends with the same bytes,
    and no process of the dead run is left."""
    chance = random.Random(SEED)
    taken = 0
    for number in range(KILLS):
        forget(slow)
        process = slow.start("-j", "2")
        if number % 3 == 2:  # at its beginning, before any part
            time.sleep(chance.uniform(0, 0.5))
        else:
            target = chance.randrange(3 * len(list((slow.root / "flights").iterdir())) * 3)
            until(lambda p=process, n=target: spooled(slow) >= n or p.poll() is not None)
            time.sleep(chance.uniform(0, 0.02))
        kill(process)
        before = spooled(slow)
        assert_nothing_half_written(slow, undisturbed)
        ended = slow.command("-j", "2")
        assert ended.code == 0, ended.out + ended.err
        assert written(slow) == undisturbed
        tasks = [stage["tasks"] for stage in ended.json["stages"]]
        assert sum(task["taken"] for task in tasks) >= before
        taken += sum(task["taken"] for task in tasks)
        assert slow.command().json["stages"][0]["tasks"]["made"] == 0
        hidden = [p for folder in ("out", "spool") for p in (slow.root / folder).rglob(".*")]
        assert all(path.name.endswith(".manifest.json") for path in hidden), hidden
    assert taken


def assert_nothing_half_written(project: Any, whole: dict[str, str]) -> None:
    """Each table that is there is there as a whole."""
    for table in TABLES:
        found, expected = (
            {name: digest for name, digest in tree.items() if name.startswith(table)}
            for tree in (written(project), whole)
        )
        assert found in ({}, expected)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("whom", ["parent", "group"])
def test_interrupted_it_says_so_and_goes_on(
    slow: Any, undisturbed: dict[str, str], signum: int, code: int, whom: str
) -> None:
    """A signal to the parent, or to all as a terminal sends it, ends the run with its own exit
    code and parseable JSON; the next run goes on."""
    process = slow.start("-j", "2")
    until(lambda: spooled(slow) > 10 or process.poll() is not None)
    os.killpg(process.pid, signum) if whom == "group" else process.send_signal(signum)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    before = spooled(slow)
    until(lambda p=process: not session(p))
    assert process.returncode == code, err

    plain = json.loads(out)
    assert plain["status"] == "interrupted"
    assert "run the same command again" in plain["error"]["hint"]
    assert "Traceback" not in err
    ended = slow.command("-j", "2")
    assert ended.code == 0
    assert sum(stage["tasks"]["taken"] for stage in ended.json["stages"]) >= before > 0
    assert written(slow) == undisturbed


def test_killed_while_it_replaces_a_table(slow: Any, undisturbed: dict[str, str]) -> None:
    """With an older table in place, a killed run leaves the old one or the new one, whole."""
    day = slow.root / "flights/AA/2013-01-18.csv"
    assert slow.command().code == 0
    new = written(slow)
    content = day.read_bytes()
    day.unlink()  # it is a link to the sample
    day.write_bytes(content + content.splitlines(keepends=True)[1])
    chance = random.Random(SEED)
    folder = slow.root / "out"
    for _ in range(max(2, KILLS // 3)):
        old = written(slow)
        day.write_bytes(day.read_bytes() + content.splitlines(keepends=True)[1])
        process = slow.start("-j", "1")
        until(lambda p=process: any(folder.glob(".*.new*")) or p.poll() is not None)
        time.sleep(chance.uniform(0, 0.01))
        kill(process)
        left = written(slow)
        assert slow.command().code == 0
        new = written(slow)
        for table in TABLES:
            found, *whole = (
                {name: d for name, d in tree.items() if name.startswith(table)}
                for tree in (left, old, new)
            )
            assert found in whole
    assert new != undisturbed


def test_two_runs_at_once_do_not_meet(flights: Any) -> None:
    """The second run of a pipeline ends at once with 75 and changes nothing."""
    flights.write("wait.py", WAIT)
    text = (flights.root / "pipeline.toml").read_text()
    text = text.replace('state = "state"', 'state = "state"\nplugins = ["wait.py"]')
    text = text.replace('steps = ["strip_text"]', 'steps = ["wait"]')
    (flights.root / "pipeline.toml").write_text(text)
    first = flights.start("-j", "1")
    try:
        until(lambda: (flights.root / "waiting").exists() or first.poll() is not None)
        before = flights.tree("spool")
        second = flights.command()
        assert second.code == 75
        assert second.json["status"] == "refused"
        assert "another run of pipeline 'flights' is at work" in second.message
        assert flights.tree("spool") == before
        (flights.root / "go").touch()
        out, err = first.communicate(timeout=PATIENCE_SECONDS)
        assert first.returncode == 0, out + err
    finally:
        first.kill()


WAIT = """\
import time
from pathlib import Path
from stagepipe import step

HERE = Path(__file__).parent

@step
def wait(frame):
    if len(frame):
        (HERE / "waiting").touch()
        while not (HERE / "go").exists():
            time.sleep(0.01)
    return frame
"""
