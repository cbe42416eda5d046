"""Steps that reject rows: however late, a reject has its record's file, line, offset and bytes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stagepipe.errors import PipelineError
from stagepipe.model import Reject
from stagepipe.record import rejects

PIPELINE = """\
[pipeline]
name = "picky"
chunk_size = "{chunk_size}"
plugins = ["extras.py"]
[[source]]
files = "in/{{source}}.csv"
[schema.columns]
id = {{ type = "int64", required = true }}
n = "int64"
text = "string"
{stages}
[errors]
max_rejected = {max_rejected}
"""
EXTRAS = """\
import polars as pl
from stagepipe import step

@step
def threes(frame: pl.DataFrame, reject, *, column: str = "id") -> pl.DataFrame:
    "Reject what three divides."
    return reject(frame, pl.col(column) % 3 == 0, "three")

@step
def fives(frame: pl.DataFrame, reject) -> pl.DataFrame:
    frame = reject(frame, frame["id"] % 5 == 0, "five")
    return reject(frame, pl.col("n") > 90, "large")

@step
def shaken(frame: pl.DataFrame) -> pl.DataFrame:
    "Another order, and fewer rows."
    return frame.sort("n", "id", descending=True).filter(pl.col("id") % 7 != 0)

@step
def twice(frame: pl.DataFrame) -> pl.DataFrame:
    return frame

@step
def forgets(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("id", "n", "text")

@step
def renames(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename(str.upper).filter(pl.col("ID") > 2)

@step
def counts(frame: pl.DataFrame) -> pl.DataFrame:
    "Leaves the records out; a number of its own stands in their place."
    return frame.select("id", "n", "text", nr=pl.int_range(pl.len()))

@step
def blanks(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(None, pl.Int64).alias("_record"))

@step
def numbers(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.int_range(pl.len()).alias("_record"))

@step
def grows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.selectors.integer() + 1)

@step
def floats(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.selectors.integer().cast(pl.Float64))

@step
def makes(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(1, pl.Int64).alias("_record"))

@step(reshapes=True)
def doubles(frame: pl.DataFrame, reject) -> pl.DataFrame:
    "Rows that it brought itself are rejected."
    frame = pl.concat([frame, frame])
    return reject(frame, pl.col("id") != 4, "not four")
"""
FOR_EACH = '[[stage]]\nname = "{}"\nsteps = [{}]\n'
SINK = 'sink = {{ use = "parquet", path = "{}", on_existing = "replace" }}\n'


def stages(*steps: str, sinks: Sequence[int] = ()) -> str:
    """A stage for each of these; the last has a sink, and those whose numbers are given."""
    text = ""
    for index, each in enumerate(steps):
        text += FOR_EACH.format(f"stage{index}", each)
        if index in sinks or index == len(steps) - 1:
            text += SINK.format(f"table{index}")
    return text


def declare(
    project: Any, stages: str, *, chunk_size: str = "300B", max_rejected: str = '"100%"'
) -> None:
    project.write("extras.py", EXTRAS)
    project.write(
        "pipeline.toml",
        PIPELINE.format(stages=stages, chunk_size=chunk_size, max_rejected=max_rejected),
    )


Row = tuple[int, int, str]
Found = dict[int, tuple[str, int, int, bytes]]


def written(project: Any, name: str, seed: int, end: str, count: int = 50) -> tuple[list[Row], Any]:
    """A file of records over one line and over several; its rows, and by id where they are."""
    choose = random.Random(seed)
    text, rows, places = f"id,n,text{end}", [], {}
    for number in range(seed * 1000, seed * 1000 + count):
        n, word = choose.randint(0, 100), choose.choice(["a", "b", f'c{end}{end}"d"', "é"])
        shown = '"' + word.replace('"', '""') + '"' if '"' in word else word
        record = f"{number},{n},{shown}"
        line = 1 + (text.count("\n") if "\n" in end else text.count("\r"))
        places[number] = (f"in/{name}.csv", line, len(text.encode()), record.encode())
        rows.append((number, n, word))
        text += record + end + choose.choice(["", "", end, f"bad{end}"])
    project.write(f"in/{name}.csv", text)
    return rows, places


@pytest.fixture
def picky(project: Any) -> tuple[Any, list[Row], Found]:
    """Three files with LF, CRLF and CR; all rows, and where each is."""
    rows: list[Row] = []
    places: Found = {}
    for seed, (name, end) in enumerate((("a", "\n"), ("b", "\r\n"), ("c", "\r"))):
        more, where = written(project, name, seed, end)
        rows += more
        places |= where
    return project, rows, places


def of_steps(project: Any, result: Any) -> list[Reject]:
    """The rejects of steps, not those of the reader."""
    found = rejects.read(project.root / result.rejects)
    return [reject for reject in found if reject.reason not in ("too_few_fields",)]


def by_raw(found: Sequence[Reject]) -> list[tuple[Any, ...]]:
    return sorted((r.reason, r.file, r.line, r.byte_offset, r.raw) for r in found)


def expected(places: Found, ids: Any, reason: str) -> list[tuple[Any, ...]]:
    return [(reason, *places[number]) for number in ids]


def ids(project: Any, table: str) -> list[int]:
    paths = sorted((project.root / "out" / table).iterdir())
    return [n for path in paths for n in pq.read_table(path)["id"].to_pylist()]


def succeeded(project: Any, *, jobs: int = 1) -> Any:
    result = project.run(jobs=jobs)
    assert result.error is None, f"{result.error} {result.error.hint}"
    assert result.rows.difference == 0
    return result


@pytest.mark.parametrize(("chunk_size", "jobs"), [("1B", 1), ("300B", 4), ("1MB", 1)])
def test_a_late_reject_knows_its_record(picky: Any, chunk_size: str, jobs: int) -> None:
    """Two stages later, after a filter, another order, a join and the steps that choose columns;
    in files that are cut anywhere."""
    project, rows, places = picky
    project.write("names.csv", "text,name\na,Anna\nb,Bert\n")
    declare(
        project,
        stages(
            '"shaken"',
            '{ use = "join", file = "names.csv", on = "text" },'
            '{ use = "select", columns = ["name", "n", "id"] },'
            '{ use = "drop", columns = ["name"] }',
            '{ use = "rename", columns = { id = "key" } },'
            '{ use = "threes", column = "key" }, { use = "rename", columns = { key = "id" } },'
            '"fives"',
            sinks=[1],
        ),
        chunk_size=chunk_size,
    )
    result = succeeded(project, jobs=jobs)
    left = [(number, n) for number, n, _ in rows if number % 7 != 0]
    threes = [number for number, _ in left if number % 3 == 0]
    left = [(number, n) for number, n in left if number % 3 != 0]
    fives = [number for number, _ in left if number % 5 == 0]
    left = [(number, n) for number, n in left if number % 5 != 0]
    large = [number for number, n in left if n > 90]
    wanted = expected(places, threes, "three") + expected(places, fives, "five")
    wanted += expected(places, large, "large")
    found = of_steps(project, result)
    assert large
    assert by_raw(found) == sorted(wanted)
    assert {(r.stage, r.column, r.value, r.also) for r in found} == {("stage2", None, None, None)}
    assert all(r.file == f"in/{r.source}.csv" for r in found)
    kept = {number for number, n in left if n <= 90}
    assert set(ids(project, "table2")) == kept
    assert result.stages[2].rows.rejected == len(wanted)
    for index in (1, 2):
        for path in (project.root / "out" / f"table{index}").iterdir():
            assert pq.read_schema(path).names == (["n", "id"])


@pytest.mark.parametrize("jobs", [1, 4])
def test_the_rejects_do_not_depend_on_the_workers(picky: Any, jobs: int) -> None:
    """The same rows in the same order, byte for byte."""
    project, _, _ = picky
    declare(project, stages('"shaken"', '"threes"', '"fives"'), chunk_size="200B")
    one = list(rejects.read(project.root / succeeded(project, jobs=1).rejects))
    shutil.rmtree(project.root / ".stagepipe")
    assert list(rejects.read(project.root / succeeded(project, jobs=jobs).rejects)) == one


def test_a_copied_row_has_the_place_of_its_record(picky: Any) -> None:
    """`unpivot` makes several rows of a record, with an index of its own choice: each is a reject
    of that record."""
    project, rows, places = picky
    declare(
        project,
        stages(
            '{ use = "unpivot", columns = ["n"], index = ["id"] }',
            '{ use = "unpivot", columns = ["value"], index = ["id"], value_name = "n" }, "threes"',
        ),
    )
    result = succeeded(project)
    wanted = expected(places, [number for number, _, _ in rows if number % 3 == 0], "three")
    assert by_raw(of_steps(project, result)) == sorted(wanted)


def test_a_step_may_reject_rows_that_it_brought(picky: Any) -> None:
    """Where it reshapes, the sum comes out, also with more rejects than rows."""
    project, rows, places = picky
    declare(project, stages('"doubles"', ""), max_rejected="1000")
    result = succeeded(project)
    wanted = expected(places, [number for number, _, _ in rows if number != 4] * 2, "not four")
    assert by_raw(of_steps(project, result)) == sorted(wanted)
    assert ids(project, "table1") == [4, 4]
    assert min(result.rows.dropped, result.rows.added) >= 0


def test_a_rejecting_step_that_is_added_later_finds_its_records(picky: Any) -> None:
    """Finished parts of a stage before it do not know their records: they are made anew, and the
    plan says why."""
    project, rows, places = picky
    declare(project, stages('"twice"', ""))
    succeeded(project)
    declare(project, stages('"twice"', '"threes"'))
    why = {task.reason for task in project.plan().stages[0].tasks}
    assert why == {"a later step rejects rows, or none does any more"}
    result = succeeded(project)
    wanted = expected(places, [number for number, _, _ in rows if number % 3 == 0], "three")
    assert by_raw(of_steps(project, result)) == sorted(wanted)
    again = succeeded(project)
    assert sum(stage.made for stage in again.stages) == 0
    assert of_steps(project, again) == of_steps(project, result)


# -- where the way back is lost ------------------------------------------------------------------


@pytest.mark.parametrize("step", ["forgets", "blanks", "counts"])
@pytest.mark.parametrize("sinks", [(), (0,)], ids=["spool", "sink"])
def test_a_step_that_loses_the_record_leaves_nulls(
    picky: Any, step: str, sinks: Sequence[int]
) -> None:
    """File, line, offset and bytes are null; source, stage and reason are not."""
    project, rows, _ = picky
    declare(project, stages(f'"{step}"', '"threes"', sinks=sinks))
    found = of_steps(project, succeeded(project))
    assert len(found) == sum(number % 3 == 0 for number, _, _ in rows)
    assert {(r.file, r.line, r.byte_offset, r.raw) for r in found} == {(None,) * 4}
    assert {(r.source, r.stage, r.reason) for r in found} == {
        (source, "stage1", "three") for source in "abc"
    }
    for index in (*sinks, 1):
        for path in (project.root / "out" / f"table{index}").iterdir():
            assert "_record" not in pq.read_schema(path).names


@pytest.mark.parametrize("step", ["numbers", "grows", "floats"])
def test_a_step_that_changes_the_record_fails(picky: Any, step: str) -> None:
    """A wrong line would be worse than none; the message names the step and the column."""
    project, _, _ = picky
    declare(project, stages(f'"{step}"', '"threes"'))
    result = project.run()
    assert result.exit_code == 1
    assert f"step '{step}' changed the column '_record'" in str(result.error)
    assert "name the columns that the step works on" in result.error.hint
    assert not (project.root / "out/table1").exists()


def test_a_step_that_renames_the_record_fails(picky: Any) -> None:
    """Else the column would be in the table, and rejects would lose their lines in silence; where
    no step rejects, there is none to rename."""
    project, _, _ = picky
    declare(project, stages('"renames"', '{ use = "threes", column = "ID" }'))
    result = project.run()
    assert result.exit_code == 1
    where = "stage 'stage0', chunk 0 (in/a.csv): step 'renames'"
    assert f"{where} renamed the column '_record' to '_RECORD'" in str(result.error)
    assert "name the columns that the step works on" in result.error.hint
    assert not (project.root / "out/table1").exists()
    declare(project, stages('"renames"', ""))
    succeeded(project)


@pytest.mark.parametrize("rest", ['"twice"', '"threes"'])
def test_no_step_makes_the_reserved_column(picky: Any, rest: str) -> None:
    """It would be lost, or mistaken for ours."""
    project, _, _ = picky
    declare(project, stages('"twice"', f'"makes", {rest}' if "twice" in rest else '"makes"'))
    result = project.run()
    assert result.exit_code == 1
    assert "step 'makes' made a column '_record', a name that is reserved" in str(result.error)


def test_behind_a_step_over_all_rows_check_says_that_lines_are_lost(picky: Any) -> None:
    """And they are null, for a source `*`."""
    project, rows, _ = picky
    declare(project, stages('"twice"', '{ use = "sort", by = ["id"] }, "threes"', '"fives"'))
    text = project.program("check").out
    assert "'threes'" in text
    assert "'fives'" in text
    assert "'sort'" in text
    result = succeeded(project)
    found = of_steps(project, result)
    assert len([r for r in found if r.reason == "three"]) == sum(n % 3 == 0 for n, _, _ in rows)
    assert {(r.source, r.file, r.line, r.byte_offset, r.raw) for r in found} == {
        ("*", None, None, None, None)
    }
    declare(project, stages('"threes"', '{ use = "sort", by = ["id"] }', '"twice"'))
    assert "threes" not in project.program("check").out


def test_unpivot_is_no_loss_to_check(picky: Any) -> None:
    """The built-in step keeps the way back."""
    project, _, _ = picky
    declare(project, stages('{ use = "unpivot", columns = ["n"] }', '"threes"'))
    assert "threes" not in project.program("check").out


# -- budgets, counts, and what goes wrong --------------------------------------------------------


def test_budgets_count_rejects_of_steps(project: Any) -> None:
    """Those of the stage, per source; over budget nothing of it is committed."""
    for name, count in (("a", 7), ("b", 8)):
        project.write(f"in/{name}.csv", "id,n,text\n" + "3,1,x\n" * count + "1,1,x\n" * count)
    declare(project, stages("", '"threes"', sinks=[0]), max_rejected="7", chunk_size="10B")
    result = project.run()
    assert result.exit_code == 1
    assert "8 of 16 records of source 'b' were rejected" in str(result.error)
    assert (project.root / "out/table0").exists()
    assert not (project.root / "out/table1").exists()
    assert len(of_steps(project, result)) == 15
    declare(project, stages("", '"threes"', sinks=[0]), max_rejected="8", chunk_size="10B")
    assert succeeded(project).rows.rejected == 15


def test_show_and_rejects_count_them(picky: Any) -> None:
    """By stage and reason; the same number as in `run --json`."""
    project, rows, _ = picky
    declare(project, stages("", '"threes"'))
    ended = project.command()
    assert ended.code == 0
    count = sum(n % 3 == 0 for n, _, _ in rows)
    assert ended.json["stages"][1]["rows"]["rejected"] == count
    shown = project.program("show", "--json").json
    found = [each for each in shown["reject_counts"] if each["reason"] == "three"]
    assert {each["stage"] for each in found} == {"stage1"}
    assert sum(each["records"] for each in found) == count
    of_sources = {each["source"]: each["rejected"] for each in shown["sources"]}
    assert sum(of_sources.values()) == ended.json["rows"]["rejected"]
    of_b = sum(found["records"] for found in shown["reject_counts"] if found["source"] == "b")
    assert of_sources["b"] == of_b > 0
    listed = project.program("rejects", "--csv", "--source", "b").out
    assert listed.count(",stage1,") == sum(n % 3 == 0 for n, _, _ in rows if n // 1000 == 1)


def test_a_null_condition_keeps_the_row(project: Any) -> None:
    """What is not known to be bad is not bad."""
    project.write("in/a.csv", "id,n,text\n1,,x\n2,95,y\n4,3,z\n")
    declare(project, stages('"fives"'))
    assert succeeded(project).rows.rejected == 1
    assert ids(project, "table0") == [1, 4]


BAD_USES = {
    "reject(frame.lazy(), pl.col('id') > 1, 'x')": "needs the frame first, not a LazyFrame",
    "reject(pl.col('id') > 1, 'x', 'y')": "needs the frame first, not a Expr",
    "reject(pl.col('id') > 1, 'x')": "missing 1 required positional argument",
    "reject(frame, frame['id'].head(2) > 1, 'x')": "has 2 values for 4 rows",
    "reject(frame, pl.Series([True]), 'x')": "has 1 values for 4 rows",
    "reject(frame, pl.col('id').head(3) > 1, 'x')": "has 3 values for 4 rows",
    "reject(frame, pl.col('id', 'n') > 1, 'x')": "gives 2 columns, not one",
    "reject(frame, pl.col('id'), 'x')": "is Int64, not true or false",
    "reject(frame, 'id > 1', 'x')": "not a str",
    "reject(frame, pl.col('oid') > 1, 'x')": "there is no column 'oid'; did you mean 'id'?",
    "reject(frame, pl.col('id') > 1, '')": "needs a word for the reason, not ''",
    "reject(frame, pl.col('id') > 1, None)": "needs a word for the reason, not None",
    "(reject(frame, pl.col('id') > 1, 'x'), frame)[1]": "rejected 3 of 4 rows and gave back 4",
    "(reject(frame, pl.col('id') > 3, 'x'), frame.filter(pl.col('id') != 2))[1]": (
        "rejected rows and gave them back all the same"
    ),
    "(reject(frame, pl.col('id') > 3, 'x'), reject(frame, pl.col('id') > 2, 'x'))[1]": (
        "rejected rows and gave them back all the same|rejected 3 of 4 rows and gave back 2"
    ),
}


@pytest.mark.parametrize("use", BAD_USES)
def test_wrong_use_is_told(project: Any, use: str) -> None:
    """With the step's name; nothing is committed."""
    project.write("in/a.csv", "id,n,text\n1,1,x\n2,1,y\n3,1,y\n4,1,z\n")
    declare(project, stages('"wrong"'))
    project.write(
        "extras.py",
        "import polars as pl\nfrom stagepipe import step\n"
        f"@step\ndef wrong(frame: pl.DataFrame, reject) -> pl.DataFrame:\n    return {use}\n",
    )
    result = project.run()
    assert result.exit_code == 1
    assert "step 'wrong'" in str(result.error)
    assert any(text in str(result.error) for text in BAD_USES[use].split("|")), result.error
    assert not (project.root / "out").exists() or not any((project.root / "out/").glob("t*"))


@pytest.mark.parametrize(
    ("condition", "left"), [("pl.lit(True)", []), ("True", []), ("False", [1, 2]), ("None", [])]
)
def test_one_value_stands_for_all_rows(project: Any, condition: str, left: list[int]) -> None:
    """As everywhere in polars."""
    project.write("in/a.csv", "id,n,text\n1,1,x\n2,1,y\n")
    project.write("in/b.csv", "id,n,text\n")
    declare(project, stages('"all_of_them"'))
    project.write(
        "extras.py",
        "import polars as pl\nfrom stagepipe import step\n"
        "@step\ndef all_of_them(frame: pl.DataFrame, reject) -> pl.DataFrame:\n"
        f"    return reject(frame, {condition}, 'x')\n",
    )
    if condition == "None":
        assert "not a NoneType" in str(project.run().error)
        return
    assert succeeded(project).rows.rejected == 2 - len(left)
    assert ids(project, "table0") == left


def test_over_all_rows_no_step_takes_reject(project: Any) -> None:
    """`check` refuses it, since nobody would know the records."""
    project.write("in/a.csv", "id,n,text\n1,1,x\n")
    declare(project, stages("", '"wrong"'))
    project.write(
        "extras.py",
        "from stagepipe import step\n@step(scope='all')\ndef wrong(frame, reject):\n"
        "    return frame\n",
    )
    with pytest.raises(PipelineError, match="takes reject and has scope='all'"):
        project.plan()


CHANGES = """\
import os
from pathlib import Path
import polars as pl
from stagepipe import step

@step
def changes(frame: pl.DataFrame, reject, *, how: str) -> pl.DataFrame:
    path = Path("{root}/in/b.csv")
    if how == "touched":
        os.utime(path, ns=(1, 1))
    elif how == "gone" and path.exists():
        path.unlink()
    return reject(frame, pl.col("id") % 3 == 0, "three")
"""


@pytest.mark.parametrize("how", ["touched", "gone"])
def test_a_file_that_changed_since_it_was_read_fails_the_stage(picky: Any, how: str) -> None:
    """The bytes of a rejected record cannot be had any more: nothing is made up."""
    project, _, _ = picky
    declare(project, stages("", f'{{ use = "changes", how = "{how}" }}', sinks=[0]))
    project.write("extras.py", CHANGES.format(root=project.root))
    result = project.run()
    assert result.exit_code == 1
    assert "in/b.csv cannot be read again for a rejected row" in str(result.error)
    assert "run again when the file rests" in result.error.hint
    assert (project.root / "out/table0").exists()
    assert not (project.root / "out/table1").exists()


def test_each_file_is_read_again_once(picky: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the rows of a chunk's files are mixed: many rejects cost one look at each file."""
    from stagepipe.builtin.csv.reader import CsvReader
    from stagepipe.run import step_rejects
    from stagepipe.run.applying import StepReject
    from stagepipe.run.places import OFFSET_BITS

    project, rows, places = picky
    declare(project, stages('"shaken"', '"fives"'), chunk_size="1MB")
    opened: list[str] = []
    plain = step_rejects.portions

    def counted(folder: Path, segment: Any, *others: Any) -> Any:
        opened.append(segment.file.path)
        return plain(folder, segment, *others)

    monkeypatch.setattr(step_rejects, "portions", counted)
    checked = project.plan().checked
    chunks = project.plan().chunks
    found = []
    for chunk in chunks:
        mixed = [
            StepReject("fives", "five", (index << OFFSET_BITS) + places[n][2])
            for index, segment in enumerate(chunk.segments)
            for n, _, _ in rows
            if places[n][0] == segment.file.path
        ]
        random.Random(1).shuffle(mixed)
        found += list(step_rejects.raw_rejects(checked.plugins, _work(project), chunk, mixed))
    assert sorted(r.raw or b"" for _, r in found) == sorted(place[3] for place in places.values())
    assert sorted(opened) == ["in/a.csv", "in/b.csv", "in/c.csv"]
    assert CsvReader is not None


def _work(project: Any) -> Any:
    return project.plan().checked.work


# -- stopped -------------------------------------------------------------------------------------

STOPS = """\
import os, signal
from pathlib import Path
import polars as pl
from stagepipe import step

@step
def stops(frame: pl.DataFrame, reject) -> pl.DataFrame:
    left = Path("{root}/left")
    if left.exists() and int(left.read_text()) == 0:
        os.kill(os.getppid() if "{whom}" == "parent" else os.getpid(), signal.SIGKILL)
        signal.pause()
    if left.exists():
        left.write_text(str(int(left.read_text()) - 1))
    return reject(frame, pl.col("id") % 3 == 0, "three")
"""


@pytest.mark.parametrize("done", [0, 3])
def test_a_killed_run_ends_with_the_same_rejects(picky: Any, done: int) -> None:
    """The rejects of parts that were finished are taken with them."""
    project, _, _ = picky
    declare(project, stages('"stops"', '"fives"'))
    project.write("extras.py", EXTRAS + STOPS.format(root=project.root, whom="self"))
    whole = list(rejects.read(project.root / succeeded(project).rejects))
    table = project.tree()
    shutil.rmtree(project.root / ".stagepipe")
    shutil.rmtree(project.root / "out")
    project.write("left", str(done))
    process = project.start("-j", "1")
    for line in iter(process.stderr.readline, ""):
        if "a worker process died" in line:
            break
    process.kill()
    process.communicate()
    (project.root / "left").unlink()
    result = succeeded(project)
    assert result.stages[0].taken == done
    assert list(rejects.read(project.root / result.rejects)) == whole
    assert project.tree() == table
    assert whole
