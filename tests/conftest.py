"""What all tests share: a project in a folder of its own, with a pipeline file and CSV files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import warm
from hypothesis import settings

import stagepipe

# No test asserts a time: the machine may be busy.
settings.register_profile("stagepipe", deadline=None, max_examples=60)
settings.load_profile("stagepipe")

PYTHON = sys.executable
COMMAND = (PYTHON, "-m", "stagepipe")

PIPELINE = """\
[pipeline]
name = "letters"
{settings}

[[source]]
name = "acme"
files = "landing/*.csv"
{source}

[schema.columns]
id = {{ type = "int64", required = true }}
word = "string"
{columns}

[[stage]]
name = "parse"
steps = [{first}]
{stages}
{after}
"""
TABLE = """\
sink = { use = "parquet", path = "letters", on_existing = "replace" }
"""


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code, what it printed, and that parsed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def message(self) -> str:
        """The error's message and hint."""
        error = self.json["error"]
        return f"{error['message']}\n{error['hint'] or ''}"


@dataclass(frozen=True)
class Project:
    """A folder with a pipeline file, and the real program to run on it."""

    root: Path

    def write(self, path: str | bytes, content: str | bytes) -> Path:
        """Write a file, its folders too."""
        target = self.root / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def declare(
        self,
        *,
        settings: str = 'chunk_size = "1kB"',
        source: str = "",
        columns: str = "",
        first: str = "",
        stages: str = TABLE,
        after: str = "",
    ) -> None:
        """Write `pipeline.toml`."""
        self.write(
            "pipeline.toml",
            PIPELINE.format(
                settings=settings,
                source=source,
                columns=columns,
                first=first,
                stages=stages,
                after=after,
            ),
        )

    def letters(self, name: str, rows: range, folder: str = "landing") -> Path:
        """Write a file of numbered words."""
        lines = "".join(f"{number},word{number}\n" for number in rows)
        return self.write(f"{folder}/{name}", f"id,word\n{lines}")

    def load(self, *overrides: str) -> stagepipe.Pipeline:
        return stagepipe.load(self.root / "pipeline.toml", overrides)

    def plan(self, *overrides: str, fresh: bool = False) -> stagepipe.Plan:
        return stagepipe.plan(self.load(*overrides), fresh=fresh)

    def run(self, *overrides: str, jobs: int = 1, **how: Any) -> stagepipe.RunResult:
        """Run in this process."""
        return stagepipe.run(self.load(*overrides), jobs=jobs, **how)

    def start(self, *arguments: str, cwd: Path | None = None, **how: Any) -> subprocess.Popen[str]:
        """Start `stagepipe run --json` as a process of a session of its own."""
        return subprocess.Popen(
            [*COMMAND, "run", "--json", *arguments],
            cwd=cwd or self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            start_new_session=True,
            **how,
        )

    def command(self, *arguments: str, **how: Any) -> Ended:
        """Run `stagepipe run --json` to its end."""
        if not how:
            return self.program("run", "--json", *arguments, code=None)
        process = self.start(*arguments, **how)
        try:
            out, err = process.communicate(timeout=100)
        finally:
            process.kill()
        return Ended(process.returncode, out, err)

    def program(self, *words: str, code: int | None = 0) -> Ended:
        """Run `stagepipe` with these words to its end; the exit code must be `code`, if any."""
        done = warm.run(words, self.root, os.environ, timeout=100)
        out, err = (text.decode(errors="surrogateescape") for text in (done.stdout, done.stderr))
        assert code in (None, done.returncode), err + out
        return Ended(done.returncode, out, err)

    def tree(self, folder: str = "out") -> dict[str, str]:
        """Every file of a folder with a digest of its content; folders and links too."""
        return tree(self.root / folder)


def tree(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "folder"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "special"
    return found


def decisions(plan: stagepipe.Plan) -> list[list[str]]:
    """What the plan decided, by stage and chunk."""
    return [[str(task.decision) for task in stage.tasks] for stage in plan.stages]


def reasons(plan: stagepipe.Plan) -> list[list[str]]:
    """Why, by stage and chunk."""
    return [[task.reason for task in stage.tasks] for stage in plan.stages]


@pytest.fixture(name="tree")
def tree_fixture() -> Any:
    return tree


@pytest.fixture(name="decisions")
def decisions_fixture() -> Any:
    return decisions


@pytest.fixture(name="reasons")
def reasons_fixture() -> Any:
    return reasons


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project in an empty folder. Plugin modules that a test imports are forgotten after it."""
    path, modules = list(sys.path), set(sys.modules)
    root = tmp_path / "project"
    root.mkdir()
    yield Project(root)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that other users may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="stagepipe-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
