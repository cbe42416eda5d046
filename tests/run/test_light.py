"""What a run of clean files does not load: each import is paid by every process of every run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

STAND_IN = """\
from pathlib import Path
Path(__file__).with_suffix(".loaded").touch()
raise ImportError
"""
SCRIPT = """\
import sys
import stagepipe
if __name__ == "__main__":
    result = stagepipe.run(stagepipe.load("pipeline.toml"))
    print(result.rows.written, "polars" in sys.modules)
"""


def test_a_clean_run_loads_no_pandas_and_its_parent_no_polars(project: Any) -> None:
    """pyarrow loads pandas, where there is one, to make an array of a list."""
    project.write("landing/a.csv", 'id,word,day,amount\n1,"a, b",2024-01-31,2.50\n2,,,\n')
    project.declare(columns='day = "date"\namount = "decimal(9,2)"')
    stand_in = project.write("modules/pandas.py", STAND_IN)
    script = project.write("go.py", SCRIPT)
    path = os.pathsep.join([str(stand_in.parent), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, script],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "2 False\n"
    assert not stand_in.with_suffix(".loaded").exists()
