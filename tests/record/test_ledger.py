"""The ledger: history that can be lost without losing a row."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stagepipe.cli.history import run_object
from stagepipe.model import InputFile, Output, PartFile, Receipt, Rows, SegmentCount
from stagepipe.record.ledger import Ledger, LedgerError
from stagepipe.record.ledger_tables import VERSION

STAGE = {
    "name": "parse",
    "status": "succeeded",
    "made": 1,
    "taken": 0,
    "dead": 0,
    "retried": 0,
    "dropped_by": '{"cut": 2}',
    "added_by": "{}",
    "rejected_by": '{"check": 1}',
    "seconds": 0.5,
}
FILE = PartFile("k.0.arrow", 1, 9, "ab")


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    """An empty ledger."""
    with Ledger(tmp_path / "state/ledger.sqlite") as opened:
        yield opened


def receipt(*segments: SegmentCount) -> Receipt:
    return Receipt(
        "k", "parse", 0, "\udcff", (FILE,), (), {}, Rows(3, 0, 1, 0, 2), segments=segments
    )


def task(chunk: int = 0, **columns: Any) -> dict[str, Any]:
    plain = {
        "stage": "parse",
        "chunk": chunk,
        "source": "acme",
        "key": "k",
        "decision": "made",
        "reason": "new",
        "receipt": None,
        "error": None,
    }
    return {**plain, **columns}


def test_a_run_is_written_and_read(ledger: Ledger) -> None:
    """Stages, tasks, files, rejects and outputs come back as they were noted."""
    ledger.begin_run("r1", "p", "p.toml", 2, 1)
    file = InputFile("a\udcfe.csv", 10, 11, 12)
    segment = SegmentCount(file, 0, 10, records=3, rows=3, sha256="cd")
    ledger.add_tasks("r1", [task(receipt=receipt(segment)), task(1, error="no luck")])
    output = Output("parse", "out/t", 1, 1, 9, True)
    ledger.add_stage("r1", 0, STAGE, Rows(3, 0, 1, 0, 2), [output], {("acme", "id", "type"): 2})
    ledger.end_run("r1", "succeeded", Rows(3, 0, 1, 0, 2), 1.5, rejects="r.parquet")
    run = ledger.run(None)
    assert (run["run"], run["status"], run["read"], run["written"]) == ("r1", "succeeded", 3, 1)
    assert run["ended"] >= run["started"]
    (stage,) = ledger.stages("r1")
    assert (stage["name"], stage["dropped_by"], stage["dropped"]) == ("parse", {"cut": 2}, 2)
    assert stage["rejected_by"] == {"check": 1}
    made, failed = ledger.tasks("r1")
    assert (made["written"], failed["error"]) == (1, "no luck")
    assert ledger.reject_counts("r1")[0]["records"] == 2
    assert ledger.outputs("r1")[0]["path"] == "out/t"
    (source,) = ledger.sources("r1")
    assert (source["files"], source["records"], source["bytes"]) == (1, 3, 10)


def test_files_whose_names_look_alike_are_two(ledger: Ledger) -> None:
    """A byte that is no UTF-8, and the four characters that stand for it, do not collide."""
    ledger.begin_run("r1", "p", None, 1, 2)
    files = [InputFile(path, 1, 1, inode) for inode, path in enumerate(["\udcff", "\\xff"])]
    segments = [SegmentCount(file, 0, 1, records=1, rows=1) for file in files]
    ledger.add_tasks("r1", [task(receipt=receipt(*segments))])
    assert ledger.sources("r1")[0]["records"] == 2


def test_a_run_that_never_ended_was_interrupted(ledger: Ledger) -> None:
    """The next run of the same pipeline tells; that of another pipeline says nothing."""
    ledger.begin_run("r1", "p", None, 1, 1)
    ledger.begin_run("r2", "other", None, 1, 1)
    assert ledger.run("r1")["status"] == "running"
    ledger.begin_run("r3", "p", None, 1, 1)
    assert [run["status"] for run in ledger.runs()] == ["running", "running", "interrupted"]
    assert [run["run"] for run in ledger.runs(2)] == ["r3", "r2"]


def test_runs_are_found_by_the_beginning_of_their_id(ledger: Ledger) -> None:
    """The latest without an id; with a beginning that fits two, neither."""
    for run in ("20200101-aa", "20200101-ab", "20210101-aa"):
        ledger.begin_run(run, "p", None, 1, 1)
    assert ledger.run(None)["run"] == "20210101-aa"
    assert ledger.run("2021")["run"] == "20210101-aa"
    assert ledger.run("20200101-ab")["run"] == "20200101-ab"
    with pytest.raises(LedgerError, match="2 runs begin with"):
        ledger.run("2020")
    with pytest.raises(LedgerError, match="no run '%'"):
        ledger.run("%")


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """What a newer stagepipe wrote is not touched."""
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(LedgerError, match="newer stagepipe") as caught:
        Ledger(path)
    hint = caught.value.hint or ""
    assert hint.startswith("run it with that newer stagepipe, or move it away")
    assert "only history is lost" in hint


NO_REPLAY = (
    "ALTER TABLE runs DROP COLUMN replay_of; ALTER TABLE runs DROP COLUMN mended;"
    "ALTER TABLE files DROP COLUMN is_mended; DROP TABLE settled;"
)
NO_DRIFT = f"{NO_REPLAY} DROP TABLE profiles; DROP TABLE profiled_files; DROP TABLE drift;"
NO_SKIPPED = f"{NO_DRIFT} ALTER TABLE runs DROP COLUMN skipped;"
OLDER = {
    1: f"{NO_SKIPPED} ALTER TABLE stages DROP COLUMN rejected_by;",
    2: NO_SKIPPED,
    3: NO_DRIFT,
    4: NO_REPLAY,
}


@pytest.mark.parametrize("version", OLDER)
def test_a_ledger_of_an_older_version_is_read_and_goes_on(tmp_path: Path, version: int) -> None:
    """A look leaves it as it is; the next run brings it up to date, and its history stays."""
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.begin_run("r1", "p", None, 1, 1)
        ledger.add_stage("r1", 0, STAGE, Rows(1, 0, 0, 1, 0))
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"{OLDER[version]} PRAGMA user_version = {version};")
    before = {} if version == 1 else {"check": 1}
    with Ledger(path, must_exist=True) as ledger:
        assert ledger.stages("r1")[0]["rejected_by"] == before
        assert run_object(ledger.run("r1"))["files"]["skipped"] == 0
        assert ledger.drift("r1") == []
        assert ledger.sources("r1") == []
        assert ledger.settled("p") == {}
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (version,)
    for run in ("r2", "r3"):
        with Ledger(path) as ledger:
            ledger.begin_run(run, "p", None, 1, 1)
            ledger.add_stage(run, 0, STAGE, Rows(1, 0, 0, 1, 0))
            ledger.end_run(run, "succeeded", Rows(1, 0, 0, 1, 0), 1.0, skipped=4)
            assert run_object(ledger.run(run))["files"]["skipped"] == 4
            assert ledger.stages("r1")[0]["rejected_by"] == before
            assert ledger.stages(run)[0]["rejected_by"] == {"check": 1}
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    """Garbage in the ledger's place is a clear error with a way out."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(path)
    assert path.read_bytes() == b"garbage" * 1000


@pytest.mark.parametrize(
    ("text", "damaged"),
    [
        (b"CREATE TABLE profiles", b"CREATE \x81ABLE profiles"),
        (b"CREATE TABLE stages", b"CREATE TABLE s\x81ages"),
        (b'{"filter": 3}', b'{"filter", 3}'),
        (b"orders-of-may", b"orders\x81of-may"),
    ],
)
def test_a_ledger_that_is_damaged_inside_is_refused(
    tmp_path: Path, text: bytes, damaged: bytes
) -> None:
    """Also where the damage shows up in SQLite's own message, which is no text then."""
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.begin_run("r1", "orders-of-may", None, 1, 1)
        ledger.add_stage("r1", 0, {**STAGE, "dropped_by": '{"filter": 3}'}, Rows())
    path.with_name("ledger.sqlite-wal").unlink(missing_ok=True)
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, damaged))

    def look() -> None:
        with Ledger(path) as ledger:
            ledger.runs()
            ledger.stages("r1")

    with pytest.raises(LedgerError, match="the ledger"):
        look()


def test_a_ledger_that_must_exist_is_not_made(tmp_path: Path) -> None:
    """Asking for history makes no file."""
    with pytest.raises(LedgerError, match="nothing has run here yet"):
        Ledger(tmp_path / "state/ledger.sqlite", must_exist=True)
    assert not (tmp_path / "state").exists()


def test_a_batch_is_written_wholly_or_not(ledger: Ledger) -> None:
    """A batch of tasks with a faulty one leaves no half of it behind."""
    ledger.begin_run("r1", "p", None, 1, 1)
    with pytest.raises(LedgerError):
        ledger.add_tasks("r1", [task(0), {**task(1), "decision": None}])
    assert ledger.tasks("r1") == []


def test_a_lost_ledger_costs_no_finished_part(project: Any) -> None:
    """Without its ledger the next run takes all parts, and begins a new history."""
    project.letters("a.csv", range(9))
    project.declare()
    project.run()
    before = project.tree()
    state = project.root / ".stagepipe"
    for path in state.glob("ledger.sqlite*"):
        path.unlink()
    shutil.rmtree(state / "runs", ignore_errors=True)
    result = project.run()
    assert (result.error, result.stages[0].made, result.stages[0].taken) == (None, 0, 1)
    assert project.tree() == before
    with Ledger(state / "ledger.sqlite", must_exist=True) as ledger:
        assert [run["status"] for run in ledger.runs()] == ["succeeded"]


OPEN_ALL = """\
import sys
from pathlib import Path
from stagepipe.record.ledger import Ledger

name, folder, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
for number in range(rounds):
    print("ready", flush=True)
    sys.stdin.readline()
    with Ledger(folder / f"{number}/ledger.sqlite") as ledger:
        ledger.begin_run(name, name, None, 1, 1)
"""


def test_two_processes_may_make_a_ledger_at_once(tmp_path: Path) -> None:
    """Whoever comes first makes it, the other waits, and both are in it."""
    names, rounds = ("one", "other"), 5
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_ALL, name, str(tmp_path), str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for _ in range(rounds):
        if not all(process.stdout.readline() for process in processes):
            break  # one of them failed
        for process in processes:  # both stand at the door
            process.stdin.write("\n")
            process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    for number in range(rounds):
        with Ledger(tmp_path / f"{number}/ledger.sqlite", must_exist=True) as ledger:
            assert {run["run"] for run in ledger.runs()} == set(names)
