"""The part of the ledger that answers questions about runs that were."""

from __future__ import annotations

from stagepipe.record.ledger_file import LedgerError, LedgerFile, Row


class NoSuchRunError(LedgerError):
    """A run was asked for that the ledger does not know, or not by this name alone."""

    exit_code = 2


class RunQuestions(LedgerFile):
    """What is known of runs. All methods raise LedgerError."""

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

    def mended_files(self, pipeline: str) -> list[str]:
        """The paths of the mended records that the last run read."""
        if self._version < 5:
            return []
        rows = self._rows(
            "SELECT DISTINCT path FROM files WHERE is_mended AND run = (SELECT run FROM runs "
            "WHERE pipeline = ? AND EXISTS (SELECT 1 FROM files WHERE files.run = runs.run) "
            "ORDER BY number DESC LIMIT 1) ORDER BY path",
            pipeline,
        )
        return [row["path"] for row in rows]

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
