"""The real program under faults: killed, or given an error, at one chosen operation on files.

`faults.c` stands between the program and its system calls. `Subject` is a small pipeline of two
sources and two stages with a sink each, of which some records are rejected; it is put back to where
it was before each trial, so that every run has the very same inputs, down to their inodes.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import warm

SOURCE = Path(__file__).with_name("faults.c")
ENV = "STAGEPIPE_TEST_FAULT_"
LEDGER = "Q"
FILES = "WSRULMCT"
ALL = LEDGER + FILES
"""Writes to the ledger; writes to other files, syncs, renames, removals, links, folders made, files
made or emptied, truncations."""
MOST_RUNS = 5
EVERY = int(os.environ.get("STAGEPIPE_TORTURE_EVERY", "1"))
"""Of all points at which a fault can happen, every so many-th is tried."""
NO_SPACE, BROKEN = "28", "5"
"""ENOSPC and EIO; a `+` before them has all operations from the chosen one on fail."""

PIPELINE = """\
[pipeline]
name = "letters"
chunk_size = "2kB"

[[source]]
name = "acme"
files = "landing/a/*.csv"

[[source]]
name = "bolt"
files = "landing/b/*.csv"

[schema.columns]
id = { type = "int64", required = true }
word = "string"

[[stage]]
name = "parse"
steps = ["strip_text"]
sink = { use = "parquet", path = "letters", on_existing = "replace" }

[[stage]]
name = "sums"
steps = [{ use = "sort", by = ["id"] }]
sink = { use = "csv", path = "sums.csv", on_existing = "replace" }

[errors]
max_rejected = "50%"
"""


@cache
def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc")


def build(folder: Path) -> Path:
    """Compile the library that gives the faults."""
    library = folder / "faults.so"
    words = [compiler() or "cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run([*words, "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class Fault:
    """What happens: at operation number `at` of these kinds, in the parent or in a worker."""

    action: str
    at: int = 0
    kinds: str = ALL
    role: str = "parent"


@dataclass
class Ended:
    """What a run left."""

    code: int
    out: str
    err: str
    count: int = 0

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def is_clear(self) -> bool:
        """Whether it was killed, or said in words what was the matter."""
        return self.code == -9 or (
            "Traceback" not in self.err and (not self.code or bool(self.json["error"]["message"]))
        )


@dataclass
class Subject:
    """A project in a folder, the library that gives faults, and what undisturbed runs leave."""

    root: Path
    library: Path | None = None
    old: dict[str, Any] = field(default_factory=dict)
    new: dict[str, Any] = field(default_factory=dict)

    def make(self) -> None:
        """Write the pipeline and its files, and run it undisturbed: once with one of the files as
        it was before, and once with all as they are."""
        self.root.mkdir(parents=True)
        (self.root / "pipeline.toml").write_text(PIPELINE)
        for source, count in (("a", 3), ("b", 2)):
            for number in range(count):
                self.write(f"{source}/{number}.csv", number)
        self.write("b/1.csv", 7)
        self.old = self.outcome(self.run())
        shutil.move(self.root / "out", self.base / "out")
        shutil.move(self.root / ".stagepipe", self.base / ".stagepipe")
        self.write("b/1.csv", 1)
        self.new = self.outcome(self.run())
        assert self.old != self.new
        self.reset()

    @property
    def base(self) -> Path:
        folder = self.root.parent / f"{self.root.name}.base"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def state(self) -> Path:
        return self.root.parent / f"{self.root.name}.faults"

    def write(self, name: str, seed: int, rows: int = 100) -> None:
        """Write an input file, in place."""
        path = self.root / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{seed * 1000 + row},word{row * seed % 17}" for row in range(rows)]
        lines[rows // 2] = "none,bad"
        path.write_text("\n".join(["id,word", *lines, ""]))

    def reset(self, *, with_old: bool = False) -> None:
        """Have nothing of a run there, or the old tables as the run before left them."""
        for name in ("out", ".stagepipe", "moved"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        if not with_old:
            return
        # cp keeps hard links, which tables and parts share.
        subprocess.run(["cp", "-a", f"{self.base}/.", str(self.root)], check=True)
        path = self.root / "out/.sums.csv.manifest.json"
        plain = json.loads(path.read_bytes())
        plain["files"][0]["inode"] = (self.root / "out/sums.csv").stat().st_ino
        path.write_text(json.dumps(plain))

    def run(self, fault: Fault | None = None, *words: str, is_watched: bool = False) -> Ended:
        """`stagepipe run --json` to its end, whichever it is."""
        env = dict(os.environ)
        if fault is not None:
            self._lay(is_watched=is_watched)
            env |= {
                f"{ENV}ROOT": str(self.root),
                f"{ENV}STATE": str(self.state),
                f"{ENV}ROLE": fault.role,
                f"{ENV}KINDS": fault.kinds,
                f"{ENV}AT": str(fault.at),
                f"{ENV}ACTION": fault.action,
            }
        told = ("run", "--json", "-j", "2", *words)
        done = warm.run(told, self.root, env, 100, self.library if fault else None)
        out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        return Ended(done.returncode, out, err, self.count() if fault else 0)

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start `stagepipe run --json` as it is started by hand, in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "stagepipe", "run", "--json", "-j", "2", *words],
            cwd=self.root,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _lay(self, *, is_watched: bool) -> None:
        shutil.rmtree(self.state, ignore_errors=True)
        (self.state / "kept").mkdir(parents=True)
        (self.state / "count").write_bytes(bytes(4096))
        if is_watched:
            (self.state / "log").write_bytes(b"")

    def count(self) -> int:
        """How many operations there were."""
        with (
            (self.state / "count").open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as shared,
        ):
            return int.from_bytes(shared[8:16], "little")

    def finish(self) -> tuple[Ended, list[Ended]]:
        """Run until it succeeds; the last run, and those before it that did not."""
        failed: list[Ended] = []
        while True:
            ended = self.run()
            if not ended.code or len(failed) == MOST_RUNS:
                return ended, failed
            failed.append(ended)

    def outcome(self, ended: Ended) -> dict[str, Any]:
        """All that a run shows, as far as another run has to show the same."""
        assert ended.code == 0, ended.out + ended.err
        found: dict[str, Any] = dict(self.shown())
        for path in sorted((self.root / "out").glob(".*")):
            if path.name.endswith(".manifest.json"):
                plain = json.loads(path.read_bytes())
                for file in plain["files"]:
                    file.pop("inode", None)
                found[path.name] = plain
            else:
                found[path.name] = "left over"
        result = ended.json
        found["rejects"] = digest(self.root / result["rejects"])
        found["rows"] = result["rows"]
        found["left over"] = sorted(p.name for p in (self.root / ".stagepipe").rglob(".*"))
        spool = self.root / ".stagepipe/spool/letters"
        found["spool"] = sorted(path.name for path in spool.iterdir())
        return found

    def shown(self) -> dict[str, str]:
        """The tables as a reader finds them: each file with its digest."""
        out = self.root / "out"
        files = [path for path in sorted(out.glob("*")) if not path.name.startswith(".")]
        files += sorted((out / "letters").glob("**/*"))
        return {str(p.relative_to(out)): digest(p) for p in files if p.is_file()}

    def wrong_tables(self) -> Sequence[str]:
        """The tables that are neither the old one, nor the new one, nor absent."""
        now, wrong = self.shown(), []
        for table in ("letters", "sums.csv"):
            versions = [of(table, shown) for shown in (self.old, self.new, {})]
            if of(table, now) not in versions:
                wrong.append(table)
        return wrong

    def complaints(self, ended: Ended | None = None) -> list[str]:
        """What is wrong after a fault, once it is mended and the pipeline has run again."""
        found = [f"{table} is no whole table" for table in self.wrong_tables()]
        if ended is not None and not ended.is_clear:
            found.append(f"exit {ended.code} without a clear word: {ended.err[-2000:]}")
        if ended is not None and ended.code == 0 and not found:
            found += differences(self.new, self.outcome(ended))
        last, failed = self.finish()
        found += [f"exit {each.code}: {each.err[-2000:]}" for each in failed if not each.is_clear]
        if last.code:
            return [*found, f"it never ends well: {last.err[-2000:]}"]
        return found + differences(self.new, self.outcome(last))


def of(table: str, shown: dict[str, Any]) -> dict[str, str]:
    """The files of one table."""
    return {k: v for k, v in shown.items() if k == table or k.startswith(f"{table}/")}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """In which words two outcomes differ."""
    return [
        f"{name}: {found.get(name)} instead of {wanted.get(name)}"
        for name in sorted({*wanted, *found})
        if wanted.get(name) != found.get(name)
    ]
