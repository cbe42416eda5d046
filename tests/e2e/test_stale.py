"""What was finished is taken only while it is what a new run would make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from stagepipe.plan.planner import spool_of
from stagepipe.record.spool import sealed, unsealed

CSV = "id,word\n1,a\n2,b\n"
JOIN = '{{ use = "join", file = "names.csv", on = "word", columns = {columns} }}'
CHANGE = """\
from pathlib import Path
from stagepipe import step

@step
def change(frame):
    (Path(__file__).parent / "names.csv").write_text("word,x\\na,3\\nb,4\\n")
    return frame
"""
OWN = """\
import polars as pl
from deeper.far import FAR
from near import NEAR
from stagepipe import step

@step
def own(frame):
    return frame.with_columns(word=pl.lit(NEAR + FAR))
"""


def rewrite(receipt: Path, sha256: str) -> None:
    """Have a receipt name another checksum, as if it had been written so."""
    plain = unsealed(receipt.read_bytes())
    receipt.write_bytes(sealed(plain.replace(sha256.encode(), b"0" * 64)))


def test_a_table_with_other_bytes_than_its_receipts_is_not_current(project: Any) -> None:
    """A table of fewer rows under the same keys, as after mended dead letters, is made anew."""
    project.write("landing/a.csv", CSV)
    project.declare(stages='sink = { path = "letters", on_existing = "replace" }')
    assert project.run().error is None
    spool = spool_of(project.load())
    (receipt,) = spool.receipts().values()
    path = spool.folder / f"{receipt.key}.json"
    rewrite(path, receipt.files[0].sha256)
    (stage,) = project.plan().stages
    assert not stage.sink.is_current


def test_a_part_made_from_another_part_is_made_anew(project: Any) -> None:
    """A later part is taken only if it was made from the part that the stage before has now."""
    project.write("landing/a.csv", CSV)
    project.declare(
        stages='[[stage]]\nname = "two"\nsink = { path = "letters", on_existing = "replace" }'
    )
    assert project.run().error is None
    spool = spool_of(project.load())
    last = next(r for r in spool.receipts().values() if r.stage == "two")
    path = spool.folder / f"{last.key}.json"
    rewrite(path, last.input_sha256)
    assert [task.decision for task in project.plan().stages[1].tasks] == ["made"]


def test_the_order_of_an_options_table_counts(project: Any) -> None:
    """Columns of a join in another order make another table."""
    project.write("landing/a.csv", CSV)
    project.write("names.csv", "word,x,y\na,1,2\nb,3,4\n")
    for columns in ('{ x = "x", y = "y" }', '{ y = "y", x = "x" }'):
        sink = 'sink = { path = "letters", on_existing = "replace" }'
        project.declare(first=JOIN.format(columns=columns), stages=sink)
        assert project.run().error is None
        found = pl.read_parquet(project.root / "out/letters/*.parquet").columns
        assert found[2:] == [letter for letter in columns if letter in "xy"][::2]


def test_another_pipelines_table_is_refused(project: Any) -> None:
    """Two pipelines do not replace each other's table."""
    project.write("landing/a.csv", CSV)
    project.declare(stages='sink = { path = "letters", on_existing = "replace" }')
    assert project.command().code == 0
    text = (project.root / "pipeline.toml").read_text()
    (project.root / "pipeline.toml").write_text(text.replace('name = "letters"', 'name = "b"', 1))
    ended = project.command()
    assert ended.code == 2
    assert "was written by pipeline 'letters'" in ended.err + ended.out


def test_a_reference_file_that_changes_during_the_run_fails_it(project: Any) -> None:
    """A join takes the file that was planned, or the stage is not committed."""
    project.write("landing/a.csv", CSV)
    project.write("names.csv", "word,x\na,1\nb,2\n")
    project.write("own.py", CHANGE)
    join = '"change", { use = "join", file = "names.csv", on = "word" }'
    sink = 'sink = { path = "letters", on_existing = "replace" }'
    project.declare(settings='plugins = ["own.py"]', first=join, stages=sink)
    ended = project.command()
    assert ended.code == 1
    assert f"{project.root}/names.csv changed after the run was planned" in ended.message
    assert not (project.root / "out/letters").exists()
    ended = project.command()
    assert ended.code == 0, ended.err
    (table,) = (project.root / "out/letters").iterdir()
    assert pl.read_parquet(table)["x"].to_list() == [3, 4]


def test_a_changed_helper_of_a_plugin_makes_its_parts_anew(project: Any) -> None:
    """What a plugin file imports from its own folder is its code too, in packages below as well."""
    project.write("landing/a.csv", CSV)
    project.write("plugins/own.py", OWN)
    project.write("plugins/deeper/__init__.py", "")
    project.declare(
        settings='plugins = ["plugins/own.py"]',
        first='"own"',
        stages='sink = { path = "letters", on_existing = "replace" }',
    )
    found = []
    for near, far in (("a", "x"), ("a", "x"), ("b", "x"), ("b", "y")):
        project.write("plugins/near.py", f"NEAR = {near!r}\n")
        project.write("plugins/deeper/far.py", f"FAR = {far!r}\n")
        ended = project.command()
        assert ended.code == 0, ended.err
        (table,) = (project.root / "out/letters").iterdir()
        found.append((ended.json["stages"][0]["tasks"]["made"], pl.read_parquet(table)["word"][0]))
    assert found == [(1, "ax"), (0, "ax"), (1, "bx"), (1, "by")]
