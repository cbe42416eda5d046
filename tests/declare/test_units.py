"""Sizes, durations and budgets, as people write them."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagepipe.declare.units import (
    SIZE_UNITS,
    Budget,
    Timeout,
    format_size,
    parse_budget,
    parse_duration,
    parse_size,
    parse_timeout,
)
from stagepipe.errors import PipelineError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("32MB", 32_000_000),
        ("32MiB", 33_554_432),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("2 GB", 2_000_000_000),
        ("1.5GiB", 1_610_612_736),
        ("7B", 7),
        (12, 12),
    ],
)
def test_sizes(text, size):
    """A size is the bytes that its SI or IEC unit says."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["32XB", "32", "MB", "-1MB", "1K", "1mb", "", "٣MB", 1.5, True])
def test_no_sizes(text):
    """What is no size is refused with the units that there are."""
    with pytest.raises(ValueError, match="is not a size: write a number and B, kB, MB"):
        parse_size(text)


def test_message_of_a_wrong_size():
    """The message shows the value and an example."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_size("32XB")
    assert str(caught.value) == (
        "'32XB' is not a size: write a number and B, kB, MB, GB, KiB, MiB or GiB, like \"32MB\""
    )


def test_half_a_byte_is_no_size():
    """A size is a whole number of bytes."""
    with pytest.raises(ValueError, match="not a whole number of bytes"):
        parse_size("0.5B")


@given(st.integers(0, 10**14), st.sampled_from(sorted(SIZE_UNITS)))
def test_sizes_round_trip(number, unit):
    """What a size is written as is read as the same size."""
    size = parse_size(f"{number}{unit}")
    assert size == number * SIZE_UNITS[unit]
    assert size >= 10**15 or parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200ms", 0.2),
        ("1s", 1.0),
        ("10m", 600.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        ("0s", 0.0),
        (3, 3.0),
        (timedelta(minutes=1), 60.0),
    ],
)
def test_durations(text, seconds):
    """A duration is kept in seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["1", "s", "-1s", "1 week", "1M", -1, float("inf"), True, None])
def test_no_durations(text):
    """What is no duration is refused."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10_000))
def test_shares_are_exact(count, total, basis_points):
    """A share allows exactly what arithmetic on paper allows, whatever floats make of it."""
    budget = parse_budget(f"{basis_points / 100:.2f}%")
    assert budget.allows(count, total) == (count <= Fraction(basis_points, 10_000) * total)
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize(
    ("value", "text", "most", "total"),
    [("10%", "10%", 1, 10), ("29%", "29%", 29, 100), ("12.5%", "12.5%", 1, 8), (2, "2", 2, 0)],
)
def test_budgets(value, text, most, total):
    """A budget allows up to its number or share, and not one more."""
    budget = parse_budget(value)
    assert str(budget) == text
    assert budget.allows(most, total)
    assert not budget.allows(most + 1, total)


@pytest.mark.parametrize("value", ["10", "101%", -1, 0.1, "x%", True])
def test_no_budgets(value):
    """What is neither a whole number nor a share is refused."""
    with pytest.raises(ValueError, match=r"budget|share"):
        parse_budget(value)


@pytest.mark.parametrize(
    "words",
    [{}, {"count": 1, "share": 0.1}, {"count": -1}, {"share": 1.5}, {"share": float("nan")}],
)
def test_budget_in_python(words):
    """A budget built in Python is checked, too."""
    with pytest.raises(PipelineError):
        Budget(**words)


@pytest.mark.parametrize(
    ("text", "timeout"),
    [
        ("10m", Timeout(seconds=600.0)),
        (1.5, Timeout(seconds=1.5)),
        (timedelta(hours=1), Timeout(seconds=3600.0)),
        ("5x", Timeout(times=5.0)),
        ("1.5 x", Timeout(times=1.5)),
        (Timeout(times=2.0), Timeout(times=2.0)),
    ],
)
def test_timeouts(text, timeout):
    """A timeout is a duration, or a multiple of the median."""
    assert parse_timeout(text) == timeout
    assert parse_timeout(str(timeout)) == timeout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", 'write a duration like "10m", or a multiple'),
        ("0s", "leaves no time"),
        (0, "leaves no time"),
        (-1, "must be 0 or more"),
        ("1x", "not more than what the median task takes"),
        ("x", "is not a timeout"),
    ],
)
def test_no_timeouts(text, message):
    """What is none is refused, with what would be one."""
    with pytest.raises(ValueError, match=message):
        parse_timeout(text)


def test_a_timeout_is_one_of_both():
    """And more than nothing."""
    for wrong in ({}, {"seconds": 1.0, "times": 2.0}, {"seconds": 0.0}):
        with pytest.raises(PipelineError):
            Timeout(**wrong)
