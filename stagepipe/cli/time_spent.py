"""Where a run's time went: by stage, by kind of work, and in its slowest tasks.

What the workers spent is the sum over all of them. Parts that were taken cost this run nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from stagepipe.cli.wording import count, duration, shown, shown_source, table

Row = dict[str, Any]
SLOWEST = 5
SLOW_TIMES = 2.0
SLOW_SECONDS = 1.0
"""A task is worth a line when it took so many times the median of its stage, and so long."""
LEAST = 0.01
"""Of the workers' time, what is worth a line."""


def spent(tasks: Iterable[Row]) -> dict[str, float]:
    """The seconds of the workers by kind of work, most first."""
    total: Counter[str] = Counter()
    for task in tasks:
        if _is_made(task):
            total.update(task["seconds"])
    return dict(total.most_common())


def slowest(tasks: Sequence[Row], number: int = SLOWEST) -> list[Row]:
    """The tasks that took longest, with the median of their stages beside them."""
    by_stage: dict[str, list[float]] = {}
    for task in filter(_is_made, tasks):
        by_stage.setdefault(task["stage"], []).append(sum(task["seconds"].values()))
    medians = {stage: median(seconds) for stage, seconds in by_stage.items()}
    ranked = sorted(filter(_is_made, tasks), key=lambda task: -sum(task["seconds"].values()))
    return [
        {
            **{name: task[name] for name in ("stage", "chunk", "source")},
            "rows": task["read"],
            "seconds": sum(task["seconds"].values()),
            "stage_median": medians[task["stage"]],
            "task_seconds": task["seconds"],
        }
        for task in ranked[:number]
    ]


def time_lines(about: Mapping[str, Any]) -> list[str]:
    """A line for each stage: how long it took, how busy its workers were, and with what."""
    kinds = list(about["task_seconds"])
    if not kinds:
        return []
    rows = [["", "TOOK", "BUSY", *kinds]]
    rows += [
        [stage["name"], duration(stage["seconds"]), *_share(stage, about["jobs"], kinds)]
        for stage in about["stages"]
    ]
    if len(about["stages"]) > 1:
        total = {"task_seconds": about["task_seconds"], "seconds": about["seconds"] or 0}
        took = "-" if about["seconds"] is None else duration(about["seconds"])
        rows.append(["in all", took, *_share(total, about["jobs"], kinds)])
    return table(rows, right=range(1, len(kinds) + 3))


def _share(stage: Mapping[str, Any], jobs: int, kinds: Sequence[str]) -> list[str]:
    by_kind, room = stage["task_seconds"], stage["seconds"] * jobs
    busy = f"{min(sum(by_kind.values()) / room, 1):.0%}" if room else "-"
    return [busy, *(duration(by_kind[kind]) if kind in by_kind else "-" for kind in kinds)]


def workers_time_lines(profile: Mapping[str, Any]) -> Iterator[str]:
    """What the workers' time went to, most first, as `run --json` has it of a run that was
    profiled, and what that says. What took little of it stands together."""
    total = profile["worker_seconds"]
    busy, computed = profile["busy"], profile["cpu_seconds"] / total if total else 0.0
    yield (
        f"{count(profile['workers'], 'worker')}, {duration(total)} in all: "
        f"busy {busy:.0%}, computing {computed:.0%}"
    )
    parts = [(part["kind"], part) for part in profile["work"]]
    parts += [(f"waited for {part['for']}", part) for part in profile["waits"]]
    rows = [
        [what, duration(part["seconds"]), f"{part['share']:.0%}"]
        for what, part in parts
        if part["share"] >= LEAST
    ]
    little = [part for _, part in parts if part["share"] < LEAST]
    if (share := sum(part["share"] for part in little)) >= LEAST:
        rows.append(["all else", duration(sum(part["seconds"] for part in little)), f"{share:.0%}"])
    yield from table(rows, right=(1, 2))
    if profile["verdict"] is not None:
        yield shown(profile["verdict"])


def slowest_lines(tasks: Iterable[Row]) -> list[str]:
    """A line for each task that took much longer than the others of its stage."""
    rows = [
        [
            f"chunk {task['chunk']} of {shown_source(task['source'])}",
            task["stage"],
            duration(task["seconds"]),
            f"others {duration(task['stage_median'])}",
            _mostly(task["task_seconds"]),
        ]
        for task in tasks
        if task["seconds"] > max(SLOW_TIMES * task["stage_median"], SLOW_SECONDS)
    ]
    return table(rows, right=(2,))


def _mostly(by_kind: Mapping[str, float]) -> str:
    """The kind of work that took most."""
    kind = max(by_kind, key=lambda kind: by_kind[kind])
    return f"{kind} {duration(by_kind[kind])}"


def _is_made(task: Row) -> bool:
    return task["decision"] == "made" and bool(task["seconds"])
