"""Each command, on a small project."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from pathlib import Path

import pytest

from stagepipe.cli.program import COMMANDS
from stagepipe.cli.rejects import reject_lines
from stagepipe.model import Reject

LATER_STAGES = """\
[[stage]]
name = "sorted"
steps = [{ use = "sort", by = ["id"] }]
[[stage]]
name = "again"
steps = ["strip_text"]
sink = { use = "csv", path = "again.csv", on_existing = "replace" }
"""


def test_the_whole_way_by_json(project) -> None:
    """run, runs, show and rejects tell one story, each in one JSON value."""
    result = project.json("run", "-q")
    assert set(result) == {
        "run", "pipeline", "status", "rows", "files", "stages", "outputs", "rejects", "drift",
        "unsettled", "seconds", "profile", "error",
    }  # fmt: skip
    assert result["status"] == "succeeded"
    assert result["error"] is None
    assert result["rows"] == {"read": 4, "added": 0, "written": 2, "rejected": 1, "dropped": 1}
    assert (project.folder / result["rejects"]).is_file()

    runs = project.json("runs")
    assert [(run["run"], run["status"]) for run in runs] == [(result["run"], "succeeded")]

    shown = project.json("show", result["run"][:-2])
    assert shown["rows"] == result["rows"]
    assert [stage["dropped_by"] for stage in shown["stages"]] == [{}, {"filter": 1}]
    assert shown["sources"][0]["records"] == 4
    assert shown["outputs"][0]["path"] == "out/words"
    assert set(shown["task_seconds"]) >= {"read", "parse", "encode"}
    assert [stage["rejected_by"] for stage in shown["stages"]] == [{}, {}]
    spent = sum(sum(stage["task_seconds"].values()) for stage in shown["stages"])
    assert spent == pytest.approx(sum(shown["task_seconds"].values()))
    assert {task["stage"] for task in shown["slowest_tasks"]} == {"parse", "words"}

    (reject,) = project.json("rejects")
    assert tuple(reject) == (*Reject._fields, "status")
    assert (reject["file"], reject["line"], reject["reason"]) == ("a.csv", 4, "type")
    assert reject["raw"] == "three,drei"


def test_duplicates_are_no_rows_of_their_source(project) -> None:
    """Each record of a source is a row or a reject, also where a value may stand only once."""
    text = (project.folder / "pipeline.toml").read_text()
    project.write(
        "pipeline.toml",
        text.replace('word = "string"', "word = { type = 'string', unique = true }"),
    )
    project.write("a.csv", "id,word\n1,one\n2,two\nthree,drei\n4,one\n")
    project.run("run", "-q")
    (source,) = project.json("show")["sources"]
    assert (source["records"], source["rows"], source["rejected"]) == (4, 2, 2)


def test_the_whole_way_for_people(project) -> None:
    """The same commands without --json say what happened and where things lie."""
    done = project.run("run")
    assert done.stdout.startswith("letters: succeeded in ")
    assert "4 read, 0 added, 2 written, 1 rejected, 1 dropped (filter 1)" in done.stdout
    assert "out/words  2 rows" in done.stdout
    assert "files     1 read (38 bytes)" in done.stdout
    assert "rejects   1  type in column 'id'" in done.stdout
    assert "stagepipe rejects" in done.stdout
    assert "parse: begins, 1 task to make" in done.stderr
    assert "words: done in " in done.stderr

    again = project.run("run", "-q")
    assert (again.stdout, again.stderr) == ("", "")

    assert "succeeded" in project.run("runs", "-n", "1").stdout
    assert "filter dropped 1" in project.run("show").stdout
    rejects = project.run("rejects").stdout
    assert "a.csv:4\n    type in column 'id': 'three'\n    | three,drei\n" in rejects
    assert rejects.endswith("1 rejected record in run " + rejects.split(" run ")[1])
    rows = list(csv.reader(io.StringIO(project.run("rejects", "--csv").stdout)))
    assert tuple(rows[0]) == Reject._fields
    assert len(rows) == 2
    assert project.run("rejects", "--source", "a", "--csv").stdout.count("\n") == 2
    wrong = project.run("rejects", "--source", "A", code=2).stderr
    assert wrong == "error: there is no source 'A'; did you mean 'a'?\nhint: there are: a\n"


def test_time_is_told_where_it_was_spent(project) -> None:
    """show says how long each stage took and with what; parts that were taken cost nothing."""
    project.run("run", "-q")
    lines = project.run("show").stdout.splitlines()
    title = lines.index("where the time went: stages, and work of all workers")
    head, *stages = (line.split() for line in lines[title + 1 : title + 5])
    assert head[:2] == ["TOOK", "BUSY"]
    assert {"read", "hash", "parse", "steps", "encode"} >= set(head[2:]) >= {"read", "parse"}
    assert [words[0] for words in stages] == ["parse", "words", "in"]
    project.run("run", "-q")
    again = project.json("show")
    assert (again["task_seconds"], again["slowest_tasks"]) == ({}, [])
    assert "where the time went" not in project.run("show").stdout


def test_a_profile_is_told_now_and_later(project) -> None:
    """run and replay say at their ends where the time went and where it is written; show says it
    again, also as JSON."""
    said = project.run("run", "--profile").stdout.splitlines()
    (start,) = (n for n, line in enumerate(said) if line.startswith("time "))
    (end,) = (n for n, line in enumerate(said) if line.startswith("profile   .stagepipe/runs/"))
    assert end > start
    assert any("waited for the start of the run" in line for line in said[start:end])
    shown = project.run("show").stdout.splitlines()
    lines = [line[10:] for line in said[start : end + 1]]
    assert shown[shown.index("profile") + 1 :] == [f"  {line}" for line in lines]
    assert (project.folder / lines[-1]).read_text().startswith("stage,doing,source,chunk,")

    result = project.json("replay", "-q", "--profile")
    profile = result["profile"]
    parts = [*profile["work"], *profile["waits"]]
    assert sum(part["seconds"] for part in parts) == pytest.approx(profile["worker_seconds"])
    assert sum(part["share"] for part in parts) == pytest.approx(1)
    assert project.json("show")["profile"] == profile
    project.run("run", "-q")
    assert project.json("show")["profile"] is None


REJECTER = """
import polars as pl
from stagepipe import step

@step
def short_words(frame: pl.DataFrame, *, reject) -> pl.DataFrame:
    \"\"\"Reject short words.\"\"\"
    return reject(frame, pl.col("word").str.len_chars() < 4, "short")
"""


def test_a_step_that_rejects_is_named(project) -> None:
    """How many rows a step rejected stands in the ledger, and in show."""
    project.plugin(REJECTER, "short_words")
    project.write(
        "pipeline.toml", (project.folder / "pipeline.toml").read_text().replace("50%", "90%")
    )
    project.run("run", "-q")
    assert project.json("show")["stages"][0]["rejected_by"] == {"short_words": 2}
    assert "parse  short_words rejected 2" in project.run("show").stdout


def test_the_summary_fits_a_screen(project) -> None:
    """Of many reasons and dead letters the first few are told, with the command for the rest."""
    columns = [f"c{number}" for number in range(9)]
    text = (project.folder / "pipeline.toml").read_text()
    fields = "".join(f'{name} = "int64"\n' for name in columns)
    text = text.replace('word = "string"\n', fields).replace('"a.csv"', '"*.csv"')
    text = text.replace('"50%"', '"100%"\nmax_dead = 9')
    project.write("pipeline.toml", text)
    rows = [",".join(["1", *("x" if c == bad else "2" for c in columns)]) for bad in columns]
    project.write("a.csv", "\n".join([",".join(["id", *columns]), *rows, *rows[:1], ""]))
    for name in "bcdef":
        project.write(f"{name}.csv", "nothing,of,this\n1,2,3\n")
    lines = project.run("run").stdout.splitlines()
    assert max(map(len, lines)) <= 160
    assert len(lines) < 24
    told = "\n".join(lines)
    assert "rejects   2  type in column 'c0'\n" in told
    assert "          6  for 6 other reasons\n" in told
    assert "files     1 read (" in told
    assert ", 5 dead letters\n" in told
    assert "dead      b.csv: " in told
    assert "          and 2 more: stagepipe show 2" in told


def test_plan_writes_nothing(project) -> None:
    """plan and run --dry-run say what would be done, and leave the folder as it was."""
    before = project.files()
    plan = project.json("plan")
    assert plan == project.json("run", "-n")
    assert [task["decision"] for stage in plan["stages"] for task in stage["tasks"]] == ["made"] * 2
    assert plan["stages"][1]["sink"] == {
        "use": "parquet", "path": "out/words", "is_current": False,
    }  # fmt: skip
    assert plan["sources"] == [
        {
            "name": "a", "files": 1, "bytes": 38, "chunks": 1, "max_concurrent": None,
            "start_delay": 0.0, "limits": [],
        }
    ]  # fmt: skip
    assert plan["chunks"][0]["segments"] == [{"file": "a.csv", "start": 0, "end": 38}]
    text = project.run("plan", "-v").stdout
    assert "chunk 0 of a: made: new" in text
    assert text.endswith("a run would make 2 tasks and write out/words\n")
    assert project.files() == before


def test_stages_after_one_over_all_rows_are_planned_later(project) -> None:
    """Into how many chunks its rows are cut is not known before it has run; plan says so."""
    text = (project.folder / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace("[errors]", LATER_STAGES + "[errors]"))
    plan = project.json("plan")
    assert [stage["name"] for stage in plan["stages"]] == ["parse", "words", "sorted", "again"]
    assert [stage["tasks"] and len(stage["tasks"]) for stage in plan["stages"]] == [1, 1, 1, None]
    sink = {"use": "csv", "path": "out/again.csv", "is_current": None}
    assert plan["stages"][3] == {
        "name": "again", "steps": ["strip_text"], "sink": sink, "tasks": None,
    }  # fmt: skip
    assert plan == project.json("run", "-n")
    told = project.run("plan").stdout.splitlines()
    assert "stage 4 'again': planned when 'sorted' has run" in told
    assert told[-1] == "a run would make 3 tasks and write out/words, and what follows 'sorted'"
    assert [line for line in project.run("plan", "-v").stdout.splitlines() if "all rows" in line]
    project.run("run", "-q")
    plan = project.json("plan")
    assert [task["decision"] for task in plan["stages"][3]["tasks"]] == ["taken"]
    told = project.run("plan").stdout
    assert "planned when" not in told
    assert "nothing to do" in told


def test_plan_after_a_run_has_nothing_to_do(project) -> None:
    """After a run the plan says so, and --fresh says the contrary."""
    project.run("run", "-q")
    assert "nothing to do" in project.run("plan").stdout
    assert "a run would make 2 tasks" in project.run("plan", "--fresh").stdout


def test_check_tells_all_faults_at_once(project) -> None:
    """check prints each fault on a line of stderr with its place, and as objects with --json."""
    assert project.run("check").stdout.startswith("pipeline.toml: fine (2 stages, 1 step, ")
    project.write("bad.toml", "[pipeline]\nname = 3\njob = 2\n")
    bad = project.run("check", "bad.toml", code=2)
    assert bad.stdout == ""
    lines = bad.stderr.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("bad.toml:") for line in lines)
    found = project.json("check", "bad.toml", code=2)
    assert found["ok"] is False
    assert len(found["faults"]) == len(lines)
    assert set(found["faults"][0]) == {"file", "line", "column", "message"}
    assert project.json("check", "nowhere.toml", code=2)["faults"][0]["file"] == "nowhere.toml"


def test_check_takes_what_run_takes(project) -> None:
    """check --set finds the faults that a run with the same --set would have."""
    assert project.run("check", "--set", "pipeline.jobs=2").stdout.startswith("pipeline.toml: fine")
    wrong = ("--set", "pipeline.jobs=-1")
    found = project.json("check", *wrong, code=2)["faults"]
    assert found[0]["message"] == project.run("run", *wrong, code=2).stderr.rstrip()


def test_check_prints_the_schema(project) -> None:
    """check --json-schema prints a JSON Schema, with no pipeline file needed."""
    schema = json.loads(project.run("check", "none.toml", "--json-schema").stdout)
    assert "pipeline" in schema["properties"]


def test_plugins_lists_steps_and_what_is_broken(project) -> None:
    """plugins names steps with their options and says why one is broken, and exits 0."""
    project.plugin(
        "from stagepipe import step\n@step\ndef shout(frame, *, times: int = 2):\n"
        '    """Say it louder."""\n    return frame\n'
    )
    found = project.json("plugins")["plugins"]
    names = {plugin["name"]: plugin for plugin in found}
    assert names["built-in"]["readers"] == ["csv"]
    assert [option["name"] for option in names["built-in"]["sink_options"]["csv"]] == [
        *("delimiter", "null_value", "header", "escape_formulas"),
    ]
    (step,) = names["extras.py"]["steps"]
    assert step["summary"] == "Say it louder."
    option = {"name": "times", "type": "int", "required": False, "default": "2"}
    assert step["options"] == [option]
    project.plugin("raise RuntimeError('no licence')\n")
    text = project.run("plugins").stdout
    assert "broken: " in text
    assert "no licence" in text
    assert "  sink arrow: Arrow IPC files (Feather, version 2), which keep every type.\n" in text
    assert "      compression: Literal['zstd', 'lz4', 'none'], default 'zstd'\n" in text
    helps = [line for line in text.splitlines() if line.startswith(("  step ", "  sink "))]
    assert all(line.endswith(".") for line in helps)


def test_a_variable_that_is_no_number_is_named(project) -> None:
    """In words that a person who set it understands."""
    done = project.run("run", code=2, STAGEPIPE_JOBS="many")
    assert "(env var: 'STAGEPIPE_JOBS'): 'many' is not a valid whole number." in done.stderr


def test_looking_back_leaves_no_trace(project) -> None:
    """Before the first run, runs is empty, show is refused, and no folder is made."""
    before = project.files()
    assert project.json("runs") == []
    assert "nothing has run here yet" in project.run("show", code=2).stderr
    assert "error" in project.json("rejects", code=2)
    assert project.files() == before


def test_looking_back_needs_no_right_pipeline_file(project) -> None:
    """The ledger is found by name and state alone, or by the folder, or from elsewhere."""
    result = project.json("run", "-q")
    text = (project.folder / "pipeline.toml").read_text()
    project.write("pipeline.toml", text + "\n[nonsense]\n")
    assert project.json("show")["run"] == result["run"]
    assert project.json("rejects", "-p", str(project.folder / "pipeline.toml"))[0]["line"] == 4
    (project.folder / "pipeline.toml").unlink()
    assert project.json("runs")[0]["run"] == result["run"]
    assert len(project.json("rejects", "--state", ".stagepipe")) == 1
    unknown = project.run("show", "nosuchrun", code=2)
    assert "no run 'nosuchrun'" in unknown.stderr
    assert "hint: " in unknown.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    """Each command has a help text and a short one, and each of its flags is explained."""
    import click

    from stagepipe.cli.program import program

    command = program.get_command(click.Context(program), name)
    assert command is not None
    assert command.help
    assert command.short_help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert str(parameter.envvar).startswith("STAGEPIPE_")


def test_names_that_are_no_utf8_do_not_break_output(project) -> None:
    """A file name that is not UTF-8 is shown with its byte escaped, by every command."""
    name = os.fsdecode(b"\xff.csv")
    try:
        (project.folder / name).write_text("id,word\nx,y\n")
    except OSError:
        pytest.skip("this file system takes no such name")
    text = (project.folder / "pipeline.toml").read_text().replace('"a.csv"', '"*.csv"')
    project.write("pipeline.toml", text.replace("50%", "90%"))
    assert "\\xff.csv" in project.run("plan", "-v").stdout
    assert project.json("run", "-q")["rows"]["rejected"] == 2
    assert "\\xff.csv:2" in project.run("rejects").stdout
    assert "\\xff.csv" in project.run("rejects", "--csv").stdout


def test_a_reader_that_leaves_ends_it_quietly(project) -> None:
    """rejects into head says nothing of a broken pipe."""
    project.write("a.csv", "id,word\n" + "bad,x\n" * 5_000)
    text = (project.folder / "pipeline.toml").read_text().replace("50%", "100%")
    project.write("pipeline.toml", text)
    project.run("run", "-q")
    with project.start("rejects") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"a.csv:2\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_paths_are_shown_from_where_the_user_stands(project) -> None:
    """Run from another folder, the summary's paths can be opened from there."""
    elsewhere = project.folder / "deep"
    elsewhere.mkdir()
    done = subprocess.run(
        [*_program(), "run", "../pipeline.toml"], cwd=elsewhere, capture_output=True, check=True
    )
    assert b"outputs   ../out/words" in done.stdout
    assert b"stagepipe rejects -p ../pipeline.toml" in done.stdout
    assert Path(elsewhere / "../out/words").is_dir()


def _program() -> list[str]:
    import sys

    return [sys.executable, "-m", "stagepipe"]


@pytest.mark.parametrize("command", ["runs", "show", "rejects", "run"])
def test_a_damaged_ledger_is_said_in_words(project, command: str) -> None:
    """Pages of zeros in the ledger end a command with what to do, and never as a defect of ours."""
    project.run("run", "-q")
    ledger = project.folder / ".stagepipe/ledger.sqlite"
    size = ledger.stat().st_size
    assert size > 4096
    ledger.write_bytes(ledger.read_bytes()[:4096] + b"\x00" * (size - 4096))
    done = project.run(command, code=1)
    assert "ledger.sqlite cannot be" in done.stderr
    assert "move it away" in done.stderr
    assert "internal error" not in done.stderr


def test_a_plugins_listener_hears_a_run_and_is_closed(project) -> None:
    """What stagepipe_listeners gives hears every event, and its close comes last."""
    project.plugin(
        "from stagepipe import hookimpl\n"
        "class Ear:\n"
        "    def __call__(self, event):\n"
        "        with open('heard.txt', 'a') as file: file.write(type(event).__name__ + ' ')\n"
        "    def close(self):\n"
        "        with open('heard.txt', 'a') as file: file.write('closed')\n"
        "@hookimpl\n"
        "def stagepipe_listeners(screen):\n"
        "    return [Ear()]\n"
    )
    project.run("run", "-q")
    heard = (project.folder / "heard.txt").read_text().split()
    assert [heard[0], *heard[-2:]] == ["RunStarted", "RunFinished", "closed"]
    assert heard.count("StageCommitted") == 2


@pytest.mark.parametrize(("odd", "escaped"), [(r"\udcff", r"\xff"), (r"\ud800", r"\ud800")])
def test_a_failure_with_any_text_can_be_looked_back_at(project, odd, escaped) -> None:
    """Halves of characters, in a step's message or in its chunk's file, are kept in a form that can
    be shown."""
    (project.folder / "a.csv").rename(project.folder / os.fsdecode(b"\xfe.csv"))
    code = f"from stagepipe import step\n@step\ndef own(frame): raise ValueError('{odd}')\n"
    project.plugin(code, "own")
    text = (project.folder / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace('files = "a.csv"', 'files = "*.csv"'))
    result = project.json("run", "-q", code=1)
    place = "stage 'parse', chunk 0 (\\xfe.csv)"
    assert (
        f"{place}: step 'own': ValueError: {escaped} (extras.py, line 3)"
        in result["error"]["message"]
    )
    shown = project.json("show")
    assert (shown["status"], shown["error"]) == ("failed", result["error"])
    assert shown["files"] == result["files"] == {"read": 0, "skipped": 0, "dead": 0}
    assert shown["failed_tasks"][0]["error"] in result["error"]["message"]
    assert project.json("runs")[0]["error"] == result["error"]
    assert escaped in project.run("show").stdout
    assert "failed" in project.run("runs").stdout


def test_a_step_that_fails_says_where(project) -> None:
    """The message names the exception and the plugin's own innermost line, wherever below it was
    raised; the traceback stands in lines at -v -v, and in a file that `show` names."""
    project.write("aids.py", "def look(frame):\n    return frame.columns.index('C12')\n")
    step = "from aids import look\nfrom stagepipe import step\n\n@step\ndef own(frame):\n"
    project.plugin(step + "    return look(frame)\n", "own")
    done = project.run("run", "-v", "-v", code=1)
    message = "step 'own': ValueError: 'C12' is not in list (aids.py, line 2)"
    assert f"{message}\n" in done.stderr
    lines = done.stderr.splitlines()
    assert "    return look(frame)" in lines
    assert any(line.endswith('aids.py", line 2, in look') for line in lines)
    shown = project.run("show").stdout.splitlines()
    (place,) = [line for line in shown if "tracebacks: " in line]
    kept = (project.folder / place.split()[-1]).read_text()
    assert kept.startswith("stage 'parse', chunk 0")
    assert "    return look(frame)\n" in kept


FAILS = "from stagepipe import step\n@step\ndef own(frame):\n    raise ValueError(frame.height)\n"


@pytest.mark.parametrize(("files", "others"), [(1, []), (2, [1]), (3, [1, 2]), (6, [1, 2])])
def test_a_fault_in_every_chunk_is_told_of_a_few_times(project, files, others) -> None:
    """Each sentence stands there once, the first three of them; then it is said how many more."""
    project.plugin(FAILS, "own")
    (project.folder / "a.csv").unlink()
    for number in range(files):
        project.write(f"in/{number}.csv", "id,word\n" + "1,one\n" * 150)
    text = (project.folder / "pipeline.toml").read_text()
    text = text.replace('files = "a.csv"', 'files = "in/*.csv"')
    project.write("pipeline.toml", text.replace("jobs = 1", 'jobs = 1\nchunk_size = "1kB"'))
    chunk = "stage 'parse', chunk {} "
    done = project.run("run", code=1)
    lines = done.stderr.splitlines()
    lines = lines[lines.index(next(line for line in lines if line.startswith("error: "))) :]
    assert [line for line in done.stderr.splitlines() if "step 'own'" in line] == lines[
        : len(others) + 1
    ]
    assert lines[0].startswith("error: " + chunk.format(0))
    for number, line in zip(others, lines[1:], strict=False):
        assert line.startswith(chunk.format(number))
    assert ("and 3 more like it" in lines) == ("--fail-fast" in lines[-1]) == (files == 6)
    shown = project.run("show").stdout
    assert shown.count(chunk.format(0)) == 1
    assert shown.count("step 'own'") == min(files, 4)
    assert ("  and 2 more like it\n" in shown) == (files == 6)


def test_a_folder_whose_name_is_no_utf8(project) -> None:
    """No part can be written below it, so a run is refused with the key that helps; with parts and
    history elsewhere it succeeds, and can be looked back at."""
    odd = project.folder / os.fsdecode(b"p\xff")
    odd.mkdir()
    for name in ("pipeline.toml", "a.csv"):
        (project.folder / name).rename(odd / name)
    file = os.fsencode(odd / "pipeline.toml")
    before = project.files()
    refused = project.json("run", file, code=2)
    assert refused["status"] == "refused"
    assert "p\\xff/.stagepipe is not UTF-8: set 'state'" in refused["error"]["message"]
    assert project.files() == before

    text = (odd / "pipeline.toml").read_text()
    state = str(project.folder / "state")
    (odd / "pipeline.toml").write_text(text.replace("jobs = 1", f"jobs = 1\nstate = '{state}'"))
    result = project.json("run", "-q", file)
    assert (result["status"], result["rows"]["written"]) == ("succeeded", 2)
    assert (odd / result["outputs"][0]["path"]).is_dir()
    assert project.json("runs", "-p", file)[0]["run"] == result["run"]
    assert result["run"] in project.run("runs", "-p", file).stdout
    assert project.json("show", "-p", file)["rows"] == result["rows"]
    assert "p\\xff/out/words" in project.run("show", "-p", file).stdout
    for where in (("-p", file), ("--state", state)):
        assert [reject["line"] for reject in project.json("rejects", *where)] == [4]


FAULTY = """\
[pipeline]
name = "x"
bogus = 1
[[source]]
files = "a.csv"
name = "a"
[schema.columns]
id = { type = "int64", default = 5, max = 3 }
d = { type = "date", format = "%Q" }
w = { type = "string", pattern = "(?=x)" }
[[schema.checks]]
expression = "idd > 0"
[[schema.checks]]
name = "no"
[[schema.checks]]
name = "even"
expression = "no > 0"
[[stage]]
name = "s"
sink = { use = "parquet", path = "o" }
"""


def test_what_readers_refuse_is_told_beside_other_faults(project) -> None:
    """Formats, patterns, defaults and expressions, whatever else is wrong in the file."""
    project.write("pipeline.toml", FAULTY)
    lines = project.run("check", code=2).stderr.splitlines()
    told = [
        line.removeprefix("error: ").strip().split(": ", 1) for line in lines if "toml:" in line
    ]
    assert [(place.split(":")[1], text[:42]) for place, text in told] == [
        ("3", "unknown key 'bogus' in [pipeline]"),
        ("8", "default of column 'id' fails max, a check "),
        ("9", "format of column 'd' has '%Q', which is no"),
        ("10", "pattern of column 'w' is none that RE2 tak"),
        ("11", "[[schema.checks]] lacks 'name'"),
        ("12", "the expression of check 'check-0': unable "),
        ("13", "[[schema.checks]] lacks 'expression'"),
        ("17", "the expression of check 'even': unable to "),
    ]
    # With a column that is wrong itself nobody knows what an expression may say.
    project.write("pipeline.toml", FAULTY.replace('"int64"', '"int65"'))
    told_less = project.run("check", code=2).stderr
    assert "format of column 'd' has '%Q'" in told_less
    assert "the expression of" not in told_less
    project.write("pipeline.toml", FAULTY.replace('"no"', '"even"'))
    assert "format of column 'd' has '%Q'" in project.run("check", code=2).stderr


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("x,Zoë".encode("utf-16-le"), "x,Zoë"),
        ("x,Zoë".encode("utf-16-be"), "x,Zoë"),
        ("три,5.00".encode("utf-16-le"), "три,5.00"),
        ("東京,5.00".encode("utf-16-be"), "東京,5.00"),
        (b"a\0b,cd", r"a\x00b,cd"),
        (b"a\0\xff", r"a\x00\xff"),
        ("Zoë".encode(), "Zoë"),
        (b"", ""),
    ],
)
def test_a_rejects_bytes_for_people(raw: bytes, shown: str) -> None:
    """UTF-16 is read as that; a zero byte alone makes none of it."""
    reject = Reject("a", "a.csv", 2, 3, "s", "id", "x", "type", None, raw)
    *_, last = reject_lines(reject)
    assert last == f"    | {shown}"
