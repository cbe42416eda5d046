"""Applying a stage's steps to a chunk, and counting what they drop, bring and reject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.errors import StagepipeError, TaskError
from stagepipe.plan.work import StepWork, file_digest, step_message
from stagepipe.plugins import load_step

if TYPE_CHECKING:
    import polars as pl

RECORD = "_record"
"""The column that says of each row which record of the chunk's files it is, where a step needs to
know: see `pack_records`."""


@dataclass(frozen=True, slots=True)
class StepReject:
    """A row that a step rejected; `record` is what stood in its `_record`, None where that is
    lost."""

    step: str
    reason: str
    record: int | None


@dataclass(slots=True)
class Tally:
    """Rows that steps took away or brought, by step, and those that they rejected."""

    dropped: Counter[str] = field(default_factory=Counter)
    added: Counter[str] = field(default_factory=Counter)
    rejects: list[StepReject] = field(default_factory=list)


def apply_steps(
    steps: Sequence[StepWork],
    frame: pl.DataFrame | pl.LazyFrame,
    height: int,
    tally: Tally,
    where: str,
) -> pl.DataFrame:
    """The frame after all steps. `height` is how many rows it has now; `where` begins messages.

    Raises TaskError, naming the step.
    """
    for step in steps:
        _check_reads(step)
        before = len(tally.rejects)
        result = _apply(step, frame, tally, where)
        rejected = len(tally.rejects) - before
        _count(step, height - rejected, result.height, tally, where)
        frame, height = result, result.height
    return frame.lazy().collect()


def _apply(
    step: StepWork, frame: pl.DataFrame | pl.LazyFrame, tally: Tally, where: str
) -> pl.DataFrame:
    import polars as pl

    name = step.where.name
    frame = frame.lazy() if step.is_over_all else frame.lazy().collect()
    options = dict(step.options)
    if step.takes_reject:
        options["reject"] = rejecter(name, tally.rejects)
    try:
        result: Any = load_step(step.where)(frame, **options)
        if isinstance(result, pl.LazyFrame) and step.is_over_all:
            result = result.collect()
    except StagepipeError:
        raise
    except BaseException as error:  # a panic of polars and sys.exit() are no Exceptions
        raise TaskError(f"{where}: {step_message(step, error, frame)}") from error
    if not isinstance(result, pl.DataFrame):
        wanted = "a polars LazyFrame or DataFrame" if step.is_over_all else "a polars DataFrame"
        raise TaskError(
            f"{where}: step {name!r} returned a {type(result).__name__}, not {wanted}",
            "give back the frame: a step that only looks at it returns it unchanged",
        )
    if odd := [column for column, kind in result.schema.items() if kind == pl.Object]:
        raise TaskError(
            f"{where}: step {name!r} made column {odd[0]!r} of Python objects, "
            "which cannot be stored",
            "give it a type of polars, such as pl.String",
        )
    return result


def _count(step: StepWork, height: int, result: int, tally: Tally, where: str) -> None:
    name = step.where.name
    if step.reshapes:
        tally.dropped[name] += height
        tally.added[name] += result
    elif result > height:
        raise TaskError(
            f"{where}: step {name!r} made {result} rows of {height}",
            "mark it with @step(reshapes=True) if that is its nature",
        )
    elif result < height:
        tally.dropped[name] += height - result


def rejecter(
    step: str, rejects: list[StepReject]
) -> Callable[[pl.DataFrame, pl.Expr | pl.Series, str], pl.DataFrame]:
    """The function that a step is given to reject rows with."""
    import polars as pl

    def reject(frame: pl.DataFrame, condition: pl.Expr | pl.Series, reason: str) -> pl.DataFrame:
        """The frame without the rows for which the condition is true; they become rejects."""
        if not isinstance(frame, pl.DataFrame):
            raise TypeError("reject() needs the frame, a condition and a reason")
        mask = frame.select(pl.lit(condition) if isinstance(condition, bool) else condition)
        is_bad = mask.to_series().cast(pl.Boolean).fill_null(False)
        bad = frame.filter(is_bad)
        records = bad[RECORD].to_list() if RECORD in bad.columns else [None] * bad.height
        rejects.extend(StepReject(step, str(reason), record) for record in records)
        return frame.filter(~is_bad)

    return reject


def _check_reads(step: StepWork) -> None:
    """The files that the step reads are those that were planned. Raises TaskError."""
    for option, digest in step.reads.items():
        path: Path = step.options[option]
        status = path.stat()
        now = _digest_of(path, (status.st_size, status.st_mtime_ns, status.st_ino))
        if now != digest:
            raise TaskError(
                f"{path} changed after the run was planned",
                "nothing of this stage was committed: run again",
            )


@lru_cache(maxsize=64)
def _digest_of(path: Path, _identity: tuple[int, int, int]) -> str:
    return file_digest(path)


def rows_by_step(rejects: Sequence[StepReject]) -> Mapping[str, int]:
    """How many rows each step rejected."""
    return Counter(reject.step for reject in rejects)
