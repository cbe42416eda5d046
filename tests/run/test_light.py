"""What a run of clean files does not load: each import is paid by every process of every run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

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


PLUGIN = """\
import polars as pl
import pyarrow as pa
from stagepipe import step

@step
def nothing_lost(frame: pl.DataFrame) -> pl.DataFrame:
    import pandas as pd
    series = pd.Series([1.5, float("nan")])
    assert pa.array(series).null_count == 1, "pyarrow does not know pandas"
    return frame
"""
METADATA = "Metadata-Version: 2.1\nName: own\nVersion: 1\n"
DIRTY = "id,word,day\n1,a,2024-01-31\n2,c,1999-01-01\nx,b,\n" + "3,a,\n" * 30
CHECKED = """
[errors]
max_rejected = "50%"
"""


def declare(project: Any, **more: str) -> None:
    """A table with checks, and files with bad records."""
    project.write("landing/a.csv", DIRTY)
    project.declare(columns='day = { type = "date", min = 2000-01-01 }', after=CHECKED, **more)


def test_the_program_loads_no_pandas_for_checks_and_rejects(project: Any) -> None:
    """Neither a worker nor the parent, which writes the rejects."""
    declare(project)
    stand_in = project.write("modules/pandas.py", STAND_IN)
    path = os.pathsep.join([str(stand_in.parent), os.environ.get("PYTHONPATH", "")])
    ended = project.command(env={**os.environ, "PYTHONPATH": path})
    assert ended.json["rows"]["rejected"] == 2
    assert not stand_in.with_suffix(".loaded").exists()


@pytest.mark.parametrize("is_installed", [False, True])
def test_a_plugin_finds_pyarrow_and_pandas_as_they_are(project: Any, is_installed: bool) -> None:
    """Also where it is the first to import pandas."""
    plugin = project.write("plugins/own.py", PLUGIN)
    env, settings = dict(os.environ), 'plugins = ["plugins/own.py"]'
    if is_installed:
        project.write("plugins/own-1.dist-info/METADATA", METADATA)
        project.write("plugins/own-1.dist-info/entry_points.txt", "[stagepipe]\nown = own\n")
        env["PYTHONPATH"] = os.pathsep.join([str(plugin.parent), env.get("PYTHONPATH", "")])
        settings = ""
    declare(project, settings=settings, first='"nothing_lost"')
    ended = project.command(env=env)
    assert (ended.code, ended.json["rows"]["rejected"]) == (0, 2), ended.err
