"""`stagepipe preview`: the first rows of each source through the first stage. Writes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stagepipe.cli.command import Command
from stagepipe.cli.options import (
    WholeNumber,
    as_json,
    loudness,
    option,
    overrides,
    pipeline_argument,
)
from stagepipe.cli.rejects import RAW_WIDTH, reject_lines, reject_object
from stagepipe.cli.session import session
from stagepipe.cli.wording import count, number, shortened, table

if TYPE_CHECKING:
    import polars as pl

    from stagepipe.run.preview import Preview, SourcePreview

CELL_WIDTH = 60
NARROW_CELL_WIDTH = 24
"""Where a table does not fit the terminal as it is."""
INDENT = "  "


@click.command("preview", cls=Command, short_help="Show the first rows of each source.")
@pipeline_argument
@option(
    "-n",
    "--rows",
    type=WholeNumber(min=1),
    default=5,
    show_default=True,
    help="So many records of each source.",
)
@overrides
@as_json
@loudness
def command(pipeline: Path, rows: int, overrides: tuple[str, ...], *, as_json: bool) -> int:
    """Show the first records of each source as the first stage makes them: its rows, with their
    types, and its rejects. Reads the beginning of the sources' files and writes nothing; the
    stage's steps, those of plugins too, run in this process. Values of unique columns are compared
    among these records only."""
    here = session()
    from stagepipe.plan.loading import load
    from stagepipe.run.preview import preview

    declared = load(pipeline, overrides)
    here.pipeline = declared.name
    found = preview(declared, rows)
    if as_json:
        here.out.json({"sources": [_source_object(source) for source in found.sources]})
    else:
        here.out.lines(*_lines(found, here.out.width))
    return int(any(source.error for source in found.sources))


def _source_object(source: SourcePreview) -> dict[str, Any]:
    return {
        "name": source.name,
        "file": source.file,
        "columns": [{"name": name, "type": word} for name, word in _types(source.rows)],
        "rows": [
            {name: _plain(value) for name, value in row.items()}
            for row in source.rows.iter_rows(named=True)
        ],
        "rejects": [reject_object(reject) for reject in source.rejects],
        "records": source.records,
        "dropped": dict(source.dropped),
        "added": dict(source.added),
        "detected": {path: dict(found) for path, found in source.detected.items()},
        "error": source.error,
    }


def _types(rows: pl.DataFrame) -> list[tuple[str, str]]:
    from stagepipe.builtin.types import type_word

    return [(name, type_word(kind)) for name, kind in rows.schema.items()]


def _plain(value: Any) -> Any:
    """A value as JSON has it: what it has no word for becomes text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.isoformat() if isinstance(value, date) else value


def _lines(found: Preview, width: int | None) -> Iterator[str]:
    steps = f" ({', '.join(found.steps)})" if found.steps else ""
    yield f"stage {found.stage}{steps}"
    for source in found.sources:
        yield ""
        yield from _source_lines(source, width)


def _source_lines(source: SourcePreview, width: int | None) -> Iterator[str]:
    more = f" and {number(source.files - 1)} more" if source.files > 1 else ""
    yield f"source {source.name}: {_sum(source)} of {source.file}{more}"
    from stagepipe.plan.detecting import detected_lines

    yield from (f"{INDENT}{line}" for line in detected_lines(source.detected.items()))
    if source.error is not None:
        yield f"{INDENT}error: {source.error}"
    if source.rows.height or (source.error is None and source.rows.width):
        for lines in _blocks(source.rows, width):
            yield from lines
    if source.rejects:
        yield f"{INDENT}rejected"
        room = RAW_WIDTH if width is None else max(width - 2 * len(INDENT), NARROW_CELL_WIDTH)
        for reject in source.rejects:
            yield from (f"{INDENT * 2}{line}" for line in reject_lines(reject, room))


def _sum(source: SourcePreview) -> str:
    """Where the records went, in a few words."""
    pieces = [f"{number(len(source.rejects))} rejected"] if source.rejects else []
    for word, by_step in (("dropped", source.dropped), ("added", source.added)):
        pieces += [f"{step} {word} {number(rows)}" for step, rows in by_step.items() if rows]
    return count(source.records, "record") + (f" ({', '.join(pieces)})" if pieces else "")


def _blocks(rows: pl.DataFrame, width: int | None) -> Iterator[list[str]]:
    """The rows as tables with the types under the names. On a terminal that is too narrow, values
    are shortened, and columns that do not fit stand in a table below."""
    columns = _columns(rows, CELL_WIDTH)
    right = [index for index, kind in enumerate(rows.dtypes) if kind.is_numeric()]
    room = None if width is None else width - len(INDENT)
    if room is not None and _width(columns) > room:
        columns = _columns(rows, min(NARROW_CELL_WIDTH, room))
    start = 0
    while start < len(columns):
        end = start + 1
        while end < len(columns) and (room is None or _width(columns[start : end + 1]) <= room):
            end += 1
        lines = [list(line) for line in zip(*columns[start:end], strict=True)]
        if (start, end) != (0, len(columns)):
            which = f"{start + 1} to {end}" if end > start + 1 else f"{end}"
            yield [f"{INDENT}columns {which} of {len(columns)}"]
        yield table(lines, right=[i - start for i in right if start <= i < end], indent=INDENT)
        start = end


def _columns(rows: pl.DataFrame, most: int) -> list[list[str]]:
    """For each column its name, type and values as text, none of them wider than `most`."""
    return [
        [
            shortened(text, most)
            for text in (name, word, *(_text(value) for value in rows[name].to_list()))
        ]
        for name, word in _types(rows)
    ]


def _width(columns: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 2 for column in columns) - 2


def _text(value: Any) -> str:
    """A value as a person can tell it from others: no blank goes unseen."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return value if value and value == value.strip() else f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)
