"""A project in a temporary folder, and the real program run on it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
import warm

PIPELINE = """
[pipeline]
name = "letters"
jobs = 1
[[source]]
name = "a"
files = "a.csv"
[source.csv]
null_values = [""]
[schema.columns]
id = { type = "int64", required = true }
word = "string"
[[stage]]
name = "parse"
steps = [STEPS]
[[stage]]
name = "words"
steps = [{ use = "filter", expression = "id <> 2" }]
sink = { use = "parquet", path = "words", on_existing = "replace" }
[errors]
max_rejected = "50%"
"""
ROWS = "id,word\n1,one\n2,two\nthree,drei\n4,four\n"


class Project:
    """A folder with a pipeline, and the program to run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("pipeline.toml", PIPELINE.replace("STEPS", ""))
        self.write("a.csv", ROWS)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def plugin(self, code: str, step: str | None = None) -> None:
        """A plugin file, named in the pipeline; its step is used where one is given."""
        self.write("extras.py", code)
        text = PIPELINE.replace("STEPS", f'"{step}"' if step else "")
        self.write("pipeline.toml", text.replace("jobs = 1", 'jobs = 1\nplugins = ["extras.py"]'))

    def run(
        self, *words: str | bytes, code: int = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end. The exit code must be `code`."""
        given = environment(**env)
        if warm.may_run(given):
            done = warm.run(words, self.folder, given, timeout=60)
        else:
            done = subprocess.run(
                command(*words),
                cwd=self.folder,
                env=given,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=60,
            )
        result = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )
        assert result.returncode == code, result.stderr + result.stdout
        return result

    def json(self, *words: str | bytes, code: int = 0, **env: str) -> Any:
        """Run with --json; all of stdout must be one JSON value."""
        return json.loads(self.run(*words, "--json", code=code, **env).stdout)

    def start(self, *words: str, **settings: Any) -> subprocess.Popen[bytes]:
        """Run, and do not wait."""
        return subprocess.Popen(
            command(*words),
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **settings,
        )

    def on_terminal(self, *words: str, columns: int) -> list[str]:
        """The lines that a terminal of so many columns is sent."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            command(*words),
            cwd=self.folder,
            env=environment(TERM="xterm"),
            stdin=subprocess.DEVNULL,
            stdout=follower,
            stderr=subprocess.DEVNULL,
        )
        os.close(follower)
        told = b""
        with contextlib.suppress(OSError):  # the last one who could write has left
            while block := os.read(leader, 4096):
                told += block
        os.close(leader)
        assert process.wait(timeout=60) == 0, told
        return told.decode().splitlines()

    def environment(self) -> dict[str, str]:
        """What the program finds in its environment."""
        return environment()

    def files(self) -> set[str]:
        """All that lies in the folder."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*"))
        return {str(path) for path in found if "__pycache__" not in path.parts}


def command(*words: str | bytes) -> list[str | bytes]:
    """The program, by the interpreter of the tests."""
    return [sys.executable, "-m", "stagepipe", *words]


def environment(**more: str) -> dict[str, str]:
    """The environment without what would change the program's manners."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("STAGEPIPE_") and name not in ("NO_COLOR", "FORCE_COLOR", "TERM")
    }
    return kept | more


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small pipeline of two stages over one file of four records, one of them bad."""
    return Project(tmp_path)
