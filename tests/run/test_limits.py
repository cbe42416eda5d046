"""What may start now, and when to ask again."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from limits_reference import PlainLimits

from stagepipe.model import Chunk, Decision, InputFile, Segment, Task
from stagepipe.run.attempts import Attempt
from stagepipe.run.limits import Limits, SourceLimits

WHAT = (
    "start",
    "start",
    "finished",
    "finished",
    "again",
    "alone",
    "wait",
    "rest",
    "wake up",
    "drop",
)


def task(source: str, index: int, size: int = 0) -> Attempt:
    segments = (Segment(InputFile("a.csv", size, 0, 0), 0, size),) if size else ()
    chunk = Chunk(index, source, segments)
    return Attempt(Task(0, chunk, f"{source}{index}", {}, Decision.MADE, "new"))


def tasks(**counts: int) -> list[Attempt]:
    found: list[Attempt] = []
    for source, count in counts.items():
        found += [task(source, len(found) + number) for number in range(count)]
    return found


def start_all(limits: Limits, now: float) -> list[str]:
    """The sources of the tasks that start now."""
    started = []
    while (found := limits.next_attempt(now)) is not None:
        started.append(found.chunk.source)
    return started


@pytest.mark.parametrize(
    ("counts", "caps", "sources", "started"),
    [
        ({"a": 3}, {}, {"a": ()}, "aaa"),
        ({"a": 3}, {"jobs": 2}, {"a": ("jobs",)}, "aa"),
        ({"a": 3, "b": 3}, {"jobs": 4}, {"a": ("jobs",), "b": ("jobs",)}, "abab"),
        ({"a": 3, "b": 3}, {"jobs": 9, "x": 1}, {"a": ("jobs", "x"), "b": ("jobs",)}, "abbb"),
        ({"a": 2, "b": 2}, {"nas": 1}, {"a": ("nas",), "b": ("nas",)}, "a"),
        ({"a": 2, "b": 2, "c": 2}, {"nas": 2}, {"a": ("nas",), "b": ("nas",), "c": ()}, "abcc"),
        ({"a": 2, "b": 1}, {"one": 1, "two": 2}, {"a": ("two", "one"), "b": ("two",)}, "ab"),
    ],
)
def test_what_starts_at_once(
    counts: dict[str, int],
    caps: dict[str, int],
    sources: dict[str, tuple[str, ...]],
    started: str,
) -> None:
    """So much starts as all caps together have room for, in turn among the sources."""
    declared = {name: SourceLimits(held) for name, held in sources.items()}
    assert "".join(start_all(Limits(tasks(**counts), declared, caps), 0)) == started


def test_a_task_takes_all_its_caps_or_none() -> None:
    """A task that waits for one cap holds nothing of another meanwhile."""
    sources = {
        "a": SourceLimits(("one", "two")),
        "b": SourceLimits(("one",)),
        "c": SourceLimits(("two",)),
    }
    limits = Limits(tasks(a=1, b=1, c=1), sources, {"one": 1, "two": 1})
    first = limits.next_attempt(0)
    assert first is not None
    assert first.chunk.source == "a"
    assert limits.next_attempt(0) is None
    assert limits.waiting_for(0) == {"b": "one", "c": "two"}
    limits.finished(first)
    assert start_all(limits, 0) == ["b", "c"]
    assert limits.is_drained


def finishing_in_order(limits: Limits, jobs: int) -> list[str]:
    """The sources in the order in which they start, where what started first is done first."""
    running = deque(limits.next_attempt(0) for _ in range(jobs))
    order = []
    while running:
        done = running.popleft()
        assert done is not None
        order.append(done.source)
        limits.finished(done)
        if (following := limits.next_attempt(0)) is not None:
            running.append(following)
    return order


def test_each_source_gets_a_share_of_what_it_has_left() -> None:
    """So that all end together: of two with three and one parts, the one has three of four turns
    from the beginning to the end."""
    shared = SourceLimits(("jobs",))
    limits = Limits(tasks(big=60, small=20), {"big": shared, "small": shared}, {"jobs": 4})
    order = finishing_in_order(limits, 4)
    assert len(order) == 80
    for begin in range(0, 80, 8):
        assert 1 <= order[begin : begin + 8].count("small") <= 3


def test_a_source_that_may_have_few_in_flight_has_them_all_the_time() -> None:
    """What has most left for what it may have at once would be the last to end."""
    caps = {"jobs": 4, "one": 1}
    sources = {name: SourceLimits(("jobs",)) for name in "abcdef"}
    sources["f"] = SourceLimits(("one", "jobs"))
    limits = Limits(tasks(a=9, b=9, c=9, d=9, e=9, f=15), sources, caps)
    assert finishing_in_order(limits, 4)[-10:].count("f") <= 4


def test_a_source_that_another_one_waits_for_begins_first() -> None:
    """However little it has left: what comes after it may be the biggest of all."""
    shared = SourceLimits(("jobs",))
    sources = {"a": shared, "b": shared, "c": SourceLimits(("jobs",), 1e-9), "d": shared}
    limits = Limits(tasks(a=9, b=1, c=90, d=2), sources, {"jobs": 1})
    first = limits.next_attempt(0)
    assert first is not None
    limits.finished(first)
    second = limits.next_attempt(1)
    assert (first.source, second and second.source) == ("b", "c")


def test_what_is_left_is_counted_in_bytes() -> None:
    """One chunk that cannot be cut may be as much as many others."""
    sizes = [("heavy", 900), ("heavy", 900), ("light", 0), ("light", 0), ("light", 0)]
    attempts = [task(source, index, size) for index, (source, size) in enumerate(sizes)]
    shared = SourceLimits(("jobs",))
    limits = Limits(attempts, {"heavy": shared, "light": shared}, {"jobs": 1})
    assert finishing_in_order(limits, 1) == ["heavy", "heavy", "light", "light", "light"]


def test_a_source_with_slow_tasks_lets_the_others_go_first() -> None:
    """Of sources with as much left the one with the fewest in flight is next, whoever had the last
    turn."""
    shared = SourceLimits(("jobs",))
    limits = Limits(tasks(slow=9, quick=9), {"slow": shared, "quick": shared}, {"jobs": 3})
    started = [limits.next_attempt(0) for _ in range(3)]
    assert [found.chunk.source for found in started if found] == ["slow", "quick", "slow"]
    for _ in range(3):  # only quick tasks finish: each makes room for another quick one
        done = next(found for found in started if found and found.chunk.source == "quick")
        started.remove(done)
        limits.finished(done)
        following = limits.next_attempt(0)
        assert following is not None
        assert following.chunk.source == "quick"
        started.append(following)


def test_big_chunks_of_a_source_start_first_and_others_in_order() -> None:
    """A file that cannot be cut, at the end of the list, is not what everybody waits for; chunks of
    about a size are read in their order. An ordered stage has only one."""
    sizes = [31, 29, 30, 120, 17, 100, 3]
    attempts = [task("a", index, size) for index, size in enumerate(sizes)]
    for is_ordered, order in ((False, [3, 5, 0, 1, 2, 4, 6]), (True, [*range(7)])):
        limits = Limits(attempts, {"a": SourceLimits()}, {}, is_ordered=is_ordered)
        started = [limits.next_attempt(0) for _ in range(7)]
        assert [found.chunk.index for found in started if found] == order


def test_tasks_of_a_source_start_in_order() -> None:
    """Chunks of one source start one after the other, as they are numbered."""
    limits = Limits(tasks(a=5), {"a": SourceLimits()}, {})
    started = [limits.next_attempt(0) for _ in range(5)]
    assert [found.chunk.index for found in started if found] == [0, 1, 2, 3, 4]
    assert limits.next_attempt(0) is None


def test_first_starts_keep_their_distance() -> None:
    """With start_delay a source begins that long after the one before it began."""
    sources = {"a": SourceLimits((), 5.0), "b": SourceLimits((), 2.0), "c": SourceLimits((), 0.5)}
    limits = Limits(tasks(a=1, b=2, c=1), sources, {})
    assert start_all(limits, 100.0) == ["a"]
    assert limits.waiting_for(100.0) == {"b": "start_delay", "c": "start_delay"}
    assert limits.wake_at(100.0) == 102.0
    assert start_all(limits, 101.9) == []
    assert start_all(limits, 102.3) == ["b", "b"]
    assert limits.wake_at(102.3) == 102.8
    assert start_all(limits, 102.8) == ["c"]
    assert limits.wake_at(102.8) is None


def test_the_first_source_never_waits() -> None:
    """There is no source before the first, whatever its start_delay."""
    limits = Limits(tasks(a=1), {"a": SourceLimits((), 60.0)}, {})
    assert limits.wake_at(0) is None
    assert start_all(limits, 0) == ["a"]


def test_a_source_without_a_delay_waits_for_nobody() -> None:
    """Only the source that asks for a distance keeps one."""
    sources = {"a": SourceLimits(), "b": SourceLimits((), 9.0), "c": SourceLimits()}
    assert sorted(start_all(Limits(tasks(a=1, b=1, c=1), sources, {}), 0)) == ["a", "c"]


def test_a_delay_counts_from_the_real_start() -> None:
    """A source that was itself held up by a cap delays the one after it from its own start."""
    sources = {
        "a": SourceLimits(("jobs",)),
        "b": SourceLimits(("jobs",), 1.0),
        "c": SourceLimits((), 1.0),
    }
    limits = Limits(tasks(a=1, b=1, c=1), sources, {"jobs": 1})
    first = limits.next_attempt(0)
    assert first is not None
    assert limits.next_attempt(50) is None
    assert limits.wake_at(50) is None
    limits.finished(first)
    assert start_all(limits, 50) == ["b"]
    assert limits.wake_at(50) == 51


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """Some sources with tasks, caps of every kind, and delays."""
    names = draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=5, unique=True))
    cap_names = ["jobs", *draw(st.sets(st.sampled_from(["nas", "wan", "stage"])))]
    caps = {name: draw(st.integers(1, 4)) for name in cap_names}
    sources = {
        name: SourceLimits(
            tuple(sorted(draw(st.sets(st.sampled_from(cap_names))) | {"jobs"})),
            draw(st.sampled_from([0.0, 0.0, 0.5, 3.0])),
        )
        for name in names
    }
    counts = {name: draw(st.integers(1, 6)) for name in names}
    return {"attempts": tasks(**counts), "sources": sources, "caps": caps}


@given(settings(), st.integers(0, 2**32), st.floats(0, 1e6))
def test_any_schedule_keeps_every_promise(declared: dict[str, Any], seed: int, now: float) -> None:
    """No cap is ever exceeded, starts keep their distance, wake_at is never in the past and worth
    waiting for, and everything starts once, in order."""
    chance = random.Random(seed)
    limits = Limits(**declared)
    sources, caps = declared["sources"], declared["caps"]
    order = list(dict.fromkeys(t.chunk.source for t in declared["attempts"]))
    running: list[Attempt] = []
    started: list[Attempt] = []
    first_start: dict[str, float] = {}
    for _ in range(1000):
        while (found := limits.next_attempt(now)) is not None:
            running.append(found)
            started.append(found)
            source = found.chunk.source
            if source not in first_start:
                first_start[source] = now
                position = order.index(source)
                if position and (delay := sources[source].start_delay):
                    assert now >= first_start[order[position - 1]] + delay
            held = Counter(cap for t in running for cap in sources[t.chunk.source].caps)
            assert all(held[cap] <= room for cap, room in caps.items())
        if limits.is_drained:
            break
        wake = limits.wake_at(now)
        assert wake is None or wake > now
        assert set(limits.waiting_for(now)) == {
            t.chunk.source for t in declared["attempts"] if t not in started
        }
        if running and (wake is None or chance.random() < 0.7):
            limits.finished(running.pop(chance.randrange(len(running))))
        else:
            assert wake is not None, "nothing runs and nothing would ever start"
            now = wake
            if not running:
                assert limits.waiting_for(now) != dict.fromkeys(order, "start_delay")
    assert limits.is_drained
    assert sorted(t.task.key for t in started) == sorted(t.task.key for t in declared["attempts"])
    for source in order:
        indices = [t.chunk.index for t in started if t.chunk.source == source]
        assert indices == sorted(indices)


@given(settings())
def test_sources_with_as_much_left_take_turns(declared: dict[str, Any]) -> None:
    """Among them none gets two more tasks in flight than another that waits for its turn alone."""
    names = list(declared["sources"])
    declared["sources"] = {name: SourceLimits(("jobs",)) for name in names}
    declared["attempts"] = tasks(**dict.fromkeys(names, 4))
    limits = Limits(**declared)
    flying: Counter[str] = Counter()
    while (found := limits.next_attempt(0)) is not None:
        flying[found.chunk.source] += 1
        assert max(flying.values()) - min(flying[name] for name in names) <= 1


@given(settings(), st.booleans(), st.integers(0, 2**32))
@example(
    {
        "attempts": tasks(a=3, b=2),
        "sources": dict.fromkeys("ab", SourceLimits(("jobs",))),
        "caps": {"jobs": 2},
    },
    True,
    0,
)
def test_the_decisions_are_those_that_looking_at_everything_gives(
    declared: dict[str, Any], is_ordered: bool, seed: int
) -> None:
    """Whatever happens meanwhile: retries, sources that rest or are dropped, attempts that have to
    be alone."""
    chance = random.Random(seed)
    declared["attempts"] = [
        task(each.source, each.chunk.index, chance.choice([0, 5, 6, 40]))
        for each in declared["attempts"]
    ]
    limits = Limits(**declared, is_ordered=is_ordered)
    plain = PlainLimits(**declared, is_ordered=is_ordered)
    running: list[Attempt] = []
    now = 0.0
    for _ in range(60):
        started = limits.next_attempt(now)
        assert plain.next_attempt(now) is started
        if started is not None:
            running.append(started)
        assert limits.wake_at(now) == plain.wake_at(now)
        assert limits.waiting_for(now) == plain.waiting_for(now)
        assert limits.is_drained == plain.is_drained
        what, source = chance.choice(WHAT), chance.choice(plain.order)
        done = chance.choice(running) if running and not started else None
        if what == "wait":
            now += chance.choice([0.1, 1.0, 5.0])
        elif what in ("finished", "again", "alone") and done is not None:
            running.remove(done)
            for each in (limits, plain):
                each.finished(done)
            if what != "finished":
                at = now + chance.choice([0.0, 0.5, 2.0])
                following = replace(done, is_alone=what == "alone")
                for each in (limits, plain):
                    each.again(following, at)
        elif what == "rest":
            until = now + chance.choice([1.0, 4.0])
            for each in (limits, plain):
                each.rest(source, until)
        elif what == "wake":
            for each in (limits, plain):
                each.wake_up(source)
        elif what == "drop" and chance.random() < 0.3:
            assert limits.drop(source) == plain.drop(source)


def test_what_is_tried_again_waits_for_its_time_and_goes_first_then() -> None:
    """What has not begun goes on meanwhile."""
    limits = Limits(tasks(a=3), {"a": SourceLimits(("jobs",))}, {"jobs": 1})
    first = limits.next_attempt(0)
    assert first is not None
    limits.finished(first)
    limits.again(first, 10.0)
    second = limits.next_attempt(9)
    assert second is not None
    assert second.chunk.index == 1
    limits.finished(second)
    assert limits.next_attempt(10) is first
    limits.finished(first)
    third = limits.next_attempt(10)
    assert third is not None
    limits.finished(third)
    limits.again(third, 20.0)
    assert limits.waiting_for(10) == {"a": "backoff"}
    assert limits.wake_at(10) == 20.0
    assert not limits.is_drained
    assert limits.next_attempt(20) is third
    assert limits.is_drained


def test_an_ordered_stage_waits_for_what_is_tried_again() -> None:
    """Nothing overtakes it, of whatever source."""
    limits = Limits(tasks(a=2, b=2), {name: SourceLimits() for name in "ab"}, {}, is_ordered=True)
    first = limits.next_attempt(0)
    assert first is not None
    limits.finished(first)
    limits.again(first, 10.0)
    assert limits.next_attempt(5) is None
    assert limits.wake_at(5) == 10.0
    assert limits.next_attempt(10) is first
    alone = replace(first, is_alone=True)
    limits.finished(first)
    limits.again(alone, 20.0)
    assert limits.next_attempt(15) is None
    assert limits.next_attempt(20) is alone


def test_what_is_alone_has_nothing_beside_it() -> None:
    """It waits until nothing runs; and then nothing starts until it is done."""
    limits = Limits(tasks(a=3, b=3), {name: SourceLimits(("jobs",)) for name in "ab"}, {"jobs": 2})
    first, second = limits.next_attempt(0), limits.next_attempt(0)
    assert first is not None
    assert second is not None
    alone = replace(first, is_alone=True)
    limits.finished(first)
    limits.again(alone, 5.0)
    third = limits.next_attempt(4)  # its time has not come
    assert third is not None
    limits.finished(third)
    assert limits.next_attempt(5) is None
    assert set(limits.waiting_for(5)) == {"a", "b"}
    limits.finished(second)
    assert limits.next_attempt(5) is alone
    assert limits.next_attempt(5) is None
    limits.finished(alone)
    assert limits.next_attempt(5) is not None


def test_a_source_that_rests_is_tried_with_one() -> None:
    """The others go on; when it is woken it goes on like them."""
    limits = Limits(tasks(a=4, b=2), {name: SourceLimits() for name in "ab"}, {})
    limits.rest("a", 10.0)
    assert start_all(limits, 0) == ["b", "b"]
    assert limits.waiting_for(0) == {"a": "rest"}
    assert limits.wake_at(0) == 10.0
    assert start_all(limits, 10) == ["a"]
    assert limits.waiting_for(10) == {"a": "rest"}
    limits.wake_up("a")
    assert start_all(limits, 10) == ["a", "a", "a"]


def test_a_source_that_is_dropped_starts_nothing_more() -> None:
    """What waited of it is given back, in order."""
    limits = Limits(tasks(a=3, b=1), {name: SourceLimits() for name in "ab"}, {})
    first = limits.next_attempt(0)
    assert first is not None
    limits.again(first, 5.0)
    assert [each.chunk.index for each in limits.drop("a")] == [1, 2, 0]
    assert start_all(limits, 9) == ["b"]
    assert limits.is_drained
