"""One run of a pipeline at a time, by a lock of the kernel: it goes when its process goes.

A run holds the lock alone. Who only wants to know whether it is held takes it for a moment, shared
with others who look; a run that begins in this moment sees that it is only looked at, and tries
again.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from stagepipe.errors import LockedError, UsageError

if TYPE_CHECKING:
    from stagepipe.declare import Pipeline

TRIES = 100
PAUSE_SECONDS = 0.01
"""A look takes some microseconds: a second of it would be somebody who never looks away."""


def lock_path(pipeline: Pipeline) -> Path:
    """The file whose lock a run of the pipeline holds."""
    return pipeline.state_path / f"{pipeline.name}.lock"


@contextmanager
def only_run(pipeline: Pipeline) -> Iterator[None]:
    """Be the only run of the pipeline. Raises LockedError when another is at work, UsageError
    when a folder of its own cannot be made."""
    path = lock_path(pipeline)
    lock = FileLock(path, blocking=False)
    if pipeline.spool is not None:  # else it lies in the state folder
        with _told_by_key("spool", pipeline.spool_path):
            pipeline.spool_path.mkdir(parents=True, exist_ok=True)
    with _told_by_key("state", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _acquired(lock, path):
            raise LockedError(
                f"another run of pipeline {pipeline.name!r} is at work (it holds {path})",
                "wait for it, or look at it with `stagepipe runs`",
            )
    try:
        yield
    finally:
        lock.release()


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


def _acquired(lock: FileLock, path: Path) -> bool:
    for _ in range(TRIES):
        try:
            lock.acquire()
        except Timeout:
            if is_held(path):
                return False
            time.sleep(PAUSE_SECONDS)
        else:
            return True
    return False


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
