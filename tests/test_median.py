"""The median of numbers that come one after the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stagepipe.median import Median


@given(st.lists(st.floats(0, 1e9)))
def test_it_is_the_middle_of_all_so_far(numbers: list[float]) -> None:
    """After each number; of two in the middle the higher one."""
    median = Median()
    assert (median.count, median.value) == (0, 0.0)
    for count, number in enumerate(numbers, 1):
        median.add(number)
        assert median.count == count
        assert median.value == sorted(numbers[:count])[count // 2]
