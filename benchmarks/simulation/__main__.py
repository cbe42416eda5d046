"""Print what the scheduler costs and how well it uses its workers: see `benchmarks/README.md`.

Each case is a process of its own, because its memory is asked of the system.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.report import machine
from benchmarks.simulation.measure import Measured, measure
from benchmarks.simulation.work import Case

COSTS = (1_000, 10_000, 100_000, 1_000_000)
FEW = 10_000
"""Of cases that are smaller it is the median of `ROUNDS`."""
ROUNDS = 5
SHAPES = (
    Case("a source with few at once", giant=0.3, giant_cap=340),
    Case("a giant file, cut", giant=0.5),
    Case("a giant file, not to be cut", whale=6_000),
    Case("a giant file for twice as long", whale=20_000),
    Case("1 % of the attempts fail", failing=0.01),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--most", type=int, default=1_000_000, help="so many tasks at most")
    parser.add_argument(
        "--scale", type=float, default=0.02, help="of the shapes: their tasks, sources and workers"
    )
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(asdict(measure(Case(**json.loads(options.case))))))
        return
    found = machine(1)
    print(f"{found['cpu']}, {found['system']}, Python {found['python']}\n")
    for line in costs(options.most):
        print(line, flush=True)
    print()
    for line in shapes(options.scale):
        print(line, flush=True)


def costs(most: int) -> Iterator[str]:
    """The same sources and workers with more and more tasks."""
    yield (
        f"{'tasks':>9}  {'decisions/s':>11}  {'µs a task':>9}  {'against first':>13}  "
        f"{'plan B':>7}  {'run B':>7}  busy"
    )
    first = None
    for tasks in COSTS:
        if tasks > most:
            return
        case = Case("even", tasks=tasks)
        rounds = [measured(case) for _ in range(ROUNDS if tasks <= FEW else 1)]
        one = sorted(rounds, key=lambda each: each.making)[len(rounds) // 2]
        deciding = sorted(each.deciding for each in rounds)[len(rounds) // 2]
        cost = one.making / tasks
        first = first or cost
        yield (
            f"{tasks:>9,}  {tasks / deciding:>11,.0f}  {cost * 1e6:>9.0f}  {cost / first:>13.2f}  "
            f"{one.plan_bytes / tasks:>7,.0f}  {(one.peak_bytes - one.plan_bytes) / tasks:>7,.0f}  "
            f"{one.bound / one.simulated:.1%}"
        )


def shapes(scale: float) -> Iterator[str]:
    """Sources that are not like each other."""
    yield (
        f"{'case':<32}{'tasks':>9}  {'done s':>8}  {'bound s':>8}  {'busy':>6}  "
        f"{'others done':>11}  {'bound':>7}  kept by"
    )
    for shape in SHAPES:
        case = Case(
            **{
                name: max(round(value * scale), 1) if name in SCALED and value else value
                for name, value in asdict(shape).items()
            }
        )
        one = measured(case)
        yield (
            f"{case.name:<32}{case.tasks:>9,}  {one.simulated:>8,.0f}  {one.bound:>8,.0f}  "
            f"{one.bound / one.simulated:>6.1%}  {one.others_done:>11,.0f}  "
            f"{f'{one.others_bound:,.0f}' if one.others_bound else '':>7}  {one.keeps}"
        )


SCALED = ("tasks", "sources", "workers", "limit_cap", "giant_cap")


def measured(case: Case) -> Measured:
    """A case, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.simulation", "--case", json.dumps(asdict(case))]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(found.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
