"""State that was damaged: bytes flipped, files cut short, files gone, files of a newer version."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults import EVERY, Ended, Subject, differences

pytestmark = pytest.mark.timeout(3600)
FLIPS = 100
SHARDS = 2
LEDGER = ".stagepipe/ledger.sqlite"
MANIFESTS = ("out/.letters.manifest.json", "out/.sums.csv.manifest.json")


def flip(path: Path, chance: random.Random) -> str:
    """Change one byte of a file; which."""
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    content[place] ^= chance.randrange(1, 256)
    with path.open("r+b") as file:  # in place, as a disk does it
        file.write(content)
    return f"{path.name}, byte {place}"


def ledger_complaints(subject: Subject) -> list[str]:
    """What is wrong after a run with a damaged ledger: it goes on, with the right bytes, or it is
    refused, and then what the message says helps."""
    ended = subject.run()
    found = [] if ended.is_clear else [f"exit {ended.code}: {ended.err[-2000:]}"]
    if ended.code:
        if "ledger" not in ended.out or "move it away" not in ended.out:
            found.append(f"exit {ended.code} with another message: {ended.out[-1000:]}")
        for path in (subject.root / ".stagepipe").glob("ledger.sqlite*"):
            path.unlink()
    return found + subject.complaints()


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_flipped_ledger(subject: Subject, trials: Callable[[str], Any], shard: int) -> None:
    """It costs history, and never a row."""
    row, chance = trials("a byte of the ledger flipped"), random.Random(shard)
    for _ in range(max(FLIPS // SHARDS // EVERY, 1)):
        subject.reset(with_old=True)
        what = flip(subject.root / LEDGER, chance)
        row.note(what, ledger_complaints(subject))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_flipped_part(subject: Subject, trials: Callable[[str], Any], shard: int) -> None:
    """It is made again; so with the tables there (which may share the byte) as without them."""
    row, chance = trials("a byte of a part, a receipt or its rejects flipped"), random.Random(shard)
    for number in range(max(FLIPS // SHARDS // EVERY, 1)):
        subject.reset(with_old=True)
        files = sorted((subject.root / ".stagepipe/spool/letters").iterdir())
        what = flip(chance.choice([path for path in files if path.stat().st_size]), chance)
        if number % 2:
            shutil.rmtree(subject.root / "out")
        row.note(what, spool_complaints(subject))


def manifest_complaints(subject: Subject) -> list[str]:
    """Of a table that is one file nobody knows then who wrote it: it may be refused."""
    ended = subject.run()
    if ended.code == 2 and "move it away" in ended.json["error"]["message"]:
        (subject.root / "out/sums.csv").unlink()
    found = [] if ended.is_clear else [f"exit {ended.code}: {ended.err[-2000:]}"]
    return found + spool_complaints(subject)


def spool_complaints(subject: Subject) -> list[str]:
    ended, failed = subject.finish()
    found = [f"exit {each.code}: {each.err[-2000:]}" for each in failed if not each.is_clear]
    if ended.code:
        return [*found, f"it never ends well: {ended.err[-2000:]}"]
    return found + differences(subject.new, subject.outcome(ended))


def test_parts_cut_short_and_gone(subject: Subject, trials: Callable[[str], Any]) -> None:
    """Each file of the spool in turn."""
    subject.reset(with_old=True)
    spool = subject.root / ".stagepipe/spool/letters"
    names = sorted(path.name for path in spool.iterdir())[::EVERY]
    for fault in ("cut short", "emptied", "gone"):
        row = trials(f"a part, a receipt or its rejects {fault}")
        for name in names:
            subject.reset(with_old=True)
            shutil.rmtree(subject.root / "out")
            path = spool / name
            if fault == "gone":
                path.unlink()
            else:
                with path.open("r+b") as file:
                    file.truncate(path.stat().st_size // 2 if fault == "cut short" else 0)
            row.note(name, spool_complaints(subject))


def damaged(path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    size = path.stat().st_size
    for share in (0, 1, size // 3, size // 2, size - 1):
        yield f"cut to {share} bytes", partial(os.truncate, path, share)
    yield "gone", path.unlink
    yield "full of zeros", lambda: path.write_bytes(bytes(size))
    yield "another file", lambda: path.write_text("[]")


@pytest.mark.parametrize("name", [LEDGER, *MANIFESTS])
def test_a_ledger_or_manifest_cut_short(
    subject: Subject, trials: Callable[[str], Any], name: str
) -> None:
    """The ledger is refused, or begun anew; a manifest only says what is known of a table."""
    what = "the ledger" if name == LEDGER else "a manifest"
    row = trials(f"{what} cut short, zeroed or gone")
    subject.reset(with_old=True)
    for word, _ in list(damaged(subject.root / name)):
        subject.reset(with_old=True)
        dict(damaged(subject.root / name))[word]()
        complaints = ledger_complaints if name == LEDGER else manifest_complaints
        row.note(f"{name} {word}", complaints(subject))


def test_a_newer_ledger(subject: Subject, trials: Callable[[str], Any]) -> None:
    """It is refused, and left as it is."""
    row = trials("a ledger of a newer version")
    subject.reset(with_old=True)
    path = subject.root / LEDGER
    with closing(sqlite3.connect(path)) as ledger:
        ledger.execute("PRAGMA user_version = 1000")
        ledger.commit()
    before, shown = path.read_bytes(), subject.shown()
    ended: Ended = subject.run()
    found = []
    if not ended.code or "newer stagepipe" not in ended.out:
        found.append(f"exit {ended.code}: {ended.out}")
    if path.read_bytes() != before or subject.shown() != shown:
        found.append("something was changed")
    row.note("a newer version", found)
