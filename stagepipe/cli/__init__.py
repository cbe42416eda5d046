"""The command line: one file per command, and one place that turns errors into exit codes.

What is imported here is imported at each press of TAB, so: click and little else.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

__all__ = ["main"]

IO_THREADS = "stagepipe-io"
"""How the names of the threads begin in which steps wait; see `stagepipe.run.pools`."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit with its code."""
    # Imports make many objects and no garbage: looking for some would take a fifth of their time.
    gc.set_threshold(50_000)
    # Until the program listens to signals itself, Ctrl-C ends it without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from stagepipe.cli.endings import conclude

    with _no_silent_end():
        code = conclude(list(sys.argv[1:] if args is None else args))
    gc.freeze()  # nor is there any to be looked for at the end
    others = threading.enumerate()[1:]
    if any(not each.daemon or each.name.startswith(IO_THREADS) for each in others):
        # A step that waits for a network does not hear of an interruption: nobody waits for it, and
        # nothing is taken down while it may go on.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextlib.contextmanager
def _no_silent_end() -> Iterator[None]:
    """Have `os._exit` raise SystemExit, as `sys.exit` does: a plugin that calls it in this process
    would end a run without a word, and perhaps as a success."""
    leave, own = os._exit, os.getpid()

    def raising(status: int) -> NoReturn:
        if os.getpid() != own:  # a child that was forked
            leave(status)
        raise SystemExit(status)

    os._exit = raising
    try:
        yield
    finally:
        os._exit = leave
