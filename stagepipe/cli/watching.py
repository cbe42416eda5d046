"""How a run is watched from the command line: on a terminal, by plain lines, by the log."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable

from stagepipe.cli.results import STDERR
from stagepipe.cli.session import Session
from stagepipe.cli.wording import shown
from stagepipe.events import Fields, Screen

log = logging.getLogger("stagepipe")


def screen(session: Session) -> Screen:
    """Where the progress of this call's run goes."""
    if session.quiet:
        return Screen()
    if is_display_wanted(session):
        return Screen(is_terminal=True)
    return Screen(tell=_teller(session))


def say_lines(session: Session, *lines: str) -> None:
    """Tell what was done before a run began, on stderr; nothing when only errors are wanted."""
    if not session.quiet:
        for line in lines:
            _teller(session)(line, {})


def _teller(session: Session) -> Callable[[str, Fields], None]:
    return _log if session.is_log_json else _print


def is_display_wanted(session: Session) -> bool:
    """Whether stderr is a terminal that can redraw, and a person looks at it."""
    return not session.is_log_json and os.environ.get("TERM") != "dumb" and os.isatty(STDERR)


def _print(text: str, _fields: Fields) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads: no reason to fail
        sys.stderr.write(shown(text) + "\n")
        sys.stderr.flush()


def _log(text: str, fields: Fields) -> None:
    log.info("%s", text, extra=dict(fields))
