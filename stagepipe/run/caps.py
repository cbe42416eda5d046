"""From what a pipeline allows to the limits of one stage's tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from stagepipe.plan.planner import Plan, StagePlan
from stagepipe.run.attempts import Attempt
from stagepipe.run.limits import Limits, SourceLimits


def limits_of(plan: Plan, stage: StagePlan, attempts: Sequence[Attempt], jobs: int) -> Limits:
    """The caps of a stage. Those of a source hold in the stage that reads its files: later stages
    read the spool, and trouble no source."""
    caps = {"jobs": jobs}
    if stage.declared.max_concurrent is not None:
        caps["stage"] = stage.declared.max_concurrent
    is_ordered = stage.declared.max_concurrent == 1
    shared = tuple(caps)
    if any(attempt.task.inputs for attempt in attempts):
        sources = dict.fromkeys((attempt.source for attempt in attempts), SourceLimits(shared))
        return Limits(attempts, sources, caps, is_ordered=is_ordered)
    for name, limit in plan.checked.pipeline.limits.items():
        caps[f"limit {name}"] = limit.max_concurrent
    sources = {}
    for source in plan.sources:
        own = [f"limit {name}" for name in source.declared.limits]
        if source.declared.max_concurrent is not None:
            caps[f"source {source.name}"] = source.declared.max_concurrent
            own.append(f"source {source.name}")
        # What is a source's own comes first: that is what it is said to wait for.
        names = (*reversed(own), *reversed(shared))
        sources[source.name] = SourceLimits(names, source.declared.start_delay)
    return Limits(attempts, sources, caps, is_ordered=is_ordered)


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
