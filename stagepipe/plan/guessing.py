"""Guessing what files are: one table of all of them, or a source for each folder of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stagepipe.declare.guess import ColumnGuess, FileGuess, NotationGuess, decide
from stagepipe.errors import InputError
from stagepipe.model import printable
from stagepipe.plan.files import members_of
from stagepipe.plan.sampling import (
    FileSample,
    TableSample,
    adapted,
    check_header,
    checked,
    look_at,
    share_of,
    told_of,
)


@dataclass(frozen=True, slots=True)
class TableGuess:
    """What some files look like that are to become one table. `files` are as the user named them;
    `records` of them were looked at, which `is_all` says are all there are, and `is_beginning` that
    they are the first ones. `doubts` are said of single files."""

    files: tuple[str, ...]
    dialect: FileGuess
    notation: NotationGuess
    columns: tuple[ColumnGuess, ...]
    records: int
    is_all: bool
    is_beginning: bool
    doubts: tuple[str, ...]


def guess_table(files: Sequence[str]) -> TableGuess:
    """Look at files that are to become one table.

    Raises InputError, naming the file, when one cannot be read, is no CSV, or has another header
    than the first.
    """
    named = checked(files, "name the files to convert")
    inputs = [each for file in named for each in members_of(Path(), file)]
    share = share_of(len(inputs))
    first: FileSample | None = None
    footers: set[int] = set()
    samples: list[FileSample] = []
    for file in inputs:
        sample = look_at(file, share)
        if first is not None:
            sample = adapted(sample, first.guess)
        samples.append(replace(sample, pieces=()))
        if first is None:
            check_header(file.path, sample.guess)
            first, table = sample, TableSample(sample.guess.names)
        elif difference := difference_of(sample.guess, first.guess):
            raise InputError(
                f"{printable(file.path)} does not fit {printable(inputs[0].path)}: {difference}",
                "convert files of different headers one by one, or write a pipeline file",
            )
        table.add(sample)
        footers.add(sample.guess.footer_lines)
    assert first is not None, "no files"
    notation, columns = decide(table.evidence)
    return TableGuess(
        tuple(files),
        # A line too many that is left out would be a record lost.
        first.guess if len(footers) == 1 else replace(first.guess, footer_lines=0),
        notation,
        columns,
        table.records,
        table.is_all,
        table.is_beginning,
        (*told_of(samples), *_footers_told(footers)),
    )


def _footers_told(footers: Collection[int]) -> Iterator[str]:
    if len(footers) > 1:
        yield "not all files have as long a footer, so none is taken off: each line is a record"


def difference_of(found: FileGuess, first: FileGuess) -> str | None:
    """How a file's header, or what stands around its records, differs from the first file's, if it
    does."""
    return _difference_of_headers(found, first) or next(
        (
            f"{what} differs: {getattr(found, name)!r}, not {getattr(first, name)!r}"
            for name, what in _SURROUNDINGS.items()
            if getattr(found, name) != getattr(first, name)
        ),
        None,
    )


_SURROUNDINGS = {
    "quote": "the quote",
    "encoding": "the encoding",
    "skip_lines": "the number of lines above the header",
    "header_records": "the number of lines that the header has",
    "escape": "the escape",
    "comment": "how comments begin",
    "has_other_tables": "whether other tables follow",
}


def _difference_of_headers(found: FileGuess, first: FileGuess) -> str | None:
    is_same = sorted(found.header) == sorted(first.header)
    if is_same and found.header != first.header and first.is_by_position:
        return "its columns stand in another order, and not each one has a name of its own"
    if is_same:
        # A header of one field does not tell by what fields are divided.
        if found.delimiter == first.delimiter or len(first.header) == 1:
            return None
    elif found.delimiter == first.delimiter:
        pieces = [
            f"{verb} {', '.join(repr(name) for name in names[:5])}{' …' * (len(names) > 5)}"
            for verb, names in (
                ("lacks", [name for name in first.header if name not in found.header]),
                ("also has", [name for name in found.header if name not in first.header]),
            )
            if names
        ]
        return f"it {' and '.join(pieces)}" if pieces else "it names a column more than once"
    return f"its fields are divided by {found.delimiter!r}, not by {first.delimiter!r}"
