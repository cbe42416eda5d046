"""A pipeline that somebody else's guess makes: built in Python, and written as a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from stagepipe.declare.guess import ColumnGuess, FileGuess, NotationGuess
from stagepipe.declare.guess.columns import BLANKS
from stagepipe.declare.models import Pipeline
from stagepipe.declare.names import NAME_LENGTH
from stagepipe.declare.schema import Column, Schema
from stagepipe.declare.sources import CsvDialect, Source
from stagepipe.declare.stages import Sink, Stage
from stagepipe.declare.types import parse_type

SOURCE, STAGE = "files", "convert"
DIALECT_KEYS = (
    *("encoding", "delimiter", "quote", "escape", "comment"),
    *("skip_lines", "header", "skip_footer", "tables"),
    *("null_values", "decimal_comma", "thousands", "true_values", "false_values", "trim"),
)
"""What a guess may say of a dialect."""


def dialect_of(file: FileGuess, notation: NotationGuess) -> CsvDialect:
    """What `[source.csv]` has to say."""
    return CsvDialect(**file.keys, **notation.keys)


def column_of(column: ColumnGuess) -> Column:
    """A column as it is declared."""
    return Column(type=parse_type(column.type), format=column.format)


def conversion(
    columns: Sequence[ColumnGuess],
    dialect: CsvDialect,
    files: Sequence[str],
    sink: Sink,
    *,
    folder: Path,
    output: str,
    state: str | None = None,
) -> Pipeline:
    """The pipeline that reads files with these columns and hands all rows to one sink. `files` are
    globs, and paths are relative to `folder`."""
    stem = sink.path.removesuffix(Path(sink.path).suffix) if sink.is_file else sink.path
    settings = {} if state is None else {"state": state}
    return Pipeline(
        name=name_of(stem),
        output=output,
        **settings,
        sources=[Source(name=SOURCE, files=list(files), csv=dialect)],
        schema=Schema(columns={column_name(column): column_of(column) for column in columns}),
        stages=[Stage(name=STAGE, sink=sink)],
        folder=folder,
    )


def guessed_pipeline(
    name: str, sources: Sequence[Source], columns: Sequence[ColumnGuess], folder: Path
) -> Pipeline:
    """The pipeline that makes one table of sources. Raises PipelineError for columns that no table
    can have."""
    name = name_of(name)
    return Pipeline(
        name=name,
        sources=list(sources),
        schema=Schema(columns={column_name(column): column_of(column) for column in columns}),
        stages=[Stage(name="table", sink=Sink(path=name, on_existing="replace"))],
        folder=folder,
    )


def source_of(
    name: str | None, files: Sequence[str], file: FileGuess, notation: NotationGuess
) -> Source:
    """A source of files that are written in one way."""
    return Source(name=name, files=list(files), csv=dialect_of(file, notation))


def column_name(column: ColumnGuess) -> str:
    """A column's name; blanks around it are no part of it."""
    return column.name.strip(BLANKS)


def name_of(text: str, default: str = "table") -> str:
    """The name nearest to a text that is one."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")
    return name[:NAME_LENGTH] or default


def to_toml(
    pipeline: Pipeline,
    head: Iterable[str],
    notes: Mapping[str, str],
    source_notes: Sequence[Sequence[str]] = (),
) -> str:
    """The pipeline file of a guess. `head` are lines to begin with, `notes` what is said of
    columns, by name, `source_notes` of sources; all of them become comments. Raises ValueError for
    text that is no UTF-8."""
    lines = [*(_comment(line) for line in head)]
    lines += ["[pipeline]", f"name = {_text(pipeline.name)}", f"output = {_text(pipeline.output)}"]
    for index, source in enumerate(pipeline.sources):
        lines += ["", *_source_lines(source, source_notes[index] if source_notes else ())]
    lines += ["", "[schema.columns]", *_column_lines(pipeline.schema_.columns, notes)]
    for stage in pipeline.stages:
        lines += ["", *_stage_lines(stage)]
    text = "".join(line + "\n" for line in lines)
    text.encode()
    return text


def _source_lines(source: Source, notes: Iterable[str]) -> Iterator[str]:
    yield from map(_comment, notes)
    yield "[[source]]"
    if source.name is not None:
        yield f"name = {_text(source.name)}"
    if len(source.files) == 1:
        yield f"files = {_text(source.files[0])}"
    else:
        yield from ("files = [", *(f"    {_text(file)}," for file in source.files), "]")
    yield "[source.csv]"
    for key in DIALECT_KEYS:
        value = getattr(source.csv, key)
        if value != CsvDialect.model_fields[key].default:
            yield f"{key} = {_value(value)}"


def _column_lines(columns: Mapping[str, Column], notes: Mapping[str, str]) -> Iterator[str]:
    for name, column in columns.items():
        note = f"  {_comment(notes[name])}" if name in notes else ""
        kind = _text(str(column.type))
        if column.format is not None:
            kind = f"{{ type = {kind}, format = {_text(column.format)} }}"
        yield f"{_key(name)} = {kind}{note}"


def _stage_lines(stage: Stage) -> Iterator[str]:
    yield from ("[[stage]]", f"name = {_text(stage.name)}")
    if (sink := stage.sink) is not None:
        words = {"use": sink.use, "path": sink.path, "on_existing": sink.on_existing}
        written = ", ".join(f"{key} = {_text(word)}" for key, word in words.items())
        yield f"sink = {{ {written} }}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    assert isinstance(value, tuple)
    return f"[{', '.join(map(_text, value))}]"


def _text(value: str) -> str:
    """A TOML string that means this text to who loads it."""
    quoted = json.dumps(value.replace("${", "$${"), ensure_ascii=False)
    return quoted.replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return f"# {''.join(letter if letter.isprintable() else '?' for letter in text)}".rstrip()
