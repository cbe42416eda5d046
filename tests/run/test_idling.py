"""What idle workers wait for: of all their time each second goes to one reason."""

from __future__ import annotations

import pytest

from stagepipe.run.idling import NO_TASK, WORKERS, Idling

A, B = "source a", "source b"


@pytest.mark.parametrize(
    ("slots", "waiting", "running", "reasons", "idle"),
    [
        (4, {"a": 9}, 1, {"a": A}, {A: 3}),
        (4, {"a": 2}, 1, {"a": A}, {A: 2, NO_TASK: 1}),
        (4, {"a": 9, "b": 9}, 2, {"a": A, "b": B}, {A: 1, B: 1}),
        (4, {"a": 3, "b": 1}, 0, {"a": A, "b": B}, {A: 3, B: 1}),
        (4, {"a": 9, "b": 1}, 2, {"a": A, "b": B}, {A: 4 / 3, B: 2 / 3}),
        (4, {}, 3, {}, {NO_TASK: 1}),
        (4, {"a": 9}, 4, {}, {}),
        (4, {"a": 9}, 2, {"a": WORKERS}, {NO_TASK: 2}),
        (4, {"a": 0}, 2, {"a": A}, {NO_TASK: 2}),
    ],
)
def test_idle_workers_wait_for_what_keeps_tasks_from_them(
    slots: int,
    waiting: dict[str, int],
    running: int,
    reasons: dict[str, str],
    idle: dict[str, float],
) -> None:
    """One second; no more workers wait for a source than it has tasks left."""
    idling = Idling(slots, waiting, 5.0, "starting")
    idling.look(5.0, running, reasons)
    idling.look(6.0, 0, {})
    assert dict(+idling.idle) == pytest.approx(idle)
    assert idling.busy == running
    assert idling.busy + idling.idle.total() == pytest.approx(slots * idling.wall)


def test_until_the_first_look_all_wait_for_the_first_reason() -> None:
    """The workers that have a task to come wait for their start, the others have none."""
    idling = Idling(4, {"a": 3}, 5.0, "starting")
    idling.look(7.0, 3, {})
    assert dict(idling.idle) == {"starting": 6, NO_TASK: 2}
    assert idling.ask("a") == {WORKERS: 0, "starting": 2}


def test_what_a_task_waited_for_is_the_difference_of_two_answers() -> None:
    """One that came later has not waited for what was before it."""
    idling = Idling(1, {"a": 2}, 0.0, "starting")
    idling.look(0.0, 1, {})
    idling.started("a")
    idling.look(3.0, 0, {"a": "backoff"})
    idling.came("a")
    before = idling.ask("a")
    idling.look(5.0, 1, {})
    idling.look(6.0, 1, {})
    assert idling.ask("a") == {WORKERS: 4, "starting": 0, "backoff": 2}
    assert before == {WORKERS: 3, "starting": 0}
    assert idling.ask("b") == {WORKERS: 4}
    assert dict(+idling.idle) == {"backoff": 2}
