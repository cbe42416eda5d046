"""The results as tables for people and as JSON for programs."""

import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.data import Work
from benchmarks.measure import Measured
from benchmarks.verify import Output

HOME_TEAM = "stagepipe"
VERSIONED = ("stagepipe", "duckdb", "polars", "pyarrow", "dask", "pandas", "tpchgen-cli")


@dataclass
class Result:
    """One peer on one work: its timed rounds, its peak memory, its output."""

    peer: str
    rounds: list[Measured] = field(default_factory=list)
    peak_bytes: int = 0
    output: Output | None = None

    @property
    def walls(self) -> list[float]:
        return [measured.wall_seconds for measured in self.rounds]

    @property
    def cpu_seconds(self) -> float:
        return median(measured.cpu_seconds for measured in self.rounds)

    @property
    def first_seconds(self) -> float:
        return median(measured.first_seconds for measured in self.rounds)


def usable_cores() -> int:
    """The cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine(workers: int) -> dict[str, Any]:
    """What the numbers hold for."""
    return {
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "workers": workers,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONED},
    }


def _version(name: str) -> str:
    """A peer that is not installed stops the bench only when it is asked to run."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine_line(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{facts['cpu']}, {facts['cores']} cores usable, {facts['workers']} workers, "
        f"{facts['memory_gb']} GB, {facts['system']}, load before {facts['load_before']}\n"
        f"Python {facts['python']}, {versions}"
    )


def summary(result: Result, home: Result | None) -> dict[str, Any]:
    """One row of the table. Ratios are None without stagepipe in the same rounds."""
    walls = result.walls
    row = {
        "peer": result.peer,
        "median_seconds": median(walls),
        "min_seconds": min(walls),
        "max_seconds": max(walls),
        "cpu_seconds": result.cpu_seconds,
        "first_seconds": result.first_seconds,
        "times_stagepipe": None,
        "stagepipe_to_peer": None,
        "output_bytes": result.output.bytes,
        "output_files": result.output.files,
        "peak_pss_bytes": result.peak_bytes or None,
        "rounds": [asdict(measured) for measured in result.rounds],
    }
    if home:
        # Runs of one round stand side by side in time, so that their ratio suffers less from
        # what else the machine does than the ratio of two medians.
        by_round = [ours / theirs for ours, theirs in zip(home.walls, walls, strict=True)]
        row["stagepipe_to_peer"] = median(by_round)
        row["times_stagepipe"] = median(walls) / median(home.walls)
    return row


def as_json(facts: dict[str, Any], works: list[tuple[Work, list[Result]]]) -> dict[str, Any]:
    return {
        "machine": facts,
        "works": [
            {
                "work": work.name,
                "files": work.files,
                "bytes": work.bytes,
                "rows": work.expected.rows,
                "peers": summaries(results),
            }
            for work, results in works
        ],
    }


def summaries(results: list[Result]) -> list[dict[str, Any]]:
    home = next((result for result in results if result.peer == HOME_TEAM), None)
    return [summary(result, home) for result in results]


HEADINGS = (
    "peer",
    "median s",
    "min",
    "max",
    "CPU s",
    "first ms/file",
    "CSV MB/s",
    "x stagepipe",
    "stagepipe/peer",
    "out MB",
    "files",
    "peak PSS MB",
)


def table(work: Work, results: list[Result]) -> str:
    """The table of one work, as text with aligned columns."""
    rows = [HEADINGS, *(_cells(work, row) for row in summaries(results))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    title = (
        f"{work.name}: {work.files} file{'s'[: work.files > 1]}, {work.bytes / 1e6:.1f} MB of CSV, "
        f"{work.expected.rows:,} rows, rounds: {len(results[0].rounds)}"
    )
    return "\n".join([title, *(_aligned(row, widths) for row in rows)])


def _cells(work: Work, row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["peer"],
        f"{row['median_seconds']:.2f}",
        f"{row['min_seconds']:.2f}",
        f"{row['max_seconds']:.2f}",
        f"{row['cpu_seconds']:.2f}",
        f"{1000 * row['first_seconds'] / work.files:.2f}",
        f"{work.bytes / 1e6 / row['median_seconds']:.0f}",
        _ratio(row["times_stagepipe"]),
        _ratio(row["stagepipe_to_peer"]),
        f"{row['output_bytes'] / 1e6:.1f}",
        str(row["output_files"]),
        f"{row['peak_pss_bytes'] / 1e6:.0f}" if row["peak_pss_bytes"] else "-",
    )


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    first, *others = row
    cells = [first.ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
    return "  ".join(cells)
