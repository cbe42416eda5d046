"""Sources: where files are from, how they are written, and how gently they are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictStr

from stagepipe.declare.declared import Declared
from stagepipe.declare.encodings import can_write, check_encoding
from stagepipe.declare.names import Cap, Count, Globs, Name, OnDrift, Word, Words
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


def _delimiter(text: str) -> str:
    return _on_one_line(text) if text else _one_character(text)


def _one_character(text: str) -> str:
    if len(text) != 1:
        raise ValueError(f"{shown(text)} is not one character")
    return _on_one_line(text)


def _quote(text: str) -> str:
    return text if text == "" else _one_character(text)


def _escape(text: str) -> str:
    if not text.isascii():
        raise ValueError(f"{shown(text)} is not one ASCII character")
    return _quote(text)


def _header(value: Any) -> Any:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{shown(value)} is not true, false or a number of lines")
    return value


def _on_one_line(text: str) -> str:
    if any(character in "\r\n\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{shown(text)} has a character that ends a line, or that is none")
    return text


MARKS: Mapping[str, Any] = {"delimiter": ",", "quote": '"', "escape": "", "comment": ""}
MUST_DIFFER = (
    *(("delimiter", "quote"), ("delimiter", "escape")),
    *(("comment", "quote"), ("comment", "escape"), ("comment", "delimiter")),
)
"""Pairs of keys of which the first may not have the second in it."""


def _sign(text: str) -> str:
    if len(text) != 1 or text.isalnum() or text in "+-\r\n\0":
        raise ValueError(f"{shown(text)} is not one character that could stand between digits")
    return text


class CsvDialect(Declared):
    """How a source's CSV files are written."""

    delimiter: Annotated[StrictStr, AfterValidator(_delimiter)] | None = Field(
        None,
        description="What stands between two fields: one character or several; detected in each "
        "file when left out.",
    )
    quote: Annotated[StrictStr, AfterValidator(_quote)] | None = Field(
        None,
        description="The character around a field that holds delimiters; empty for none; detected "
        "in each file when left out.",
    )
    null_values: Words = Field(("",), description="Fields that stand for a missing value.")
    encoding: Annotated[StrictStr, AfterValidator(check_encoding)] | None = Field(
        None,
        description="How characters are written as bytes; UTF-16 and UTF-32 are detected in each "
        "file when left out.",
    )
    escape: Annotated[StrictStr, AfterValidator(_escape)] | None = Field(
        None, description="The character before one to be taken as it is; none when left out."
    )
    header: Annotated[StrictBool | int, BeforeValidator(_header)] = Field(
        True,
        description="Whether the first record names the columns, or how many of them do together.",
    )
    skip_lines: Count | None = Field(
        None,
        description="Lines to leave out at the start of a file; detected in each file when left "
        "out.",
    )
    skip_footer: Count = Field(
        0, description="Lines that are not blank to leave out at the end of a file."
    )
    tables: Literal["one", "first"] = Field(
        "one",
        description='Whether a file is one table, or a blank line ends the "first" one and what '
        "follows are others.",
    )
    comment: Annotated[Word, AfterValidator(_on_one_line)] | None = Field(
        None, description="How lines begin that are to be left out; none when left out."
    )
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
        yield from _marks(data)
        yield from _signs(data)
        yield from _words(data)


def _marks(data: Mapping[str, Any]) -> Iterator[Complaint]:
    """Check that what gives the records their structure is told apart."""
    marks = {**MARKS, **{key: data[key] for key in MARKS if data.get(key) is not None}}
    for outer, inner in MUST_DIFFER:
        one, other = marks[outer], marks[inner]
        if not isinstance(one, str) or not isinstance(other, str) or not other:
            continue
        if one == other:
            key = inner if data.get(inner) is not None else outer
            text = f"is {shown(other)}, as the other of {outer} and {inner} is"
            yield Complaint((key,), f"{text}; they must differ")
        elif other in one:
            text = f"is {shown(one)}, and {shown(other)} in it is the {inner}"
            yield Complaint((outer,), f"{text}; they must differ")
    encoding = data.get("encoding") or "utf-8"
    for key, mark in marks.items():
        if isinstance(mark, str) and not can_write(mark, encoding):
            yield Complaint((key,), f"is {shown(mark)}, which is not in {shown(encoding)}")


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
    settle: Seconds = Field(
        0.0,
        description="Files that were modified less than this long ago are left alone this time.",
        json_schema_extra={"default": "0s"},
    )
    max_inflation: Cap = Field(
        MAX_INFLATION, description="A packed file may hold at most so many times its size."
    )
    on_drift: OnDrift | None = Field(
        None, description="As in [schema], for this source; what stands there when left out."
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
