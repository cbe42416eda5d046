"""What the fork server does at its own end, and that it comes to it.

It ends when the parent is gone, however that went, and clears away what is left then. Its socket
lies in a temporary folder that the parent made and removes; a parent that is killed removes
nothing. And what steps have started in workers, be it as a daemon, does not outlive the run: on
Linux the fork server is who gets the children of processes that are gone.

It imports this module; workers leave it as it is, because they end without looking back.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import sys
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

COMMAND = re.compile(r"from multiprocessing\.forkserver import main; main\((\d+), ")
FOLDER = "pymp-"
FROM_TERMINAL, FROM_SUPERVISOR = (signal.SIGINT, signal.SIGHUP), (signal.SIGTERM,)
"""Who sends what to all processes of a run: the parent decides."""
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def clear_away(address: str) -> None:
    """Remove a socket and its folder, if nobody has."""
    path = Path(address)
    if path.parent.name.startswith(FOLDER):
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _own_address(command: str) -> str | None:
    """The address at which this process is asked for workers, if it is a fork server."""
    if (match := COMMAND.match(command)) is None:
        return None
    with socket.socket(fileno=int(match[1])) as listener:
        address = listener.getsockname()
        listener.detach()
    return address if isinstance(address, str) and address else None


def end_descendants() -> None:
    """End the children of this process, and theirs, which become its own, until there are none.
    Nobody else asks how its children ended, so the id of one is never that of another process."""
    while [pid for pid in _children() if _is_killed(pid)]:
        os.waitpid(-1, 0)


def _is_killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:  # it has become another user's
        return False
    return True


def _children() -> list[int]:
    """The ids of the children, where there is a `/proc`, also of those that have ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            _, _, after_name = path.read_bytes().rpartition(b")")
            if int(after_name.split()[1]) == os.getpid():
                found.append(int(path.parent.name))
    return found


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        # multiprocessing's fork server wonders at children that it has not made.
        warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")


def _stay_to_the_end() -> None:
    for signum in FROM_TERMINAL:
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FROM_TERMINAL)  # it was started with them held back
    # `terminate` ends what others than stagepipe have this fork server make: what comes while a
    # process is being made waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, FROM_SUPERVISOR)
    again = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, FROM_SUPERVISOR)
    os.register_at_fork(after_in_child=again)


if address := _own_address(sys.orig_argv[-1]):
    _stay_to_the_end()
    atexit.register(end_descendants)
    atexit.register(clear_away, address)
    _adopt_orphans()
