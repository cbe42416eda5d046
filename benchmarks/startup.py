"""What is paid before anything is read: `python -m benchmarks.startup`.

CPU milliseconds of the commands that only say something, and wall milliseconds of a run on one
small file from start to end, each the median of several.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.measure import inherit_orphans, run

ROUNDS = 20
TIMEOUT_SECONDS = 60.0
PROGRAM = [sys.executable, "-m", "stagepipe"]
COMPLETION = ["env", "_STAGEPIPE_COMPLETE=bash_complete", "COMP_WORDS=stagepipe r", "COMP_CWORD=1"]
SAYING = {
    "--help": [*PROGRAM, "--help"],
    "--version": [*PROGRAM, "--version"],
    "completion": [*COMPLETION, str(Path(sys.executable).with_name("stagepipe"))],
}
PIPELINE = """\
[pipeline]
name = "small"
[[source]]
name = "one"
files = "one.csv"
[schema.columns]
id = "int64"
word = "string"
[[stage]]
name = "table"
sink = { use = "parquet", path = "table", on_existing = "replace" }
"""
RECORDS = 1_000


def main() -> None:
    """Print a line for each."""
    inherit_orphans()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pipeline.toml").write_text(PIPELINE)
        rows = "".join(f"{number},word {number}\n" for number in range(RECORDS))
        (folder / "one.csv").write_text(f"id,word\n{rows}")
        print(f"{'':<14}{'CPU ms':>8}{'wall ms':>9}")
        commands = {**SAYING, "a small run": [*PROGRAM, "run", "--fresh", "--quiet"]}
        for what, command in commands.items():
            print(f"{what:<14}{_measured(command, folder)}", flush=True)


def _measured(command: list[str], folder: Path) -> str:
    taken = [
        run(command, folder, folder / "log", TIMEOUT_SECONDS, memory=False)
        for _ in range(ROUNDS + 1)
    ][1:]
    cpu = median(each.cpu_seconds for each in taken)
    wall = median(each.wall_seconds for each in taken)
    return f"{1000 * cpu:>8.0f}{1000 * wall:>9.0f}"


if __name__ == "__main__":
    main()
