"""A worker ends when the process that it works for is gone, however that went.

A thread waits for that, but what holds the GIL does not let it run; so the kernel is asked, too. It
tells a process when its own parent dies, and of a worker that is the fork server, which outlives
the run's process as long as somebody holds on to its pipe. Each worker does, in case that it wants
processes of its own; here it lets go.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing import connection, forkserver, parent_process
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def follow_parent() -> None:
    """End this process when its parent is gone."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="stagepipe-follow-parent", daemon=True).start()
    if sys.platform == "linux" and os.getppid() != parent.pid:
        _follow_fork_server()


def _follow_fork_server() -> None:
    server: Any = forkserver._forkserver
    server_pid = os.getppid()
    pipe = getattr(server, "_forkserver_alive_fd", None)
    if pipe is None:
        return
    server._forkserver_alive_fd = None  # a fork server of its own is made for who wants one
    os.close(pipe)
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server_pid:  # it was gone before the kernel was asked
        os._exit(1)
