"""One command, measured: wall and CPU seconds of its whole process tree, and its peak memory.

The CPU time of the command's first process alone, without those that it started, is read as that
process has ended and before it is taken away (`WNOWAIT`).

CPU time comes from the kernel's own accounts (`wait4`): a process's own time and that of all it
waited for. What outlives the main process, as a fork server does for a moment, is inherited by
the bench (`PR_SET_CHILD_SUBREAPER`) and counted too; what does not end by itself is an error.

Memory is the sum of PSS over the tree: a page that n processes share counts 1/n in each, so
nothing is counted twice, and mapped input files count as far as they are in memory. Taking it
holds up the process it looks at, so it is sampled only in runs whose time is not used. A peak
shorter than the interval between two samples can be missed.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.errors import BenchError

SAMPLE_INTERVAL_SECONDS = 0.05
LINGER_SECONDS = 10.0
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(frozen=True)
class Measured:
    """What one run took. `first_seconds` are CPU seconds of its first process alone; `peak_bytes`
    is None where memory was not sampled."""

    wall_seconds: float
    cpu_seconds: float
    first_seconds: float
    peak_bytes: int | None


def inherit_orphans() -> None:
    """Make this process the parent of descendants whose own parent has ended (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(command: list[str], cwd: Path, log: Path, timeout_seconds: float, memory: bool) -> Measured:
    """Run the command to its end; stdout and stderr go to the log. A failure is a BenchError."""
    os.sync()  # nobody pays for what the one before left to be written
    sampler = PeakSampler() if memory else None
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with _ended_with_us(process, timeout_seconds), sampler or nullcontext():
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            wall_seconds = time.perf_counter() - start
            first = psutil.Process(process.pid).cpu_times()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu_seconds = usage.ru_utime + usage.ru_stime + _wait_for_orphans()
    if process.returncode:
        late = f" after {timeout_seconds:g} s" if wall_seconds >= timeout_seconds else ""
        tail = log.read_text(errors="replace")[-3000:].strip()
        raise BenchError(f"exit code {process.returncode}{late}: {' '.join(command)}\n{tail}")
    peak_bytes = sampler.peak_bytes if sampler else None
    return Measured(wall_seconds, cpu_seconds, first.user + first.system, peak_bytes)


def _environment() -> dict[str, str]:
    """As a user would have it: compiled modules are kept, whatever this shell says."""
    unwanted = "PYTHONDONTWRITEBYTECODE"
    return {name: value for name, value in os.environ.items() if name != unwanted}


@contextmanager
def _ended_with_us(process: subprocess.Popen[bytes], timeout_seconds: float) -> Iterator[None]:
    """End the command's whole session when it takes too long, or when the bench is stopped."""

    def end() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(timeout_seconds, end)
    timer.start()
    try:
        yield
    except BaseException:
        end()
        raise
    finally:
        timer.cancel()


def _wait_for_orphans() -> float:
    """CPU seconds of the descendants that outlived the command; they must end by themselves."""
    cpu_seconds = 0.0
    deadline = time.monotonic() + LINGER_SECONDS
    while time.monotonic() < deadline:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return cpu_seconds
        if pid:
            cpu_seconds += usage.ru_utime + usage.ru_stime
        else:
            time.sleep(0.005)
    left = psutil.Process().children(recursive=True)
    names = ", ".join(f"{process.pid} {process.name()}" for process in left)
    for process in left:
        process.kill()
    raise BenchError(f"left processes behind for {LINGER_SECONDS:g} s: {names}")


@dataclass
class PeakSampler:
    """Samples the memory of all descendants of this process while the `with` block runs."""

    peak_bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "PeakSampler":
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _sample(self) -> None:
        bench = psutil.Process()
        while not self._stop.wait(SAMPLE_INTERVAL_SECONDS):
            total = 0
            for process in bench.children(recursive=True):
                with suppress(psutil.Error):  # ended since it was listed
                    total += process.memory_full_info().pss
            self.peak_bytes = max(self.peak_bytes, total)
