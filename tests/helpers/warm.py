"""The program as a process of its own, started by a fork of a process that has imported it all.

What it does from then on is what `python -m stagepipe` does: it has its own files, signals, fork
server and workers. Only importing, most of what a small run costs, is done once for all tests. How
the program starts is for tests that start it themselves.
"""

from __future__ import annotations

import atexit
import json
import multiprocessing.forkserver
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

MODULES = (
    "stagepipe",
    "stagepipe.builtin.executors",
    "stagepipe.cli.endings",
    "stagepipe.cli.run",
    "stagepipe.cli.watching",
    "stagepipe.plan.guessing",
    "stagepipe.run.start",
    "stagepipe.run.worker",
    "stagepipe.builtin.csv.reader",
    "stagepipe.builtin.sinks.parquet",
    "stagepipe.builtin.steps",
    "pyarrow.csv",
    "polars",
)
FORK_SERVER = "from multiprocessing.forkserver import main"
READ_LATE = ("STAGEPIPE_", "NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS")
"""Variables that Python does not read when it starts."""


def may_run(env: Mapping[str, str]) -> bool:
    """Whether a process of this environment may begin with a fork."""
    names = {name for name, _ in set(env.items()) ^ set(os.environ.items())}
    return all(name.startswith(READ_LATE) for name in names)


def run(
    words: Sequence[str | bytes],
    folder: Path,
    env: Mapping[str, str],
    timeout: float,
    preload: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run `stagepipe` with these words in a folder to its end, with a library loaded before all
    others, if any. Raises TimeoutExpired."""
    order = {
        "words": [os.fsdecode(word) for word in words],
        "folder": str(folder),
        "env": dict(env),
    }
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        orders, _ = _server(os.getpid(), preload)
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                fds = [out.fileno(), err.fileno(), theirs.fileno()]
                socket.send_fds(orders, [json.dumps(order).encode("ascii")], fds)
            ours.settimeout(timeout)
            answer = b""
            try:
                while block := ours.recv(100):
                    answer += block
            except TimeoutError:
                os.killpg(int(answer.split()[0]), signal.SIGKILL)
                raise subprocess.TimeoutExpired(order["words"], timeout) from None
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            list(words), int(answer.split()[1]), out.read(), err.read()
        )


@cache
def _server(pid: int, preload: Path | None) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The process that is forked for the tests of the process with this id, and the way to it."""
    del pid
    env = {**os.environ, "LD_PRELOAD": str(preload)} if preload else None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.set_inheritable(True)
        server = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env=env,
        )
    atexit.register(_end_server, ours, server)
    return ours, server


def _end_server(orders: socket.socket, server: subprocess.Popen[bytes]) -> None:
    orders.close()
    server.wait()


def _serve(orders: socket.socket) -> None:
    for name in MODULES:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        data, fds, _, _ = socket.recv_fds(orders, 2**20, 3)
        if not data:
            return
        if os.fork() == 0:
            _wait(json.loads(data), *fds)
        for fd in fds:
            os.close(fd)


def _wait(order: Mapping[str, Any], out: int, err: int, reply: int) -> NoReturn:
    """Have the program run in a process of its own, and tell its id and its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(reply)
        _become(order, out, err)
    os.write(reply, b"%d " % pid)
    _, status = os.waitpid(pid, 0)
    os.write(reply, b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(order: Mapping[str, Any], out: int, err: int) -> NoReturn:
    os.setsid()
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, 1000)
    sys.argv = ["stagepipe", *order["words"]]
    sys.path.insert(0, order["folder"])
    multiprocessing.forkserver.util.spawnv_passfds = _spawned
    try:
        runpy.run_module("stagepipe", run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        code = ending.code
    else:
        code = 0
    _end(code)


_spawnv_passfds = multiprocessing.util.spawnv_passfds


def _spawned(path: bytes, args: Sequence[str], passed: Sequence[int]) -> int:
    """Start a fork server by a fork, and anything else as usual."""
    if not args[-1].startswith(FORK_SERVER):
        return int(_spawnv_passfds(path, args, passed))
    pid = os.fork()
    if pid:
        return pid
    for fd in range(3, 1000):
        if fd not in passed:
            try:
                os.close(fd)
            except OSError:
                continue
    try:
        exec(args[-1], {})
    except Exception:  # noqa: BLE001 - it must not go on as the program that it began as
        traceback.print_exc()
    finally:
        os._exit(0)


def _end(code: object) -> NoReturn:
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 1 if code else 0)


if __name__ == "__main__":
    sys.path.pop(0)
    _serve(socket.socket(fileno=int(sys.argv[1])))
