"""Where the ledger of a pipeline lies, and its runs as they truly stand.

To look back, a pipeline file need not be right: only its name and its state folder are read. And
nothing is made: a look at the past leaves no folder behind.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.cli.options import DEFAULT_PIPELINE
from stagepipe.errors import UsageError
from stagepipe.record.ledger_tables import RUNNING

if TYPE_CHECKING:
    from stagepipe.record.ledger import Ledger

DEFAULT_STATE = ".stagepipe"
LEDGER = "ledger.sqlite"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class History:
    """A state folder, and the pipeline whose runs are asked for: None for all of them. `folder`
    is where the paths in the ledger start; `words` repeat the flags in a command to copy."""

    state: Path
    pipeline: str | None
    folder: Path
    words: tuple[str, ...] = ()

    @classmethod
    def find(cls, file: Path | None, state: Path | None) -> History:
        """The history that `-p` and `--state` mean. Raises UsageError."""
        words = (*(("-p", str(file)) if file else ()), *(("--state", str(state)) if state else ()))
        if file is None and state is None and not Path(DEFAULT_PIPELINE).exists():
            if not (Path(DEFAULT_STATE) / LEDGER).exists():
                raise UsageError(
                    f"there is no {DEFAULT_PIPELINE} and no {DEFAULT_STATE} here",
                    "name the pipeline file with -p, or the state folder with --state",
                )
            state = Path(DEFAULT_STATE)
        if file is None and state is not None:
            return cls(state, None, state.absolute().parent, words)
        file = file or Path(DEFAULT_PIPELINE)
        settings = settings_of(file)
        folder = file.absolute().parent
        own = folder / str(settings.get("state", DEFAULT_STATE))
        name = settings.get("name")
        return cls(state or own, name if isinstance(name, str) else None, folder, words)

    def runs(self, limit: int) -> list[Row]:
        """The latest runs; none when nothing has run yet."""
        if not self._path.exists():
            return []
        with self._ledger() as ledger:
            wanted = [r for r in ledger.runs() if self.pipeline in (None, r["pipeline"])]
        return [self._true(row) for row in wanted[:limit]]

    @contextmanager
    def open(self, run: str | None) -> Iterator[tuple[Ledger, Row]]:
        """The ledger, and one run in it; the latest for None. Raises UsageError, LedgerError."""
        if not self._path.exists():
            raise UsageError(
                f"nothing has run here yet: there is no ledger at {self._path}",
                "run the pipeline first, or name another with -p",
            )
        with self._ledger() as ledger:
            yield ledger, self._true(ledger.run(run, self.pipeline))

    def path(self, text: str, row: Row) -> Path:
        """A path of the ledger, to open."""
        # Without a pipeline file the run itself says where it was; where it lies, no more.
        file = Path(row["file"]) if row["file"] else None
        is_known = self.pipeline is not None or file is None or not file.is_absolute()
        return (self.folder if is_known or file is None else file.parent) / text

    @property
    def _path(self) -> Path:
        return self.state / LEDGER

    def _ledger(self) -> Ledger:
        from stagepipe.record.ledger import Ledger

        return Ledger(self._path, must_exist=True)

    def _true(self, row: Row) -> Row:
        """A run that the ledger calls running, while nobody holds its lock, was killed."""
        if row["status"] == RUNNING:
            from stagepipe.run.lock import is_held

            if not is_held(self.state / f"{row['pipeline']}.lock"):
                row["status"] = "interrupted"
        return row


def settings_of(file: Path) -> Row:
    """What stands in `[pipeline]`, as far as it can be read. Raises UsageError."""
    try:
        document = tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"{file}: {error.strerror}",
            "name the pipeline file with -p, or the state folder with --state",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{file}: this is not TOML: {error}", "mend it, or name the state folder with --state"
        ) from error
    settings = document.get("pipeline")
    if not isinstance(settings, dict):
        return {}
    if any("${" in value for value in settings.values() if isinstance(value, str)):
        from stagepipe.declare.environment import fill_in

        settings = fill_in(settings, os.environ, [])
    return settings


def run_object(row: Row) -> Row:
    """A run as JSON: the words of `run --json`, and when it was."""
    rows = {name: row[name] for name in ("read", "added", "written", "rejected", "dropped")}
    skipped = row.get("skipped", 0)  # none before version 3
    error = row["error"] and {"message": row["error"], "hint": row["hint"]}
    return {
        "run": row["run"],
        "pipeline": row["pipeline"],
        "status": row["status"],
        "started": row["started"],
        "ended": row["ended"],
        "seconds": row["seconds"],
        "jobs": row["jobs"],
        "rows": rows,
        "files": {"read": row["files"] - row["dead"], "skipped": skipped, "dead": row["dead"]},
        "mended": row.get("mended", 0),  # these two: none before version 5
        "replay_of": row.get("replay_of"),
        "rejects": row["rejects"],
        "error": error,
    }
