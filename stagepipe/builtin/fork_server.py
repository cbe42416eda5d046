"""What the fork server does at its own end.

Its socket lies in a temporary folder that the parent made and removes. A parent that is killed
removes nothing; but the fork server, which ends when the parent is gone, knows the folder too. It
imports this module; workers leave it as it is, because they end without looking back.
"""

from __future__ import annotations

import atexit
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path

COMMAND = re.compile(r"from multiprocessing\.forkserver import main; main\((\d+), ")
FOLDER = "pymp-"


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


if address := _own_address(sys.orig_argv[-1]):
    atexit.register(clear_away, address)
