"""Progress on a terminal: the stage, a bar, the pace, and below them the sources in flight.

The display is drawn from events alone, at most eight times a second: the scheduler sends one at
least every half second, and so no thread is needed that could draw while a worker pool is forked
or a signal is on its way.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stagepipe import events
from stagepipe.amounts import duration, short, size
from stagepipe.builtin.heartbeat import Pace, committed
from stagepipe.model import printable

FRAME_SECONDS = 1 / 8
PATIENCE_SECONDS = 1 / 2
LINES_AROUND = 4
"""The lines of the display that are no source, and one that stays free for the cursor."""


class Progress:
    """A listener that draws on `console`, stderr's by default. `close` takes the display away,
    however a run ends."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._pace = Pace()
        self._begin = 0.0
        self._drawn = float("-inf")
        self._live: Live | None = None

    def __call__(self, event: events.Event) -> None:
        """Hear an event."""
        self._pace.hear(event)
        match event:
            case events.RunStarted():
                self._begin = event.now
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            case events.StageStarted():
                self._draw()
            case events.StageCommitted():
                self._print_done(event)
            case events.RunFinished():
                self.close()
            case events.TaskFinished():
                # The next task starts in the same moment; drawn now, its worker would look idle.
                self._draw_after(PATIENCE_SECONDS)
            case _:
                self._draw_after(FRAME_SECONDS)

    def close(self) -> None:
        """Take the display away; the lines of finished stages stay."""
        if self._live is not None:
            self._live.update(Text(""))
            self._live.stop()
            self._live = None

    def _draw_after(self, seconds: float) -> None:
        if self._pace.now - self._drawn >= seconds:
            self._draw()

    def _draw(self) -> None:
        if self._live is not None:
            self._drawn = self._pace.now
            self._live.update(self.picture(), refresh=True)

    def _print_done(self, event: events.StageCommitted) -> None:
        line = Text.assemble(("✓ ", "green"), (event.stage, "bold"), f": {committed(event)}")
        self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    def picture(self) -> RenderableType:
        """What is shown now."""
        return Group(self._stage_line(), self._pace_line(), *self._sources())

    def _stage_line(self) -> RenderableType:
        pace = self._pace
        head = Text.assemble(f"stage {pace.number} of {len(pace.stages)} ", (pace.stage, "bold"))
        tail = Text(f"{pace.share:4.0%}  {pace.done.total()}/{pace.tasks.total()} tasks")
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(no_wrap=True, max_width=max(self._console.width // 2, 10))
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        line.add_row(head, ProgressBar(total=1.0, completed=pace.share), tail)
        return line

    def _pace_line(self) -> Text:
        pace = self._pace
        rows, speed = pace.per_second(pace.rows), pace.per_second(pace.bytes_done)
        left, rejected = pace.seconds_left, pace.rejected.total()
        pieces = [
            f"{duration(pace.now - self._begin)}",
            f"about {duration(left)} left" if left is not None else "",
            f"{rejected:,} rejected" if rejected else "",
            f"{pace.failed} failed" if pace.failed else "",
            f"{short(pace.rows)} rows",
            f"{short(rows)} rows/s" if rows else "",
            f"{size(speed)}/s" if speed else "",
        ]
        return _line(" · ".join(piece for piece in pieces if piece))

    def _sources(self) -> Iterator[RenderableType]:
        """The sources in flight, then those that a limit of theirs holds back; others counted."""
        pace = self._pace
        left = [name for name in pace.tasks if pace.done[name] < pace.tasks[name]]
        active = [n for n in left if pace.running[n] or _for_what(pace.waiting.get(n))]
        active.sort(key=lambda name: not pace.running[name])
        room = max(self._console.height - LINES_AROUND, 1)
        shown = active[:room]
        if shown:
            grid = Table.grid(padding=(0, 2))
            for name in shown:
                grid.add_row(*self._source_cells(name))
            yield grid
        if more := len(left) - len(shown):
            yield _line(f"  and {more} more source{'s' * (more != 1)}")

    def _source_cells(self, name: str) -> Iterator[Text]:
        pace, rejected = self._pace, self._pace.rejected[name]
        yield _line(f"  {printable(name)}")
        yield _line(f"{pace.done[name]}/{pace.tasks[name]} tasks")
        yield _line(f"{pace.running[name]} running" if pace.running[name] else "")
        yield _line(_for_what(pace.waiting.get(name)))
        yield _line(f"{rejected:,} rejected" if rejected else "")


def _for_what(cap: str | None) -> str:
    """What a source waits for, in words. A free worker is what everybody waits for."""
    if cap is None or cap == "jobs":
        return ""
    if cap.startswith("source "):
        return "waits: its max_concurrent"
    return f"waits: {'the max_concurrent of the stage' if cap == 'stage' else cap}"


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
