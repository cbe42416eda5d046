"""A pipeline file, read and checked as a whole: every fault at once, each with its place."""

from __future__ import annotations

import copy
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ValidationError

from stagepipe.declare.declared import complaints_of
from stagepipe.declare.environment import fill_in
from stagepipe.declare.faults import place_all
from stagepipe.declare.models import Document, Pipeline
from stagepipe.declare.overrides import Override, OverrideError, apply
from stagepipe.declare.schema import Check, Column, Schema
from stagepipe.declare.stages import Sink, Use
from stagepipe.declare.words import Complaint
from stagepipe.errors import Fault, PipelineError

TOO_DEEP = "this is no pipeline file: its lists or tables are nested too deep"
MOST_LEVELS = 50
"""No key of a pipeline file lies half as deep, and no option of a plugin should."""
MOST_FAULTS = 200
"""So many are told; what has more is no pipeline file."""


def load(
    path: Path, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Pipeline:
    """Read a pipeline file.

    `overrides` are `key=value` texts as `--set` takes them, and `environ` is where `${NAME}` takes
    its value from.

    Raises:
        PipelineError: the file cannot be read, or something in it is wrong. It holds all faults,
            in the order of the file.
    """
    path = Path(path)
    text = _read(path)
    document = _parse(text, str(path))
    applied, faults = _override(document, overrides)
    checked, found = _check(document, environ)
    faults += place_all(found, text, str(path), [(each.path, each.text) for each in applied])
    if faults or checked is None:
        more = len(faults) - MOST_FAULTS
        told = [Fault(f"and {more:,} more faults", str(path))] if more > 0 else []
        raise PipelineError([*faults[:MOST_FAULTS], *told])
    pipeline = checked.pipeline_in(path.absolute().parent, path)
    pipeline._overrides = tuple((each.path, each.text) for each in applied)
    return pipeline


def sketch(
    path: Path, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Pipeline | None:
    """Make of a faulty pipeline file what its plugins, steps, sinks and schema can be checked by,
    if anything.

    The names and places of plugins, stages, steps and sinks are the file's; all else is made up. A
    step that is itself wrong stands as `strip_text`, so that the others keep their places. The
    columns that are right by themselves are the file's, too, and so are its checks where all
    columns are.
    """
    try:
        document = _parse(_read(path), str(path))
    except PipelineError:
        return None
    applied, _ = _override(document, overrides)
    document = fill_in(document, environ, [])
    settings, stages = document.get("pipeline"), document.get("stage")
    plugins = settings.get("plugins", []) if isinstance(settings, dict) else []
    rough = {
        "pipeline": {"name": "sketch", "plugins": [p for p in plugins if isinstance(p, str)]},
        "source": [{"name": "sketch", "files": "sketch"}],
        "schema": _sketched_schema(document.get("schema")),
        "stage": [
            {
                "name": f"stage-{index}",
                "steps": _sketched_steps(stage),
                "sink": _sketched_sink(stage, index),
            }
            for index, stage in enumerate(stages if isinstance(stages, list) else [])
        ],
    }
    try:
        checked = Document.model_validate(rough)
    except ValidationError:
        return None
    pipeline = checked.pipeline_in(path.absolute().parent, path)
    pipeline._overrides = tuple((each.path, each.text) for each in applied)
    return pipeline


def _sketched_schema(schema: Any) -> dict[str, Any]:
    """Give the schema's columns and checks; another one where they do not go together."""
    columns = schema.get("columns") if isinstance(schema, dict) else None
    declared = columns if isinstance(columns, dict) else {}
    right = {name: column for name, column in declared.items() if _is_right(Column, column)}
    checks = schema.get("checks") if isinstance(schema, dict) else None
    sketched = [
        _sketched_check(check, index)
        for index, check in enumerate(checks if isinstance(checks, list) else [])
    ]
    is_known = len(right) == len(declared)  # else a check may speak of a column that is left out
    tried = ({"columns": right, "checks": sketched if is_known else []}, {"columns": right})
    nothing = {"columns": {"sketch": "string"}}
    return next((each for each in tried if _is_right(Schema, each)), nothing)


def _sketched_check(check: Any, index: int) -> Any:
    """Give a check; one that says nothing where its expression is missing."""
    given = check if isinstance(check, dict) else {}
    plain = {"name": f"check-{index}", "expression": "1 = 1"}
    tried = [
        {"name": name, "expression": given.get("expression")}
        for name in (given.get("name"), plain["name"])
    ]
    return next((each for each in tried if _is_right(Check, each)), plain)


def _is_right(kind: type[BaseModel], value: Any) -> bool:
    try:
        kind.model_validate(value)
    except ValidationError:
        return False
    return True


def _sketched_steps(stage: Any) -> list[Any]:
    steps = stage.get("steps", []) if isinstance(stage, dict) else []
    return [_sketched_step(step) for step in (steps if isinstance(steps, list) else [])]


def _sketched_step(step: Any) -> Any:
    return step if _is_right(Use, step) else "strip_text"


def _sketched_sink(stage: Any, index: int) -> Any:
    """Give a stage's sink with its options, in a place where no other is; None where it is wrong
    itself."""
    sink = stage.get("sink") if isinstance(stage, dict) else None
    if not isinstance(sink, dict):
        return None
    path = sink.get("path")
    ending = PurePosixPath(path).suffix if isinstance(path, str) else ""
    sink = {**sink, "path": f"sketch-{index}{ending}", "on_existing": "error"}
    return sink if _is_right(Sink, sink) else None


def _check(
    document: dict[str, Any], environ: Mapping[str, str]
) -> tuple[Document | None, list[Complaint]]:
    """Fill in the environment's values and validate."""
    found: list[Complaint] = []
    filled = fill_in(document, environ, found)
    unfilled = {complaint.path for complaint in found}
    try:
        checked = Document.model_validate(filled)
    except ValidationError as error:
        # A value that could not be filled in is wrong once, not twice.
        found += [each for each in complaints_of(error) if each.path not in unfilled]
        return None, found
    return checked, found


def _override(document: dict[str, Any], texts: Iterable[str]) -> tuple[list[Override], list[Fault]]:
    """Apply what `--set` says to the document, in place."""
    applied: list[Override] = []
    faults = []
    for text in texts:
        before = copy.deepcopy(document)
        try:
            applied.append(apply(document, text))
        except OverrideError as error:
            faults.append(Fault(f"--set {text}: {error}"))
            document.clear()
            document.update(before)
    return applied, faults


def _read(path: Path) -> str:
    """Read the file's text.

    Raises:
        PipelineError: there is no file, or it is no text; the fault says what to do.
    """
    name = str(path)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        fault = Fault(
            "no such file; name the pipeline file, or write one: the README begins with one", name
        )
    except IsADirectoryError:
        fault = Fault("is a folder; name the pipeline file in it", name)
    except OSError as error:
        fault = Fault(f"cannot be read: {error.strerror}; check who may read it", name)
    else:
        return _decode(data, name)
    raise PipelineError([fault])


def _decode(data: bytes, name: str) -> str:
    """Decode UTF-8; the mark that some editors put at a file's start is left out."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        byte = data[error.start]
        message = (
            f"byte 0x{byte:02x} is not UTF-8, which TOML is written in; save the file as UTF-8"
        )
        raise PipelineError([Fault(message, name, *_end(before))]) from None


def _end(text: str) -> tuple[int, int]:
    """Give the line and column of a text's end."""
    return text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1


def _is_too_deep(document: dict[str, Any]) -> bool:
    """Whether something in the document is nested so deep that walking through it could fail."""
    level: list[Any] = [document]
    for _ in range(MOST_LEVELS):
        inside = (each.values() if isinstance(each, dict) else each for each in level)
        level = [item for items in inside for item in items if isinstance(item, dict | list)]
    return bool(level)


def _parse(text: str, name: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        PipelineError: it is no TOML; the fault says where.
    """
    try:
        document = tomllib.loads(text)
        if not _is_too_deep(document):
            return document
        fault = Fault(TOO_DEEP, name)
    except RecursionError:
        fault = Fault(TOO_DEEP, name)
    except ValueError as error:
        # tomllib writes the place at the end of its message; a number too long has none.
        message, _, place = str(error).partition(" (at ")
        match = re.search(r"line (\d+), column (\d+)", place)
        line, column = map(int, match.groups()) if match else _end(text.rstrip("\n"))
        fault = Fault(f"this is not TOML: {message[:1].lower()}{message[1:]}", name, line, column)
    raise PipelineError([fault])
