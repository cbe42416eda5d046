"""Stages with an inner barrier: where a schema has unique columns, the first stage is three layers
of tasks to the engine, and one stage to everybody else.

Which records repeat a value is known no sooner than all files are read, and no step may see a
duplicate. So the first layer only reads, checks and keeps the unique columns beside the rows; one
task compares these; the third layer goes on with the stage. A part of the third is keyed by which
of its rows are duplicates, so that a new file makes anew only the parts in which that changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from stagepipe.contracts import TableSpec
from stagepipe.model import Decision, Receipt, Rows, Task
from stagepipe.plan.work import Role, StageWork


def layers_of(stages: Sequence[StageWork], table: TableSpec) -> tuple[StageWork, ...]:
    """The stages, the first of them as three where the table has unique columns."""
    placed = [replace(stage, position=position) for position, stage in enumerate(stages)]
    if not table.unique or not placed:
        return tuple(placed)
    first = placed[0]
    reads = StageWork(
        first.name, (), None, {}, reads_records=True, keeps_records=True, role=Role.READS
    )
    compares = StageWork(first.name, (), None, {}, role=Role.COMPARES)
    goes_on = replace(first, reads_records=True, role=Role.GOES_ON)
    return (reads, compares, goes_on, *placed[1:])


def folded(reading: Sequence[Task], going_on: Sequence[Task] | None) -> Iterator[Task]:
    """The tasks of a stage with an inner barrier as one for each chunk. What has been read already
    and may have to be made again is open."""
    for read, rest in zip(reading, going_on or reading, strict=True):
        if going_on is not None and Decision.MADE in (read.decision, rest.decision):
            reason = read.reason if read.decision is Decision.MADE else rest.reason
            yield replace(rest, decision=Decision.MADE, reason=reason)
        elif going_on is not None or read.decision is Decision.MADE:
            yield rest
        else:
            reason = "read already; made again only if other records of it are duplicates now"
            yield replace(read, decision=Decision.OPEN, reason=reason)


def whole_receipt(
    read: Receipt, rest: Receipt | None, key: str | None, *, is_read_now: bool
) -> Receipt:
    """What reading a chunk and going on with it come to. Without `rest` nothing of it is written
    yet, and `key` is what that will be called, if this is known. `is_read_now`: in this run, so
    that its time counts. Where the two do not agree on the rows
    between them, the sum of it does not come out."""
    if rest is None:
        return replace(read, key=key or read.key, rows=replace(read.rows, written=0))
    seconds: Mapping[str, float] = rest.seconds
    if is_read_now:
        kinds = dict.fromkeys((*read.seconds, *rest.seconds))
        seconds = {k: read.seconds.get(k, 0.0) + rest.seconds.get(k, 0.0) for k in kinds}
    rows = Rows(
        read=read.rows.read,
        added=rest.rows.added,
        written=rest.rows.written,
        rejected=read.rows.rejected + rest.rows.rejected,
        dropped=rest.rows.dropped,
    )
    return replace(
        rest,
        rows=rows,
        segments=read.segments,
        headers=read.headers,
        seconds=seconds,
        input_bytes=read.input_bytes,
    )
