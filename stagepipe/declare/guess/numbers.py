"""Whether a column's values are numbers, by which decimal sign, and with which sign in thousands.

A number is brought to Python's way of writing it and has to come back from there as it was. Signs
between its groups of three digits stand in all long numbers of a column, or in none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from stagepipe.declare.guess.reading import Reading

POINTS = (".", ",")
GROUPS = (",", ".", "'", " ", "\u00a0", "\u202f", "\u2019")
"""What stands between groups of three digits, somewhere in the world."""

INTEGER = re.compile(r"-?[1-9][0-9]{0,18}|0")
FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.([0-9]+)")
PRECISIONS = (18, 38)
"""The digits of a guessed decimal: those of the values, and room for larger ones."""

MONEY_SCALE = 2
"""Where all numbers have so many digits behind the point, they are taken for amounts of money, of
which sums have to be exact, although floats would come back from such texts, too."""

Test = Callable[[str], bool]


def _number(point: str) -> re.Pattern[str]:
    groups = re.escape("".join(sign for sign in GROUPS if sign != point))
    grouped = rf"[1-9][0-9]{{0,2}}(?:([{groups}])[0-9]{{3}})(?:\3[0-9]{{3}})*"
    return re.compile(rf"(-?)({grouped}|0|[1-9][0-9]*)(?:{re.escape(point)}([0-9]+))?")


NUMBERS = {point: _number(point) for point in POINTS}


@dataclass
class _ByPoint:
    """What the values are that are no plain integers, if this is the decimal sign."""

    tests: dict[str, Test] | None = None
    groups: set[str] = field(default_factory=set)
    longest: int = 0

    def add(self, point: str, values: Iterable[str]) -> None:
        for value in values:
            if self.tests == {}:
                return
            match = NUMBERS[point].fullmatch(value)
            if match is None:
                self.tests = {}
                return
            sign, whole, group, fraction = match.groups()
            if group is None:
                self.longest = max(self.longest, len(whole))
            else:
                self.groups.add(group)
                whole = whole.replace(group, "")
            plain = f"{sign}{whole}" if fraction is None else f"{sign}{whole}.{fraction}"
            tests = _tests(plain) if self.tests is None else self.tests
            if not all(test(plain) for test in tests.values()):
                tests = {word: test for word, test in tests.items() if test(plain)}
            self.tests = tests


class Numbers:
    """What the values of one column have shown about numbers so far."""

    def __init__(self) -> None:
        self._has_integers = False
        self._longest = 0
        self._by_point = {point: _ByPoint() for point in POINTS}

    def add(self, values: Iterable[str]) -> None:
        """Look at more values, none of them empty."""
        others = []
        for value in values:
            if INTEGER.fullmatch(value) and _is_int(value):
                self._has_integers = True
                self._longest = max(self._longest, len(value.lstrip("-")))
            else:
                others.append(value)
        if others:
            for point, state in self._by_point.items():
                state.add(point, others)

    def readings(self) -> Iterator[Reading]:
        """The ways in which all values are numbers."""
        states = self._by_point.values()
        if self._has_integers and all(state.tests is None for state in states):
            yield Reading("int64")
            return
        for point, state in self._by_point.items():
            word = next(self._words(state), None)
            longest = max(state.longest, self._longest)
            if word is None or len(state.groups) > 1 or (state.groups and longest > 3):
                continue
            group = next(iter(state.groups), None)
            yield Reading(word, point=None if word == "int64" else point, group=group)

    @property
    def is_dead(self) -> bool:
        """Whether the values are no numbers, whatever comes."""
        return all(state.tests == {} for state in self._by_point.values())

    def _words(self, state: _ByPoint) -> Iterator[str]:
        # A whole number among others comes back with a point: `3` as `3.0`.
        for word in state.tests or ():
            if not self._has_integers or word == "int64":
                yield word


def _tests(value: str) -> dict[str, Test]:
    """The types, the preferred one first, in which a number comes back as the same text, each with
    the test that says so of others."""
    kinds: list[tuple[str, Test]] = [("int64", _is_int), ("float64", _is_float)]
    if match := DECIMAL.fullmatch(value):
        scale = len(match[2])
        decimals = [(f"decimal({p},{scale})", _decimal_test(p, scale)) for p in PRECISIONS]
        before = 1 if scale == MONEY_SCALE else len(kinds)
        kinds[before:before] = decimals
    return {word: test for word, test in kinds if test(value)}


def _is_int(value: str) -> bool:
    return INTEGER.fullmatch(value) is not None and -(2**63) <= int(value) < 2**63


def _is_float(value: str) -> bool:
    return FLOAT.fullmatch(value) is not None and repr(float(value)) == value


def _decimal_test(precision: int, scale: int) -> Test:
    def test(value: str) -> bool:
        match = DECIMAL.fullmatch(value)
        if match is None or len(match[2]) != scale or len(match[1]) + scale > precision:
            return False
        return value[0] != "-" or value.strip("-0.") != ""  # there is no -0.00

    return test
