"""Applying a stage's steps to a chunk, and counting what they drop, bring and reject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.errors import StagepipeError, TaskError
from stagepipe.model import RECORD
from stagepipe.plan.work import StepWork, file_digest, odd_result, step_message
from stagepipe.plugins import load_step
from stagepipe.stopwatch import timed

if TYPE_CHECKING:
    import polars as pl
GIVE_BACK = "give back what reject() gave: the frame without those rows; reject each row once"
LEAVE_RECORDS = "leave it as it is, or out: name the columns that the step works on"


@dataclass(frozen=True, slots=True)
class StepReject:
    """A row that a step rejected; `record` is what stood in its `_record`, None where that is
    lost. One that no step saw, because it repeats values, has the `columns` in which it does."""

    step: str
    reason: str
    record: int | None
    columns: tuple[str, ...] = ()

    @property
    def is_duplicate(self) -> bool:
        """Whether it is a reject for values that have to be unique."""
        return bool(self.columns)


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
        with timed(f"step {step.where.name}"):
            result = _apply(step, frame, tally, where)
        rejected = tally.rejects[before:]
        _count(step, height, len(rejected), result.height, tally, where)
        _check_records(step, frame, result, rejected, where)
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
    if odd := odd_result(result.schema):
        raise TaskError(f"{where}: step {name!r} {odd[0]}", odd[1])
    return result


def _count(
    step: StepWork, height: int, rejected: int, result: int, tally: Tally, where: str
) -> None:
    name = step.where.name
    left = height - rejected
    if step.reshapes:
        # It may have rejected rows that it brought itself.
        brought = max(-left, 0)
        tally.dropped[name] += left + brought
        tally.added[name] += result + brought
    elif rejected and result > left:
        raise TaskError(
            f"{where}: step {name!r} rejected {rejected} of {height} rows and gave back {result}",
            GIVE_BACK,
        )
    elif result > left:
        raise TaskError(
            f"{where}: step {name!r} made {result} rows of {height}",
            "mark it with @step(reshapes=True) if that is its nature",
        )
    elif result < left:
        tally.dropped[name] += left - result


def _check_records(
    step: StepWork,
    frame: pl.DataFrame | pl.LazyFrame,
    result: pl.DataFrame,
    rejected: Sequence[StepReject],
    where: str,
) -> None:
    """That a step has not made the way back to the records a wrong one. It may lose it: by leaving
    the column out, or with nulls in it. Raises TaskError."""
    import polars as pl

    name = step.where.name
    if not isinstance(frame, pl.DataFrame) or RECORD not in frame.columns:
        if RECORD in result.columns:
            raise TaskError(
                f"{where}: step {name!r} made a column {RECORD!r}, a name that is reserved",
                "give the column another name",
            )
        return
    if RECORD not in result.columns:
        if other := _renamed(frame, result):
            raise TaskError(
                f"{where}: step {name!r} renamed the column {RECORD!r} to {other!r}, and no later "
                "reject would know what record a row is",
                LEAVE_RECORDS,
            )
        return
    given, kept = frame[RECORD], result[RECORD]
    if kept.dtype != given.dtype or not kept.is_in(given.implode()).all():
        raise TaskError(
            f"{where}: step {name!r} changed the column {RECORD!r}, which says for a later reject "
            "what record a row is",
            LEAVE_RECORDS,
        )
    records = [reject.record for reject in rejected if reject.record is not None]
    if not records:
        return
    gone = pl.Series(records, dtype=pl.Int64).implode()
    left = int(given.is_in(gone).sum()) - len(records)
    if kept.is_in(gone).sum() > max(left, 0) and not (step.reshapes and left):
        raise TaskError(
            f"{where}: step {name!r} rejected rows and gave them back all the same", GIVE_BACK
        )


def _renamed(frame: pl.DataFrame, result: pl.DataFrame) -> str | None:
    """Under which name the numbers of the records stand now, if they do, in the column's place."""
    given, position = frame[RECORD], frame.columns.index(RECORD)
    for name in result.columns[position : position + 1]:
        column = result[name]
        is_new = name not in frame.columns and column.dtype == given.dtype
        if is_new and result.height and column.is_in(given.implode()).all():
            return name
    return None


def rejecter(
    step: str, rejects: list[StepReject]
) -> Callable[[pl.DataFrame, pl.Expr | pl.Series, str], pl.DataFrame]:
    """The function that a step is given to reject rows with."""

    def reject(frame: pl.DataFrame, condition: pl.Expr | pl.Series, reason: str) -> pl.DataFrame:
        """The frame without the rows for which the condition is true; they become rejects. Where
        the condition is null the row stays."""
        import polars as pl

        if not isinstance(frame, pl.DataFrame):
            raise TypeError(f"reject() needs the frame first, not a {type(frame).__name__}")
        if not isinstance(reason, str) or not reason:
            raise TypeError(f"reject() needs a word for the reason, not {reason!r}")
        is_bad = _mask(frame, condition)
        bad = frame.filter(is_bad)
        records = bad[RECORD].to_list() if RECORD in bad.columns else [None] * bad.height
        rejects.extend(StepReject(step, reason, record) for record in records)
        return frame.filter(~is_bad)

    return reject


def _mask(frame: pl.DataFrame, condition: Any) -> pl.Series:
    """For each row whether the condition is true. Raises TypeError or ValueError."""
    import polars as pl

    if isinstance(condition, bool):
        condition = pl.lit(condition)
    if isinstance(condition, pl.Expr):
        found = frame.select(condition)
        if found.width != 1:
            raise ValueError(f"the condition of reject() gives {found.width} columns, not one")
        mask = found.to_series()
        if len(mask) == 1:  # one value for all rows
            mask = mask.new_from_index(0, frame.height)
    elif isinstance(condition, pl.Series):
        mask = condition
    else:
        raise TypeError(
            "the condition of reject() is an expression of polars or a series, "
            f"not a {type(condition).__name__}"
        )
    if len(mask) != frame.height:
        raise ValueError(
            f"the condition of reject() has {len(mask)} values for {frame.height} rows"
        )
    if mask.dtype not in (pl.Boolean, pl.Null):
        raise TypeError(f"the condition of reject() is {mask.dtype}, not true or false")
    return mask.cast(pl.Boolean).fill_null(False)


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
    return Counter(reject.step for reject in rejects if not reject.is_duplicate)
