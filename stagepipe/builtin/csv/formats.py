"""Dates and times as a column's `format` has them: `%d.%m.%Y`, `%Y%m%d`, `%b %d %Y %I:%M %p`.

The parsers at hand let too much pass: Python's takes any blanks for one and Arabic digits, that
of C whatever stands behind, polars' a second 60. So a format becomes a regular expression that the
whole text has to match, and its parts are put in the order of ISO 8601, which the converter of all
other values then reads: it is the one to know what days there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_SHORT_MONTHS = tuple(month[:3] for month in MONTHS)
_CLOCK = tuple(f"{hour:02d}{half}" for half in ("am", "pm") for hour in (12, *range(1, 12)))
_FIRST_YEAR_OF_1900S = "69"  # by POSIX, %y from 69 on is of the 20th century

# By directive: what it matches, and of how many digits it is at least and at most.
_TEXTS = {"b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,9}", "p": "[AaPp][Mm]"}
_TEXTS["z"] = "Z|[+-][0-9]{2}(?::?[0-9]{2})?"
_DIGITS = {"Y": (4, 4), "y": (2, 2), "f": (1, 6)} | dict.fromkeys("mdHIMS", (1, 2))
_WIDTHS = {"b": 3, "p": 2, "Y": 4} | dict.fromkeys("ymdHIMS", 2)

_YEAR, _MONTH, _DAY, _HOUR = ("Y", "y"), ("m", "b", "B"), ("d",), ("H", "I")
_DATE, _TIME = frozenset("YymbBd"), frozenset("HIpMSf")
_NEEDS = {"p": "I", "I": "p", "f": "S", "S": "M"}


@dataclass(frozen=True, slots=True)
class Token:
    """A directive's letter, or else a literal text."""

    directive: str
    literal: str = ""

    @property
    def begins_with_digit(self) -> bool:
        """Whether a digit may be the first of what it stands for."""
        return self.directive in _DIGITS or self.literal[:1].isdecimal()

    @property
    def ends_with_digit(self) -> bool:
        """Whether a digit may be the last of what it stands for."""
        return self.directive in _DIGITS or self.literal[-1:].isdecimal()


@dataclass(frozen=True)
class Format:
    """A format taken apart."""

    tokens: tuple[Token, ...]

    @cached_property
    def directives(self) -> str:
        """Their letters, in order."""
        return "".join(token.directive for token in self.tokens)

    @cached_property
    def pattern(self) -> str:
        """What a text has to match, each directive a group of its letter."""
        edge = Token("")
        around = (edge, *self.tokens, edge)
        parts = [
            _part(token, before.ends_with_digit, after.begins_with_digit)
            for before, token, after in zip(around, self.tokens, around[2:], strict=False)
        ]
        return rf"\A{''.join(parts)}\z"

    @cached_property
    def places(self) -> Mapping[str, tuple[int, int]] | None:
        """From where to where each directive goes in a text in which none is short, by letter; None
        where one has no such length. The end of the whole text stands under the empty letter."""
        places, position = {}, 0
        for token in self.tokens:
            width = _WIDTHS.get(token.directive) if token.directive else len(token.literal.encode())
            if width is None:
                return None
            if token.directive:
                places[token.directive] = (position, position + width)
            position += width
        return {**places, "": (0, position)}


def _part(token: Token, is_after_digit: bool, is_before_digit: bool) -> str:
    letter = token.directive
    if not letter:
        return re.escape(token.literal)
    if letter not in _DIGITS:
        return f"(?P<{letter}>{_TEXTS[letter]})"
    least, most = _DIGITS[letter]
    if is_before_digit or (is_after_digit and letter != "f"):
        least = most
    return f"(?P<{letter}>[0-9]{{{least},{most}}})"


@lru_cache(maxsize=64)
def parsed(text: str) -> Format:
    """The format that a text declares.

    Raises:
        ValueError: it has a directive that is not known.
    """
    tokens: list[Token] = []
    literal = ""
    for piece in re.findall(r"%.|[^%]+|%", text, re.DOTALL):
        if not piece.startswith("%") or piece == "%%":
            literal += piece[-1] if piece == "%%" else piece
            continue
        if piece[1:] not in _WIDTHS and piece[1:] not in ("B", "f", "z"):
            known = " ".join(f"%{letter}" for letter in "dmYybBHIpMSfz")
            raise ValueError(f"has {piece!r}, which is none of {known} %%")
        tokens += [Token("", literal)] if literal else []
        tokens.append(Token(piece[1:]))
        literal = ""
    tokens += [Token("", literal)] if literal else []
    return Format(tuple(tokens))


def fault(text: str, kind: pa.DataType) -> str | None:
    """Why the text is no format for the type, as a predicate; or None."""
    try:
        return next(_faults(text, kind), None)
    except ValueError as error:
        return str(error)


def _faults(text: str, kind: pa.DataType) -> Iterator[str]:
    if text != text.strip(" \t"):
        yield "begins or ends with a blank; set trim in [source.csv] for blanks around fields"
    found = parsed(text)
    for letter in found.directives:
        if found.directives.count(letter) > 1:
            yield f"has %{letter} more than once"
    has_date, has_time = not pa.types.is_time(kind), not pa.types.is_date(kind)
    is_zoned = pa.types.is_timestamp(kind) and kind.tz is not None
    given = set(found.directives)
    for wanted, is_needed in (
        (_YEAR, has_date),
        (_MONTH, has_date),
        (_DAY, has_date),
        (_HOUR, pa.types.is_time(kind) or is_zoned or bool(given & _TIME and has_time)),
    ):
        names = " or ".join(f"%{letter}" for letter in wanted)
        if is_needed and not given.intersection(wanted):
            yield f"lacks {names}"
        if len(given.intersection(wanted)) > 1:
            yield f"has more than one of {names}"
    for letter in found.directives:
        if letter in _NEEDS and _NEEDS[letter] not in given:
            yield f"has %{letter} without %{_NEEDS[letter]}"
        if (letter in _DATE and not has_date) or (letter in _TIME and not has_time):
            yield f"has %{letter}, of which the type keeps nothing"
    if "z" in given and not is_zoned:
        yield "has %z, which only a datetime with a time zone takes"
    if is_zoned and "z" not in given:
        yield "lacks %z: without an offset a datetime with a time zone would be a guess"
    for one, next_one in pairwise(found.tokens):
        if one.directive == "z" and next_one.begins_with_digit:
            yield "has a number right after %z, where nobody can tell the two apart"


def as_iso(texts: pa.Array, text: str, kind: pa.DataType) -> pa.Array:
    """Texts, none of them null, in the order of ISO 8601; null where one is not of the format."""
    parts = _parts(texts, parsed(text))
    pieces = []
    if not pa.types.is_time(kind):
        pieces += [_year(parts), "-", _month(parts), "-", _two_digits(parts["d"])]
    if "H" in parts or "I" in parts:
        pieces += [" "] if pieces else []
        pieces += [_hour(parts), ":", _two_digits(parts["M"]) if "M" in parts else "00"]
        pieces += [":", _two_digits(parts["S"])] if "S" in parts else []
        pieces += [".", parts["f"]] if "f" in parts else []
    pieces += [parts["z"]] if "z" in parts else []
    return pc.binary_join_element_wise(*pieces, "")


def _parts(texts: pa.Array, found: Format) -> dict[str, pa.Array]:
    """What each directive stands for in the texts, by its letter."""
    if len(texts) and found.places is not None:
        lengths = pc.min_max(pc.binary_length(texts))
        _, whole = found.places[""]
        if lengths["min"].as_py() == lengths["max"].as_py() == whole:
            # No number is short, so each stands in one place: cutting is faster than matching.
            matches = pc.match_substring_regex(texts, found.pattern)
            texts = pc.if_else(matches, texts, pa.scalar(None, pa.string()))
            raw = texts.cast(pa.binary())
            return {
                letter: pc.binary_slice(raw, start, stop).cast(pa.string())
                for letter, (start, stop) in found.places.items()
                if letter
            }
    groups = pc.extract_regex(texts, found.pattern)
    return {letter: pc.struct_field(groups, letter) for letter in found.directives}


def _two_digits(numbers: pa.Array) -> pa.Array:
    return pc.utf8_lpad(numbers, 2, "0")


def _year(parts: Mapping[str, pa.Array]) -> pa.Array:
    if "Y" in parts:
        return parts["Y"]
    is_of_1900s = pc.greater_equal(parts["y"], _FIRST_YEAR_OF_1900S)
    return pc.binary_join_element_wise(pc.if_else(is_of_1900s, "19", "20"), parts["y"], "")


def _month(parts: Mapping[str, pa.Array]) -> pa.Array:
    if "m" in parts:
        return _two_digits(parts["m"])
    names, texts = (_SHORT_MONTHS, parts["b"]) if "b" in parts else (MONTHS, parts["B"])
    before = pc.index_in(pc.ascii_lower(texts), pa.array(names))
    return _two_digits(pc.add(before, 1).cast(pa.string()))


def _hour(parts: Mapping[str, pa.Array]) -> pa.Array:
    if "H" in parts:
        return _two_digits(parts["H"])
    shown = pc.binary_join_element_wise(_two_digits(parts["I"]), pc.ascii_lower(parts["p"]), "")
    return _two_digits(pc.index_in(shown, pa.array(_CLOCK)).cast(pa.string()))
