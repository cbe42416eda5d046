"""Holding signals back while what happened is being written down.

A signal becomes an exception in the main thread, between any two of its instructions. A note that
belongs to a deed that is done must not be lost to it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_held_back(*, is_last: bool = False) -> Iterator[None]:
    """Have the handlers of signals called when the block ends, not inside of it; where it is the
    last, and nothing is left to be interrupted, not at all. Only for a short block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread
        return
    came: list[int] = []
    before = {}
    try:
        for signum in SIGNALS:
            handler = signal.getsignal(signum)
            if callable(handler):
                before[signum] = handler
                signal.signal(signum, lambda number, _frame: came.append(number))
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if came and not is_last:
        before[signal.Signals(came[0])](came[0], None)
