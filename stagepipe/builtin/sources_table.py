"""Which sources the display shows, in which places, and what it says of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from stagepipe.amounts import ticking
from stagepipe.builtin.pace import Pace, Running, limit_in_words
from stagepipe.model import shown_source

GAP = "  "


class Roster:
    """The sources that have a line. All of them where there is room; else each keeps its line
    until one that has begun to run needs it."""

    def __init__(self) -> None:
        self._here: list[str] = []
        self._ran: dict[str, float] = {}

    def choose(self, pace: Pace, room: int) -> Sequence[str]:
        """The sources to show now, in their places; `room` at most."""
        names = list(pace.tasks)
        if len(names) <= room:
            return names
        here = self._here[:room]
        if len(here) < room:
            here += [name for name in names if name not in here][: room - len(here)]
        running = pace.running()
        self._ran.update((name, pace.now) for name in running)
        for name in running:
            free = [index for index, other in enumerate(here) if not running[other]]
            if name not in here and free:
                here[min(free, key=lambda index: self._worth(pace, here[index]))] = name
        self._here = here
        return here

    def _worth(self, pace: Pace, name: str) -> tuple[bool, float]:
        return pace.done[name] < pace.tasks[name], self._ran.get(name, 0.0)


class Widths:
    """Widths of columns that grow as they must and never shrink, so that nothing jumps."""

    def __init__(self) -> None:
        self._widths: dict[str, int] = {}

    def grow(self, name: str, text: str) -> int:
        """The width of a column, wide enough for this text too."""
        width = self._widths[name] = max(self._widths.get(name, 0), cell_len(text))
        return width

    def table(self, rows: Iterable[Sequence[str]], right: Sequence[int]) -> list[str]:
        """Lines of cells; the columns numbered in `right` are set to the right."""
        rows = list(rows)
        columns = enumerate(zip(*rows, strict=True))
        widths = [max(self.grow(str(index), cell) for cell in cells) for index, cells in columns]
        return [
            GAP.join(
                _padded(cell, width, is_right=index in right)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]


def _padded(text: str, width: int, *, is_right: bool) -> str:
    space = " " * (width - cell_len(text))
    return space + text if is_right else text + space


def cut(text: str, width: int) -> str:
    """Both ends of a text that is wider: names often differ in their last letters alone."""
    if cell_len(text) <= width:
        return text
    head = (width - 1) // 2
    tail = set_cell_size(text[::-1], width - 1 - head)[::-1]
    return set_cell_size(text, head) + "…" + tail


def source_cells(pace: Pace, name: str, running: int, oldest: Running | None) -> Sequence[str]:
    """A source, its tasks, how many of them run, the oldest since when, its rejects; and what it
    waits for or works on."""
    since = pace.now - oldest.begin if oldest else 0.0
    rejected = pace.rejected[name]
    return (
        shown_source(name),
        f"{pace.done[name]}/{pace.tasks[name]}",
        str(running) if running else "",
        ticking(since) if since >= 1 else "",
        f"{rejected:,}" if rejected else "",
        _note(pace, name, oldest),
    )


def _note(pace: Pace, name: str, oldest: Running | None) -> str:
    if pace.done[name] >= pace.tasks[name]:
        return "done"
    if oldest is not None and oldest.files > 1 and pace.now - oldest.begin >= 1:
        return f"chunk of {oldest.files:,} files"
    return _reason(pace, name, is_running=oldest is not None)


def _reason(pace: Pace, name: str, *, is_running: bool) -> str:
    """What a source waits for, in words. A free worker is what everybody waits for; and what has
    changed since the reasons were told is no reason any more."""
    reason = pace.waiting.get(name, "jobs")
    is_past = is_running if reason == "start_delay" else not is_running
    if reason == "jobs" or (is_past and reason in ("start_delay", f"source {name}")):
        return ""
    return f"waits: {limit_in_words(reason)}"


def hidden_in_words(pace: Pace, names: Iterable[str]) -> str:
    """`and 44 more sources: 3 done, 41 wait for start_delay`."""
    hidden = list(names)
    running, states = pace.running(), Counter[str]()
    for name in hidden:
        if pace.done[name] >= pace.tasks[name]:
            states["done"] += 1
        elif reason := _reason(pace, name, is_running=running[name] > 0):
            states[reason.replace("waits:", "wait for")] += 1
    known = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    what = f"and {len(hidden)} more source{'s' * (len(hidden) != 1)}"
    return f"{what}: {known}" if known else what
