"""`stagepipe preview`, by the real program on real files."""

from __future__ import annotations

import pytest

from stagepipe.model import Reject

REJECTING = """
import polars as pl
from stagepipe import step
@step
def no_two(frame, reject):
    print("a step was here")
    return reject(frame, pl.col("id") == 2, "is two")
"""


def change(project, old: str, new: str) -> None:
    """Change the pipeline file."""
    text = (project.folder / "pipeline.toml").read_text()
    assert old in text
    project.write("pipeline.toml", text.replace(old, new))


def test_rows_and_rejects_by_json(project) -> None:
    """One object a source: columns with the words of the schema, rows, rejects of the same records;
    and nothing is written."""
    before = project.files()
    (source,) = project.json("preview")["sources"]
    assert (source["name"], source["file"], source["error"]) == ("a", "a.csv", None)
    assert source["columns"] == [
        {"name": "id", "type": "int64"},
        {"name": "word", "type": "string"},
    ]
    assert source["rows"] == [
        {"id": 1, "word": "one"},
        {"id": 2, "word": "two"},
        {"id": 4, "word": "four"},
    ]
    (reject,) = source["rejects"]
    assert tuple(reject) == Reject._fields
    assert reject == {
        "source": "a", "file": "a.csv", "line": 4, "byte_offset": 20, "stage": "parse",
        "column": "id", "value": "three", "reason": "type", "also": None, "raw": "three,drei",
    }  # fmt: skip
    assert source["records"] == 4
    assert project.files() == before


def test_the_same_for_people(project) -> None:
    """Types stand under the names, a missing value and blanks are seen, rejects stand below."""
    project.write("a.csv", 'id,word\n1,\n22," x "\nthree,drei\n4,a\x1b[31m\n')
    done = project.run("preview")
    assert done.stdout == (
        "stage parse\n"
        "\n"
        "source a: 4 records (1 rejected) of a.csv\n"
        "     id  word\n"
        "  int64  string\n"
        "      1  null\n"
        '     22  " x "\n'
        "      4  a\\x1b[31m\n"
        "  rejected\n"
        "    a.csv:4\n"
        "        type in column 'id': 'three'\n"
        "        | three,drei\n"
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("rows", "ids", "lines"), [(1, [1], []), (3, [1, 2], [4]), (9, [1, 2, 4], [4])]
)
def test_so_many_records(project, rows: int, ids: list[int], lines: list[int]) -> None:
    """-n counts records, good and bad ones together."""
    (source,) = project.json("preview", "-n", str(rows))["sources"]
    assert [row["id"] for row in source["rows"]] == ids
    assert [reject["line"] for reject in source["rejects"]] == lines


def test_the_next_file_is_read_when_the_first_is_short(project) -> None:
    """Records are taken from file after file; a later file that is dead says so beside them."""
    project.write("b.csv", "id,word\n5,five\n6,six\n")
    change(project, '"a.csv"', '"*.csv"')
    (source,) = project.json("preview")["sources"]
    assert [row["id"] for row in source["rows"]] == [1, 2, 4, 5]
    assert "5 records (1 rejected) of a.csv and 1 more" in project.run("preview").stdout
    project.write("b.csv", "id,wort\n5,five\n")
    (source,) = project.json("preview", code=1)["sources"]
    assert [row["id"] for row in source["rows"]] == [1, 2, 4]
    assert source["error"].startswith("b.csv: the header lacks column 'word'; did the supplier")


def test_a_dead_file_is_told_beside_its_source(project) -> None:
    """The other sources are shown all the same."""
    project.write("b.csv", "id,word,more\n5,five,x\n")
    project.write("empty.csv", "")
    more = '[[source]]\nname = "b"\nfiles = "b.csv"\n[[source]]\nname = "c"\nfiles = "empty.csv"\n'
    change(project, "[schema.columns]", more + "[schema.columns]")
    found = project.json("preview", code=1)["sources"]
    assert [(each["name"], len(each["rows"])) for each in found] == [("a", 3), ("b", 0), ("c", 0)]
    assert "b.csv: the header has column 'more'" in found[1]["error"]
    assert "empty.csv: the file is empty" in found[2]["error"]
    text = project.run("preview", code=1).stdout
    assert "source b: 0 records of b.csv\n  error: b.csv: the header has" in text


def test_a_plugins_step_may_reject_and_print(project) -> None:
    """Its rejects have their place, and what it prints is kept from stdout."""
    project.plugin(REJECTING, "no_two")
    project.write("b.csv", "id,word\n2,zwei\n6,six\n")
    change(project, '"a.csv"', '"*.csv"')
    done = project.run("preview", "-n", "6")
    assert "a step was here" in done.stderr
    assert "a step was here" not in done.stdout
    assert done.stdout.startswith("stage parse (no_two)\n")
    assert "_record" not in done.stdout
    (source,) = project.json("preview", "-n", "6")["sources"]
    assert [row["id"] for row in source["rows"]] == [1, 4, 6]
    assert [column["name"] for column in source["columns"]] == ["id", "word"]
    found = {(each["file"], each["line"]): each for each in source["rejects"]}
    assert set(found) == {("a.csv", 4), ("a.csv", 3), ("b.csv", 2)}
    assert found["b.csv", 2]["reason"] == "is two"
    assert (found["b.csv", 2]["raw"], found["b.csv", 2]["byte_offset"]) == ("2,zwei", 8)
    assert {each["stage"] for each in source["rejects"]} == {"parse"}


def test_a_number_of_a_steps_own_is_not_taken_for_that_of_a_record(project) -> None:
    """It counts from 0, in the place of the column that the step left out."""
    code = "import polars as pl\nfrom stagepipe import step\n\n@step\ndef counts(frame):\n"
    code += "    return frame.select('id', 'word', nr=pl.int_range(pl.len()))\n\n"
    code += "@step\ndef none(frame, reject):\n    return frame\n"
    project.plugin(code, "counts")
    change(project, 'steps = [{ use = "filter"', 'steps = ["none", { use = "filter"')
    (source,) = project.json("preview")["sources"]
    assert source["error"] is None
    assert [row["nr"] for row in source["rows"]] == [0, 1, 2]


def test_steps_change_columns_and_drop_rows(project) -> None:
    """Types are those after the steps; rows that a step takes away are counted under its name."""
    steps = """steps = [
        { use = "filter", expression = "id > 1" },
        { use = "derive", column = "twice", expression = "id * 2" },
    ]"""
    change(project, "steps = []", steps)
    (source,) = project.json("preview")["sources"]
    assert source["columns"][-1] == {"name": "twice", "type": "int64"}
    assert source["rows"][0] == {"id": 2, "word": "two", "twice": 4}
    assert source["dropped"] == {"filter": 1}
    assert "4 records (1 rejected, filter dropped 1)" in project.run("preview").stdout


def test_a_step_that_fails_is_told(project) -> None:
    """Whatever it raises, and without a traceback."""
    project.plugin("from stagepipe import step\n@step\ndef own(frame): return 1 / 0\n", "own")
    (source,) = project.json("preview", code=1)["sources"]
    assert source["error"] == (
        "stage 'parse', source 'a': step 'own': ZeroDivisionError: division by zero "
        "(extras.py, line 3)"
    )
    assert source["rows"] == []
    project.plugin("from stagepipe import step\n@step\ndef own(frame): raise SystemExit\n", "own")
    assert "SystemExit" in project.run("preview", code=1).stdout


def test_only_the_beginning_of_a_big_file_is_read(project) -> None:
    """A file of a GB is mostly a hole here: whoever read it would find no records in it."""
    with (project.folder / "a.csv").open("w") as file:
        file.write("id,word\n" + "7,x\n" * 500_000)
        file.truncate(10**9)
    (source,) = project.json("preview", "-n", "100000")["sources"]
    assert [row["id"] for row in source["rows"]] == [7] * 100_000
    assert (source["rejects"], source["error"]) == ([], None)


def test_a_long_record_is_read_as_far_as_it_goes(project) -> None:
    """A record of several MB is shown; a quote that nothing closes does not have all read."""
    project.write("a.csv", f'id,word\n1,{"x" * 3_000_000}\n2,"\n{"y" * 10}"\n3,z\n')
    (source,) = project.json("preview")["sources"]
    assert [len(row["word"]) for row in source["rows"]] == [3_000_000, 11, 1]
    assert max(map(len, project.run("preview").stdout.splitlines())) < 100
    with (project.folder / "a.csv").open("w") as file:
        file.write('id,word\n1,one\n2,"two\n')
        file.truncate(10**9)
    (source,) = project.json("preview", code=1)["sources"]
    assert "a.csv: the record that begins at byte 14 does not end" in source["error"]
    (source,) = project.json("preview", "-n", "1")["sources"]
    assert source["rows"] == [{"id": 1, "word": "one"}]


def test_it_fits_the_terminal(project) -> None:
    """At 80 columns of the terminal the table is cut into blocks, off a terminal it is one."""
    names = [f"column_{number}" for number in range(20)]
    project.write("wide.csv", ",".join(names) + "\n" + ",".join(["x" * 50] * 20) + "\n")
    columns = "".join(f'{name} = "string"\n' for name in names)
    text = (project.folder / "pipeline.toml").read_text()
    head, _, rest = text.partition("[schema.columns]\n")
    tail = rest[rest.index("[[stage]]") :].replace("id <> 2", "column_1 <> '2'")
    text = head.replace("a.csv", "wide.csv") + "[schema.columns]\n" + columns + tail
    project.write("pipeline.toml", text)
    assert max(map(len, project.run("preview").stdout.splitlines())) > 1000
    for width in (20, 80, 200):
        lines = project.on_terminal("preview", columns=width)
        assert all(len(line) <= width for line in lines if "record" not in line)
        shown = {word for line in lines for word in line.split()}
        assert shown >= set(names)
    assert project.on_terminal("preview", columns=80)[3].startswith("  columns 1 to 3 of 20")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-n", "0"), "0 is not in the range"),
        (("-n", "many"), "'many' is not a valid whole number"),
        (("nowhere.toml",), "nowhere.toml: no such file"),
        (("a.csv",), "this is not TOML"),
        (("--set", "source.a.files=none.csv"), "'none.csv' does not exist"),
        (("--set", "source.a.fils=none.csv"), "fils"),
    ],
)
def test_mistakes(project, words: tuple[str, ...], said: str) -> None:
    """Exit 2, a message, and an object where JSON was asked for."""
    assert said in project.run("preview", *words, code=2).stderr
    assert "error" in project.json("preview", *words, code=2)


def test_it_waits_for_no_lock_and_needs_no_output(project) -> None:
    """What stands at a sink's place does not matter to a preview."""
    project.write("out/words/strange.txt", "x")
    before = project.files()
    assert project.json("preview")["sources"][0]["records"] == 4
    assert project.files() == before
