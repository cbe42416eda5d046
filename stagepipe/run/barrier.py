"""The barrier: what has to be true of a stage's receipts before anything of it is committed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from stagepipe.declare import Errors
from stagepipe.errors import Fault, TaskError
from stagepipe.model import (
    EVERYTHING,
    Cause,
    Chunk,
    Failure,
    InputFile,
    Receipt,
    Segment,
    printable,
)
from stagepipe.plan.work import StageWork
from stagepipe.record import balance
from stagepipe.run.portions import streamed_sha256

FEW = 3
"""So many failed tasks are told of; the others are seldom different."""


CLOCK_TICK_NS = 20_000_000
"""By so much the times of a file system may lag behind the clock."""
AT_REST = "nothing of this stage was committed: run again when the files rest"
MEND = "finished parts are kept: mend it and run again"
NEEDS_LESS = (
    "give it more worker_memory, where that is set, and run again: finished parts are kept; or "
    "make chunk_size smaller, and with it what is in hand at a time"
)
NONE: Mapping[str, int] = {}


def over_budget(
    errors: Errors,
    receipts: Sequence[Receipt],
    dead: Mapping[str, str],
    replaced: Mapping[str, int] = NONE,
) -> str | None:
    """Which budgets are exceeded, in words; None when all are kept. `dead` are the files that this
    stage could make nothing of, with the reasons; `replaced` says by source how many of its rejects
    have a mended record in their stead, which counts for them."""
    exceeded = []
    for source, rows in sorted(balance.by_source(receipts).items()):
        mended = replaced.get(printable(source), 0)
        rejected, read = rows.rejected - mended, rows.read - mended
        if not errors.max_rejected.allows(rejected, read):
            exceeded.append(
                f"{rejected} of {read} records of source {printable(source)!r} were rejected, "
                f"and max_rejected is {errors.max_rejected}"
            )
    if len(exceeded) > 1:
        exceeded = [f"{exceeded[0]} (and so in {len(exceeded) - 1} more of the sources)"]
    if len(dead) > errors.max_dead:
        exceeded.append(f"{dead_in_words(dead)}; max_dead is {errors.max_dead}")
    return "; ".join(exceeded) or None


def dead_in_words(dead: Mapping[str, str]) -> str:
    """How many dead letters there are, and the first one's reason."""
    path, why = next(iter(dead.items()))
    more = f" (and {len(dead) - 1} more)" if len(dead) > 1 else ""
    count = "1 file is a dead letter" if len(dead) == 1 else f"{len(dead)} files are dead letters"
    return f"{count}: {printable(path)}: {why}{more}"


def check_unchanged(folder: Path, files: Iterable[InputFile]) -> None:
    """The files are still those that were planned and read. Raises TaskError."""
    for what in changed(folder, files):
        raise TaskError(what, AT_REST)


def check_at_rest(
    folder: Path, files: Iterable[InputFile], receipts: Sequence[Receipt], since_ns: int
) -> None:
    """The files are still those that were planned, and what was read still stands in those that
    somebody touched since a time (nanoseconds since 1970), also where size and time are as before.
    Raises TaskError."""
    touched = set()
    for file, status in _looked_at(folder, files):
        if what := _became(file, status):
            raise TaskError(what, AT_REST)
        if status is not None and status.st_ctime_ns >= since_ns - CLOCK_TICK_NS:
            touched.add(file.on_disk)
    if not touched:
        return
    for segment in (segment for receipt in receipts for segment in receipt.segments):
        if segment.dead is not None or segment.file.on_disk not in touched:
            continue
        read = Segment(segment.file, segment.start, segment.end)
        if streamed_sha256(folder, read) != segment.sha256:
            what = f"{printable(segment.file.path)} has other content than was read"
            raise TaskError(what, AT_REST)


def changed(folder: Path, files: Iterable[InputFile]) -> Iterator[str]:
    """What became of the files that are no longer those that were planned and read."""
    for file, status in _looked_at(folder, files):
        if what := _became(file, status):
            yield what


def _looked_at(
    folder: Path, files: Iterable[InputFile]
) -> Iterator[tuple[InputFile, os.stat_result | None]]:
    """Each file with its status now, None where it is gone."""
    above = str(folder)
    for file in files:
        try:
            # As text and by os: ten thousand times a run.
            yield file, os.stat(os.path.join(above, file.on_disk))  # noqa: PTH116, PTH118
        except OSError:
            yield file, None


def _became(file: InputFile, status: os.stat_result | None) -> str | None:
    """What became of a file that is no longer the one that was planned."""
    if status is None:
        return f"{printable(file.path)} is gone since it was read"
    if (status.st_size, status.st_mtime_ns, status.st_ino) != (
        file.size,
        file.mtime_ns,
        file.inode,
    ):
        return f"{printable(file.path)} changed since it was read"
    return None


def check_whole_files(receipts: Sequence[Receipt]) -> None:
    """A file is in the table whole or not at all. A dead segment beside a live one means that the
    file changed between two reads, or that the reader does not trust what it made of a part of
    it. Raises TaskError."""
    segments = [segment for receipt in receipts for segment in receipt.segments]
    alive = {segment.file.path for segment in segments if segment.dead is None}
    for segment in segments:
        if segment.dead is not None and segment.file.path in alive:
            raise TaskError(
                f"{printable(segment.file.path)} could be read in parts only: {segment.dead}",
                "nothing of this stage was committed: run again once the file is no longer being "
                "written; if it was not, take it out of the source's files",
            )


def check_columns(stage: StageWork, receipts: Sequence[Receipt], chunks: Sequence[Chunk]) -> None:
    """All parts of a stage have one schema. Raises TaskError, naming the steps that may have given
    another one."""
    if not receipts:
        return
    first = receipts[0]
    for receipt in receipts:
        if list(receipt.columns.items()) == list(first.columns.items()):
            continue
        differing = [
            f"{name} is {receipt.columns.get(name, 'missing')} and was "
            f"{first.columns.get(name, 'missing')}"
            for name in {**first.columns, **receipt.columns}
            if receipt.columns.get(name) != first.columns.get(name)
        ]
        steps = " or ".join(repr(s.where.name) for s in stage.steps if not s.is_built_in)
        raise TaskError(
            f"stage {stage.name!r}{f', step {steps},' if steps else ''} "
            f"made {_named(receipt, chunks)} with other columns than "
            f"{_named(first, chunks)}: {', '.join(differing) or 'in another order'}",
            "a step must give the same columns and types for every chunk",
        )


def _named(receipt: Receipt, chunks: Sequence[Chunk]) -> str:
    """A part's chunk, with the first of its files where it has any."""
    if receipt.source == EVERYTHING or receipt.chunk >= len(chunks):
        return f"chunk {receipt.chunk}"
    file = chunks[receipt.chunk].segments[0].file
    return f"chunk {receipt.chunk} ({printable(file.path)})"


def task_error(failures: Sequence[Failure]) -> TaskError:
    """One error for all tasks of a stage that failed: its message is the first one's, its faults
    are those of the first few."""
    ordered = sorted(failures, key=lambda failure: failure.chunk)
    first, others = ordered[0], len(ordered) - 1
    hint = first.hint or (NEEDS_LESS if first.cause is Cause.MEMORY else MEND)
    if not others:
        return TaskError(first.message, hint)
    more = f" (and {others} more {'task' if others == 1 else 'tasks'} failed)"
    told = [Fault(failure.message) for failure in ordered[:FEW]]
    if len(ordered) > FEW:
        told.append(Fault(f"and {len(ordered) - FEW:,} more like it"))
        hint += "; with --fail-fast a run stops at the first failure"
    return TaskError(first.message + more, hint, told)
