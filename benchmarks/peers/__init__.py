"""Each peer as one command, to be run in a fresh process in an empty folder of its own.

A peer is a function `(work, folder, workers) -> Job`: it may write what it needs into the folder
(not timed) and says what to run and where the table will be. All are told the same things: the
columns with their types, the dialect, zstd, and how many workers to use.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data import Work
from benchmarks.peers.stagepipe_pipeline import pipeline_toml


@dataclass(frozen=True)
class Job:
    """What to run, and where the Parquet files will lie: one file, or a folder of them. `work` is
    what it reads, `first` what runs before it and is not measured."""

    work: Work
    command: list[str]
    output: Path
    first: list[str] | None = None


def stagepipe(work: Work, folder: Path, workers: int, **more: Any) -> Job:
    """`stagepipe run`, one stage, with state, spool and output all in the fresh folder. `more` is
    what the pipeline has besides."""
    pipeline = folder / "pipeline.toml"
    pipeline.write_text(pipeline_toml(work, **more))
    command = [sys.executable, "-m", "stagepipe", "run", str(pipeline)]
    options = ["-j", str(workers), "--fresh", "--json"]
    return Job(work, [*command, *options], folder / "out" / "lineitem")


def stagepipe_one(work: Work, folder: Path, workers: int) -> Job:
    """The same with one worker."""
    return stagepipe(work, folder, min(workers, 1))


def stagepipe_again(work: Work, folder: Path, workers: int) -> Job:
    """The second run, with nothing new: no `--fresh`, and all parts there."""
    job = stagepipe(work, folder, workers)
    again = [word for word in job.command if word != "--fresh"]
    return replace(job, command=again, first=job.command)


def stagepipe_clean(work: Work, folder: Path, workers: int) -> Job:
    """The same on the clean twin of the work."""
    assert work.clean is not None
    return stagepipe(work.clean, folder, workers)


def duckdb(work: Work, folder: Path, workers: int) -> Job:
    """`COPY … TO`, one file per thread."""
    return _script("duckdb_copy", work, folder / "lineitem", workers)


def duckdb_rejects(work: Work, folder: Path, workers: int) -> Job:
    """The same with `store_rejects`."""
    return _script("duckdb_copy", work, folder / "lineitem", workers, "rejects")


def polars(work: Work, folder: Path, workers: int) -> Job:
    """`scan_csv(…).sink_parquet(…)`, one file."""
    return _script("polars_sink", work, folder / "lineitem.parquet", workers)


def polars_parts(work: Work, folder: Path, workers: int) -> Job:
    """The same, to a folder of files; not among the default peers."""
    return _script("polars_sink", work, folder / "lineitem", workers, "parts")


def pyarrow(work: Work, folder: Path, workers: int) -> Job:
    """`pyarrow.dataset`: a scan of CSV and `write_dataset`, files of 1 Mi rows."""
    return _script("pyarrow_dataset", work, folder / "lineitem", workers)


def dask(work: Work, folder: Path, workers: int) -> Job:
    """`dd.read_csv(…).to_parquet(…)` on a `LocalCluster` of processes, one file per part."""
    return _script("dask_cluster", work, folder / "lineitem", workers)


def _script(module: str, work: Work, output: Path, workers: int, *options: str) -> Job:
    command = [sys.executable, "-m", f"benchmarks.peers.{module}"]
    return Job(work, [*command, work.pattern, str(output), str(workers), *options], output)


PEERS: dict[str, Callable[[Work, Path, int], Job]] = {
    "stagepipe": stagepipe,
    "stagepipe-again": stagepipe_again,
    "stagepipe-checks": partial(stagepipe, with_checks=True),
    "stagepipe-clean": stagepipe_clean,
    "stagepipe-one": stagepipe_one,
    "stagepipe-stages": partial(stagepipe, further_stages=2),
    "duckdb": duckdb,
    "duckdb-rejects": duckdb_rejects,
    "polars": polars,
    "polars-parts": polars_parts,
    "pyarrow": pyarrow,
    "dask": dask,
}
DEFAULT_PEERS = ("stagepipe", "duckdb", "polars", "pyarrow", "dask")
DIRTY_PEERS = ("stagepipe", "stagepipe-clean", "duckdb-rejects")
"""Those that leave bad records out, and what it costs."""
MANY_PEERS = ("stagepipe-checks", "stagepipe-one", "stagepipe-stages")
"""stagepipe with more to do, or with fewer to do it."""
