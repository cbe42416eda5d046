"""What is simulated: plans of many tasks, made by the real planning from files that there are not,
and the bound below which no schedule can come."""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lineitem import COLUMNS
from stagepipe.declare import Limit, Pipeline, Schema, Sink, Source, Stage
from stagepipe.model import InputFile, Segment
from stagepipe.plan import chunks, tasks
from stagepipe.plan.files import SourceFiles
from stagepipe.plan.places import spool_of
from stagepipe.plan.planner import Plan, StagePlan, check, with_sources

MEDIAN_BYTES, SIGMA, MOST_BYTES = 10_000_000, 1.4, 1_600_000_000
"""The sizes of the files, log-normal and cut off: half of all bytes are in a twelfth of them."""
CUT_BYTES = 32_000_000
BYTES_PER_SECOND, NOISE_SIGMA = 3_000_000, 0.5
"""A task takes its bytes by this, times another log-normal factor, which nobody knows before."""


@dataclass(frozen=True)
class Case:
    """So many tasks, each of one file that cannot be cut, about 9 s on average and at most an hour.

    Every source holds as many, but for the first two. The first has a share `giant` of all, cut out
    of one file, and may have `giant_cap` in flight; the second has one more, which takes `whale`
    seconds. Of the others each may have `source_cap`, and a tenth of them together `limit_cap`. A
    share `failing` of the attempts fails, and is tried again.
    """

    name: str
    tasks: int = 1_000_000
    sources: int = 1000
    workers: int = 1000
    source_cap: int = 3
    limit_cap: int = 150
    giant: float = 0.0
    giant_cap: int = 0
    whale: float = 0.0
    failing: float = 0.0


@dataclass(frozen=True)
class Work:
    """The plan of a case, and how many seconds each of its chunks takes."""

    case: Case
    plan: Plan
    seconds: Sequence[float]

    @property
    def stage(self) -> StagePlan:
        (stage,) = self.plan.layers
        return stage

    def bound(self, beside: int | None = None) -> tuple[float, str]:
        """The seconds that every schedule takes at least, if nothing fails, and what keeps it: the
        work of all over the workers, that of a source or a limit over its cap, or the longest
        task. Nobody knows whether there is a schedule that comes down to it.

        `beside` leaves one chunk out, which holds a worker and its place in its caps all the time:
        what comes out is when the others can be done.
        """
        work: Counter[str] = Counter()
        most = {"workers": self.case.workers}
        falls_under = {}
        for source in self.plan.sources:
            own, names = source.declared.max_concurrent, ["workers"]
            if own is not None:
                names.append(f"source {source.name}")
                most[names[-1]] = own
            for name in source.declared.limits:
                names.append(f"limit {name}")
                most[names[-1]] = self.plan.checked.pipeline.limits[name].max_concurrent
            falls_under[source.name] = names
        for chunk in self.plan.chunks:
            for name in falls_under[chunk.source]:
                if chunk.index == beside:
                    most[name] -= 1
                else:
                    work[name] += self.seconds[chunk.index]  # type: ignore[assignment]
        bounds = {name: seconds / most[name] for name, seconds in work.items()}
        bounds["longest task"] = max(s for n, s in enumerate(self.seconds) if n != beside)
        keeps = max(bounds, key=lambda name: bounds[name])
        return bounds[keeps], keeps


def work_of(case: Case, folder: Path) -> Work:
    """Plan a case. Nothing is read from `folder`; the ledger will be written there."""
    declared = [declared_source(case, number) for number in range(case.sources)]
    pipeline = Pipeline(
        name="simulated",
        sources=declared,
        limits={f"group{n}": Limit(max_concurrent=case.limit_cap) for n in range(10)},
        schema=Schema(columns=COLUMNS),
        stages=[Stage(name="convert", sink=Sink(path="table"))],
        folder=folder,
    )
    chance = random.Random(case.name)
    sources = tuple(
        SourceFiles(source.name or "", source, tuple(files(case, number, chance)))
        for number, source in enumerate(declared)
    )
    checked = with_sources(check(pipeline), sources)
    pieces = ((source.name, piece) for source in sources for piece in segments(source))
    all_chunks = tuple(chunks.pack(pieces, 1))
    cells = tasks.first_cells(all_chunks, checked.work, {})
    work, spool = checked.work.stages[0], spool_of(pipeline)
    decided = tasks.decide(0, cells, work, {}, set(), spool)
    layers = (StagePlan(pipeline.stages[0], work, decided, None),)
    seconds = array("d", (chunk.size / BYTES_PER_SECOND for chunk in all_chunks))
    for index in range(len(seconds)):
        seconds[index] *= math.exp(chance.gauss(0, NOISE_SIGMA))
    if case.whale:
        seconds[whale_of(case)] = case.whale
    return Work(case, Plan(checked, sources, all_chunks, layers, {}), seconds)


def declared_source(case: Case, number: int) -> Source:
    is_giant = number == 0 and case.giant > 0
    return Source(
        name=f"source{number}",
        files=f"source{number}/*.csv.gz",
        max_concurrent=(case.giant_cap or None) if is_giant else case.source_cap,
        limits=() if is_giant else (f"group{number % 10}",),
    )


def count_of(case: Case, number: int) -> int:
    """How many tasks a source has."""
    giant = round(case.tasks * case.giant)
    if giant and number == 0:
        return giant
    others = case.sources - bool(giant)
    return len(range(number - bool(giant), case.tasks - giant, others))


def whale_of(case: Case) -> int:
    """Which chunk it is that takes so long: the first of the second source."""
    return count_of(case, 0)


def files(case: Case, number: int, chance: random.Random) -> Iterator[InputFile]:
    count = count_of(case, number)
    if case.giant and number == 0:
        yield InputFile("source0/giant.csv", count * CUT_BYTES, 1_700_000_000_000_000_000, 1)
        return
    for index in range(count):
        size = min(int(MEDIAN_BYTES * math.exp(chance.gauss(0, SIGMA))), MOST_BYTES)
        if case.whale and number == 1 and index == 0:
            size = int(case.whale * BYTES_PER_SECOND)
        path = f"source{number}/export-2024-{index:06}.csv.gz"
        inode = 1 + number * case.tasks + index
        yield InputFile(path, size, 1_700_000_000_000_000_000 + inode * 1_234_567, inode)


def segments(source: SourceFiles) -> Iterator[Segment]:
    """One of each file, but for a giant one."""
    for file in source.files:
        is_giant = file.path.endswith(".csv")
        yield from chunks.segments(file, range(CUT_BYTES, file.size, CUT_BYTES) if is_giant else ())
