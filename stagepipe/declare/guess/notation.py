"""How the values of a whole source are written, and what its columns are then.

Signs and words hold for all columns of a source, so they are decided by all of them together: the
decimal sign and the thousands sign by which most columns have a type; a null word where a column
has a type without it; blanks around fields where they keep one from its type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stagepipe.declare.guess.columns import BLANKS, ColumnGuess, Evidence, shown
from stagepipe.declare.guess.numbers import GROUPS, POINTS
from stagepipe.declare.guess.reading import Reading
from stagepipe.declare.guess.words import NULL_WORDS, USUAL

Signs = tuple[str, str | None]
SIGNS: tuple[Signs, ...] = (
    *((point, None) for point in POINTS),
    *((point, group) for group in GROUPS for point in POINTS if group != point),
)
"""Decimal sign and thousands sign, in the order in which they are preferred."""


@dataclass(frozen=True, slots=True)
class NotationGuess:
    """How a source writes its values. `doubts` speak against it, or tell what it costs."""

    decimal_comma: bool = False
    thousands: str | None = None
    null_values: tuple[str, ...] = ("",)
    true_values: tuple[str, ...] | None = None
    false_values: tuple[str, ...] | None = None
    trim: bool = False
    doubts: tuple[str, ...] = ()

    @property
    def keys(self) -> dict[str, Any]:
        """What has to be declared, as keys of `[source.csv]`."""
        usual = NotationGuess()
        names = ("decimal_comma", "thousands", "null_values", "true_values", "false_values", "trim")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value != getattr(usual, name)}


def decide(evidence: Sequence[Evidence]) -> tuple[NotationGuess, tuple[ColumnGuess, ...]]:
    """The notation of the columns of one source, and the columns by it."""
    signs = _best_signs(evidence)
    guessed = [_column(column, signs) for column in evidence]
    words, doubts = _null_words(evidence, guessed)
    columns = tuple(_without(guess, words) for guess in guessed)
    true, false = _truth_words(columns)
    typed = [each for each, column in zip(evidence, columns, strict=True) if _is_typed(column)]
    has_blanks = any(each.blanks for each in typed)
    has_blanks |= any(each.name != each.name.strip(BLANKS) for each in evidence)
    notation = NotationGuess(
        decimal_comma=signs[0] == ",",
        thousands=signs[1],
        null_values=("", *words),
        true_values=true,
        false_values=false,
        trim=has_blanks,
        doubts=(*doubts, *_blanks_told(evidence, columns, has_blanks)),
    )
    return notation, columns


def _is_typed(column: ColumnGuess) -> bool:
    return column.type != "string"


def _fits(reading: Reading, signs: Signs) -> bool:
    return reading.point in (None, signs[0]) and reading.group in (None, signs[1])


def _score(evidence: Iterable[Evidence], signs: Signs) -> int:
    return sum(any(_fits(each, signs) for each in column.readings()) for column in evidence)


def _best_signs(evidence: Sequence[Evidence]) -> Signs:
    numbers = [column for column in evidence if any(r.point or r.group for r in column.readings())]
    best = max(SIGNS, key=lambda signs: _score(numbers, signs))
    if best == (",", None) and _score(numbers, best) == _score(numbers, (".", ",")):
        return SIGNS[0]  # nobody can tell what the commas are
    return best


def _column(evidence: Evidence, signs: Signs) -> ColumnGuess:
    """What a column is under the source's signs."""
    readings = evidence.readings()
    fitting = [reading for reading in readings if _fits(reading, signs)]
    column = ColumnGuess(
        evidence.name,
        "string",
        values=evidence.values,
        empty=evidence.empty,
        nulls=dict(evidence.nulls),
    )
    if not readings:
        return replace(column, because=evidence.because)
    if not fitting:
        return replace(column, because=_wrong_signs(readings))
    if len({reading.format for reading in fitting if reading.format}) > 1:
        return replace(column, because=_either_format(fitting))
    taken, others = fitting[0], [each for each in readings if each != fitting[0]]
    truths = evidence.truths if taken.type == "bool" else ()
    return replace(
        column, type=taken.type, format=taken.format, doubt=_doubt(taken, others), truths=truths
    )


def _wrong_signs(readings: Sequence[Reading]) -> str:
    if {reading.point for reading in readings} >= {","} and any(r.group == "," for r in readings):
        return "its commas may be decimal signs, or stand in thousands"
    signs = " or ".join(dict.fromkeys(repr(each.point or each.group) for each in readings))
    return f"it has {signs} in numbers, unlike other columns"


def _either_format(readings: Sequence[Reading]) -> str:
    formats = " or ".join(reading.format for reading in readings if reading.format)
    return f"its values may be {formats}: write the right one as format"


def _doubt(taken: Reading, others: Sequence[Reading]) -> str | None:
    """What else a column might be."""
    if taken.format and any(each.type == "int64" for each in others):
        return "int64 would fit too"
    if taken.type != "int64" and taken.group is None and any(each.group for each in others):
        return f"{taken.point!r} might stand in thousands"
    if taken.group and any(each.point == taken.group for each in others):
        return f"{taken.group!r} might be a decimal sign"
    return None


def _null_words(
    evidence: Sequence[Evidence], columns: Sequence[ColumnGuess]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words for a missing value, and what speaks against them."""
    found: Counter[str] = Counter()
    for column in columns:
        if _is_typed(column):
            found.update(column.nulls)
    words, doubts = [], []
    for word in (word for word in NULL_WORDS if word in found):
        texts = [
            each
            for each, column in zip(evidence, columns, strict=True)
            if not _is_typed(column) and each.nulls[word]
        ]
        coded = [each for each in texts if each.code_lengths == {len(word)} and word.isupper()]
        if coded:
            doubts.append(
                f"{shown(word)} may be a null word, but column {shown(coded[0].name)} has codes "
                "that look the same: it is taken for none"
            )
            continue
        words.append(word)
        doubts += [
            f"{shown(word)} becomes a missing value in column {shown(each.name)} too "
            f"(fields: {each.nulls[word]:,})"
            for each in texts
        ]
    return tuple(words), tuple(doubts)


def _without(column: ColumnGuess, words: Sequence[str]) -> ColumnGuess:
    """The column when only these words stand for a missing value."""
    others = [word for word in column.nulls if word not in words]
    if not _is_typed(column) or not others:
        nulls = {word: count for word, count in column.nulls.items() if word in words}
        values = column.values + sum(column.nulls.values()) - sum(nulls.values())
        because = column.because
        if not column.values and others:
            because = f"there is no value but {shown(others[0])}"
        return replace(column, nulls=nulls, values=values, because=because)
    because = f"{shown(others[0])} is no {column.type} like the others"
    return _without(
        replace(column, type="string", format=None, because=because, doubt=None, truths=()), words
    )


def _truth_words(
    columns: Sequence[ColumnGuess],
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    pairs = list(dict.fromkeys(column.truths for column in columns if column.truths))
    if all(word in USUAL for pair in pairs for word in pair):
        return None, None
    true, false = (tuple(dict.fromkeys(words)) for words in zip(*pairs, strict=True))
    return true, false


def _blanks_told(
    evidence: Sequence[Evidence], columns: Sequence[ColumnGuess], is_trimmed: bool
) -> Iterable[str]:
    for each, column in zip(evidence, columns, strict=True):
        if each.blanks and not _is_typed(column):
            what = "trim takes them off" if is_trimmed else "they are kept, as trim is not set"
            where = f"in column {shown(each.name)} (fields: {each.blanks:,})"
            yield f"blanks around texts {where}: {what}"


def common(columns: Sequence[ColumnGuess]) -> ColumnGuess:
    """One column of a table, of what it is in each source: a type that all have, or else text."""
    nulls: Counter[str] = Counter()
    for column in columns:
        nulls.update(column.nulls)
    valued = [column for column in columns if column.values] or list(columns)
    kinds = list(dict.fromkeys((column.type, column.format) for column in valued))
    because = next((column.because for column in valued if column.because), None)
    doubt = next((column.doubt for column in valued if column.doubt), None)
    kind, text = kinds[0]
    if len(kinds) > 1:
        scales = {kind.partition(",")[2] for kind, _ in kinds if kind.startswith("decimal")}
        if len(scales) == 1 and all(kind.startswith("decimal") for kind, _ in kinds):
            kind = max(kind for kind, _ in kinds)
        else:
            told = ", ".join(f"{kind} {text}" if text else kind for kind, text in kinds)
            kind, text, because, doubt = "string", None, f"the sources differ: {told}", None
    return replace(
        columns[0],
        type=kind,
        format=text,
        because=because,
        doubt=doubt,
        values=sum(column.values for column in columns),
        empty=sum(column.empty for column in columns),
        nulls=dict(nulls),
    )
