"""How a source's files are written, as `[source.csv]` declares it or as it was detected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from stagepipe.builtin.csv.encoding import UTF_8, may_be_cut
from stagepipe.builtin.csv.margins import Margins
from stagepipe.builtin.csv.structure import Structure
from stagepipe.builtin.csv.values import Notation

LEFT_OUT: Mapping[str, Any] = {"encoding": UTF_8, "delimiter": ",", "quote": '"', "skip_lines": 0}
"""What is meant by options that are None, unless a file tells otherwise: see `detecting`."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a source's files are written: their records, and the values in them. `structure` is that
    of their text in UTF-8, `codec` says how their characters are written as bytes; `undeclared` are
    the options that were left out, and not detected either."""

    structure: Structure
    notation: Notation
    codec: str = UTF_8
    margins: Margins = field(default_factory=Margins)
    undeclared: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Dialect:
        """The dialect of such options. What is left out is as in plain files."""
        listed = options.items()
        return _dialect(tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in listed))

    @property
    def structure_in_file(self) -> Structure | None:
        """The structure of a file's own bytes, or None where these do not tell it."""
        it = self.structure
        marks = [mark.decode() for mark in (it.delimiter, it.quote, it.escape, it.comment)]
        if not may_be_cut(self.codec, "".join(marks)):
            return None
        try:
            return Structure(*(mark.encode(self.codec) for mark in marks))
        except UnicodeEncodeError:
            return None

    @property
    def text_errors(self) -> str:
        """How Python decodes text that may have bytes in it that are part of no character."""
        return "surrogateescape" if self.codec == UTF_8 else "surrogatepass"


@lru_cache(maxsize=256)
def _dialect(declared: tuple[tuple[str, Any], ...]) -> Dialect:
    options = dict(declared)
    undeclared = tuple(key for key in LEFT_OUT if options.get(key) is None)
    given = {**options, **{key: LEFT_OUT[key] for key in undeclared}}
    quote, escape = given["quote"], options.get("escape") or ""
    if escape == quote:
        escape = ""  # a quote before a quote is a doubled one
    marks = given["delimiter"], quote, escape, options.get("comment") or ""
    margins = Margins(
        given["skip_lines"],
        int(options.get("header", True)),
        options.get("skip_footer", 0),
        options.get("tables", "one") == "first",
    )
    return Dialect(
        Structure(*(mark.encode() for mark in marks)),
        Notation.of(options),
        given["encoding"],
        margins,
        undeclared,
    )
