"""A slice of `make torture`: one or two points of each class of fault, where most can go wrong."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from faults import BROKEN, LEDGER, NO_SPACE, Fault, Subject, build, compiler
from power import after, cut

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("stopped")
    subject = Subject(folder / "subject", build(folder))
    subject.make()
    return subject


@pytest.fixture
def subject(made: Subject, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """With the old tables in place, and a temporary folder that goes with the test. It has a short
    name: in a long one there would be no fork server, and workers without the faults."""
    made.reset(with_old=True)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield made


@pytest.mark.parametrize(
    "fault",
    [
        Fault("kill", 3, "R"),
        Fault("tear", 9, LEDGER),
        Fault("kill", 30, role="worker"),
        Fault(f"+{NO_SPACE}", 2, "WMC", "worker"),
        Fault(BROKEN, 4, "S"),
    ],
    ids=lambda fault: f"{fault.role}-{fault.action}-{fault.kinds}-{fault.at}",
)
def test_a_fault_and_the_next_run(subject: Subject, fault: Fault) -> None:
    """The tables are whole, the run says what was the matter, and the next one ends with the bytes
    of an undisturbed one."""
    ended = subject.run(fault)
    assert ended.count >= fault.at, "it did not come so far"
    assert subject.complaints(ended) == []


def test_a_power_cut(subject: Subject) -> None:
    """Right after the tables changed places: what is marked as committed verifies."""
    assert cut(subject, Fault("cut", 3, "R"), "forgotten", with_old=True)
    assert after(subject) == []


def test_the_operations_that_are_played(subject: Subject) -> None:
    """The parent's operations on files are seen: were they not, nothing would have been tried."""
    subject.run(Fault("watch"), is_watched=True)
    seen = Counter(line[0] for line in (subject.state / "log").read_text().splitlines())
    assert all(seen[kind] for kind in "WSDRXULMC"), seen


def test_damaged_parts_and_a_damaged_ledger(subject: Subject) -> None:
    """Each part has a byte flipped, and the ledger is full of zeros: the one are made again, the
    other is refused, and once it is moved away the bytes are right."""
    chance = random.Random(1)
    shutil.rmtree(subject.root / "out")
    for path in (subject.root / ".stagepipe/spool/letters").iterdir():
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1
        path.write_bytes(content)
    ledger = subject.root / ".stagepipe/ledger.sqlite"
    ledger.write_bytes(bytes(ledger.stat().st_size))
    ended = subject.run()
    assert (ended.code, "move it away" in ended.out) == (1, True)
    ledger.unlink()
    assert subject.complaints() == []


def test_a_ledger_of_a_newer_version(subject: Subject) -> None:
    """It is refused, and neither it nor a table is touched."""
    path = subject.root / ".stagepipe/ledger.sqlite"
    with closing(sqlite3.connect(path)) as ledger:
        ledger.execute("PRAGMA user_version = 1000")
    before, shown = path.read_bytes(), subject.shown()
    ended = subject.run()
    assert (ended.code, "newer stagepipe" in ended.out) == (1, True)
    assert (path.read_bytes(), subject.shown()) == (before, shown)


def test_a_killed_run_leaves_nothing_in_the_temporary_folder(
    subject: Subject,
) -> None:
    """Its fork server ends with it, and takes its socket along."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # the path of a socket has to be short
    subject.reset()
    process = subject.start(TMPDIR=str(folder))
    try:
        while not (subject.root / "out/letters").exists():
            assert process.poll() is None, process.communicate()
        assert any(folder.iterdir())
    finally:
        process.kill()
        process.communicate()  # which ends when all that have its stderr have ended
        left = list(folder.iterdir())
        shutil.rmtree(folder)
    assert left == []


def test_a_temporary_folder_with_a_long_path(subject: Subject, tmp_path: Path) -> None:
    """No socket of a fork server can lie in it: the workers are started without one."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    subject.reset()
    process = subject.start(TMPDIR=str(folder))
    out, err = process.communicate()
    assert process.returncode == 0, out + err


def test_a_part_that_the_disk_did_not_take_is_made_again(subject: Subject) -> None:
    """After a failed sync the system says that all is well: so the part is not trusted again."""
    subject.reset()
    failed = subject.run(Fault(BROKEN, 8, "S"))
    assert failed.code == 1
    assert ".parquet" in failed.json["error"]["message"]
    again, _ = subject.finish()
    assert again.json["stages"][0]["tasks"]["made"] >= 1
