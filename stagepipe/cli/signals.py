"""SIGINT, SIGTERM and SIGHUP become an `Interrupted` in the main thread, once.

A signal's exception may surface where other code catches exceptions (a plugin's import, a log
line): `Signals.insist`, a listener, raises it again at the next event of the run. A second signal
ends the process at once. `timeout` and some shells send one signal twice, to the process and to
its group: what follows within a moment is the same one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from stagepipe.errors import Interrupted
from stagepipe.events import Event, RunFinished

ECHO_SECONDS = 0.3
"""Two signals closer together than this are one: a person's second Ctrl-C comes later."""


class Signals:
    """What became of the signals of this process."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self.first: int | None = None
        self.is_ending = False
        self._noted_at = 0.0
        self._clock = clock
        self._leave = leave

    def install(self) -> None:
        """Listen. A hang-up that the caller had ignored (nohup) stays ignored."""
        signal.signal(signal.SIGINT, self.handle)
        signal.signal(signal.SIGTERM, self.handle)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self.handle)

    def handle(self, signum: int, _frame: FrameType | None = None) -> None:
        """Take a signal. Raises Interrupted for the first one."""
        now = self._clock()
        if self.first is not None and now - self._noted_at < ECHO_SECONDS:
            return
        if self.first is not None or self.is_ending:
            self._leave(128 + signum)
            return
        self.first, self._noted_at = signum, now
        raise Interrupted(signum)

    def insist(self, event: Event) -> None:
        """Raise Interrupted again when the run goes on although a signal came."""
        if self.first is not None and not isinstance(event, RunFinished):
            raise Interrupted(self.first)
