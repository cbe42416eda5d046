"""One run of a pipeline at a time, by a lock of the kernel: it goes when its process goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from stagepipe.declare import Pipeline
from stagepipe.errors import LockedError, UsageError


def lock_path(pipeline: Pipeline) -> Path:
    """The file whose lock a run of the pipeline holds."""
    return pipeline.state_path / f"{pipeline.name}.lock"


@contextmanager
def only_run(pipeline: Pipeline) -> Iterator[None]:
    """Be the only run of the pipeline. Raises LockedError when another is at work."""
    path = lock_path(pipeline)
    lock = FileLock(path, blocking=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"another run of pipeline {pipeline.name!r} is at work (it holds {path})",
            "wait for it, or look at it with `stagepipe runs`",
        ) from None
    except OSError as error:
        raise UsageError(
            f"the state folder {path.parent} cannot be written: {error.strerror}",
            "set 'state' in [pipeline] to a folder that can be written",
        ) from error
    try:
        yield
    finally:
        lock.release()
