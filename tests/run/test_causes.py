"""What kind of failure an exception is."""

from __future__ import annotations

import errno

import pytest

from stagepipe.model import Cause
from stagepipe.run.causes import cause_of


def raised_from(cause: BaseException) -> BaseException:
    error = RuntimeError("it did not work")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EMFILE, "Too many open files"), Cause.HANDLES),
        (OSError(errno.ENFILE, "Too many open files in system"), Cause.HANDLES),
        (OSError(f"Too many open files (os error {errno.EMFILE}): a.parquet"), Cause.HANDLES),
        (raised_from(OSError(errno.EMFILE, "Too many open files")), Cause.HANDLES),
        (OSError(errno.ENOSPC, "No space left on device"), Cause.DISK_FULL),
        (OSError(f"No space left on device (os error {errno.ENOSPC})"), Cause.DISK_FULL),
        (MemoryError(), Cause.MEMORY),
        (OSError(errno.EIO, "Input/output error"), Cause.PASSING),
        (OSError("it says no number"), Cause.PASSING),
        (FileNotFoundError(errno.ENOENT, "No such file"), Cause.ERROR),
        (ValueError("no good"), Cause.ERROR),
        (SystemExit(24), Cause.ERROR),
    ],
)
def test_the_cause_of_an_error(error: BaseException, cause: Cause) -> None:
    """By its class and by the system's number, wherever that stands."""
    assert cause_of(error) is cause
