"""Where time goes: each second counts for one kind of work, so that all kinds sum to the whole.

What is timed inside something else counts for the inner kind, and no longer for the outer one. A
worker's stopwatch always knows the few kinds by which `stagepipe show` tells of a task. Only in a
run with `--profile` the finer ones are counted too, those that `timed` names: they cost nothing
elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

OTHER = "other"
_NOTHING = ("", "")
"""A kind of work, and the detail of it, that nothing is said of."""
_HERE = threading.local()
_NOT_COUNTED = nullcontext()


class Stopwatch:
    """Seconds by kind of work, from its making on, or from `began` (a time of the monotonic clock)
    on. `rest` is what the time counts for that nothing is said of."""

    def __init__(self, began: float | None = None, rest: str = OTHER) -> None:
        self._since = time.monotonic() if began is None else began
        self._rest = rest
        self._kind = _NOTHING
        self._spent: dict[tuple[str, str], float] = {}

    def time(self, kind: str) -> AbstractContextManager[None]:
        """Count the time inside for a kind of work."""
        return _Stretch(self, (kind, kind))

    def time_detail(self, kind: str) -> AbstractContextManager[None]:
        """Count the time inside for a kind that is part of the one it stands in."""
        return _Stretch(self, (self._kind[0], kind))

    def rest_is(self, kind: str) -> None:
        """What nothing is said of counts for this kind from now on."""
        self.turn(self._kind)
        rest = (_NOTHING[0], self._rest)
        self._spent[rest] = self._spent.get(rest, 0.0) + self._spent.pop(_NOTHING, 0.0)
        self._rest = kind

    @property
    def seconds(self) -> dict[str, float]:
        """What was spent up to now, but for the rest; what was timed as a detail counts for the
        kind that it is part of."""
        self.turn(self._kind)
        found: dict[str, float] = {}
        for (kind, _), seconds in self._spent.items():
            if kind != _NOTHING[0]:
                found[kind] = found.get(kind, 0.0) + seconds
        return found

    def details(self) -> dict[str, float]:
        """All that was spent up to now, each second for the innermost kind. It is forgotten then:
        the next call tells what came after this one."""
        self.turn(self._kind)
        found: dict[str, float] = {}
        for (_, detail), seconds in self._spent.items():
            name = detail or self._rest
            found[name] = found.get(name, 0.0) + seconds
        self._spent = {}
        return found

    def turn(self, kind: tuple[str, str]) -> tuple[str, str]:
        """Count for another kind, and the detail of it, from now on; those up to now."""
        before, now = self._kind, time.monotonic()
        self._spent[before] = self._spent.get(before, 0.0) + now - self._since
        self._kind, self._since = kind, now
        return before


class _Stretch:
    """A stretch of time that counts for one kind."""

    __slots__ = ("_before", "_kind", "_watch")

    def __init__(self, watch: Stopwatch, kind: tuple[str, str]) -> None:
        self._watch, self._kind = watch, kind

    def __enter__(self) -> None:
        self._before = self._watch.turn(self._kind)

    def __exit__(self, *error: object) -> None:
        self._watch.turn(self._before)


def timed(kind: str) -> AbstractContextManager[None]:
    """Count the time inside a `with` block for a kind of work, where a run has `--profile`.

    Args:
        kind: one word, or a few, as `"lookup"`; a column of the profile and a line of its table
            bear it. Time that is counted so no longer counts for what it stands in: the step, the
            reader, the sink. The words of stagepipe's own kinds may be used for the same work.

    It counts for the task that this thread is at; in threads that a plugin starts itself, and in a
    run without `--profile`, nothing is counted.
    """
    watch: Stopwatch | None = getattr(_HERE, "watch", None)
    return _NOT_COUNTED if watch is None else watch.time_detail(kind)


@contextmanager
def in_detail(watch: Stopwatch | None) -> Iterator[None]:
    """Have `timed` count by this stopwatch in this thread; by none where there is none."""
    before = getattr(_HERE, "watch", None)
    _HERE.watch = watch
    try:
        yield
    finally:
        _HERE.watch = before
