"""Sources: where files are from, how they are written, and how gently they are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, StrictStr

from stagepipe.declare.declared import Declared
from stagepipe.declare.names import Cap, Count, Globs, Name, Word, Words
from stagepipe.declare.units import Seconds
from stagepipe.declare.words import Complaint, shown

MAX_INFLATION = 500
CAPTURE = "{source}"
"""Stands in a source's files for the name of the source."""

WORDS = {
    "null_values": ("",),
    "true_values": ("true", "True", "TRUE", "1"),
    "false_values": ("false", "False", "FALSE", "0"),
}
"""The words that count where none are declared."""


def _character(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text in "\r\n\0":
        raise ValueError(f"{shown(text)} is not one ASCII character")
    return text


def _quote(text: str) -> str:
    return text if text == "" else _character(text)


def _sign(text: str) -> str:
    if len(text) != 1 or text.isalnum() or text in "+-\r\n\0":
        raise ValueError(f"{shown(text)} is not one character that could stand between digits")
    return text


class CsvDialect(Declared):
    """How a source's CSV files are written."""

    delimiter: Annotated[StrictStr, AfterValidator(_character)] = Field(
        ",", description="The character between two fields."
    )
    quote: Annotated[StrictStr, AfterValidator(_quote)] = Field(
        '"', description="The character around a field that holds delimiters; empty for none."
    )
    null_values: Words = Field(("",), description="Fields that stand for a missing value.")
    encoding: Word = Field("utf-8", description="How characters are written as bytes.")
    escape: Word | None = Field(None, description="The character before one to be taken as it is.")
    header: StrictBool = Field(True, description="Whether the first record names the columns.")
    skip_lines: Count = Field(0, description="Lines to leave out at the start of a file.")
    skip_footer: Count = Field(0, description="Lines to leave out at the end of a file.")
    comment: Word | None = Field(None, description="How lines begin that are to be left out.")
    decimal_comma: StrictBool = Field(
        False, description="Whether the comma is the decimal sign: 1,5."
    )
    thousands: Annotated[StrictStr, AfterValidator(_sign)] | None = Field(
        None, description="The character between groups of three digits, where numbers have it."
    )
    true_values: Annotated[Words, Field(min_length=1)] | None = Field(
        None, description="Fields that mean true, in the place of true, True, TRUE and 1."
    )
    false_values: Annotated[Words, Field(min_length=1)] | None = Field(
        None, description="Fields that mean false, in the place of false, False, FALSE and 0."
    )
    trim: StrictBool = Field(
        False, description="Whether spaces and tabs around a field are left out."
    )

    @classmethod
    def complaints(cls, data: Mapping[str, Any]) -> Iterable[Complaint]:
        """Check that what has different meanings is told apart."""
        if (quote := data.get("quote", '"')) and quote == data.get("delimiter", ","):
            key = "quote" if "quote" in data else "delimiter"
            yield Complaint(
                (key,),
                f"is {shown(quote)}, as the other of delimiter and quote is; they must differ",
            )
        yield from _signs(data)
        yield from _words(data)


def _signs(data: Mapping[str, Any]) -> Iterator[Complaint]:
    """Check that the thousands sign is not the decimal sign."""
    has_comma = data.get("decimal_comma") is True
    if data.get("thousands") == ("," if has_comma else "."):
        hint = "" if has_comma else "; set decimal_comma = true, or another sign"
        text = f"is {shown(data['thousands'])}, as the decimal sign is{hint}"
        yield Complaint(("thousands",), text)


def _words(data: Mapping[str, Any]) -> Iterator[Complaint]:
    """Check that no word means two things, and that each can be what a field holds."""
    for key, others in (
        ("null_values", ()),
        ("true_values", ("null_values", "false_values")),
        ("false_values", ("null_values", "true_values")),
    ):
        for position, word in enumerate(_listed(data, key)):
            also = [other for other in others if word in _meaning(data, other)]
            if also:
                text = f"is {shown(word)}, which is one of {also[0]} too"
                yield Complaint((key, position), text)
            elif data.get("trim") is True and isinstance(word, str) and word != word.strip(" \t"):
                text = f"is {shown(word)}, and trim takes the blanks off each field before"
                yield Complaint((key, position), text)


def _listed(data: Mapping[str, Any], key: str) -> Iterable[Any]:
    given = data.get(key)
    return given if isinstance(given, list | tuple) else ()


def _meaning(data: Mapping[str, Any], key: str) -> Iterable[Any]:
    """The words that count for a meaning, declared or not."""
    return WORDS[key] if data.get(key) is None else _listed(data, key)


class Source(Declared):
    """A named origin of files, and how gently to treat it.

    Where all `files` have `{source}` in them there is one source for each value of it, and `name`
    is None.
    """

    name: Name | None = Field(None, description="The name of the source.")
    files: Globs = Field(description="A glob or a list of globs; {source} stands for the name.")
    use: Word = Field("csv", description="The reader.")
    max_concurrent: Cap | None = Field(
        None, description="At most so many chunks of this source at once; no cap when left out."
    )
    start_delay: Seconds = Field(
        0.0,
        description="How long its first task waits after the first of the source before it.",
        json_schema_extra={"default": "0s"},
    )
    limits: tuple[StrictStr, ...] = Field((), description="Caps that it shares with others.")
    max_inflation: Cap = Field(
        MAX_INFLATION, description="A packed file may hold at most so many times its size."
    )
    csv: CsvDialect = Field(
        default_factory=CsvDialect, description="How its CSV files are written."
    )

    @property
    def captures(self) -> bool:
        """Whether `{source}` in the files' paths gives the names of the sources."""
        return self.name is None

    @classmethod
    def complaints(cls, data: Mapping[str, Any]) -> Iterable[Complaint]:
        """Check that the source has one name, or takes it from each path."""
        files = data.get("files")
        globs = [files] if isinstance(files, str | os.PathLike) else files
        if not isinstance(globs, list | tuple):
            return
        captures = [CAPTURE in str(glob) for glob in globs]
        if any(captures) and not all(captures):
            missing = shown(str(globs[captures.index(False)]))
            yield Complaint(("files",), f"has {CAPTURE} in some paths, but not in {missing}")
        elif all(captures) and captures and data.get("name") is not None:
            text = f"cannot stand beside {CAPTURE} in files, which gives the name; leave one out"
            yield Complaint(("name",), text, "key")
        elif not any(captures) and data.get("name") is None:
            yield Complaint(("name",), "", "lacks")


class Limit(Declared):
    """A cap over all sources that name it."""

    max_concurrent: Cap = Field(description="At most so many chunks at once, over all sources.")
