"""Whether a column's values are dates or times, and by which formats they may be read.

Each format comes with the ways in which it may be written (`01.02.2024` or `1.2.2024`, `Jan` or
`JAN`), and all values of a column have to be written in one of them. Where more than one format is
left in the end, nobody can tell which of them is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache

from stagepipe.declare.guess.reading import Reading

LONG_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
MONTHS = tuple(name[:3] for name in LONG_MONTHS)
PLAUSIBLE_YEARS = range(1900, 2100)
"""Eight digits are a date in these years."""

DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%y-%m-%d", "%d-%m-%y", "%m-%d-%y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%d-%b-%y", "%d%b%Y"),
    *("%d %B %Y", "%B %d, %Y", "%d. %B %Y"),
)
TIMES = ("%H:%M:%S", "%H:%M", "%I:%M %p", "%I:%M:%S %p")
JOINTS = (" ", "T")
ISO_DATE, ISO_TIMES = "%Y-%m-%d", ("%H:%M:%S", "%H:%M")
NATIVE = (
    *(ISO_DATE, *ISO_TIMES),
    *(f"{ISO_DATE}{joint}{time}" for joint in JOINTS for time in ISO_TIMES),
)
"""What is read without a format."""
FRACTIONS = (3, 6)


@dataclass(frozen=True)
class Way:
    """A format, written in one way."""

    reading: Reading
    pattern: re.Pattern[str]

    def fits(self, value: str) -> bool:
        """Whether a value is written so, and is a day or a time that there is."""
        match = self.pattern.fullmatch(value)
        return match is not None and _is_real(match.groupdict())


def _is_real(parts: dict[str, str]) -> bool:
    if "d" not in parts:
        return True
    year = int(parts["Y"]) if "Y" in parts else 2000 + int(parts["y"])
    names = [name.lower() for name in (MONTHS if "b" in parts else LONG_MONTHS)]
    name = (parts.get("b") or parts.get("B") or "").lower()
    month = names.index(name) + 1 if name else int(parts["m"])
    if "y" in parts and year > 2068:
        year -= 100
    try:
        date(year, month, int(parts["d"]))
    except ValueError:
        return False
    return "compact" not in parts or year in PLAUSIBLE_YEARS


@cache
def _formats() -> dict[str, list[tuple[str, str]]]:
    """All formats, each behind its type, by the outline of their texts."""
    texts = [("date", text) for text in DATES] + [("time", text) for text in TIMES]
    texts += [("datetime", f"{d}{joint}{t}") for d in DATES for joint in JOINTS for t in TIMES]
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, text in texts:
        example = re.sub(r"%[bBp]", "a", re.sub(r"%[YymdHIMS]", "0", text))
        found.setdefault(_outline(example), []).append((kind, text))
    return found


@cache
def _ways(outline: str) -> list[Way]:
    """The ways whose texts have this outline."""
    found = [
        Way(Reading(kind, None if is_iso else text), re.compile(pattern))
        for kind, text in _formats().get(outline, ())
        for pattern in _patterns(text)
        for is_iso in (text in NATIVE and _UNPADDED not in pattern,)
    ]
    return [*found, *(way for shape, way in _exact_ways() if shape == outline)]


def _outline(value: str) -> str:
    """A text with one 9 for each run of digits and one `a` for each of letters."""
    return re.sub(r"[0-9]+", "9", re.sub(r"[A-Za-z]+", "a", value))


def _exact_ways() -> Iterator[tuple[str, Way]]:
    """Datetimes of ISO 8601 with parts of seconds, or in UTC."""
    for joint in JOINTS:
        plain = next(_patterns(f"{ISO_DATE}{joint}%H:%M:%S"))
        shape = _outline(f"0-0-0{joint}0:0:0")
        yield f"{shape}a", Way(Reading("datetime(UTC)"), re.compile(f"{plain}Z"))
        for digits in FRACTIONS:
            exact = rf"{plain}\.[0-9]{{{digits}}}"
            yield f"{shape}.9", Way(Reading("datetime"), re.compile(exact))
            yield f"{shape}.9a", Way(Reading("datetime(UTC)"), re.compile(f"{exact}Z"))


_UNPADDED = "[1-9]|"
_DIGITS = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "H": "(?:[01][0-9]|2[0-3])",
    "I": "(?:0[1-9]|1[0-2])",
    "M": "[0-5][0-9]",
    "S": "[0-5][0-9]",
}
_PADDED = {"m": "(?P<m>[0-9]{2})", "d": "(?P<d>[0-9]{2})", **_DIGITS}
_SHORT = {
    "m": f"(?P<m>{_UNPADDED}1[0-2])",
    "d": f"(?P<d>{_UNPADDED}[12][0-9]|3[01])",
    **_DIGITS,
    "H": f"(?:0|{_UNPADDED}1[0-9]|2[0-3])",
    "I": f"(?:{_UNPADDED}1[0-2])",
}


def _patterns(text: str) -> Iterator[str]:
    """The ways to write a format, as regular expressions. Numbers have zeros in front or not; two
    digits of a year stand beside other short numbers only between slashes, as `1.2.10` is more
    likely the number of a version."""
    styles = [_PADDED]
    is_open = "%d%b" not in text and "%Y%m" not in text
    if is_open and ("%y" not in text or "/" in text):
        styles.append(_SHORT)
        if "%d" in text and re.search("%[HI]", text):
            hours = ("H", "I")
            styles.append(_PADDED | {hour: _SHORT[hour] for hour in hours})
            styles.append(_SHORT | {hour: _PADDED[hour] for hour in hours})
    has_letters = re.search("%[bBp]", text) is not None
    for digits in styles:
        yield _pattern(text, digits, str.title)
        if has_letters:
            yield _pattern(text, digits, str.upper)
            yield _pattern(text, digits, str.lower)


def _pattern(text: str, digits: dict[str, str], spelt: Callable[[str], str]) -> str:
    words = {
        "b": f"(?P<b>{'|'.join(map(spelt, MONTHS))})",
        "B": f"(?P<B>{'|'.join(map(spelt, LONG_MONTHS))})",
        "p": "[ap]m" if spelt is str.lower else "[AP]M",
        **digits,
        "Y": f"(?P<Y>{digits['Y']})",
        "y": f"(?P<y>{digits['y']})",
    }
    pieces = re.split("%(.)", text)
    pattern = "".join(
        words[piece] if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)
    )
    return pattern + "(?P<compact>)" if "%Y%m%d" in text else pattern


class Times:
    """What the values of one column have shown about dates and times so far."""

    def __init__(self) -> None:
        self._ways: list[Way] | None = None

    def add(self, values: Iterable[str]) -> None:
        """Look at more values, none of them empty."""
        for value in values:
            if self._ways == []:
                return
            ways = _ways(_outline(value)) if self._ways is None else self._ways
            self._ways = [way for way in ways if way.fits(value)]

    @property
    def is_dead(self) -> bool:
        """Whether the values are no dates and no times, whatever comes."""
        return self._ways == []

    def readings(self) -> list[Reading]:
        """The formats that are left, each once. In May, short names of months are long ones."""
        found: dict[tuple[str, str], Reading] = {}
        for way in self._ways or ():
            text = (way.reading.format or "").replace("%B", "%b")
            found.setdefault((way.reading.type, text), way.reading)
        return list(found.values())
