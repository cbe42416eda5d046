"""Killed at every operation on files in turn, and resumed; killed again while resuming."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from faults import EVERY, FILES, LEDGER, Fault, Subject

pytestmark = pytest.mark.timeout(3600)
SHARDS = 2
LEDGER_STRIDE = 7
"""A commit of the ledger is some twenty writes; of these every seventh is enough."""
WORKER_KILLS = 100


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("with_old", [False, True], ids=["first", "again"])
@pytest.mark.parametrize(
    ("what", "action", "kinds", "stride"),
    [
        ("the parent killed at an operation on files", "kill", FILES, 1),
        ("the parent killed at a write to the ledger", "kill", LEDGER, LEDGER_STRIDE),
        ("the parent killed in the middle of a write", "tear", "W" + LEDGER, LEDGER_STRIDE),
    ],
    ids=["files", "ledger", "torn"],
)
def test_kills(
    subject: Subject,
    trials: Callable[[str], Any],
    what: str,
    action: str,
    kinds: str,
    stride: int,
    with_old: bool,
    shard: int,
) -> None:
    """After each of them the tables are whole, and the next run ends with the same bytes."""
    row = trials(what)
    at = 1 + shard * stride
    while True:
        subject.reset(with_old=with_old)
        ended = subject.run(Fault(action, at, kinds))
        if ended.count < at:
            break
        row.note(f"operation {at}, with_old={with_old}", subject.complaints(ended))
        at += SHARDS * stride * EVERY


@pytest.mark.parametrize("shard", range(SHARDS))
def test_kills_while_resuming(subject: Subject, trials: Callable[[str], Any], shard: int) -> None:
    """Three kills in a row, at random operations."""
    row = trials("killed again while resuming, twice")
    chance = random.Random(shard)
    for _ in range(max(50 // SHARDS // EVERY, 1)):
        subject.reset(with_old=chance.random() < 0.5)
        points = [chance.randrange(1, 140) for _ in range(3)]
        complaints = []
        for at in points:
            ended = subject.run(Fault("kill", at, FILES))
            complaints += [f"{table} is no whole table" for table in subject.wrong_tables()]
        row.note(f"operations {points}", complaints + subject.complaints(ended))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_workers_killed(subject: Subject, trials: Callable[[str], Any], shard: int) -> None:
    """A worker dies at any of its operations, and the run goes on without it."""
    row = trials("a worker killed")
    chance = random.Random(shard)
    for _ in range(max(WORKER_KILLS // SHARDS // EVERY, 1)):
        subject.reset()
        at = chance.randrange(1, 250)
        ended = subject.run(Fault("kill", at, role="worker"))
        complaints = ["the run did not go on"] if ended.code else []
        row.note(f"operation {at}", complaints + subject.complaints(ended))
