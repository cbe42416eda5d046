"""The ledger: one SQLite file that says what was done. Written by the parent alone, in batches.

It answers questions about the past. What may be taken again is decided by the receipts in the
spool, so that a lost ledger costs history and never a row.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from stagepipe.errors import StagepipeError
from stagepipe.model import Output, Receipt, Rows, printable, to_plain
from stagepipe.record.ledger_drift import DriftTables
from stagepipe.record.ledger_tables import MIGRATIONS, TABLES, VERSION

BUSY_SECONDS = 30.0
RUNNING = "running"
DAMAGES = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file may raise: SQLite's messages quote it, and need not be text."""
MOVE_AWAY = "move it away to begin a new one: only history is lost, no finished part"

Row = dict[str, Any]


class LedgerError(StagepipeError):
    """The ledger cannot be read or written."""


class NoSuchRunError(LedgerError):
    """A run was asked for that the ledger does not know, or not by this name alone."""

    exit_code = 2


class Ledger(DriftTables):
    """The ledger of a state folder. Made when it is missing, unless `must_exist`."""

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        self.path = path
        if must_exist and not path.exists():
            raise LedgerError(
                f"there is no ledger at {path}: nothing has run here yet",
                "name the pipeline file with -p, or run it first",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as opened:
                self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
                opened.callback(self._db.close)
                self._db.row_factory = sqlite3.Row
                # SQLite's own waiting does not cover the change to WAL.
                with nullcontext() if must_exist else FileLock(path.with_name("ledger.lock")):
                    self._open(is_only_read=must_exist)
                opened.pop_all()
        except (*DAMAGES, OSError) as error:
            raise LedgerError(f"the ledger {path} cannot be used: {error}", MOVE_AWAY) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, *, is_only_read: bool) -> None:
        # WAL does not work on network file systems; SQLite then stays with its rollback journal.
        self._db.execute("PRAGMA journal_mode = WAL").close()
        self._db.execute("PRAGMA synchronous = NORMAL")
        with closing(self._db.execute("PRAGMA user_version")) as cursor:
            version = self._version = cursor.fetchone()[0]
        if version == 0:
            self._db.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version > VERSION:
            raise sqlite3.DatabaseError(f"it was written by a newer stagepipe (version {version})")
        elif not is_only_read:  # a look at the past leaves it as it is
            for old in range(version, VERSION):
                steps = f"{MIGRATIONS[old]} PRAGMA user_version = {old + 1};"
                self._db.executescript(f"BEGIN IMMEDIATE; {steps} COMMIT;")
        if not is_only_read or not version:
            self._version = VERSION

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All of a block or nothing of it. Raises LedgerError."""
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                yield
        except (*DAMAGES, OverflowError) as error:
            raise LedgerError(
                f"the ledger {self.path} cannot be written: {error}", MOVE_AWAY
            ) from error

    # -- writing ---------------------------------------------------------------------------------

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
        row = self.run(run)
        places = [(row["pipeline"], *origin, row["number"]) for origin in origins]
        with self._writing():
            self._db.executemany("INSERT OR REPLACE INTO settled VALUES (?, ?, ?, ?, ?)", places)

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
                {name: _plain(value) for name, value in {**values, "run": run}.items()},
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
                for segment in receipt.segments:
                    counts = to_plain(segment)
                    for name in ("lines", "nulls", "unfit", "header", "other_tables"):
                        counts.pop(name)
                    file = counts.pop("file")
                    file.pop("member")
                    counts.update(file, path=printable(file["path"]))
                    self._insert(
                        "files", run=run, source=columns["source"], chunk=receipt.chunk, **counts
                    )

    def _insert(self, table: str, **columns: Any) -> None:
        # A task that is made once more, and what it read, counts as it was the last time.
        insert = "INSERT OR REPLACE" if table in ("tasks", "files") else "INSERT"
        names = ", ".join(f'"{name}"' for name in columns)
        places = ", ".join("?" for _ in columns)
        self._db.execute(
            f"{insert} INTO {table} ({names}) VALUES ({places})",
            tuple(map(_plain, columns.values())),
        )

    # -- reading ---------------------------------------------------------------------------------

    def runs(self, limit: int = -1) -> list[Row]:
        """The runs, the latest first."""
        return self._rows("SELECT * FROM runs ORDER BY number DESC LIMIT ?", limit)

    def run(self, run: str | None, pipeline: str | None = None) -> Row:
        """One run by its id or the beginning of it; the latest (of a pipeline) for None.

        Raises NoSuchRunError when there is none, or more than one.
        """
        if run is None:
            found = self._rows(
                "SELECT * FROM runs WHERE ? IS NULL OR pipeline = ? ORDER BY number DESC LIMIT 1",
                pipeline,
                pipeline,
            )
        else:
            found = self._rows("SELECT * FROM runs WHERE run = ?", run) or self._rows(
                "SELECT * FROM runs WHERE substr(run, 1, length(?)) = ?", run, run
            )
        if len(found) == 1:
            return found[0]
        if found:
            raise NoSuchRunError(f"{len(found)} runs begin with {run!r}", "give more of the id")
        what = "no run" if run is None else f"no run {run!r}"
        raise NoSuchRunError(f"there is {what} in {self.path}", "`stagepipe runs` lists them")

    def stages(self, run: str) -> list[Row]:
        """The stages of a run that ended, in order."""
        rows = self._rows("SELECT * FROM stages WHERE run = ? ORDER BY position", run)
        for row in rows:
            row["dropped_by"] = self._parsed(row["dropped_by"])
            row["added_by"] = self._parsed(row["added_by"])
            row["rejected_by"] = self._parsed(row.get("rejected_by", "{}"))  # none before version 2
        return rows

    def outputs(self, run: str) -> list[Row]:
        """The outputs of a run, in the order of their stages."""
        return self._rows(
            "SELECT stage, path, rows, files, bytes, changed FROM outputs WHERE run = ?", run
        )

    def reject_counts(self, run: str) -> list[Row]:
        """How many records were rejected, by stage, source, column and reason; most first."""
        return self._rows(
            'SELECT stage, source, "column", reason, records FROM rejects WHERE run = ? '
            'ORDER BY records DESC, stage, source, "column", reason',
            run,
        )

    def sources(self, run: str) -> list[Row]:
        """What each source gave: files, records, rows (without those that repeat a value which
        has to be unique), rejects (of steps too) and bytes."""
        of_sources = "CASE WHEN NOT is_mended THEN path END" if self._version > 4 else "path"
        return self._rows(
            f"SELECT source, count(DISTINCT {of_sources}) AS files, "  # noqa: S608
            'sum("end" - start) AS bytes, '
            "sum(records) AS records, "
            # Duplicates are left out after the files are read. A reject of a step has no column.
            "sum(rows) - (SELECT coalesce(sum(records), 0) FROM rejects WHERE reason = 'unique' "
            'AND "column" IS NOT NULL AND rejects.run = files.run '
            "AND rejects.source = files.source) AS rows, "
            # Of a run that failed the rejects of steps may not have been collected.
            "max(sum(rejected), (SELECT coalesce(sum(records), 0) FROM rejects "
            "WHERE rejects.run = files.run AND rejects.source = files.source)) AS rejected, "
            "count(DISTINCT CASE WHEN dead IS NOT NULL THEN path END) AS dead "
            "FROM files WHERE run = ? GROUP BY source ORDER BY source",
            run,
        )

    def source_names(self) -> list[str]:
        """The sources of which any run has read a file."""
        rows = self._rows("SELECT DISTINCT source FROM files ORDER BY source")
        return [row["source"] for row in rows]

    def dead_letters(self, run: str) -> list[Row]:
        """The files of which nothing could be made, and why."""
        return self._rows(
            "SELECT DISTINCT source, path, dead FROM files WHERE run = ? AND dead IS NOT NULL "
            "ORDER BY source, path",
            run,
        )

    def settled(self, pipeline: str) -> dict[tuple[str, str, int], int]:
        """The number of the last run that settled a reject, by (source, file, byte offset). It is
        settled in the rejects of all runs up to that one."""
        if self._version < 5:
            return {}
        rows = self._rows(
            "SELECT source, path, byte_offset, number FROM settled WHERE pipeline = ?", pipeline
        )
        return {(r["source"], r["path"], r["byte_offset"]): r["number"] for r in rows}

    def files(self, run: str) -> dict[tuple[str, str], Row]:
        """The files that a run read, by (source, path), with size, time and inode."""
        rows = self._rows(
            "SELECT DISTINCT source, path, size, mtime_ns, inode FROM files WHERE run = ?", run
        )
        return {(row["source"], row["path"]): row for row in rows}

    def last_readings(self, pipeline: str) -> dict[tuple[str, str], Row]:
        """For each file, by (source, path), the last run that read it, with the file's size, time
        and inode then, and why it was dead, if it was."""
        rows = self._rows(
            "SELECT source, path, size, mtime_ns, inode, files.dead AS dead, run, "
            "max(number) AS number "
            "FROM files JOIN runs USING (run) WHERE pipeline = ? GROUP BY source, path",
            pipeline,
        )
        return {(row["source"], row["path"]): row for row in rows}

    def reads_mended(self, run: str) -> bool:
        """Whether a run has read records that came back mended, and not only taken what was made
        of them before."""
        if self._version < 5:
            return False
        return bool(
            self._rows(
                "SELECT 1 FROM files JOIN tasks USING (run, chunk) JOIN stages "
                "ON stages.run = tasks.run AND stages.name = tasks.stage AND stages.position = "
                "(SELECT min(position) FROM stages AS first WHERE first.run = tasks.run) "
                "WHERE files.run = ? AND is_mended AND decision = 'made' LIMIT 1",
                run,
            )
        )

    def tasks(self, run: str) -> list[Row]:
        """The tasks of a run, in order of stage and chunk."""
        rows = self._rows(
            "SELECT tasks.* FROM tasks LEFT JOIN stages ON stages.run = tasks.run "
            "AND stages.name = tasks.stage WHERE tasks.run = ? "
            "ORDER BY coalesce(stages.position, 1000000), chunk",
            run,
        )
        for row in rows:
            row["seconds"] = self._parsed(row["seconds"])
        return rows

    def _rows(self, query: str, *values: Any) -> list[Row]:
        try:
            with closing(self._db.execute(query, values)) as cursor:
                return [dict(row) for row in cursor.fetchall()]
        except DAMAGES as error:
            raise self._unreadable(error) from error

    def _parsed(self, text: str, make: Callable[..., Any] = dict) -> Any:
        """What a column of JSON holds."""
        try:
            return make(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> LedgerError:
        return LedgerError(f"the ledger {self.path} cannot be read: {error}", MOVE_AWAY)


def _plain(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
