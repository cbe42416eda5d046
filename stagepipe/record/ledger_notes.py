"""The part of the ledger that takes notes of a run: how it begins, what it does, how it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stagepipe.model import Output, Receipt, Rows, SegmentCount, printable, to_plain
from stagepipe.record.ledger_file import LedgerFile, plain_value
from stagepipe.record.ledger_tables import RUNNING

FILE_COLUMNS = (
    *("run", "source", "chunk", "path", "size", "mtime_ns", "inode", "is_mended"),
    *("start", "end", "records", "rows", "rejected", "sha256", "dead"),
)


class RunNotes(LedgerFile):
    """What is written of runs. All methods raise LedgerError."""

    def begin_run(
        self,
        run: str,
        pipeline: str,
        file: str | None,
        jobs: int,
        files: int,
        replay_of: str | None = None,
    ) -> None:
        """Note that a run begins. Runs of this pipeline that never ended were interrupted: who
        calls this holds the pipeline's lock. `replay_of` is the run whose rejects it takes up."""
        with self._writing():
            self._db.execute(
                "UPDATE runs SET status = 'interrupted' WHERE pipeline = ? AND status = ?",
                (pipeline, RUNNING),
            )
            self._insert(
                "runs",
                run=run,
                pipeline=pipeline,
                file=file,
                status=RUNNING,
                started=_now(),
                jobs=jobs,
                pid=os.getpid(),
                files=files,
                replay_of=replay_of,
            )

    def start_over(self, run: str) -> None:
        """Forget what a run that plans anew has done so far."""
        with self._writing():
            for table in ("tasks", "files", "stages", "rejects", "outputs", "drift"):
                self._db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))  # noqa: S608

    def settle(self, run: str, origins: Iterable[tuple[str, str, int]]) -> None:
        """Note the rejects, by (source, file, byte offset), that a run has settled, also where
        they stand in the rejects of runs before it."""
        with self._writing():
            self._db.executemany(
                "INSERT OR REPLACE INTO settled SELECT pipeline, ?, ?, ?, number FROM runs "
                "WHERE run = ?",
                ((*origin, run) for origin in origins),
            )

    def end_run(
        self,
        run: str,
        status: str,
        rows: Rows,
        seconds: float,
        *,
        dead: int = 0,
        files: int | None = None,
        skipped: int = 0,
        mended: int = 0,
        rejects: str | None = None,
        error: tuple[str, str | None] | None = None,
    ) -> None:
        """Note how a run ended; `files` are those it came to, where it did not come to all,
        `skipped` those that it left out; `mended` is how many mended records went through."""
        message, hint = error or (None, None)
        values = {
            "status": status,
            "ended": _now(),
            "seconds": seconds,
            "dead": dead,
            "skipped": skipped,
            "mended": mended,
            "rejects": rejects,
            "error": message,
            "hint": hint,
            **to_plain(rows),
        }
        if files is not None:
            values["files"] = files
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        with self._writing():
            self._db.execute(
                f"UPDATE runs SET {assignments} WHERE run = :run",  # noqa: S608 - names of our own
                {name: plain_value(value) for name, value in {**values, "run": run}.items()},
            )

    def add_stage(
        self,
        run: str,
        position: int,
        stage: Mapping[str, Any],
        rows: Rows,
        outputs: Sequence[Output] = (),
        reject_counts: Mapping[tuple[str, str | None, str], int] | None = None,
    ) -> None:
        """Note a stage that ended, with its outputs and its rejects by (source, column, reason)."""
        with self._writing():
            self._insert("stages", run=run, position=position, **stage, **to_plain(rows))
            for output in outputs:
                columns = to_plain(output)
                columns.pop("appended")
                self._insert("outputs", run=run, **columns)
            for (source, column, reason), records in (reject_counts or {}).items():
                self._insert(
                    "rejects",
                    run=run,
                    stage=stage["name"],
                    source=printable(source),
                    column=column,
                    reason=reason,
                    records=records,
                )

    def add_tasks(self, run: str, tasks: Iterable[Mapping[str, Any]]) -> None:
        """Note tasks that ended: each a mapping with `receipt` (or None) and the task's columns."""
        with self._writing():
            for task in tasks:
                columns = dict(task)
                receipt: Receipt | None = columns.pop("receipt")
                columns["source"] = printable(columns["source"])
                if receipt is None:
                    self._insert("tasks", run=run, seconds="{}", **columns)
                    continue
                self._insert(
                    "tasks",
                    run=run,
                    **columns,
                    **to_plain(receipt.rows),
                    input_bytes=receipt.input_bytes,
                    bytes=receipt.bytes,
                    sha256=" ".join(file.sha256 for file in receipt.all_files),
                    seconds=json.dumps(receipt.seconds),
                )
                files = (_file(run, columns["source"], receipt.chunk, s) for s in receipt.segments)
                self._insert_all("files", FILE_COLUMNS, files)


def _file(run: str, source: str, chunk: int, segment: SegmentCount) -> tuple[Any, ...]:
    """A row of the table `files`, of which a run may write a hundred thousand."""
    it, dead = segment.file, plain_value(segment.dead)
    place = run, source, chunk, printable(it.path), it.size, it.mtime_ns, it.inode, it.is_mended
    counts = segment.records, segment.rows, segment.rejected, segment.sha256, dead
    return *place, segment.start, segment.end, *counts


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
