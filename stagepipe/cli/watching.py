"""Who listens to a run: a display on a terminal, plain lines elsewhere, the log for machines."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence

from stagepipe.builtin.heartbeat import Fields, Heartbeat
from stagepipe.cli.logs import Whereabouts
from stagepipe.cli.results import STDERR
from stagepipe.cli.session import Session
from stagepipe.cli.wording import shown
from stagepipe.events import Event

log = logging.getLogger("stagepipe")
Listener = Callable[[Event], None]


@contextlib.contextmanager
def watching(session: Session) -> Iterator[Sequence[Listener]]:
    """The listeners of one run; what they opened is closed however it ends."""
    whereabouts = Whereabouts()
    whereabouts.attach()
    listeners: list[Listener] = [session.signals.insist, whereabouts]
    if session.quiet:
        yield listeners
        return
    if is_display_wanted(session):
        from rich.console import Console

        from stagepipe.builtin.progress import Progress

        watcher: Progress | Heartbeat = Progress(Console(stderr=True, highlight=False))
    else:
        watcher = Heartbeat(_log if session.is_log_json else _print)
    try:
        yield [*listeners, watcher]
    finally:
        watcher.close()


def is_display_wanted(session: Session) -> bool:
    """Whether stderr is a terminal that can redraw, and a person looks at it."""
    return not session.is_log_json and os.environ.get("TERM") != "dumb" and os.isatty(STDERR)


def _print(text: str, _fields: Fields) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads: no reason to fail
        sys.stderr.write(shown(text) + "\n")
        sys.stderr.flush()


def _log(text: str, fields: Fields) -> None:
    log.info("%s", text, extra=dict(fields))
