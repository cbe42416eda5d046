"""A pipeline that somebody else's guess makes: built in Python, and written as a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from stagepipe.declare.guess import ColumnGuess
from stagepipe.declare.models import Pipeline
from stagepipe.declare.names import NAME_LENGTH
from stagepipe.declare.schema import Schema
from stagepipe.declare.sources import CsvDialect, Source
from stagepipe.declare.stages import Sink, Stage

SOURCE, STAGE = "files", "convert"


def conversion(
    columns: Sequence[ColumnGuess],
    delimiter: str,
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
        name=_name(stem),
        output=output,
        **settings,
        sources=[Source(name=SOURCE, files=list(files), csv=CsvDialect(delimiter=delimiter))],
        schema=Schema(columns={column.name: column.type for column in columns}),
        stages=[Stage(name=STAGE, sink=sink)],
        folder=folder,
    )


def _name(text: str) -> str:
    """The name nearest to a text that is one."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")
    return name[:NAME_LENGTH] or "table"


def to_toml(pipeline: Pipeline, head: Iterable[str], notes: Mapping[str, str]) -> str:
    """The pipeline file of a conversion. `head` are lines to begin with, `notes` what is said of
    columns, by name; all of them become comments. Raises ValueError for text that is no UTF-8."""
    text = "".join(line + "\n" for line in _toml_lines(pipeline, head, notes))
    text.encode()
    return text


def _toml_lines(pipeline: Pipeline, head: Iterable[str], notes: Mapping[str, str]) -> Iterator[str]:
    yield from (f"# {_in_comment(line)}".rstrip() for line in head)
    yield from ("[pipeline]", f"name = {_text(pipeline.name)}")
    yield f"output = {_text(pipeline.output)}"
    for source in pipeline.sources:
        assert source.name is not None
        yield from ("", "[[source]]", f"name = {_text(source.name)}")
        if len(source.files) == 1:
            yield f"files = {_text(source.files[0])}"
        else:
            yield from ("files = [", *(f"    {_text(file)}," for file in source.files), "]")
        yield from ("[source.csv]", f"delimiter = {_text(source.csv.delimiter)}")
    yield from ("", "[schema.columns]")
    for name, column in pipeline.schema_.columns.items():
        note = f"  # {_in_comment(notes[name])}" if name in notes else ""
        yield f"{_key(name)} = {_text(str(column.type))}{note}"
    for stage in pipeline.stages:
        yield from ("", "[[stage]]", f"name = {_text(stage.name)}")
        if (sink := stage.sink) is not None:
            words = {"use": sink.use, "path": sink.path, "on_existing": sink.on_existing}
            written = ", ".join(f"{key} = {_text(word)}" for key, word in words.items())
            yield f"sink = {{ {written} }}"


def _text(value: str) -> str:
    """A TOML string that means this text to who loads it."""
    quoted = json.dumps(value.replace("${", "$${"), ensure_ascii=False)
    return quoted.replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _in_comment(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
