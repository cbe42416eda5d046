"""How values are written: what stands between a field's text and the converter.

Signs, words and formats that the converter does not know are brought to the texts that it does, in
this order: blanks around are left out (`trim`), null words are null, a null is the `default`, and
the rest goes by the value's own rule. The rule is vectorised, and the slow path applies the very
same to the few values that it looks at: to bring a text to the converter's is to judge it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.builtin import checks
from stagepipe.builtin.csv import convert, formats
from stagepipe.builtin.csv.search import is_found
from stagepipe.contracts import ColumnSpec, TableSpec

BLANKS = " \t"
_NOT_PLAIN = r"[^-+.:0-9A-Za-z \n]"
"""What no value but a string has in it, so that it needs no quotes in a file of lines."""


@dataclass(frozen=True)
class Notation:
    """How values are written in a source's files."""

    null_values: tuple[str, ...] = ()
    decimal_sign: str = "."
    thousands: str | None = None
    true_values: tuple[str, ...] | None = None
    false_values: tuple[str, ...] | None = None
    trim: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Notation:
        """What `[source.csv]` declares."""
        words = {name: options.get(name) for name in ("true_values", "false_values")}
        return cls(
            tuple(options["null_values"]),
            "," if options.get("decimal_comma") else ".",
            options.get("thousands"),
            **{name: None if given is None else tuple(given) for name, given in words.items()},
            trim=bool(options.get("trim")),
        )

    @cached_property
    def null_words(self) -> tuple[str, ...]:
        """The null words that a parser, which does not trim, may take for null."""
        return tuple(word for word in self.null_values if self.trimmed(word) == word)

    def trimmed(self, text: str) -> str:
        """The text without the blanks around, where they do not count."""
        return text.strip(BLANKS) if self.trim else text

    @cached_property
    def is_null(self) -> Callable[[str], bool]:
        """Says whether a field's text means that there is no value."""
        words = frozenset(self.null_words)
        return (lambda text: text.strip(BLANKS) in words) if self.trim else words.__contains__

    def is_void(self, text: str) -> bool:
        """Whether a field's text has nothing in it, or means that there is no value."""
        return not self.trimmed(text) or self.is_null(text)

    def read_type(self, column: ColumnSpec) -> pa.DataType:
        """As what a parser reads the column: text, where `typed` has to follow."""
        return pa.string() if self._is_rewritten(column) else column.arrow_type

    def _is_rewritten(self, column: ColumnSpec) -> bool:
        kind = column.arrow_type
        if self.trim or column.format is not None:
            return True
        if pa.types.is_boolean(kind):
            return self.true_values is not None or self.false_values is not None
        return self._has_signs(kind)

    def _has_signs(self, kind: pa.DataType) -> bool:
        """Whether numbers of the type may have signs that the converter does not know."""
        if pa.types.is_integer(kind):
            return self.thousands is not None
        is_number = pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        return is_number and (self.decimal_sign != "." or self.thousands is not None)

    def typed(
        self, read: pa.ChunkedArray, column: ColumnSpec, *, is_examined: bool = False
    ) -> pa.ChunkedArray:
        """What a parser read as `read_type`, as values, with the column's default for nulls.

        Raises `pyarrow.ArrowInvalid` where a value may not be what it seems; `is_examined` says
        that each was found to fit.
        """
        if self._is_rewritten(column):
            return self.of_texts(read, column, is_examined=is_examined)
        return filled(read, column)

    def of_texts(
        self, texts: pa.ChunkedArray, column: ColumnSpec, *, is_examined: bool = False
    ) -> pa.ChunkedArray:
        """The same of what a parser read as text."""
        texts = self._without_blanks(texts)
        if not pa.types.is_string(column.arrow_type):
            texts = self._converted(texts.combine_chunks(), column, is_examined)
        return filled(texts, column)

    def for_converter(self, texts: pa.ChunkedArray, column: ColumnSpec) -> pa.Array:
        """What a parser read as text, as the converter is to be given it: null words and what is
        against the rule are null."""
        plain = self._without_blanks(texts).combine_chunks()
        if pa.types.is_string(column.arrow_type) or not self._is_rewritten(column):
            return plain
        is_given = plain.is_valid()
        nulls = pa.nulls(len(plain), pa.string())
        return pc.replace_with_mask(nulls, is_given, self._plain(plain.drop_null(), column))

    def _without_blanks(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        if not self.trim:
            return texts
        texts = pc.utf8_trim(texts, characters=BLANKS)
        is_null = pc.is_in(texts, pa.array(self.null_words, pa.string()))
        return pc.if_else(is_null, pa.scalar(None, pa.string()), texts)

    def _converted(self, texts: pa.Array, column: ColumnSpec, is_examined: bool) -> pa.ChunkedArray:
        kind = column.arrow_type
        if pa.types.is_date(kind) or pa.types.is_boolean(kind):  # few different ones
            encoded = texts.dictionary_encode()
            values = self._values(encoded.dictionary, column, is_examined)
            return pa.chunked_array([values.take(encoded.indices)])
        values = self._values(texts.drop_null(), column, is_examined)
        if texts.null_count:
            nulls = pa.nulls(len(texts), kind)
            values = pc.replace_with_mask(nulls, texts.is_valid(), values)
        return pa.chunked_array([values])

    def _values(self, texts: pa.Array, column: ColumnSpec, is_examined: bool) -> pa.Array:
        """Texts, none of them null, by the converter, as lines of one field each."""
        plain = self._plain(texts, column)
        if plain.null_count:
            raise pa.ArrowInvalid(f"a value does not fit {column.arrow_type}")
        if not len(plain):
            return pa.array([], column.arrow_type)
        lines = pc.binary_join(pa.ListArray.from_arrays([0, len(plain)], plain), "\n")
        data = lines[0].as_buffer().to_pybytes()
        if data.count(b"\n") != len(plain) - 1 or is_found(_NOT_PLAIN, data):
            raise pa.ArrowInvalid(f"a value does not fit {column.arrow_type}")
        table = convert.parse(data, [column.arrow_type], delimiter=",", quote="", null_values=[])
        if table.num_rows != len(plain) or not (
            is_examined or convert.is_trustworthy(table, data, delimiter=",", quote="")
        ):
            raise pa.ArrowInvalid(f"a value may not fit {column.arrow_type}")
        return table.column(0).combine_chunks()

    def _plain(self, texts: pa.Array, column: ColumnSpec) -> pa.Array:
        """Texts, none of them null and no blanks around them where they do not count, as the
        converter knows them; null where a text is against the rule."""
        kind = column.arrow_type
        if column.format is not None:
            return formats.as_iso(texts, column.format, kind)
        if pa.types.is_boolean(kind):
            return self._plain_truths(texts)
        if self._has_signs(kind):
            return self._plain_numbers(pc.utf8_trim(texts, characters=BLANKS))
        return texts

    def _plain_truths(self, texts: pa.Array) -> pa.Array:
        true = convert.TRUE_WORDS if self.true_values is None else self.true_values
        false = convert.FALSE_WORDS if self.false_values is None else self.false_values
        is_true = pc.is_in(texts, pa.array(true, pa.string()))
        is_false = pc.is_in(texts, pa.array(false, pa.string()))
        return _only(pc.if_else(is_true, "true", "false"), pc.or_(is_true, is_false))

    @cached_property
    def _number(self) -> str:
        """How a number may be written; that there are digits in it is for the converter to say."""
        whole, point = "[0-9]*", re.escape(self.decimal_sign)
        if self.thousands is not None:
            sign = re.escape(self.thousands)
            whole = f"(?:[1-9][0-9]{{0,2}}(?:{sign}[0-9]{{3}})+|{whole})"
        digits = rf"{whole}(?:{point}[0-9]*)?(?:[eE][+-]?[0-9]+)?"
        return rf"\A[+-]?(?:{digits}|(?i:inf|infinity|nan))\z"

    def _plain_numbers(self, texts: pa.Array) -> pa.Array:
        plain = _only(texts, pc.match_substring_regex(texts, self._number))
        if self.thousands is not None:
            plain = pc.replace_substring(plain, self.thousands, "")
        if self.decimal_sign != ".":
            plain = pc.replace_substring(plain, self.decimal_sign, ".")
        return plain

    def unfit(self, texts: Sequence[str], column: ColumnSpec) -> set[int]:
        """Which of some fields (by position), none of them a null word, do not fit the column."""
        if not self._is_rewritten(column):
            return convert.unfit(texts, column.arrow_type)
        plain = self._plain_texts(texts, column)
        rows = [row for row, text in enumerate(plain) if text is not None]
        bad = convert.unfit([text for text in plain if text is not None], column.arrow_type)
        return {rows[row] for row in bad}.union(set(range(len(plain))).difference(rows))

    def typed_texts(self, texts: Sequence[str | None], column: ColumnSpec) -> pa.Array:
        """Fields that all fit as values; the column's default stands for None."""
        if self._is_rewritten(column):
            present = [text for text in texts if text is not None]
            plain = iter(self._plain_texts(present, column))
            texts = [None if text is None else next(plain) for text in texts]
        return filled(convert.typed(texts, column.arrow_type), column)

    def _plain_texts(self, texts: Sequence[str], column: ColumnSpec) -> list[str | None]:
        trimmed = [self.trimmed(text) for text in texts]
        plain: list[str | None] = self._plain(pa.array(trimmed, pa.string()), column).to_pylist()
        return plain


def faults(column: ColumnSpec) -> Iterator[tuple[str, str]]:
    """What cannot be of a column's declaration, as (key, predicate)."""
    bounds = dict(column.checks)
    if "pattern" in bounds and (fault := checks.pattern_fault(str(bounds["pattern"]))):
        yield "pattern", f"is none that RE2 takes: {fault}"
        return
    if column.format is not None and (fault := formats.fault(column.format, column.arrow_type)):
        yield "format", fault
    if column.default is not None:
        table = pa.table({column.name: filled(pa.nulls(1, column.arrow_type), column)})
        for _, reason, _ in checks.failures(table, TableSpec((column,))):
            yield "default", f"fails {reason}, a check of its own column"


def filled(values: Any, column: ColumnSpec) -> Any:
    """A column's values with its default for nulls."""
    if column.default is None or not values.null_count:
        return values
    return pc.fill_null(values, pa.scalar(column.default, column.arrow_type))


def _only(texts: pa.Array, is_right: pa.Array) -> pa.Array:
    return pc.if_else(is_right, texts, pa.scalar(None, pa.string()))
