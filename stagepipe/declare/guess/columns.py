"""What the values of one column have shown, and which types are left for it.

A type is taken only if every value that was seen comes back as the same text when the column is
written again in one way: `08123`, `1e5`, `+1`, and `1.5` beside `2.50` stay strings, and so nothing
that was in the file is lost by the guess. An empty field is a missing value and says nothing.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stagepipe.declare.guess.numbers import Numbers
from stagepipe.declare.guess.reading import Reading
from stagepipe.declare.guess.times import Times
from stagepipe.declare.guess.words import NULL_WORDS, truth_of, truths

BLANKS = " \t"
NULLS = frozenset(NULL_WORDS)
TRUTHS = frozenset(word for pair in truths() for word in pair)


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """What a column is taken for: its `type` and the `format` of dates and times. `because` says of
    a string what kept it from another type, `doubt` what speaks against what was taken. Of the
    fields that were seen, `values` are values, `empty` have nothing in them, and `nulls` are words
    for a missing value."""

    name: str
    type: str
    because: str | None = None
    format: str | None = None
    doubt: str | None = None
    values: int = 0
    empty: int = 0
    nulls: Mapping[str, int] = field(default_factory=dict)
    truths: tuple[str, ...] = ()


class _Hopes:
    """The kinds of types that are left."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.times = Times()
        self.words: set[str] | None = set()

    def add(self, values: Iterable[str]) -> None:
        self.numbers.add(values)
        self.times.add(values)
        if self.words is not None:
            self.words |= set(values)
            if len(self.words) > 2 or not self.words <= TRUTHS:
                self.words = None

    @property
    def is_dead(self) -> bool:
        return self.words is None and self.numbers.is_dead and self.times.is_dead

    def readings(self) -> list[Reading]:
        """The ways to take all values, the preferred one first."""
        found = self.times.readings()
        if self.words is not None and truth_of(self.words):
            found.append(Reading("bool"))
        return [*found, *self.numbers.readings()]


class Evidence:
    """What the values of one column have shown so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values = 0
        self.empty = 0
        self.blanks = 0
        """Fields with blanks around, and such a field."""
        self.nulls: Counter[str] = Counter()
        self.because: str | None = None
        self.code_lengths: set[int] | None = set()
        """The lengths of values that are all capital letters."""
        self._hopes = _Hopes()

    def add(self, values: Iterable[str]) -> None:
        """Look at more values. Those that are no UTF-8 say nothing: they become rejects."""
        present: dict[str, None] = {}
        for value, times in Counter(values).items():
            text = value.strip(BLANKS)
            self.blanks += times * (text != value)
            if not text:
                self.empty += times
            elif text in NULLS:
                self.nulls[text] += times
            elif is_utf8(text):
                self.values += times
                present[text] = None
        self._note_codes(present)
        if present and not self._hopes.is_dead:
            self._narrow(list(present))

    def _note_codes(self, values: Iterable[str]) -> None:
        if self.code_lengths is not None:
            for value in values:
                if len(value) > 4 or not re.fullmatch("[A-Z]+", value):
                    self.code_lengths = None
                    return
                self.code_lengths.add(len(value))

    def _narrow(self, values: Sequence[str]) -> None:
        before = copy.deepcopy(self._hopes)
        self._hopes.add(values)
        if not self._hopes.readings() and self.because is None:
            self.because = _why_none(before, values)

    @property
    def truths(self) -> tuple[str, ...]:
        """The words for true and false, in this order, where all values are these."""
        words = self._hopes.words
        return (truth_of(words) or ()) if words else ()

    def readings(self) -> list[Reading]:
        """The ways to take all values; none where there is no value."""
        return self._hopes.readings() if self.values else []


def _why_none(hopes: _Hopes, values: Sequence[str]) -> str | None:
    """Which value kept a column from the last type that was left, in words."""
    for value in values:
        left = hopes.readings()
        hopes.add([value])
        if hopes.readings():
            continue
        if not left:
            return lost_as_number(value)
        return lost_as_number(value) or f"{shown(value)} is no {left[-1].type} like the others"
    return None


def is_utf8(value: str) -> bool:
    """Whether a text that `text_of` gave was UTF-8."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def lost_as_number(value: str) -> str | None:
    """What a text that looks like a number would come back as, in words."""
    if not re.fullmatch(r"[+-]?[0-9][0-9.eE+-]*", value) or len(value) > 40:
        return None
    for read in (int, float):
        try:
            back = str(read(value))
        except ValueError:
            continue
        return None if back == value else f"{shown(value)} would come back as {back}"
    return None


def shown(value: str) -> str:
    """The beginning of a text, in quotes."""
    text = repr(value)
    return text if len(text) <= 30 else text[:29] + "…"


def is_odd(header: Sequence[str]) -> bool:
    """Whether a header looks like a record: it has numbers only, or something that is no name.
    A whole number alone may be a year."""
    kinds = []
    for name in header:
        hopes = _Hopes()
        if text := name.strip(BLANKS):
            hopes.add([text])
        kinds.append(next((reading.type for reading in hopes.readings()), None))
    return all(kinds) or any(kind not in (None, "int64", "bool") for kind in kinds)
