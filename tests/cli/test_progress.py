"""The pace of a stage, the heartbeat off a terminal, and the display on one. No clock runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from stagepipe import events
from stagepipe.amounts import duration, roughly, short, size, ticking
from stagepipe.builtin.heartbeat import Heartbeat
from stagepipe.builtin.pace import Pace
from stagepipe.builtin.progress import Progress
from stagepipe.model import EVERYTHING, Receipt, Rows


def receipt(rows: int, rejected: int = 0) -> Receipt:
    counts = Rows(read=rows, written=rows - rejected, rejected=rejected)
    return Receipt("key", "parse", 0, "a", (), (), {}, counts)


def started(now: float, source: str, chunk: int, files: int = 1) -> events.Event:
    return events.TaskStarted(now, "parse", chunk, source, 10_000_000, files)


def finished(now: float, source: str, chunk: int, rejected: int = 0) -> events.Event:
    done = receipt(600_000, rejected)
    return events.TaskFinished(now, "parse", chunk, source, 10_000_000, done)


def picture(progress: Progress, width: int = 80, height: int = 24) -> list[str]:
    """The lines that the display shows now."""
    plain = Console(file=io.StringIO(), width=width, height=height)
    with plain.capture() as capture:
        plain.print(progress.picture())
    return capture.get().splitlines()


def display(width: int = 80, height: int = 24) -> Progress:
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=True,
        width=width,
        height=height,
        no_color=True,
        legacy_windows=False,
    )
    return Progress(console)


def story() -> list[events.Event]:
    """Two sources, four tasks of 10 MB; two are done after ten seconds."""
    run = events.RunStarted(
        now=100.0, run="r", pipeline="p", stages=("parse", "table"), jobs=2, files=4, input_bytes=4
    )
    stage = events.StageStarted(
        now=100.0, stage="parse", tasks={"a": 3, "b": 1}, taken=2, bytes_to_read=40_000_000
    )

    return [
        run,
        stage,
        started(100.0, "a", 0),
        started(100.0, "b", 3),
        finished(104.0, "a", 0, 3),
        finished(110.0, "b", 3),
        started(110.0, "a", 1),
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
    progress = display(width, height)
    for event in story():
        progress(event)
    lines = picture(progress, width, height)
    progress.close()
    assert "stage 1 of 2" in lines[0]
    assert max(map(len, lines)) <= width
    assert len(lines) < height
    if width >= 80:
        assert "50%  2/4 tasks" in lines[0]
        assert "about 10 s left  1.2 M rows" in lines[1]
        assert "1 of 2 workers busy  3 rejected" in lines[2]
        assert lines[4].split() == ["a", "1/3", "1", "3", "waits:", "max_concurrent"]
        assert lines[5].split() == ["b", "1/1", "done"]


def test_display_counts_sources_that_do_not_fit() -> None:
    """Sources beyond the height are counted, and a finished stage leaves its line."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=10, no_color=True)
    progress = Progress(console)
    sources = {f"s{number:02}": 2 for number in range(30)}
    stages = ("parse",)
    progress(events.RunStarted(0.0, "r", "p", stages, 2, 30, 1))
    progress(events.StageStarted(0.0, "parse", sources, 0, 0))
    for chunk, name in enumerate(sources):
        progress(events.TaskStarted(0.1, "parse", chunk, name, 1))
    progress(events.Waiting(1.0, "parse", 30))
    progress(events.StageCommitted(2.0, "parse", Rows(written=5), (), 2.0))
    progress(events.RunFinished(2.0, "r", "succeeded", Rows(), 2.0))
    assert "and 26 more sources" in out.getvalue()
    assert ": done in 2.0 s, 5 rows written" in out.getvalue()


def test_what_is_slow_is_named() -> None:
    """A task that takes much longer than the others is told, on a terminal and off one."""
    told: list[str] = []
    progress, heartbeat = display(), Heartbeat(lambda text, _: told.append(text))
    tale = story()[:2]
    for chunk in range(3):
        tale += [started(100.0 + chunk, "a", chunk), finished(101.0 + chunk, "a", chunk)]
    tale += [started(103.0, "b", 12), events.Waiting(148.0, "parse", 1)]
    for event in tale[:-1]:
        progress(event)
    before = picture(progress)
    for event in tale[-1:]:
        progress(event)
    for event in tale:
        heartbeat(event)
    assert picture(progress)[-1].strip() == "slow: chunk 12 of b: 45 s, others 1.0 s"
    assert told[-1].endswith("chunk 12 of b: 45 s, others 1.0 s")
    assert not any("slow" in line for line in before)
    progress(finished(150.0, "b", 12))
    assert len(picture(progress)) == len(before) + 1, "the line stays, so that nothing jumps"


def test_nothing_is_slow_before_others_are_known() -> None:
    """Of the first tasks nobody knows what is usual; and short is never slow."""
    pace = Pace()
    for event in [*story()[:2], started(100.0, "a", 0), events.Waiting(900.0, "parse", 1)]:
        pace.hear(event)
    assert pace.slow() == []


def test_lines_keep_their_places() -> None:
    """Of many sources, one that begins to run takes a line that no other needs; none else moves."""
    progress = display(height=12)
    sources = {f"s{number:02}": 1 for number in range(60)}
    progress(events.RunStarted(0.0, "r", "p", ("parse",), 2, 60, 1))
    progress(events.StageStarted(0.0, "parse", sources, 0, 0))
    progress(started(0.1, "s00", 0))
    progress(started(0.1, "s01", 1))
    first = picture(progress, height=12)
    assert first[-1].strip() == "and 54 more sources"
    progress(finished(1.0, "s00", 0))
    progress(started(1.0, "s30", 30))
    then = picture(progress, height=12)
    assert then[4].split() == ["s30", "0/1", "1"], "in the place of the one that is done"
    assert [line.split()[0] for line in then[5:]] == [line.split()[0] for line in first[5:]]
    assert then[-1].strip() == "and 54 more sources: 1 done"


def test_a_name_does_not_move_the_cursor() -> None:
    """What a path or a pipeline file brings stands escaped, and long names are cut."""
    name = "\x1b[2Jacme\n" + "é" * 50
    progress = display()
    progress(events.RunStarted(0.0, "r", "p", ("st\age",), 2, 1, 1))
    progress(events.StageStarted(0.0, "st\age", {name: 1, EVERYTHING: 1}, 0, 0))
    progress(started(0.1, name, 0, files=3000))
    progress(events.Waiting(2.0, "st\age", 1, {EVERYTHING: "limit \x1b[1m"}))
    lines = picture(progress)
    assert "st\\x07ge" in lines[0]
    assert lines[4].startswith("  \\x1b[2Jac…éé")
    assert lines[4].endswith("…éééééééééé    0/1        1  1 s            chunk of 3,000 files")
    assert lines[5].split(maxsplit=3)[:2] == ["all", "sources"]
    assert lines[5].endswith("waits: limit \\x1b[1m")
    assert max(map(len, lines)) <= 80


def test_the_flush_is_told() -> None:
    """When every task is done the display says what goes on."""
    progress = display()
    for event in [*story(), events.StageFlushing(120.0, "parse")]:
        progress(event)
    assert "all tasks done: checks, then the flush" in picture(progress)[2]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (duration(0), "0.0 s"),
        (duration(0.04), "40 ms"),
        (duration(3.21), "3.2 s"),
        (duration(75), "1 min 15 s"),
        (duration(3900), "1 h 05 min"),
        (ticking(4.9), "4 s"),
        (ticking(75.9), "1 min 15 s"),
        (roughly(0.2), "1 s"),
        (roughly(43), "45 s"),
        (roughly(59), "1 min"),
        (roughly(400), "6 min 30 s"),
        (roughly(1300), "22 min"),
        (roughly(7900), "2 h 10 min"),
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
