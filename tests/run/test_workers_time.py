"""What a profile says in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from stagepipe.run.workers_time import For, Wait, WorkersTime

CAP = Wait(For.LIMIT, "source acme: max_concurrent = 3")
LAST = Wait(For.LAST_TASKS, "the last tasks of stage parse")
START = Wait(For.PARENT, "the start of the run")


def made(work: dict[str, float], waits: dict[Wait, float], **more: Any) -> WorkersTime:
    how = {"seconds": 50.0, "workers": 2, "cores": 2, "cpu_seconds": sum(work.values()), **more}
    return WorkersTime(work=work, waits=waits, **how)


@pytest.mark.parametrize(
    ("time", "sentence"),
    [
        (
            made({"parse": 30, "other": 8}, {CAP: 62}),
            "the workers waited 62% of the time for source acme: max_concurrent = 3",
        ),
        (
            made({"parse": 60}, {CAP: 10, LAST: 30}),
            "the workers waited 30% of the time for the last tasks of stage parse: "
            "a smaller chunk_size makes more tasks",
        ),
        (made({"parse": 60}, {CAP: 20, START: 20}), None),
        (
            made({"parse": 30, "encode": 20, "other": 40}, {CAP: 10}),
            "the workers were busy 90% of the time, and parse took 30% of it",
        ),
        (
            made({"parse": 90}, {CAP: 10}, cores=8),
            "the workers were busy 90% of the time, and parse took 90% of it; "
            "there were 2 of them on 8 cores",
        ),
        (
            made({"read": 80, "parse": 20}, {}, cpu_seconds=30.0),
            "the workers were busy 100% of the time, and read took 80% of it; but they computed in "
            "30% of that only, and waited for a disk, a network or another program in the rest",
        ),
        (made({"other": 100}, {}), "the workers were busy 100% of the time"),
        (made({}, {START: 2}), "no task was to be made"),
        (made({}, {}), None),
    ],
)
def test_what_limited_the_run(time: WorkersTime, sentence: str | None) -> None:
    """The longest wait where it is long; else the work, where workers hardly ever wait."""
    assert time.verdict() == sentence


def test_shares_are_of_the_time_of_all_workers() -> None:
    """Work and waits together are one, most first."""
    plain = made({"parse": 20, "read": 40}, {START: 10, CAP: 30}).to_plain()
    assert [(part["kind"], part["share"]) for part in plain["work"]] == [
        ("read", 0.4),
        ("parse", 0.2),
    ]
    assert [(part["for"], part["kind"], part["share"]) for part in plain["waits"]] == [
        ("source acme: max_concurrent = 3", "limit", 0.3),
        ("the start of the run", "parent", 0.1),
    ]
    assert (plain["busy"], plain["worker_seconds"]) == (0.6, 100)
