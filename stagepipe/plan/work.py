"""What workers are told of a pipeline. Light to import: workers load this and not what the user's
words are checked with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.contracts import TableSpec
from stagepipe.model import RECORD
from stagepipe.plugins import StepName, place_of
from stagepipe.record.spool import file_sha256

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from polars.datatypes import DataTypeClass


@dataclass(frozen=True, slots=True)
class StepWork:
    """A step with its options, as a worker applies it. `reads` are the digests of the files that
    the options name, by option."""

    where: StepName
    options: Mapping[str, Any]
    reshapes: bool
    code: str
    reads: Mapping[str, str]
    is_over_all: bool = False
    is_io_bound: bool = False
    takes_reject: bool = False

    @property
    def is_built_in(self) -> bool:
        """Whether it ships in the box: then it only computes, and its columns follow from those
        that it is given."""
        return self.where.module.startswith("stagepipe.builtin.")


class Role(StrEnum):
    """What tasks do in a stage with an inner barrier, which is three for the engine: some read
    files, one compares the unique columns of all they read, and some go on without duplicates."""

    WHOLE = "whole"
    """There is no inner barrier."""
    READS = "reads"
    COMPARES = "compares"
    GOES_ON = "goes on"


@dataclass(frozen=True, slots=True)
class StageWork:
    """What workers do in one stage. `sink` is None where the rows only go to the spool.

    `is_over_all` says that its first step needs all rows at once, `is_io_bound` that it runs in
    threads; `keeps_pieces` that the stage after it needs a copy in the spool beside the sink's
    files. `reads_records` and `keeps_records`: whether a step from here on, or of a later stage,
    needs to know which record a row is. `position` is the stage's among the declared ones.
    """

    name: str
    steps: tuple[StepWork, ...]
    sink: str | None
    sink_options: Mapping[str, Any]
    is_over_all: bool = False
    is_io_bound: bool = False
    keeps_pieces: bool = True
    reads_records: bool = False
    keeps_records: bool = False
    role: Role = Role.WHOLE
    position: int = 0

    @property
    def is_inner(self) -> bool:
        """Whether the stage goes on when these tasks are done, behind its inner barrier."""
        return self.role in (Role.READS, Role.COMPARES)


@dataclass(frozen=True, slots=True)
class SourceWork:
    """How workers read a source. A packed file may hold `max_inflation` times its size."""

    reader: str
    options: Mapping[str, Any]
    max_inflation: int


@dataclass(frozen=True, slots=True)
class KeptValues:
    """A file with values of unique columns that the table to append to holds."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Work:
    """All that a worker needs to know of a pipeline, sent to it once. `kept_values` are those of
    runs before; None where later runs need none, because they read all files again."""

    folder: str
    plugin_files: tuple[str, ...]
    spool: str
    table: TableSpec
    sources: Mapping[str, SourceWork]
    stages: tuple[StageWork, ...]
    chunk_size: int
    kept_values: tuple[KeptValues, ...] | None = None


def provenance_type(name: str) -> pa.DataType:
    """The type of a column that says where a row is from: `source`, `file` or `line`."""
    import pyarrow as pa

    return pa.int64() if name == "line" else pa.string()


def file_digest(path: Path) -> str:
    """A digest of a file's content, as in `StepWork.reads`."""
    return file_sha256(path)[:32]


def odd_result(columns: Mapping[str, pl.DataType]) -> tuple[str, str] | None:
    """Why the columns that a step made cannot be stored, and what to do; None where they can."""
    if not columns.keys() - {RECORD}:
        return "gave back a frame without columns", "keep those that later steps and sinks need"
    for name, kind in columns.items():
        if word := _unstorable(kind):
            advice = "give it a type of polars, such as pl.String"
            if word.endswith("integers of 128 bits"):
                advice = "cast it to pl.Int64, or to pl.Decimal(38, 0) for larger numbers"
            return f"made column {name!r} of {word}, which cannot be stored", advice
    return None


def _unstorable(kind: pl.DataType | DataTypeClass) -> str | None:
    """What values of a type are that Arrow, Parquet and polars do not all hold."""
    import polars as pl

    if kind.is_(pl.Object) or kind.is_(pl.Unknown):
        return "Python objects"
    if str(kind) in ("Int128", "UInt128"):
        return "integers of 128 bits"
    if isinstance(kind, pl.Struct) and not kind.fields:
        return "structs without fields"
    if isinstance(kind, pl.Array) and not kind.size:
        return "arrays without items"
    inner = [field.dtype for field in kind.fields] if isinstance(kind, pl.Struct) else []
    if isinstance(kind, (pl.List, pl.Array)):
        inner.append(kind.inner)
    found = next(filter(None, map(_unstorable, inner)), None)
    return found and f"nested {found.removeprefix('nested ')}"


def step_message(step: StepWork, error: BaseException, frame: pl.DataFrame | pl.LazyFrame) -> str:
    """What went wrong in a step, with the columns that there are where one was not found; in a
    step of a plugin also the exception's type, and the line that it came from."""
    import polars as pl

    from stagepipe.declare.words import did_you_mean

    text = str(error).strip().partition("\n")[0]
    if isinstance(error, pl.exceptions.ColumnNotFoundError):
        name = text.strip("'\"`").removeprefix('unable to find column "').partition('"')[0]
        columns = [each for each in frame.collect_schema().names() if each != RECORD]
        near = did_you_mean(name, columns)
        text = f"there is no column {name!r}{near or '; there are: ' + ', '.join(columns)}"
    elif not step.is_built_in or not text or isinstance(error, (KeyError, SystemExit)):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = None if step.is_built_in else place_of(error, step.where)
    return f"step {step.where.name!r}: {text}" + (f" ({place})" if place else "")
