"""The words that may stand for a missing value, for true and for false."""

from __future__ import annotations

from collections.abc import Collection, Iterator

NULL_WORDS = (
    *("NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NULL", "null", "Null", "(null)", "\\N"),
    *("None", "none", "nil", "NaN", "nan", "-", "--", "---", ".", "?", "k.A.", "k. A."),
)
"""What is taken for a missing value where the other values of the column agree on a type."""

PAIRS = (
    *(("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off")),
    *(("ja", "nein"), ("j", "n"), ("wahr", "falsch"), ("oui", "non"), ("vrai", "faux")),
    *(("sí", "no"), ("si", "no"), ("sim", "não"), ("tak", "nie"), ("ano", "ne"), ("da", "ne")),
)
"""True and false, small; as they stand here, with a capital letter or in capitals."""

USUAL = ("true", "True", "TRUE", "false", "False", "FALSE")
"""What means true or false when nothing is declared."""


def truths() -> Iterator[tuple[str, str]]:
    """All pairs of a word for true and one for false."""
    for true, false in PAIRS:
        for case in (str.lower, str.title, str.upper):
            yield case(true), case(false)


def truth_of(words: Collection[str]) -> tuple[str, str] | None:
    """The pair that all the words are of. Both have to be there, but for `true` and `false`."""
    if words and set(words) <= {"true", "false"}:
        return "true", "false"
    return next((pair for pair in truths() if set(words) == set(pair)), None)
