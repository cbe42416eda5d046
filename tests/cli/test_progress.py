"""The pace of a stage, the heartbeat off a terminal, and the display on one. No clock runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from stagepipe import events
from stagepipe.amounts import duration, short, size
from stagepipe.builtin.heartbeat import Heartbeat
from stagepipe.builtin.progress import Progress
from stagepipe.model import Receipt, Rows


def receipt(rows: int, rejected: int = 0) -> Receipt:
    counts = Rows(read=rows, written=rows - rejected, rejected=rejected)
    return Receipt("key", "parse", 0, "a", (), (), {}, counts)


def story() -> list[events.Event]:
    """Two sources, four tasks of 10 MB; two are done after ten seconds."""
    run = events.RunStarted(
        now=100.0, run="r", pipeline="p", stages=("parse", "table"), jobs=2, files=4, input_bytes=4
    )
    stage = events.StageStarted(
        now=100.0, stage="parse", tasks={"a": 3, "b": 1}, taken=2, bytes_to_read=40_000_000
    )

    def started(now: float, source: str) -> events.Event:
        return events.TaskStarted(now=now, stage="parse", chunk=0, source=source, size=10_000_000)

    def finished(now: float, source: str, rejected: int) -> events.Event:
        done = receipt(600_000, rejected)
        return events.TaskFinished(
            now=now, stage="parse", chunk=0, source=source, size=10_000_000, receipt=done
        )

    return [
        run,
        stage,
        started(100.0, "a"),
        started(100.0, "b"),
        finished(104.0, "a", 3),
        finished(110.0, "b", 0),
        started(110.0, "a"),
        events.Waiting(now=110.5, stage="parse", running=1, reasons={"a": "source a"}),
    ]


def test_heartbeat_tells_a_line_every_few_seconds() -> None:
    """One line at the beginning, one after five seconds, one at the commit; fields beside each."""
    told = []
    heartbeat = Heartbeat(lambda text, fields: told.append((text, fields)))
    for event in story():
        heartbeat(event)
    heartbeat(
        events.StageCommitted(
            now=112.0, stage="parse", rows=Rows(written=7, rejected=3), outputs=(), seconds=12.0
        )
    )
    assert [text for text, _ in told] == [
        "parse: begins, 4 tasks to make, 40.0 MB to read, 2 tasks taken from before",
        "parse: 2/4 tasks, 1.2 M rows, 2.0 MB/s, 3 rejected, about 10 s left",
        "parse: done in 12 s, 7 rows written, 3 rejected",
    ]
    assert told[1][1]["tasks_done"] == 2
    assert told[1][1]["seconds_left"] == 10.0


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (40, 6)])
def test_display_fits_its_terminal(width: int, height: int) -> None:
    """The display shows stage, pace and sources, and no line is longer than the terminal."""
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=True,
        width=width,
        height=height,
        no_color=True,
        legacy_windows=False,
    )
    progress = Progress(console)
    for event in story():
        progress(event)
    plain = Console(file=io.StringIO(), width=width, height=height)
    with plain.capture() as capture:
        plain.print(progress.picture())
    progress.close()
    lines = capture.get().splitlines()
    assert "stage 1 of 2" in lines[0]
    assert max(map(len, lines)) <= width
    assert len(lines) < height
    if width >= 80:
        assert "50%  2/4 tasks" in lines[0]
        assert "3 rejected" in lines[1]
        assert "waits: its max_concurrent" in lines[2]


def test_display_counts_sources_that_do_not_fit() -> None:
    """Sources beyond the height are counted, and a finished stage leaves its line."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=10, no_color=True)
    progress = Progress(console)
    sources = {f"s{number:02}": 2 for number in range(30)}
    stages = ("parse",)
    progress(events.RunStarted(0.0, "r", "p", stages, 2, 30, 1))
    progress(events.StageStarted(0.0, "parse", sources, 0, 0))
    for name in sources:
        progress(events.TaskStarted(0.1, "parse", 0, name, 1))
    progress(events.Waiting(1.0, "parse", 30))
    progress(events.StageCommitted(2.0, "parse", Rows(written=5), (), 2.0))
    progress(events.RunFinished(2.0, "r", "succeeded", Rows(), 2.0))
    assert "and 24 more sources" in out.getvalue()
    assert ": done in 2.0 s, 5 rows written" in out.getvalue()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (duration(0), "0.0 s"),
        (duration(0.04), "40 ms"),
        (duration(3.21), "3.2 s"),
        (duration(75), "1 min 15 s"),
        (duration(3900), "1 h 05 min"),
        (size(1), "1 byte"),
        (size(12_345), "12.3 kB"),
        (size(3.2e11), "320 GB"),
        (short(999), "999"),
        (short(1_234_567), "1.2 M"),
    ],
)
def test_numbers_as_people_read_them(said: str, meant: str) -> None:
    """Times, sizes and counts in few characters."""
    assert said == meant
