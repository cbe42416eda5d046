"""Values that may stand only once: whole runs against a slow reading record by record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from unique_reference import Case, cases, declared, of_duplicates, slow, table, told, written

import stagepipe
from stagepipe import events
from stagepipe.errors import PipelineError

EXAMPLES = int(os.environ.get("STAGEPIPE_TEST_PIPELINES", "15"))
SHRINK = bool(os.environ.get("STAGEPIPE_TEST_SHRINK"))
KILLS = int(os.environ.get("STAGEPIPE_TEST_KILLS", "3"))

# -- any files, any chunks ------------------------------------------------------------------------


@pytest.mark.timeout(100 + 5 * EXAMPLES)
def test_what_one_reading_in_chunk_order_would_keep(tree: Any) -> None:
    """Whatever the chunks, the files, packed ones too, and the number of workers: the first record
    with a value stays, all others are rejects that know their place, and a second run makes
    nothing."""

    @settings(
        max_examples=EXAMPLES,
        phases=set(Phase) if SHRINK else set(Phase) - {Phase.shrink, Phase.explain},
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(case=cases)
    def check(case: Case) -> None:
        note(repr(case))
        with tempfile.TemporaryDirectory(prefix="stagepipe-") as name:
            check_case(Path(name), case, tree)

    check()


def check_case(root: Path, case: Case, tree: Any) -> None:
    found = list(written(root, case.files))
    rows, duplicates = slow(found)
    pipeline = declared(root, case)
    result = stagepipe.run(pipeline, jobs=case.jobs)
    assert result.error is None, f"{result.error} {result.error.hint}"
    assert table(root) == [(*row, row[2] * 2) for row in rows]
    bad = told(root, result)
    assert of_duplicates(bad) == duplicates
    assert {r.stage for r in bad} <= {"parse"}
    first = result.stages[0].rows
    assert (first.read, first.written, first.rejected) == (len(found), len(rows), len(bad))
    assert len(rows) + len(bad) == len(found)
    assert result.rows.difference == 0
    before = tree(root / "out")
    again = stagepipe.run(pipeline, jobs=case.jobs)
    assert again.error is None
    assert sum(stage.made for stage in again.stages) == 0
    assert tree(root / "out") == before
    assert told(root, again) == bad
    shutil.rmtree(root / "out")


# -- the command line -----------------------------------------------------------------------------

UNIQUE = 'code = { type = "int32", unique = true }\n'
KEPT = "[errors]\nmax_rejected = 1000\n"


@pytest.fixture
def letters(project: Any) -> Any:
    """Three files, of which the second repeats a value of the first, and the third one of each."""
    project.declare(settings='chunk_size = "30B"', columns=UNIQUE, after=KEPT)
    project.write("landing/b.csv", "id,word,code\n1,one,1\n2,two,2\n3,three,3\n")
    project.write("landing/c.csv", "id,word,code\n4,four,4\n5,five,2\n6,six,\n7,seven,\n")
    project.write("landing/d.csv", "id,word,code\n8,eight,8\n9,nine,04\n10,ten,+1\n11,eleven,1\n")
    return project


def ids(project: Any) -> list[int]:
    return [row[0] for row in table(project.root, "letters")]


def cli(project: Any, *arguments: str) -> Any:
    """What a command prints, as JSON where it was asked for."""
    ended = project.program(*arguments)
    return ended.json if "--json" in arguments else ended.out


def test_a_stage_is_seen_once(letters: Any) -> None:
    """`run --json`, `show` and `plan` know one stage, whose sum has the records that were read and
    the duplicates among its rejects."""
    assert [s["name"] for s in cli(letters, "plan", "--json")["stages"]] == ["parse"]
    ended = letters.command()
    assert ended.code == 0, ended.err
    (stage,) = ended.json["stages"]
    rows = {"read": 11, "added": 0, "written": 7, "rejected": 4, "dropped": 0}
    assert (stage["name"], stage["rows"], ended.json["rows"]) == ("parse", rows, rows)
    assert stage["tasks"] == {"made": 7, "taken": 0, "dead": 0, "retried": 0}
    shown = cli(letters, "show", "--json")
    assert [s["rows"] for s in shown["stages"]] == [rows]
    assert shown["sources"][0]["records"] == 11
    counts = {(c["column"], c["reason"]): c["records"] for c in shown["reject_counts"]}
    assert counts == {("code", "unique"): 3, ("code", "type"): 1}
    assert ids(letters) == [1, 2, 3, 4, 6, 7, 8]
    printed = cli(letters, "rejects", "--csv").splitlines()
    assert 'acme,landing/c.csv,3,22,parse,code,2,unique,,"5,five,2"' in printed
    assert 'acme,landing/d.csv,3,23,parse,code,04,unique,,"9,nine,04"' in printed


def test_the_plan_says_what_is_open(letters: Any) -> None:
    """What is read already may be made again or not; that is known when duplicates are."""
    assert "7 tasks to make, 0 taken\n" in (new := cli(letters, "plan"))
    assert "unique code: compared over all files, before the steps" in new
    assert letters.run().error is None
    letters.write("landing/a.csv", "id,word,code\n0,zero,8\n")
    text = cli(letters, "plan")
    assert "stage 1 'parse': 1 task to make, 0 taken, 7 open\n" in text
    assert "7 open: read already; made again only if other records of it" in text
    assert text.endswith("and write out/letters, and what of 7 open has changed\n")
    (stage,) = cli(letters, "plan", "--json")["stages"]
    assert [task["decision"] for task in stage["tasks"]] == ["made", *["open"] * 7]
    letters.run()
    assert "nothing to do" in cli(letters, "plan")


def test_preview_shows_duplicates_among_what_it_reads(letters: Any) -> None:
    """Over all sources, with their lines and texts; the others are its rows."""
    text = (letters.root / "pipeline.toml").read_text()
    other = '[[source]]\nname = "other"\nfiles = "other/*.csv"\n[schema.columns]'
    letters.write("pipeline.toml", text.replace("[schema.columns]", other))
    letters.write("other/x.csv", "id,word,code\n30,x,30\n31,y,003\n")
    first, second = cli(letters, "preview", "-n", "5", "--json")["sources"]
    assert [row["id"] for row in first["rows"]] == [1, 2, 3, 4]
    (bad,) = first["rejects"]
    assert (bad["file"], bad["line"], bad["column"], bad["value"], bad["reason"], bad["raw"]) == (
        "landing/c.csv",
        3,
        "code",
        "2",
        "unique",
        "5,five,2",
    )
    assert [row["id"] for row in second["rows"]] == [30]
    assert [(bad["value"], bad["line"]) for bad in second["rejects"]] == [("003", 3)]
    assert second["records"] == 2


def test_progress_tells_one_stage(letters: Any) -> None:
    """Its name is the stage's own throughout, and it is committed once."""
    heard: list[events.Event] = []
    letters.run(listeners=[heard.append])
    begun = [e for e in heard if isinstance(e, events.RunStarted)]
    assert [e.stages for e in begun] == [("parse",)]
    started = [(e.stage, e.doing) for e in heard if isinstance(e, events.StageStarted)]
    assert started == [
        ("parse", ""),
        ("parse", "looks for duplicates"),
        ("parse", "goes on without them"),
    ]
    assert [e.rows.rejected for e in heard if isinstance(e, events.StageCommitted)] == [4]


def test_the_budget_includes_duplicates(letters: Any) -> None:
    """One reject too many, and nothing is committed."""
    over = letters.run("errors.max_rejected=3")
    assert "4 of 11 records" in over.error.message
    assert over.stages[0].rows.rejected == 4
    assert len(of_duplicates(told(letters.root, over))) == 3
    assert not (letters.root / "out/letters").exists()
    kept = letters.run("errors.max_rejected=4")
    assert (kept.error, kept.stages[0].made, kept.stages[0].taken) == (None, 0, 7)


# -- what is taken and what is made ---------------------------------------------------------------


def test_a_new_first_file_makes_anew_what_it_changes(
    letters: Any, decisions: Any, reasons: Any
) -> None:
    """A record of a later chunk may be a duplicate now: that part is made anew, all others are
    taken; and what one reading of all would keep stands in the table."""
    letters.run()
    letters.write("landing/a.csv", "id,word,code\n0,zero,8\n")
    assert decisions(letters.plan()) == [["made", *["open"] * 7]]
    result = letters.run()
    assert result.error is None
    assert (result.stages[0].made, result.stages[0].taken) == (2, 6)
    assert ids(letters) == [0, 1, 2, 3, 4, 6, 7]
    (letters.root / "landing/a.csv").unlink()
    back = letters.run()
    assert (back.stages[0].made, back.stages[0].taken) == (1, 6)
    assert ids(letters) == [1, 2, 3, 4, 6, 7, 8]
    plan = letters.plan()
    assert plan.is_empty
    assert decisions(plan) == [["taken"] * 7]
    assert set(reasons(plan)[0]) == {"done, and nothing needs its part again"}


def test_the_ledger_says_why_a_part_was_made(letters: Any) -> None:
    """It names the duplicates, not a new file."""
    letters.run()
    letters.write("landing/a.csv", "id,word,code\n0,zero,8\n")
    result = letters.run()
    with closing(sqlite3.connect(letters.root / ".stagepipe/ledger.sqlite")) as ledger:
        found = ledger.execute(
            "SELECT reason FROM tasks WHERE run = ? AND decision = 'made' AND source = 'acme' "
            "AND chunk > 0",
            (result.run,),
        ).fetchall()
    assert [reason for (reason,) in found] == ["other records of it are duplicates now"]


def test_a_mended_plugin_reads_no_file_again(letters: Any) -> None:
    """Another step in the stage makes its parts anew from what was read, and files that are gone
    from nothing at all."""
    letters.run()
    read: list[events.Event] = []
    letters.declare(settings='chunk_size = "30B"', columns=UNIQUE, first='"strip_text"', after=KEPT)
    result = letters.run(listeners=[read.append])
    assert result.error is None
    assert result.stages[0].made == 7
    tasks = [event.tasks.total() for event in read if isinstance(event, events.StageStarted)]  # type: ignore[attr-defined]
    assert tasks == [0, 0, 7]


def test_unique_may_come_and_go(letters: Any, tree: Any) -> None:
    """Each time the table is what it would have been from the start."""
    letters.run()
    once = tree(letters.root / "out/letters")
    letters.declare(settings='chunk_size = "30B"', columns='code = "int32"\n', after=KEPT)
    assert letters.run().error is None
    assert ids(letters) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]
    letters.declare(settings='chunk_size = "30B"', columns=UNIQUE, after=KEPT)
    plan = letters.plan()
    assert {task.reason for task in plan.stages[0].tasks} == {"other columns are unique"}
    assert letters.run().error is None
    assert tree(letters.root / "out/letters") == once


def test_another_column_may_be_unique(letters: Any) -> None:
    """What was kept of one is not taken for the other's, and the step that follows is the same."""
    letters.write("landing/e.csv", "id,word,code\n12,one,12\n")
    letters.run()
    assert ids(letters) == [1, 2, 3, 4, 6, 7, 8, 12]
    letters.declare(settings='chunk_size = "30B"', columns='code = "int32"\n', after=KEPT)
    text = (letters.root / "pipeline.toml").read_text()
    word = 'word = { type = "string", unique = true }'
    letters.write("pipeline.toml", text.replace('word = "string"', word))
    letters.run()
    assert ids(letters) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]


def test_a_column_type_stays_what_it_was(letters: Any) -> None:
    """`unique` changes no type of the table, with steps and without."""
    columns = 'at = "time"\nwhen = "datetime(Europe/Berlin)"\nsum = "decimal(9,2)"\n'
    for path in (letters.root / "landing").iterdir():
        path.unlink()
    letters.write(
        "landing/a.csv",
        "id,word,code,at,when,sum\n1,one,1,12:00,2024-01-01T00:00Z,1.50\n"
        "2,two,1,12:00,2024-01-01T00:00Z,1.50\n",
    )

    def kinds(unique: str, first: str) -> list[str]:
        letters.declare(columns=unique + columns, first=first, after=KEPT)
        result = letters.run()
        assert result.error is None, result.error
        (path,) = (letters.root / "out/letters").iterdir()
        return [str(field) for field in pq.read_schema(path)]

    for first in ("", '"strip_text"'):
        assert kinds(UNIQUE, first) == kinds('code = "int32"\n', first)


def test_a_damaged_part_is_made_anew(letters: Any) -> None:
    """Whatever of the spool is damaged or gone: the next runs come to the same table."""
    letters.run()
    wanted = ids(letters)
    spool = letters.root / ".stagepipe/spool/letters"
    damaged = []
    for mark in ("inputs", "compared", "duplicates"):
        for number, name in enumerate(sorted(files_of(spool, mark))):
            path = files_of(spool, mark)[name]
            damaged.append(name)
            if number % 2:
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[:-1])
            # Another step each time, so that the parts are read again.
            letters.declare(
                settings='chunk_size = "30B"',
                columns=UNIQUE,
                first=f'{{ use = "filter", expression = "id < {1000 + len(damaged)}" }}',
                after=KEPT,
            )
            for _ in range(3):
                result = letters.run()
                if result.error is None:
                    break
                assert "damaged" in result.error.message
            assert result.error is None
            assert ids(letters) == wanted
            shutil.rmtree(letters.root / "out")
    assert {"0.arrow", "1.arrow", "json", "rejects", "0.parquet"} <= set(damaged)


def files_of(spool: Path, mark: str) -> dict[str, Path]:
    """The files of the part that is made of this and has the most rejects, by their endings."""
    receipts = [json.loads(path.read_text()) for path in spool.glob("*.json")]
    made_of = [receipt for receipt in receipts if mark in receipt["ingredients"]]
    key = max((receipt["rows"]["rejected"], receipt["key"]) for receipt in made_of)[1]
    return {path.name.partition(".")[2]: path for path in spool.glob(f"{key}.*")}


# -- what belongs to no duplicate -----------------------------------------------------------------


def test_no_step_sees_a_duplicate(letters: Any) -> None:
    """The first stage's steps get the rows that stay, in threads too; what they reject stands
    beside the duplicates, and what they drop is still the first record with its value."""
    letters.write(
        "extras.py",
        """\
import polars as pl
from stagepipe import step

@step(io_bound=True)
def looks(frame: pl.DataFrame, reject) -> pl.DataFrame:
    with open("seen.txt", "a") as file:
        file.writelines(f"{n}\\n" for n in frame["id"])
    frame = reject(frame, pl.col("id") == 3, "three")
    return frame.filter(pl.col("id") != 2)
""",
    )
    letters.declare(
        settings='chunk_size = "30B"\nplugins = ["extras.py"]',
        columns=UNIQUE,
        first='"looks"',
        after=KEPT,
    )
    ended = letters.command()
    assert ended.code == 0, ended.err
    seen = sorted(map(int, (letters.root / "seen.txt").read_text().split()))
    assert seen == [1, 2, 3, 4, 6, 7, 8]
    assert ids(letters) == [1, 4, 6, 7, 8]
    (stage,) = ended.json["stages"]
    assert stage["rows"] == {"read": 11, "added": 0, "written": 5, "rejected": 5, "dropped": 1}
    shown = cli(letters, "show", "--json")["stages"][0]
    assert (shown["rejected_by"], shown["dropped_by"]) == ({"looks": 1}, {"looks": 1})
    found = told(letters.root, letters.run())
    assert [(r.reason, r.line, r.raw) for r in found if r.reason == "three"] == [
        ("three", 4, b"3,three,3")
    ]


def test_a_dead_letter_makes_no_duplicates(letters: Any) -> None:
    """Its records count in no row key; when it can be read, those of later files are duplicates."""
    letters.declare(settings='chunk_size = "30B"', columns=UNIQUE, after=KEPT + "max_dead = 1\n")
    whole = b"id,word,code\n0,zero,8\n"
    path = letters.write("landing/a.csv", b"\xff\xfe" + whole[2:])
    status = path.stat()
    first = letters.run()
    assert (first.error, first.files_dead) == (None, 1)
    assert ids(letters) == [1, 2, 3, 4, 6, 7, 8]
    with path.open("r+b") as file:  # the same inode, size and time: the same key
        file.write(whole)
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert not letters.plan().is_empty
    second = letters.run()
    assert (second.error, second.files_dead) == (None, 0)
    assert ids(letters) == [0, 1, 2, 3, 4, 6, 7]


def test_provenance_and_an_ordered_stage(letters: Any) -> None:
    """Rows keep their lines, and chunks their order, one after the other."""
    letters.declare(
        settings='chunk_size = "30B"',
        columns=UNIQUE,
        stages="max_concurrent = 1\n"
        'sink = { use = "parquet", path = "letters", on_existing = "replace" }\n',
        after='[schema]\nprovenance = ["line", "file"]\n' + KEPT,
    )
    text = (letters.root / "pipeline.toml").read_text()
    text = text.replace('[schema]\nprovenance = ["line", "file"]\n', "")
    text = text.replace(
        "[schema.columns]", '[schema]\nprovenance = ["line", "file"]\n[schema.columns]'
    )
    letters.write("pipeline.toml", text)
    assert letters.run(jobs=2).error is None
    found = [(row[0], row[-2], row[-1]) for row in table(letters.root, "letters")]
    assert found[3:6] == [
        (4, 2, "landing/c.csv"),
        (6, 4, "landing/c.csv"),
        (7, 5, "landing/c.csv"),
    ]


def test_stages_after_it(letters: Any) -> None:
    """A stage over all rows, and one that rejects rows long after: lines and bytes are known."""
    letters.write(
        "extras.py",
        """\
import polars as pl
from stagepipe import step

@step
def odd(frame: pl.DataFrame, reject) -> pl.DataFrame:
    return reject(frame, pl.col("id") == 7, "seven")
""",
    )
    letters.declare(
        settings='chunk_size = "30B"\nplugins = ["extras.py"]',
        columns=UNIQUE,
        stages='[[stage]]\nname = "second"\nsteps = ["odd"]\n'
        '[[stage]]\nname = "third"\nsteps = [{ use = "sort", by = ["code"], descending = true }]\n'
        'sink = { path = "letters", on_existing = "replace" }\n',
        after=KEPT,
    )
    result = letters.run(jobs=2)
    assert result.error is None, result.error
    assert [stage.name for stage in result.stages] == ["parse", "second", "third"]
    assert sorted(ids(letters)) == [1, 2, 3, 4, 6, 8]
    (late,) = [r for r in told(letters.root, result) if r.reason == "seven"]
    assert (late.file, late.line, late.raw, late.stage) == (
        "landing/c.csv",
        5,
        b"7,seven,",
        "second",
    )
    assert letters.plan().is_empty


@pytest.mark.parametrize(
    ("source", "text", "values"),
    [
        ('encoding = "utf-16"\ndelimiter = ";"', "id;word;code\n1;ä;1\n2;ö;01\n", ["01"]),
        ('delimiter = "||"', "id||word||code\n1||x||1\n2||y|z|| 1\n", [" 1"]),
        ('escape = "\\\\"', "id,word,code\n1,x,1\n2,a\\,b,001\n", ["001"]),
        ('comment = "#"\ntrim = true', 'id,word,code\n#\n1,x,1\n2,y," 1"\n', [" 1"]),
        ("header = false", "1,x,1\n2,y,01\n", ["01"]),
    ],
)
def test_values_as_the_file_has_them(letters: Any, source: str, text: str, values: Any) -> None:
    """A duplicate's value is the field's text, as in every reject of the reader."""
    for path in (letters.root / "landing").iterdir():
        path.unlink()
    letters.declare(columns=UNIQUE, source=f"[source.csv]\n{source}", after=KEPT)
    data = text.encode("utf-16") if "utf-16" in source else text.encode()
    letters.write("landing/a.csv", data)
    result = letters.run()
    assert result.error is None, result.error
    found = told(letters.root, result)
    assert [(r.value, r.reason, r.column) for r in found] == [(v, "unique", "code") for v in values]
    begin = found[0].byte_offset
    assert begin is not None
    assert data[begin : begin + len(found[0].raw or b"")] == found[0].raw


def test_a_missing_column_with_a_default(letters: Any) -> None:
    """A default repeats as any value does; there is no text of it."""
    letters.declare(
        settings='chunk_size = "30B"',
        columns='code = { type = "int32", unique = true, default = 1 }\n',
        after=KEPT,
    )
    text = (letters.root / "pipeline.toml").read_text()
    text = text.replace("[schema.columns]", '[schema]\nmissing_columns = "null"\n[schema.columns]')
    letters.write("pipeline.toml", text)
    letters.write("landing/a.csv", "id,word\n20,a\n21,b\n")
    result = letters.run()
    assert result.error is None, result.error
    first = next(r for r in told(letters.root, result) if r.file == "landing/a.csv")
    assert (first.line, first.value, first.reason, first.raw) == (3, None, "unique", b"21,b")


# -- kills ----------------------------------------------------------------------------------------


KILLED = """\
import os, signal, sys
import stagepipe

def hear(event):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1

if __name__ == "__main__":
    left = int(sys.argv[1])
    result = stagepipe.run(stagepipe.load("pipeline.toml"), jobs=2, listeners=[hear])
    print(result.error)
"""


@pytest.mark.timeout(60 + 20 * KILLS)
def test_killed_at_any_event(letters: Any, tree: Any) -> None:
    """Before, within and behind the inner barrier: the next run takes what is finished and comes to
    the bytes of an undisturbed one."""
    heard: list[events.Event] = []
    assert letters.run(listeners=[heard.append]).error is None
    wanted = tree(letters.root / "out")
    doing = [e.doing for e in heard if isinstance(e, events.StageStarted)]
    letters.write("killed.py", KILLED)
    for number in range(KILLS):
        shutil.rmtree(letters.root / "out")
        shutil.rmtree(letters.root / ".stagepipe")
        at = len(heard) * (number + 1) // (KILLS + 1)
        command = [sys.executable, "killed.py", str(at)]
        ended = subprocess.run(command, cwd=letters.root, capture_output=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        result = letters.run()
        assert result.error is None, result.error
        assert tree(letters.root / "out") == wanted
        assert len(told(letters.root, result)) == 4
    assert len(doing) == 3


def test_a_wrong_unique_is_a_fault(project: Any) -> None:
    """It is true or false."""
    project.declare(columns='code = { type = "int32", unique = "yes" }\n')
    with pytest.raises(PipelineError, match="unique"):
        project.load()
