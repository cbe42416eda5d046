"""The profile as a file."""

from __future__ import annotations

import csv
from pathlib import Path

from stagepipe.record.profile import Row, read_summary, write_profile, write_summary


def test_each_kind_of_work_is_a_column(tmp_path: Path) -> None:
    """The parent's first, then those of tasks, then those that plugins named; what was not done is
    empty."""
    rows = [
        Row(
            stage="parse", worker=7, began=1.5, seconds={"parse": 2.0, "other": 0.25, "ask": 0.5},
            cpu_seconds=2.5, source="a\udcff,b", chunk=0, attempt=1, outcome="made", bytes=10,
            rows=3, waits={"wait_limit": 1.5},
        ),
        Row(stage="parse", worker=1, began=0.0, seconds={"start": 1.0, "a b": 0.5}),
    ]  # fmt: skip
    path = tmp_path / "runs/r/profile.csv"
    write_profile(path, rows)
    with path.open(encoding="utf-8", newline="") as file:
        header, first, second = csv.reader(file)
    assert header == [
        "stage", "doing", "source", "chunk", "attempt", "outcome", "worker", "began", "seconds",
        "cpu_seconds", "bytes", "rows", "start", "parse", "a b", "ask", "other",
        "wait_limit", "wait_delay", "wait_pause", "wait_worker", "wait_flush",
    ]  # fmt: skip
    assert first == [
        "parse", "", "a\\xff,b", "0", "1", "made", "7", "1.500000", "2.750000",
        "2.500000", "10", "3", "", "2.000000", "", "0.500000", "0.250000",
        "1.500000", "", "", "", "",
    ]  # fmt: skip
    assert second == ["parse", "", "", "", "", "", "1", "0.000000", "1.500000", "", "", "",
        "1.000000", "", "0.500000", "", "", "", "", "", "", ""]  # fmt: skip


def test_a_summary_that_is_none_is_not_there(tmp_path: Path) -> None:
    """Missing, damaged, or of something else: `show` tells what it has."""
    path = tmp_path / "profile.csv"
    assert read_summary(path) is None
    for damaged in ("", "[]", '{"workers": 1'):
        path.with_suffix(".json").write_text(damaged)
        assert read_summary(path) is None
    summary = dict.fromkeys(
        ("workers", "worker_seconds", "cpu_seconds", "busy", "work", "waits", "verdict"), 1
    )
    write_summary(path, summary)
    assert read_summary(path) == summary
