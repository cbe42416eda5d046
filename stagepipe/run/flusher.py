"""Bringing parts to the disk while others are still being made.

Parts lie in the page cache when a worker is done with them. What a commit shows has to be on the
disk, and waiting for that at the barrier would leave the cores idle; so one thread syncs each part
as its receipt comes in. At the barrier there is little left to wait for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from stagepipe.record.spool import fsync


class Flusher:
    """Syncs files, one after the other, beside the fan-out."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self._pending: deque[Future[None]] = deque()

    def add(self, *paths: str) -> None:
        """Have these files on the disk before `finish` returns."""
        self._pending += [self._thread.submit(_sync, Path(path)) for path in paths]
        while self._pending and _is_on_disk(self._pending[0]):
            self._pending.popleft()

    def finish(self) -> None:
        """Wait until all that was added is on the disk. Raises OSError if something cannot be."""
        while self._pending:
            self._pending.popleft().result()


def _is_on_disk(future: Future[None]) -> bool:
    return future.done() and future.exception() is None


def _sync(part: Path) -> None:
    """Have a part on the disk. One that the disk did not take is removed, to be made again: the
    system tells of the trouble once, and would say the next time that all of it is there."""
    try:
        fsync(part)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def flusher() -> Iterator[Flusher]:
    """A flusher; what is still waiting when its block ends is given up."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="stagepipe-flush")
    try:
        yield Flusher(thread)
    finally:
        thread.shutdown(wait=True, cancel_futures=True)
