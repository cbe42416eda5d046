"""What stands between the program and its system calls sees all of them that matter: strace says
the same. Were an operation made past it, no fault would ever have been tried there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import ENV, Subject

pytestmark = pytest.mark.timeout(600)
CALLS = {
    "W": "write pwrite64 writev pwritev pwritev2 copy_file_range sendfile ftruncate",
    "S": "fsync fdatasync sync_file_range",
    "R": "rename renameat renameat2",
    "U": "unlink unlinkat rmdir",
    "L": "link linkat",
    "M": "mkdir mkdirat",
}
KINDS = {call: kind for kind, calls in CALLS.items() for call in calls.split()}
LOGGED = {"D": "S", "X": "R"}


def test_strace_sees_the_same(
    own_subject: Subject, tmp_path: Path, trials: Callable[[str], Any]
) -> None:
    """So many of each kind, below the project's folder, in the parent and its workers."""
    if shutil.which("strace") is None:
        pytest.fail("there is no strace: install it")
    row = trials("an operation that strace sees, and the faults do not")
    subject, out = own_subject, tmp_path / "strace"
    subject._lay(is_watched=True)
    env = {"ROOT": subject.root, "STATE": subject.state, "ACTION": "watch", "ROLE": "any"}
    words = ["strace", "-f", "-y", "--seccomp-bpf", "-o", str(out), f"-etrace={','.join(KINDS)}"]
    words += [f"-ELD_PRELOAD={subject.library}"]
    words += [f"-E{ENV}{name}={value}" for name, value in env.items()]
    subprocess.run(
        [*words, sys.executable, "-m", "stagepipe", "run", "-j", "1"],
        cwd=subject.root,
        env=os.environ,
        capture_output=True,
        check=True,
    )
    calls = whole_calls(out.read_text(errors="replace"))
    seen = Counter(filter(None, (kind_of(call, subject.root) for call in calls)))
    log = (subject.state / "log").read_text().splitlines()
    told = Counter(LOGGED.get(line[0], line[0]) for line in log)
    for kind in CALLS:
        found = [] if seen[kind] == told[kind] else [f"{seen[kind]} seen, {told[kind]} told"]
        row.note(kind, found)
    assert seen["W"] > 100


def whole_calls(text: str) -> Iterator[str]:
    """The calls; of those that others came between, the beginning and the end as one."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        process, _, call = line.partition(" ")
        if call.endswith("<unfinished ...>"):
            begun[process] = call
        elif " resumed>" in call:
            yield begun.pop(process, "") + call
        else:
            yield call


def kind_of(call: str, root: Path) -> str | None:
    """What a call is about: an operation below the folder that did not fail."""
    match = re.match(r" *(\w+)\(", call)
    if match is None or f"{root}/" not in call or " = -1 " in call or "-shm" in call:
        return None
    return KINDS[match[1]]
