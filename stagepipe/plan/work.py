"""What workers are told of a pipeline. Light to import: workers load this and not what the user's
words are checked with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.contracts import TableSpec
from stagepipe.plugins import StepName
from stagepipe.record.spool import file_sha256

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class StepWork:
    """A step with its options, as a worker applies it. `reads` are the digests of the files that
    the options name, by option."""

    where: StepName
    options: Mapping[str, Any]
    reshapes: bool
    code: str
    reads: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StageWork:
    """What workers do in one stage. `sink` is None where the rows only go to the spool."""

    name: str
    steps: tuple[StepWork, ...]
    sink: str | None
    sink_options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SourceWork:
    """How workers read a source."""

    reader: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """All that a worker needs to know of a pipeline, sent to it once."""

    folder: str
    plugin_files: tuple[str, ...]
    spool: str
    table: TableSpec
    sources: Mapping[str, SourceWork]
    stages: tuple[StageWork, ...]


def file_digest(path: Path) -> str:
    """A digest of a file's content, as in `StepWork.reads`."""
    return file_sha256(path)[:32]


def step_message(step: StepWork, error: BaseException, frame: pl.DataFrame) -> str:
    """What went wrong in a step, with the columns that there are where one was not found."""
    import polars as pl

    from stagepipe.declare.words import did_you_mean

    text = str(error).strip().partition("\n")[0]
    if isinstance(error, pl.exceptions.ColumnNotFoundError):
        name = text.strip("'\"`").removeprefix('unable to find column "').partition('"')[0]
        near = did_you_mean(name, frame.columns)
        text = f"there is no column {name!r}{near or '; there are: ' + ', '.join(frame.columns)}"
        return f"step {step.where.name!r}: {text}"
    return f"step {step.where.name!r}: {text or type(error).__name__}"
