"""Notes for the ledger: what became of each task, written in batches."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stagepipe.model import Failure, Receipt, Task
from stagepipe.record.ledger import Ledger, LedgerError

log = logging.getLogger("stagepipe")
BATCH_TASKS = 200


@contextmanager
def history() -> Iterator[None]:
    """Write to the ledger. One that cannot be written costs history, never the run."""
    try:
        yield
    except LedgerError as error:
        log.error("%s; this run's history is incomplete", error.message)


class TaskNotes:
    """What became of the tasks of one run, each noted once."""

    def __init__(self, ledger: Ledger, run: str) -> None:
        self._ledger = ledger
        self._run = run
        self._unwritten: list[dict[str, Any]] = []
        self._noted: defaultdict[str, set[int]] = defaultdict(set)

    def add(self, stage: str, task: Task, result: Receipt | Failure) -> None:
        """Note a task that is done, unless that is noted already."""
        noted = self._noted[stage]
        if task.chunk.index in noted:
            return
        noted.add(task.chunk.index)
        receipt, error = (result, None) if isinstance(result, Receipt) else (None, result.message)
        self._unwritten.append(
            {
                "stage": stage,
                "chunk": task.chunk.index,
                "source": task.chunk.source,
                "key": task.key,
                "decision": "failed" if receipt is None else str(task.decision),
                "reason": task.reason,
                "receipt": receipt,
                "error": error,
            }
        )
        if len(self._unwritten) >= BATCH_TASKS:
            self.write()

    def forget(self, stage: str, task: Task) -> None:
        """A task is done once more: what becomes of it then is what counts."""
        place = stage, task.chunk.index
        self._noted[stage].discard(task.chunk.index)
        self._unwritten = [t for t in self._unwritten if (t["stage"], t["chunk"]) != place]

    def clear(self) -> None:
        """All tasks are done once more."""
        self._unwritten.clear()
        self._noted.clear()

    def write(self) -> None:
        """Have the ledger hold all of them."""
        unwritten, self._unwritten = self._unwritten, []
        if unwritten:
            with history():
                self._ledger.add_tasks(self._run, unwritten)
