"""The median of numbers that come one after the other. Pure.

Two heaps that meet in the middle, as is commonly done: a number costs the logarithm of how many
there are, where keeping them sorted would cost all of them.
"""

from __future__ import annotations

from heapq import heappop, heappush, heappushpop


class Median:
    """Of an even count, the higher one of the two in the middle. 0 of none."""

    def __init__(self) -> None:
        self._low: list[float] = []  # negative: its smallest is the highest of the lower half
        self._high: list[float] = []

    def add(self, number: float) -> None:
        """One more number."""
        heappush(self._high, -heappushpop(self._low, -number))
        if len(self._high) > len(self._low) + 1:
            heappush(self._low, -heappop(self._high))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._low) + len(self._high)

    @property
    def value(self) -> float:
        """The median so far."""
        return self._high[0] if self._high else 0.0
