"""The sum: `read + added = written + rejected + dropped`, per file, task, stage and run. Pure.

`read` comes from counting record ends in bytes, `written` from the footers of the parts; the two
know nothing of each other. A difference is a defect of stagepipe or of a step, never of the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stagepipe.errors import BalanceError
from stagepipe.model import Output, Receipt, Rows, printable

HINT = "nothing was committed; please report this, with the pipeline file and one of the files"


def check_receipt(receipt: Receipt) -> None:
    """One task, and each of its files. Raises BalanceError."""
    where = f"stage {receipt.stage!r}, chunk {receipt.chunk}"
    for segment in receipt.segments:
        if segment.records != segment.rows + segment.rejected:
            raise BalanceError(
                f"{where}: {printable(segment.file.path)} has {segment.records} records from byte "
                f"{segment.start} to {segment.end}, but {segment.rows} became rows and "
                f"{segment.rejected} rejects",
                HINT,
            )
    counted = sum(segment.rejected for segment in receipt.segments)
    counted += sum(receipt.rejected_by.values()) + receipt.duplicates
    if counted != receipt.rows.rejected:
        raise BalanceError(f"{where}: {counted} rejects counted, {receipt.rows}", HINT)
    if receipt.rows.difference:
        raise BalanceError(f"{where}: {explain(receipt.rows)}", HINT)


def stage_rows(stage: str, receipts: Iterable[Receipt], read_before: int | None) -> Rows:
    """The sum of a stage. `read_before` is what the stage before it wrote, in later stages.

    Raises BalanceError.
    """
    rows = sum((receipt.rows for receipt in receipts), Rows())
    if rows.difference:
        raise BalanceError(f"stage {stage!r}: {explain(rows)}", HINT)
    if read_before is not None and rows.read != read_before:
        raise BalanceError(
            f"stage {stage!r} read {rows.read} rows, but the stage before it wrote {read_before}",
            HINT,
        )
    return rows


def check_outputs(stage: str, rows: Rows, outputs: Iterable[Output]) -> None:
    """What a stage shows is what it wrote. Raises BalanceError."""
    for output in outputs:
        holds = output.rows if output.appended is None else output.appended
        if holds != rows.written:
            raise BalanceError(
                f"stage {stage!r} wrote {rows.written} rows, but {output.path} holds {holds}",
                "run again with --fresh; please report this",
            )


def run_rows(stages: Sequence[Rows]) -> Rows:
    """The totals of a run: read by the first stage, written by the last. Raises BalanceError."""
    if not stages:
        return Rows()
    total = Rows(
        read=stages[0].read,
        added=sum(rows.added for rows in stages),
        written=stages[-1].written,
        rejected=sum(rows.rejected for rows in stages),
        dropped=sum(rows.dropped for rows in stages),
    )
    if total.difference:
        raise BalanceError(f"the run: {explain(total)}", HINT)
    return total


def explain(rows: Rows) -> str:
    """The sum in words."""
    return (
        f"the sum does not come out: read {rows.read} + added {rows.added} is not "
        f"written {rows.written} + rejected {rows.rejected} + dropped {rows.dropped}"
    )


def by_source(receipts: Iterable[Receipt]) -> Mapping[str, Rows]:
    """Row counts of each source for its budget: without tables that are declared not wanted."""
    rows: dict[str, Rows] = {}
    for receipt in receipts:
        others = sum(segment.other_tables for segment in receipt.segments)
        counted = receipt.rows + Rows(read=-others, rejected=-others)
        rows[receipt.source] = rows.get(receipt.source, Rows()) + counted
    return rows
