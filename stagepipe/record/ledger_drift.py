"""The part of the ledger that says what sources were like, and what was new about them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from stagepipe.model import printable, to_plain
from stagepipe.record.drift import Change, FileFacts, Profile, identity
from stagepipe.record.ledger_file import LedgerFile, Row


class DriftTables(LedgerFile):
    """The tables `drift`, `profiles` and `profiled_files` of a ledger."""

    def add_drift(self, run: str, changes: Iterable[tuple[Change, str]]) -> None:
        """Note what is new about the files of a run, each change with its `on_drift`."""
        with self._writing():
            for change, on_drift in changes:
                about = {**to_plain(change), "message": change.message, "on_drift": on_drift}
                self._insert("drift", run=run, **about)

    def add_profile(
        self, run: str, pipeline: str, source: str, profile: Profile, files: Iterable[FileFacts]
    ) -> None:
        """Note what the new files of a source were like in a run that was committed: the next one
        is compared with that."""
        of_source = printable(pipeline), printable(source)
        with self._writing():
            self._insert(
                "profiles",
                run=run,
                pipeline=pipeline,
                source=source,
                profile=json.dumps(to_plain(profile)),
            )
            self._insert_all(
                "profiled_files",
                ("pipeline", "source", "path", "size", "mtime_ns", "records"),
                ((*of_source, *identity(facts.file), facts.records) for facts in files),
            )

    def drift(self, run: str) -> list[Row]:
        """What was new about the files of a run; nothing in ledgers from before version 4."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'drift'"):
            return []
        return self._rows(
            'SELECT source, "column", kind, was, now, message, on_drift FROM drift WHERE run = ? '
            "ORDER BY rowid",
            run,
        )

    def profile(self, pipeline: str, source: str) -> Profile | None:
        """What the files of a source were like that were new to the last committed run with any."""
        found = self._rows(
            "SELECT profile FROM profiles WHERE pipeline = ? AND source = ? "
            "ORDER BY number DESC LIMIT 1",
            *(pipeline, printable(source)),
        )
        profile: Profile | None = self._parsed(found[0]["profile"], Profile) if found else None
        return profile

    def profiled_files(self, pipeline: str, source: str) -> dict[tuple[str, int, int], int]:
        """The records of each file of a source that a committed run has read (path, size,
        mtime_ns), the latest first."""
        rows = self._tuples(
            "SELECT path, size, mtime_ns, records FROM profiled_files "
            "WHERE pipeline = ? AND source = ? ORDER BY number DESC",
            *(pipeline, printable(source)),
        )
        return {(path, size, mtime_ns): records for path, size, mtime_ns, records in rows}
