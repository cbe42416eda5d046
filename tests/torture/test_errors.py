"""A full disk and a broken one, at every write and sync in turn; then it is mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from faults import BROKEN, EVERY, LEDGER, NO_SPACE, Fault, Subject

pytestmark = pytest.mark.timeout(3600)
SHARDS = 2
STRIDES = {"parent": 7, "worker": 3}
"""Most of the parent's writes are the ledger's, some twenty for each commit."""


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("role", ["parent", "worker"])
@pytest.mark.parametrize(
    ("what", "action", "kinds"),
    [
        ("no space from a write on, until there is some", f"+{NO_SPACE}", "WMCT"),
        ("no space for the ledger, from a write on", f"+{NO_SPACE}", LEDGER),
        ("no space for one write", NO_SPACE, "W"),
        ("an error of the disk at one write", BROKEN, "W" + LEDGER),
        ("an error of the disk at one sync", BROKEN, "S"),
        ("an error of the disk at one change of names", BROKEN, "RUL"),
    ],
    ids=["full", "full-ledger", "full-once", "write", "sync", "names"],
)
def test_errors(
    subject: Subject,
    trials: Callable[[str], Any],
    what: str,
    action: str,
    kinds: str,
    role: str,
    shard: int,
) -> None:
    """The run says what is the matter or gets by without; the tables are whole, and the next run
    ends with the same bytes."""
    row = trials(what)
    stride = STRIDES[role] if set(kinds) & set("Q") or role == "worker" else 1
    for with_old in (False, True):
        at = 1 + shard * stride
        while True:
            subject.reset(with_old=with_old)
            ended = subject.run(Fault(action, at, kinds, role))
            if ended.count < at:
                break
            row.note(f"{role}'s operation {at}, old={with_old}", subject.complaints(ended))
            at += SHARDS * stride * EVERY
