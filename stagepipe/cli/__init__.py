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
from collections.abc import Sequence
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
