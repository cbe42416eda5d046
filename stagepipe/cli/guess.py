"""`stagepipe guess`: a pipeline file for files of which nobody has said what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stagepipe.cli.command import Command
from stagepipe.cli.options import as_json, loudness
from stagepipe.cli.session import session
from stagepipe.cli.wording import command_line, count, number, shortened
from stagepipe.errors import UsageError

if TYPE_CHECKING:
    from stagepipe.declare import Pipeline
    from stagepipe.declare.guess import ColumnGuess
    from stagepipe.plan.guess_sources import PipelineGuess, SourceGuess

WIDTH = 80
NAMED = 3
"""So many files are named before the others are counted."""


@click.command("guess", cls=Command, short_help="Write a pipeline file for CSV files.")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@as_json
@loudness
def command(files: tuple[str, ...], *, as_json: bool) -> None:
    """Sample CSV files, or folders of them, and print a pipeline file that reads them.

    Its comments say what was looked at, what each guess rests on, and what speaks against it. A
    type is taken only if every sampled value comes back as the same text: 08123 stays a string.
    """
    here = session()
    out = here.out
    from stagepipe.declare.guessed import guessed_pipeline, to_toml
    from stagepipe.plan.guess_sources import guess_pipeline

    found = guess_pipeline(files, {out.identity})
    declared = guessed_pipeline(found.name, _sources(found), found.columns, Path.cwd())
    notes = {column.name: note for column in found.columns if (note := _note(column))}
    try:
        text = to_toml(
            declared,
            [*_head(found, command_line(*here.words)), ""],
            notes,
            [list(_source_notes(source)) for source in found.sources],
        )
    except UnicodeEncodeError as error:
        raise UsageError(
            "a pipeline file is UTF-8, and the path of a file is not", "rename the file"
        ) from error
    if as_json:
        out.json(_object(found, declared, text))
    else:
        with out.stream() as stream:
            stream.write(text)


def _sources(found: PipelineGuess) -> list[Any]:
    from stagepipe.declare.guessed import source_of

    return [
        source_of(source.name, source.files, source.dialect, source.notation)
        for source in found.sources
    ]


def _head(found: PipelineGuess, words: str) -> Iterator[str]:
    """What was looked at, and what was not."""
    yield f"Guessed by `{shortened(words, WIDTH)}`."
    records = sum(source.records for source in found.sources)
    files = sum(source.file_count for source in found.sources)
    sampled = sum(len(source.sampled) for source in found.sources)
    if all(source.is_all for source in found.sources):
        yield f"Looked at all {count(records, 'record')} of {count(files, 'file')}."
    else:
        yield f"Looked at {count(records, 'record')} in {number(sampled)} of {count(files, 'file')}"
        yield "(beginning, middle and end of big ones): what was not seen may not fit."
    if found.left_out:
        yield "Left out:"
        yield from (f"  {why if path in why else f'{path}: {why}'}" for path, why in found.left_out)


def _source_notes(source: SourceGuess) -> Iterator[str]:
    names = ", ".join(source.sampled[:NAMED])
    others = len(source.sampled) - NAMED
    more = f" and {count(others, 'other')}" if others > 0 else ""
    what = "all of" if source.is_all else "sampled from"
    yield f"{count(source.records, 'record')}, {what} {names}{more}"
    yield from (f"but: {doubt}" for doubt in source.doubts)


def _note(column: ColumnGuess) -> str:
    """What the guess of a column rests on, and what speaks against it."""
    missing = [f"{number(times)} {word!r}" for word, times in column.nulls.items()]
    missing += [f"{number(column.empty)} empty"] if column.empty else []
    if column.type == "string":
        why = column.because or ("" if column.values else "no value seen")
    else:
        why = f"all {count(column.values, 'value')} seen"
        why += f"; missing: {', '.join(missing)}" if missing else ""
    return "; ".join(part for part in (why, column.doubt and f"but {column.doubt}") if part)


def _object(found: PipelineGuess, declared: Pipeline, text: str) -> dict[str, Any]:
    """The facts as `--json` prints them."""
    return {
        "pipeline": declared.name,
        "sources": [
            {
                "name": source.name,
                "files": list(source.files),
                "sampled": list(source.sampled),
                "records": source.records,
                "is_all": source.is_all,
                "csv": {
                    **source.dialect.keys,
                    "quote": source.dialect.quote,
                    **source.notation.keys,
                },
                "doubts": list(source.doubts),
            }
            for source in found.sources
        ],
        "columns": [
            {
                "name": column.name,
                "type": column.type,
                "format": column.format,
                "values": column.values,
                "empty": column.empty,
                "null_words": dict(column.nulls),
                "because": column.because,
                "doubt": column.doubt,
            }
            for column in found.columns
        ],
        "left_out": [{"file": path, "reason": why} for path, why in found.left_out],
        "toml": text,
    }
