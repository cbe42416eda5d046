"""What an action leaves behind that is killed between any two of its operations."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

OPERATIONS = {
    "ctypes.dlsym",
    "open",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.scandir",
    "os.truncate",
    "shutil.copyfile",
    "shutil.rmtree",
}
"""The audit events that are told before an operation on files."""


def is_killed(kill_at: int, action: Callable[..., object], *arguments: object) -> bool:
    """Do the action in a process that dies before its operation number `kill_at`, if it has so
    many."""
    with warnings.catch_warnings():
        # The child does nothing that a thread of this process could have in its hands.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _do(kill_at, partial(action, *arguments))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def _do(kill_at: int, action: Callable[[], object]) -> None:
    count = 0

    def hook(event: str, _arguments: object) -> None:
        nonlocal count
        if event in OPERATIONS:
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    sys.addaudithook(hook)
    try:
        action()
    except BaseException:  # noqa: BLE001 - nothing of this may get back into the tests
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


KILLED_RUN = """\
import os, signal, sys

out = os.path.realpath("out")
count = 0

def hook(event, arguments):
    global count
    if event in ("os.rename", "os.link", "os.mkdir", "os.rmdir", "os.remove", "open",
                 "shutil.rmtree", "ctypes.dlsym"):
        if event != "ctypes.dlsym" and not any(
            os.path.abspath(os.fsdecode(a)).startswith(out)
            for a in arguments if isinstance(a, (str, bytes))
        ):
            return
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

if __name__ == "__main__":
    from stagepipe.cli import main
    kill_at = int(sys.argv.pop(1))
    sys.addaudithook(hook)
    main(["run", "--json", "-j", "1"])
"""


def is_run_killed(root: Path, kill_at: int) -> bool:
    """Run the project in this folder as a process that dies before its operation number `kill_at`
    in the output folder, if it has so many."""
    (root / "killed.py").write_text(KILLED_RUN)
    ended = subprocess.run(
        [sys.executable, "killed.py", str(kill_at)], cwd=root, capture_output=True, check=False
    )
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0
