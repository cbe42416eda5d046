"""The ledger as a file: how it is opened, its version, its transactions, and what damage means."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

from stagepipe.errors import StagepipeError
from stagepipe.model import printable
from stagepipe.record.ledger_tables import MIGRATIONS, TABLES, VERSION

BUSY_SECONDS = 30.0
DAMAGES = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file may raise: SQLite's messages quote it, and need not be text."""
MOVE_AWAY = "move it away to begin a new one: only history is lost, no finished part"

Row = dict[str, Any]


class LedgerError(StagepipeError):
    """The ledger cannot be read or written."""


class LedgerFile:
    """The ledger's SQLite file. Made when it is missing, unless `must_exist`. Its methods read and
    write rows of its tables, which others know."""

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

    def __enter__(self) -> Self:
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
            raise LedgerError(
                f"the ledger {self.path} cannot be used: it was written by a newer stagepipe "
                f"(version {version} of the ledger, this one knows {VERSION})",
                f"run it with that newer stagepipe, or {MOVE_AWAY}",
            )
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

    def _insert(self, table: str, **columns: Any) -> None:
        self._insert_all(table, tuple(columns), [tuple(map(plain_value, columns.values()))])

    def _insert_all(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Insert rows of values that are all plain. Thousands of them take a statement."""
        # A task that is made once more, and what it read, counts as it was the last time.
        insert = "INSERT OR REPLACE" if table in ("tasks", "files") else "INSERT"
        names = ", ".join(f'"{name}"' for name in columns)
        places = ", ".join("?" for _ in columns)
        self._db.executemany(f"{insert} INTO {table} ({names}) VALUES ({places})", rows)

    def _rows(self, query: str, *values: Any) -> list[Row]:
        return list(map(dict, self._tuples(query, *values)))

    def _tuples(self, query: str, *values: Any) -> list[Any]:
        try:
            with closing(self._db.execute(query, values)) as cursor:
                return cursor.fetchall()
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


def plain_value(value: Any) -> Any:
    """A value that SQLite takes: text of which each character is one."""
    return printable(value) if isinstance(value, str) else value
