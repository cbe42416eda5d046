"""The power cut at any operation, on disks that lose what was not synced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from faults import EVERY, FILES, LEDGER, Fault, Subject
from power import DISKS, after, cut

pytestmark = pytest.mark.timeout(3600)
SHARDS = 2
STRIDE = 2
LEDGER_STRIDE = 31


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("with_old", [False, True], ids=["first", "again"])
def test_cuts(
    subject: Subject, trials: Callable[[str], Any], disk: str, with_old: bool, shard: int
) -> None:
    """What is marked as committed verifies, and the next runs end with the same bytes."""
    row = trials(f"the power cut; what was not synced is {disk}")
    for kinds, stride in ((FILES, STRIDE), (LEDGER, LEDGER_STRIDE)):
        at = 1 + shard * stride
        while cut(subject, Fault("cut", at, kinds), disk, with_old=with_old):
            row.note(f"operation {at} of {kinds}, old={with_old}", after(subject))
            at += SHARDS * stride * EVERY
