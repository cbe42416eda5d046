"""One copy of what all receipts say. Each comes out of another process with copies of its own: of
the columns, the headers, the ingredients of its task. Kept like that it is three times as large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from sys import intern

from stagepipe.model import Receipt, SegmentCount, Task

NOTHING: Mapping[str, int] = {}
Headers = tuple[tuple[str, ...], ...]


class Sharing:
    """What receipts have in common."""

    def __init__(self) -> None:
        self._columns: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        self._headers: dict[Headers, Headers] = {}

    def receipt(self, task: Task, receipt: Receipt) -> Receipt:
        """The same receipt, with the values that the task and the others have already."""
        columns = tuple(receipt.columns.items())
        files = {segment.file: segment.file for segment in task.chunk.segments}

        def shared(count: SegmentCount) -> SegmentCount:
            file = files.get(count.file, count.file)
            return replace(count, file=file, unfit=count.unfit or NOTHING)

        return replace(
            receipt,
            key=task.key,
            stage=intern(receipt.stage),
            source=task.chunk.source,
            columns=self._columns.setdefault(columns, receipt.columns),
            dropped=receipt.dropped or NOTHING,
            added=receipt.added or NOTHING,
            rejected_by=receipt.rejected_by or NOTHING,
            segments=tuple(map(shared, receipt.segments)),
            seconds={intern(kind): seconds for kind, seconds in receipt.seconds.items()},
            ingredients=task.ingredients,
            headers=self._headers.setdefault(receipt.headers, receipt.headers),
        )
