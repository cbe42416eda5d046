"""Progress on a terminal: the stage, its pace, what slows it down, and its sources in a table.

The display is drawn from events alone, at most five times a second: the scheduler sends one at
least every half second, and so no thread is needed that could draw while a worker pool is forked
or a signal is on its way.

It stands still: places and widths once given stay as they are while a stage lasts. No line is
broken, and none is told by its colour alone; green, red and the terminal's own are all it uses,
which can be seen on light and on dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from stagepipe import events
from stagepipe.amounts import roughly, short, size, ticking
from stagepipe.builtin.heartbeat import committed, slowest
from stagepipe.builtin.pace import Pace
from stagepipe.builtin.sources_table import (
    Roster,
    Widths,
    cut,
    hidden_in_words,
    source_cells,
)
from stagepipe.model import shown

FRAME_SECONDS = 1 / 5
PATIENCE_SECONDS = 1 / 2
MARGIN = "  "
HEAD = ("source", "tasks", "running", "for", "rejected", "")
RIGHT = (1, 2, 3, 4)
ASCII = str.maketrans("━─✓", "#-+")


class Progress:
    """A listener that draws on `console`, stderr's by default. `close` takes the display away,
    however a run ends."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._pace = Pace()
        self._drawn = float("-inf")
        self._live: Live | None = None
        self._forget()

    def _forget(self) -> None:
        self._widths, self._pieces, self._roster = Widths(), Widths(), Roster()
        self._has_slow = False

    def __call__(self, event: events.Event) -> None:
        """Hear an event."""
        self._pace.hear(event)
        match event:
            case events.RunStarted():
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            case events.StageStarted():
                self._forget()
                self._draw()
            case events.StageFlushing():
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
        name = (shown(event.stage), "bold")
        line = Text.assemble((self._drawable("✓ "), "green"), name, f": {committed(event)}")
        self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    def picture(self) -> RenderableType:
        """What is shown now. One line stays free for the cursor."""
        pace = self._pace
        lines = [self._stage_line(), self._pace_line(), self._state_line()]
        slow = slowest(pace)
        self._has_slow = self._has_slow or bool(slow)
        below = [_line(f"{MARGIN}slow: {slow}" if slow else "", "bold")] if self._has_slow else []
        room = self._console.height - 1 - len(lines) - len(below)
        lines += [*self._table(room), *below]
        return Group(*lines[: max(self._console.height - 1, 1)])

    def _stage_line(self) -> Text:
        pace = self._pace
        head = f"stage {pace.number} of {len(pace.stages)} "
        total = pace.tasks.total()
        tail = f" {pace.share:4.0%}  {pace.done.total():{len(str(total))}}/{total} tasks"
        room = self._console.width - len(head) - len(tail)
        name = Text(shown(pace.stage), "bold", no_wrap=True)
        if pace.doing:
            name.append(f" {pace.doing}", "dim")
        name.truncate(max(room // 2, 4), overflow="ellipsis")
        width = max(room - name.cell_len - 1, 0)
        full = int(width * pace.share)
        bar = self._drawable("━" * full), "green"
        rest = self._drawable("─" * (width - full))
        line = Text.assemble(head, name, " ", bar, rest, tail)
        line.no_wrap, line.overflow = True, "ellipsis"
        return line

    def _pace_line(self) -> Text:
        pace = self._pace
        rows, speed = pace.per_second(pace.rows), pace.per_second(pace.bytes_done)
        left = pace.seconds_left
        return self._in_places(
            [
                ticking(pace.seconds),
                f"about {roughly(left)} left" if left else "",
                f"{short(pace.rows)} rows",
                f"{short(rows)} rows/s" if rows else "",
                f"{size(speed)}/s" if speed else "",
            ],
            "pace",
        )

    def _state_line(self) -> Text:
        pace = self._pace
        rejected = pace.rejected.total()
        busy = f"{len(pace.in_flight)} of {pace.jobs} workers busy"
        pieces = [
            "all tasks done: checks, then the flush" if pace.is_ending else busy,
            f"{rejected:,} rejected" if rejected else "",
            f"{pace.dead:,} dead" if pace.dead else "",
            f"{pace.failed:,} failed" if pace.failed else "",
            f"{pace.failed_attempts:,} tried again" if pace.failed_attempts else "",
            f"{pace.taken:,} taken from before" if pace.taken else "",
        ]
        return self._in_places(pieces, "state", "red" if pace.failed or pace.dead else "")

    def _in_places(self, pieces: Sequence[str], name: str, style: str = "") -> Text:
        """Pieces on one line, each at the place where it was before, as many as fit."""
        line = MARGIN
        for index, piece in enumerate(pieces):
            width = self._pieces.grow(f"{name} {index}", piece)
            if len(line) + len(piece) > self._console.width:
                break
            line += piece.ljust(width + len(MARGIN) if width else 0)
        return _line(line.rstrip(), style)

    def _table(self, room: int) -> Iterator[Text]:
        """The sources, in as many lines as there is room for."""
        pace = self._pace
        has_head = room > 3
        room -= has_head
        names = list(pace.tasks)
        if len(names) > room:
            room -= 1
        if room < 1:
            return
        here = self._roster.choose(pace, room)
        running, oldest = pace.running(), pace.oldest()
        rows = [source_cells(pace, name, running[name], oldest.get(name)) for name in here]
        widest = max(self._console.width // 4, 8)
        cells = [HEAD, *((cut(name, widest), *more) for name, *more in rows)]
        head, *lines = self._widths.table(cells, RIGHT)
        if has_head:
            yield _line(MARGIN + head, "dim")
        yield from (_line(MARGIN + line) for line in lines)
        if hidden := set(names) - set(here):
            yield _line(MARGIN + hidden_in_words(pace, hidden))

    def _drawable(self, text: str) -> str:
        return text.translate(ASCII) if self._console.options.ascii_only else text


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")
