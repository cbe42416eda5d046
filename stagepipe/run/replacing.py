"""One folder in the place of another, in one instant where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from pathlib import Path

from stagepipe.record.spool import fsync

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


def put_in_place(new: Path, table: Path, aside: Path) -> None:
    """Have the folder `new` stand as `table`. What stood there is `new` then, until it is cleared
    away: who has begun to list it should find what it holds. Where two folders cannot be swapped,
    it lies as `aside` for a moment, and is removed. Raises OSError."""
    if not table.exists():
        new.rename(table)
    elif exchange(new, table):
        fsync(table.parent)
    else:
        # No atomic exchange here (some network file systems): for a moment there is no table.
        table.rename(aside)
        try:
            new.rename(table)
        except BaseException:
            if not table.exists():
                aside.rename(table)
            raise
        fsync(table.parent)
        shutil.rmtree(aside)


def remove(path: Path) -> None:
    """Remove what is there, if anything is: a file, a link, a folder with all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_away(path: Path) -> None:
    """Remove what is there, if it can be: tried twice, as an error of the disk may pass."""
    for _ in range(2):
        try:
            remove(path)
        except OSError:
            continue
        break


def link_or_copy(source: Path, target: Path) -> None:
    """Have the file `source`, which is on the disk, as `target` too."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        shutil.copyfile(source, target)
        fsync(target)


def exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one instant; False where the system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    result = libc.renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    )
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(other))
