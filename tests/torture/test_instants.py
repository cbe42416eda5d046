"""Kills at random instants, clocks that jump, disks that are full, readers that never rest: of the
program as it is started by hand."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import EVERY, Ended, Subject, differences

pytestmark = pytest.mark.timeout(3600)
SHARDS = 2
INSTANTS = 200
REPLACED = 40
DAYS = (365, -365)
ROOM, STEP = 2**16, 2**13


def ended(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=100)
    return Ended(process.returncode, out, err)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_instants(subject: Subject, trials: Callable[[str], Any], shard: int) -> None:
    """kill -9 of the parent, or of all of the run at once."""
    chance = random.Random(shard)
    begin = time.monotonic()
    assert ended(subject.start()).code == 0
    took = time.monotonic() - begin
    for _ in range(max(INSTANTS // SHARDS // EVERY, 1)):
        subject.reset(with_old=chance.random() < 0.5)
        is_group = chance.random() < 0.5
        row = trials(f"{'all of a run' if is_group else 'the parent'} killed at a random instant")
        process = subject.start()
        instant = chance.uniform(0, took)
        time.sleep(instant)
        (os.killpg if is_group else os.kill)(process.pid, signal.SIGKILL)
        process.communicate()  # also waits for its workers, which have its stderr
        row.note(f"after {instant:.3f} s", subject.complaints())


def fake_clock() -> Path | None:
    """libfaketime, if it is there."""
    found = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    return found[0] if found else None


def test_clocks(subject: Subject, trials: Callable[[str], Any]) -> None:
    """A year forwards, a year back, in the middle of it all: the bytes are the same."""
    library = fake_clock()
    if library is None:
        pytest.fail("there is no libfaketime: install it")
    row, runs = trials("the clock moved by a year"), set()
    for first, second in (DAYS, DAYS[::-1], (DAYS[0], 0), (DAYS[1], 0), (0, DAYS[1])):
        subject.reset(with_old=True)
        found = []
        for days in (first, second, first):
            clock = {"FAKETIME": f"{days:+}d", "NO_FAKE_STAT": "1"}
            clock |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "LD_PRELOAD": str(library)}
            run = ended(subject.start(**clock))
            if run.code:
                found.append(f"{days} days: {run.err}")
                continue
            found += differences(subject.new, subject.outcome(run))
            latest = [sys.executable, "-m", "stagepipe", "show", "--json"]
            shown = subprocess.run(latest, cwd=subject.root, capture_output=True, check=True)
            if run.json["run"] in runs or run.json["run"].encode() not in shown.stdout:
                found.append(f"{run.json['run']} is not the latest run")
            runs.add(run.json["run"])
        row.note(f"{first}, then {second} days", found)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory, of a size that can be set."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not resize(folder, 2**26, "size"):
        pytest.skip("no file system can be mounted here: run it as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(folder: Path, size: int, how: str = "remount,size") -> bool:
    words = ["mount", "-t", "tmpfs", "-o", f"{how}={size}", "stagepipe", str(folder)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("with_old", [False, True], ids=["first", "again"])
def test_a_small_disk(
    small_disk: Path, library: Path, trials: Callable[[str], Any], *, with_old: bool
) -> None:
    """From no room at all up to enough: it says so or succeeds; with room it goes on."""
    subject = Subject(small_disk / "subject", library)
    subject.make()
    row, room = trials("a small disk that is full"), 0
    while True:
        subject.reset(with_old=with_old)
        used = shutil.disk_usage(small_disk).used
        assert resize(small_disk, used + room)
        first = subject.run()
        assert resize(small_disk, 2**26)
        row.note(f"{room} bytes of room, old={with_old}", subject.complaints(first))
        if not first.code:
            break
        room += STEP * EVERY


def test_readers(own_subject: Subject, trials: Callable[[str], Any]) -> None:
    """While runs replace the tables, each read is one whole table, or an error."""
    subject = own_subject
    whole = {name: versions(subject, name) for name in ("letters", "sums.csv")}
    subject.reset(with_old=True)
    row = trials("read while runs replace it")
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(subject.root / "out" / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in whole
    ]
    try:
        for number in range(max(REPLACED // EVERY, 2)):
            subject.write("b/1.csv", 7 if number % 2 else 1)
            assert subject.run().code == 0
    finally:
        found = [json.loads(reader.communicate("")[0]) for reader in readers]
    for (name, right), reads in zip(whole.items(), found, strict=True):
        assert len(reads) > 1
        for read, count in reads.items():
            for _ in range(count):
                row.note(name, [] if read in right else [f"{name}: read as {read}"])


def versions(subject: Subject, name: str) -> set[str]:
    """The digests of the two versions of a table, as the reader makes them; and its errors."""
    found = {"error"}
    for seed in (7, 1):
        subject.write("b/1.csv", seed)
        assert subject.run().code == 0
        path = subject.root / "out" / name
        files = [path] if path.is_file() else sorted(path.iterdir())
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.name.encode() + file.read_bytes())
        found.add(digest.hexdigest())
    return found


READER = """
import collections, hashlib, json, os, select, sys
path, found = sys.argv[1], collections.Counter()
while not select.select([sys.stdin], [], [], 0)[0]:
    digest = hashlib.sha256()
    try:
        if os.path.isdir(path):
            names = [os.path.join(path, name) for name in sorted(os.listdir(path))]
        else:
            names = [path]
        for name in names:
            with open(name, "rb") as file:
                digest.update(os.path.basename(name).encode() + file.read())
    except FileNotFoundError:
        found["error"] += 1
    else:
        found[digest.hexdigest()] += 1
print(json.dumps(found))
"""
