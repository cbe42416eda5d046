"""One run of a pipeline at a time, and one run at a time that writes to a place, by locks of the
kernel: they go when their process goes.

A run holds its locks alone, and writes into their files who it is. Who only wants to know whether a
lock is held takes it for a moment, shared with others who look; a run that begins in this moment
sees that it is only looked at, and tries again.

The lock of a place lies beside the table, never in its folder, and is removed with the run that
holds it: whoever opened it in that moment holds a lock on nothing, sees so, and tries again.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.errors import LockedError, UsageError
from stagepipe.record.ledger_tables import RUNNING
from stagepipe.run.holding import signals_held_back
from stagepipe.run.replacing import clear_away

if TYPE_CHECKING:
    from stagepipe.declare import Pipeline

TRIES = 100
PAUSE_SECONDS = 0.01
"""A look takes some microseconds: a second of it would be somebody who never looks away."""

_held: set[int] = set()


def _let_go() -> None:
    """A process that a plugin forks from a run must not keep its locks when the run is gone."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock."""

    pipeline: str = ""
    pid: int = 0
    state: str = ""

    def __str__(self) -> str:
        words = [f"run {run}"] if (run := self._run()) else []
        words += [f"process {self.pid}"] if self.pid else []
        return ", ".join(words)

    def _run(self) -> str | None:
        """The id of its run; None where that has not begun, or its ledger does not tell."""
        from stagepipe.record.ledger import Ledger, LedgerError

        try:
            with Ledger(Path(self.state) / "ledger.sqlite", must_exist=True) as ledger:
                latest = ledger.run(None, self.pipeline)
        except LedgerError:
            return None
        is_its = latest["status"] == RUNNING and latest["pid"] == self.pid
        return str(latest["run"]) if is_its else None


def lock_path(pipeline: Pipeline) -> Path:
    """The file whose lock a run of the pipeline holds."""
    return pipeline.state_path / f"{pipeline.name}.lock"


def place_locks(pipeline: Pipeline) -> list[Path]:
    """The files whose locks the one run holds that may write to the places of the pipeline's
    sinks; in one order for all pipelines, so that of two runs one gets all that it needs."""
    sinks = [stage.sink for stage in pipeline.stages if stage.sink is not None]
    tables = {pipeline.output_path / sink.path for sink in sinks}
    # Not by `resolve`, which raises where links lead in circles: the plan says that.
    real = {Path(os.path.realpath(table.parent)) / f".{table.name}.lock" for table in tables}
    return sorted(real)


def refuse_if_held(pipeline: Pipeline) -> None:
    """Look whether a run holds what one of this pipeline needs: it is soon done, before plugins and
    all that a run needs are imported. Raises LockedError."""
    path = lock_path(pipeline)
    if is_held(path):
        raise _another_run(pipeline.name, path)
    for place in place_locks(pipeline):
        if is_held(place):
            raise _another_writer(place)
        _refuse_within(place)


def _refuse_within(place: Path) -> None:
    """Look whether another run writes a table in whose folder a place lies: not even the lock of
    the place may be made there. Raises LockedError."""
    for folder in place.parents:
        lock = folder.parent / f".{folder.name}.lock"
        if is_held(lock):
            raise _another_writer(lock)


@contextmanager
def only_run(pipeline: Pipeline) -> Iterator[None]:
    """Be the only run of the pipeline, and the only one that writes to its sinks' places. Raises
    LockedError when another is at work, UsageError when a folder of its own cannot be made."""
    path = lock_path(pipeline)
    if pipeline.spool is not None:  # else it lies in the state folder
        with _told_by_key("spool", pipeline.spool_path):
            pipeline.spool_path.mkdir(parents=True, exist_ok=True)
    me = Holder(pipeline.name, os.getpid(), str(path.parent.absolute()))
    held = ExitStack()
    try:
        with _told_by_key("state", path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            if (lock := _acquired(path)) is None:
                raise _another_run(pipeline.name, path)
        held.callback(_release, lock)
        _sign(lock, me)
        for place in place_locks(pipeline):
            held.enter_context(_only_writer(place, me))
        yield
    finally:
        # All is over and noted: a signal that comes now has nothing left to interrupt.
        with signals_held_back(is_last=True):
            held.close()


@contextmanager
def _only_writer(path: Path, me: Holder) -> Iterator[None]:
    """Hold the lock of a place. Where there can be none, whoever writes there next says why."""
    _refuse_within(path)
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        lock = _acquired(path, make_folder=True)
    except OSError:
        yield
        return
    if lock is None:
        raise _another_writer(path)
    try:
        _sign(lock, me)
        yield
    finally:
        clear_away(path)
        _release(lock)
        with suppress(OSError):  # others may have written there
            for folder in made:
                folder.rmdir()


def is_held(path: Path) -> bool:
    """Whether a run holds the lock of this file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def holder(path: Path) -> Holder:
    """Who holds the lock of this file, as far as it says so."""
    try:
        plain = json.loads(path.read_bytes())
        return Holder(str(plain["pipeline"]), int(plain["pid"]), str(plain["state"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()


def _another_run(pipeline: str, path: Path) -> LockedError:
    return LockedError(
        f"another run of pipeline {pipeline!r} is at work "
        f"({_in_words(holder(path))}it holds {path})",
        "wait for it, or look at it with `stagepipe runs`",
    )


def _another_writer(path: Path) -> LockedError:
    other = holder(path)
    table = path.with_name(path.name.removeprefix(".").removesuffix(".lock"))
    return LockedError(
        f"{table} is being written by a run of pipeline {other.pipeline!r} "
        f"({_in_words(other)}it holds {path})",
        "wait for it, or let the two write to different places",
    )


def _in_words(other: Holder) -> str:
    words = str(other)
    return f"{words}; " if words else ""


def _acquired(path: Path, *, make_folder: bool = False) -> int | None:
    """The file's descriptor, with its lock; None when a run holds that. Raises OSError."""
    for _ in range(TRIES):
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(lock, path):
                _held.add(lock)
                return lock
        except BlockingIOError:
            if is_held(path):
                os.close(lock)
                return None
            time.sleep(PAUSE_SECONDS)
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
    return None


def _is_there(lock: int, path: Path) -> bool:
    """Whether the file that was opened is the one that has the name still."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(lock), path.stat())
    return False


def _sign(lock: int, me: Holder) -> None:
    """Write down who holds the lock. Without that it is a lock all the same."""
    words = {"pipeline": me.pipeline, "pid": me.pid, "state": me.state}
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(words).encode("ascii"), 0)


def _release(lock: int) -> None:
    with suppress(OSError):
        os.ftruncate(lock, 0)
    _held.discard(lock)
    os.close(lock)


@contextmanager
def _told_by_key(key: str, folder: Path) -> Iterator[None]:
    """Have a folder's trouble told by the key that names it. The plan has looked at the folder,
    but some trouble shows only when it is written: `/proc` seems to be open to root."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the {key} folder {folder} cannot be written: {error.strerror}",
            f"set '{key}' in [pipeline] to a folder that can be written",
        ) from error
