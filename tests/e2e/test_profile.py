"""`run --profile`: where the time of a run went, whatever is in it."""

from __future__ import annotations

import csv
from typing import Any

import pytest

import stagepipe
from stagepipe import events

STEPS = """\
import os
from pathlib import Path

import polars as pl
from stagepipe import step, timed

HERE = Path(__file__).parent


@step
def asks(frame: pl.DataFrame) -> pl.DataFrame:
    with timed("ask"):
        return frame.with_columns(pl.col("word").str.to_uppercase())


@step
def fails_once(frame: pl.DataFrame, *, at: int, by: str = "error") -> pl.DataFrame:
    mark = HERE / f"{at}.mark"
    if (frame["id"] == at).any() and not mark.exists():
        mark.touch()
        if by == "death":
            os._exit(3)
        raise OSError("it may pass")
    return frame


@step
def fails(frame: pl.DataFrame) -> pl.DataFrame:
    raise ValueError("no luck") if len(frame) else frame


@step(io_bound=True)
def waits(frame: pl.DataFrame) -> pl.DataFrame:
    return frame
"""
KINDS_OF_PARENT = {"start", "plan", "fan_out", "barrier", "flush", "commit", "join"}
TIMES = {"wait_limit", "wait_delay", "wait_pause", "wait_worker", "wait_flush"}
FIRST = {
    *("stage", "doing", "source", "chunk", "attempt", "outcome", "worker", "began", "seconds"),
    *("cpu_seconds", "bytes", "rows"),
}


def rows_of(project: Any, result: stagepipe.RunResult) -> list[dict[str, Any]]:
    """The rows of a run's profile, which are right by themselves: in each of them the kinds of
    work sum to its time."""
    assert result.profile is not None
    with (project.root / result.profile.path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        kinds = {name for name in row if name not in FIRST | TIMES and row[name]}
        assert sum(float(row[name]) for name in kinds) == pytest.approx(
            float(row["seconds"]), abs=1e-4
        )
        assert all(float(row[name]) >= 0 for name in row.keys() & TIMES if row[name])
        if row["chunk"]:
            assert not kinds & KINDS_OF_PARENT
    time = result.profile.time
    tasks = [row for row in rows if row["chunk"]]
    assert sum(float(row["seconds"]) for row in tasks) == pytest.approx(
        sum(time.work.values()), abs=1e-3
    )
    of_parent = sum(float(row["seconds"]) for row in rows if not row["chunk"])
    assert of_parent == pytest.approx(time.seconds, abs=1e-3)
    return rows


def outcomes(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str, str]]:
    names = ("stage", "doing", "chunk", "attempt", "outcome")
    return sorted(tuple(row[name] for name in names) for row in rows if row["chunk"])


PIPELINE = """\
[pipeline]
name = "letters"
plugins = ["own.py"]
chunk_size = "100B"

[[source]]
name = "acme"
files = "landing/*.csv"

[schema.columns]
id = { type = "int64", required = true, unique = true }
word = "string"

[[stage]]
name = "parse"
steps = ["asks", { use = "fails_once", at = 12 }]

[[stage]]
name = "again"
steps = [{ use = "fails_once", at = 25, by = "death" }]

[[stage]]
name = "sums"
steps = [{ use = "aggregate", by = ["word"], sum = ["id"] }]
sink = { use = "csv", path = "sums.csv", on_existing = "replace" }

[errors]
backoff = "1ms"
"""


def test_each_attempt_is_a_row(project: Any) -> None:
    """Of all stages, with an inner barrier, a task over all rows, one that was tried twice and one
    whose worker died. What is taken has none, and the table is that of a run without a profile."""
    project.write("own.py", STEPS)
    project.write("pipeline.toml", PIPELINE)
    for number in (1, 2):
        project.letters(f"{number}.csv", range(number * 10, number * 10 + 8))
    result = project.run(profile=True)
    assert result.error is None
    rows = rows_of(project, result)
    assert outcomes(rows) == [
        ("again", "", "0", "1", "made"),
        ("again", "", "1", "1", "failed"),
        ("again", "", "1", "2", "made"),
        ("parse", "", "0", "1", "made"),
        ("parse", "", "1", "1", "made"),
        ("parse", "goes on without them", "0", "1", "failed"),
        ("parse", "goes on without them", "0", "2", "made"),
        ("parse", "goes on without them", "1", "1", "made"),
        ("parse", "looks for duplicates", "2", "1", "made"),
        ("sums", "", "0", "1", "made"),
    ]
    by_name = {(row["stage"], row["doing"], row["chunk"], row["attempt"]): row for row in rows}
    reads = by_name["parse", "", "0", "1"]
    assert {name for name in ("read", "hash", "count", "parse", "check", "write") if reads[name]}
    assert (reads["rows"], reads["bytes"]) == ("8", "88")
    asks = by_name["parse", "goes on without them", "1", "1"]
    assert asks["ask"]
    assert asks["step asks"]
    retried = by_name["parse", "goes on without them", "0", "2"]
    assert float(retried["wait_pause"]) > 0
    assert float(retried["wait_flush"]) > 0
    died = by_name["again", "", "1", "1"]
    assert (died["worker"], died["cpu_seconds"], died["rows"]) == ("", "", "")
    assert float(died["lost"]) == float(died["seconds"]) > 0
    parent = [row for row in rows if not row["chunk"]]
    assert [row["stage"] for row in parent] == ["parse", "again", "sums", ""]
    assert parent[0]["plan"]
    assert parent[0]["start"]
    assert parent[2]["commit"]

    again = project.run(profile=True)
    assert outcomes(rows_of(project, again)) == []
    assert again.to_plain()["profile"]["verdict"] == "no task was to be made"
    before = project.tree()
    plainly = project.run(fresh=True)
    assert (plainly.profile, plainly.to_plain()["profile"]) == (None, None)
    assert project.tree() == before
    assert not (project.root / ".stagepipe/runs" / plainly.run).exists()


def test_what_limits_is_told_and_all_of_the_workers_time_is_counted(project: Any) -> None:
    """Threads that wait, in a stage of a source with a cap: idle threads wait for it. Together
    with what they do that is all of their time."""
    project.write("own.py", STEPS)
    project.declare(
        settings='plugins = ["own.py"]\nchunk_size = "100B"',
        source="max_concurrent = 1",
        first='"waits"',
        stages='sink = { use = "parquet", path = "letters" }\nmax_concurrent = 4',
    )
    for number in range(6):
        project.letters(f"{number}.csv", range(number * 10, number * 10 + 8))
    result = project.run(profile=True)
    rows = [row for row in rows_of(project, result) if row["chunk"]]
    assert len(rows) == 6
    assert float(rows[-1]["wait_limit"]) > 0
    assert result.profile is not None
    time = result.profile.time
    assert time.workers == 4
    waited = {wait.what for wait in time.waits}
    assert {"source acme: max_concurrent = 1", "the last tasks of stage parse"} <= waited
    threads, parent = 4, 1
    fan_out = sum(float(row["fan_out"] or 0) for row in rows_of(project, result))
    least = parent * (time.seconds - fan_out) + threads * fan_out * 0.5
    assert least < time.total <= threads * time.seconds


def test_a_run_that_is_stopped_has_a_profile(project: Any) -> None:
    """What was in flight is stopped; an attempt that failed for good is one row like others."""
    project.write("own.py", STEPS)
    project.declare(
        settings='plugins = ["own.py"]\nchunk_size = "100B"',
        first='"fails"',
    )
    project.letters("0.csv", range(8))
    result = project.run(profile=True)
    assert result.status == "failed"
    assert outcomes(rows_of(project, result)) == [("parse", "", "0", "1", "failed")]

    class Stop:
        def __call__(self, event: events.Event) -> None:
            if isinstance(event, events.TaskStarted):
                raise KeyboardInterrupt

    runs = project.root / ".stagepipe/runs"
    before = set(runs.iterdir())
    with pytest.raises(KeyboardInterrupt):
        project.run(profile=True, listeners=[Stop()])
    (folder,) = set(runs.iterdir()) - before
    with (folder / "profile.csv").open(encoding="utf-8") as file:
        assert [row["outcome"] for row in csv.DictReader(file)] == ["stopped", "", ""]
