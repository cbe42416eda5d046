"""Signals around a commit: what is reported is what stands there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PIPELINE = """
[pipeline]
name = "p"
output = "out"
[[source]]
name = "s"
files = "in.csv"
[schema.columns]
a = "int64"
[[stage]]
name = "only"
sink = { use = "parquet", path = "table", on_existing = "replace" }
"""

# Interrupts itself at the n-th thing that it does to a file after the last task: n = 1, 2, …
DRIVER = """
import json, os, shutil, signal, sys, threading
from pathlib import Path
import polars
import stagepipe
from stagepipe.cli.signals import Signals
from stagepipe.events import TaskFinished
from stagepipe.record.ledger import Ledger

OPERATIONS = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir"}
state = {"left": None}

def count(event, args):
    is_main = threading.current_thread() is threading.main_thread()
    if state["left"] is None or event not in OPERATIONS or not is_main:
        return
    state["left"] -= 1
    if state["left"] == 0:
        os.kill(os.getpid(), signal.SIGINT)

def one(folder, number):
    pipeline = stagepipe.load(folder / "p.toml")
    (folder / "in.csv").write_text("a\\n1\\n")
    stagepipe.run(pipeline, jobs=1)
    (folder / "in.csv").write_text("a\\n1\\n2\\n")
    signals = Signals()
    signals.install()
    def listen(event):
        if isinstance(event, TaskFinished):
            state["left"] = number
    result = stagepipe.run(pipeline, jobs=1, listeners=[listen, signals.insist])
    was_hit, state["left"] = state["left"] <= 0, None
    with Ledger(folder / ".stagepipe/ledger.sqlite") as ledger:
        run = ledger.run(None)
        stages = [stage["status"] for stage in ledger.stages(run["run"])]
    return {
        "hit": was_hit,
        "rows": polars.read_parquet(folder / "out/table").height,
        "outputs": [output.rows for output in result.outputs],
        "status": result.status,
        "ledger": run["status"],
        "stages": stages,
    }

if __name__ == "__main__":
    sys.addaudithook(count)
    root = Path(sys.argv[1])
    for number in range(1, 200):
        folder = root / str(number)
        folder.mkdir()
        shutil.copy(root / "p.toml", folder)
        found = one(folder, number)
        print(json.dumps(found), flush=True)
        if not found["hit"]:
            break
"""


def test_what_is_reported_is_what_stands_there(tmp_path: Path) -> None:
    """Interrupted at any instant of a commit, result and ledger say committed exactly when the new
    table stands."""
    (tmp_path / "p.toml").write_text(PIPELINE)
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    command = [sys.executable, str(driver), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert not found[-1]["hit"]
    assert found[-1]["status"] == "succeeded"
    for each in found:
        is_new = each["rows"] == 2
        assert each["outputs"] == ([2] if is_new else []), each
        assert each["stages"] == (["succeeded"] if is_new else ["failed"]), each
        assert each["ledger"] == each["status"]
    states = {(each["rows"], each["status"]) for each in found}
    assert states == {(1, "interrupted"), (2, "interrupted"), (2, "succeeded")}
