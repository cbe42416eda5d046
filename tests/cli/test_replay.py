"""`rejects --return` and `replay`, as people and programs call them."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stagepipe.model import Reject

PLUGIN = """
import polars as pl
from stagepipe import step

@step(reshapes=True)
def twice(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame, frame]).select("id", "word")

@step
def no_four(frame: pl.DataFrame, *, reject) -> pl.DataFrame:
    return reject(frame, pl.col("id") == 4, "four")
"""


def returned(project, *words: str) -> bytes:
    """The bytes that `rejects --return` writes."""
    path: Path = project.folder / "form"
    done = project.start("rejects", "--return", *words)
    path.write_bytes(done.communicate(timeout=60)[0])
    assert done.returncode == 0
    return path.read_bytes()


def test_out_and_back(project) -> None:
    """What goes out is the record's bytes; mended, it is added, settled and shown as such."""
    project.write("a.csv", 'id,word\n1,one\n2,two\nthree,"dr\r\nei\xff"\n4,four\n')
    data = (project.folder / "a.csv").read_bytes().replace("ÿ".encode(), b"\xff")
    (project.folder / "a.csv").write_bytes(data)
    first = project.json("run", "-q")
    content = returned(project)
    assert b'\nthree,"dr\r\nei\xff"\n#~ end\n' in content
    assert "a.csv line 4: type in column 'id': 'three' (also word:encoding)" in content.decode(
        "utf-8", "replace"
    )
    project.folder.joinpath("form").write_bytes(
        content.replace(b"\nthree,", b"\n3,").replace(b"\xff", b"")
    )
    done = project.json("replay", "-q", "--from", "form")
    assert done["status"] == "succeeded"
    assert done["rows"]["read"] == 5
    assert done["replay"] == {
        "of": first["run"], "records": 1, "settled": 1, "rejected": [], "left_out": [],
        "dead_letters": [], "earlier": {},
    }  # fmt: skip
    (reject,) = project.json("rejects", first["run"])
    assert tuple(reject) == (*Reject._fields, "status")
    assert reject["status"] == "settled"
    lines = project.run("rejects").stdout.splitlines()
    assert lines[0] == "a.csv:4 (settled)"
    assert lines[-1].endswith("of letters, 1 settled")
    head, row = project.run("rejects", "--csv").stdout.split("\n", 1)
    assert tuple(head.split(",")) == Reject._fields
    assert row.startswith("a,a.csv,4,")
    assert b"record" not in returned(project).split(b"as they are")[1]
    shown = project.json("show")
    assert (shown["replay_of"], shown["mended"]) == (first["run"], 1)
    assert shown["sources"][0]["files"] == 1
    text = project.run("show").stdout
    assert f"took up the rejects of run {first['run']}" in text
    assert "1 mended record went through" in text
    assert "succeeded, a replay" in project.run("runs").stdout
    assert [run["replay_of"] for run in project.json("runs")] == [first["run"], None]


def test_a_run_that_only_takes_mended_records_does_not_speak_of_them(project) -> None:
    """Those that read them anew do: the replay, and one for a mended pipeline file."""
    project.run("run", "-q")
    project.write("form", returned(project).decode().replace("\nthree,", "\n3,"))
    told = "mended    1 mended record went through"
    assert told in project.run("replay", "--from", "form").stdout
    assert "mended" not in project.run("run").stdout
    text = (project.folder / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace('null_values = [""]', 'null_values = ["", "NA"]'))
    assert told in project.run("run").stdout


def test_a_second_time(project) -> None:
    """Nothing is added, and both forms of output say so; a mended file may come by stdin."""
    project.run("run", "-q")
    content = returned(project).replace(b"\nthree,", b"\n3,")
    for _ in range(2):
        done = _with_stdin(project, content)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "nothing of run" in text
    assert "1 left out: they were settled before" in text
    assert "tasks     0 made, " in text


def _with_stdin(project, content: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "stagepipe", "replay", "--from", "-"],
        cwd=project.folder,
        env=project.environment(),
        input=content,
        capture_output=True,
        timeout=60,
    )


def test_rejects_without_a_way_back(project) -> None:
    """They are in no form, and stderr says how many; a replay names them too."""
    project.plugin(PLUGIN, "twice")
    text = (project.folder / "pipeline.toml").read_text()
    text = text.replace('"twice"', '"twice", "no_four"').replace('"50%"', '"90%"')
    project.write("pipeline.toml", text)
    project.run("run", "-q")
    done = project.run("rejects", "--return")
    assert done.stdout.count("#~ record of") == 1
    assert "2 records cannot be returned: nobody knows which they were" in done.stderr
    done = project.json("replay", "-q")
    assert done["replay"]["left_out"] == [
        {"reason": "nobody knows which records they were: their line and raw are empty",
         "records": 2}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "nothing"), "nothing: No such file or directory"),
        (("--from", "a.csv"), "a.csv: this is not what `rejects --return` writes"),
        (("20200101", "--from", "form"), "there is no run '20200101'"),
        (("-p", "nothing.toml"), "nothing.toml"),
    ],
)
def test_what_cannot_be_replayed(project, words: tuple[str, ...], message: str) -> None:
    """Exit code 2, and the state is as it was."""
    project.run("run", "-q")
    returned(project)
    before = project.files()
    assert message in project.run("replay", *words, code=2).stderr
    assert project.files() == before


def test_dead_letters_that_were_tried_again_are_named(project) -> None:
    """With what became of each, also where there was no reject."""
    project.write("a.csv", "id,word\n1,one\n")
    for name in ("b.csv", "c.csv"):
        project.write(name, "id/word\n2/two\n")
    text = (project.folder / "pipeline.toml").read_text()
    text = text.replace("[errors]\n", "[errors]\nmax_dead = 2\n").replace('"a.csv"', '"*.csv"')
    project.write("pipeline.toml", text)
    first = project.json("run", "-q")
    assert first["files"]["dead"] == 2
    project.write("b.csv", "id,word\n2,two\n")
    lines = project.run("replay").stdout.splitlines()
    at = lines.index(f"replay    2 dead letters of run {first['run']} tried again, 1 alive now")
    assert lines[at + 1 :] == ["          b.csv: alive", "          c.csv: dead again"]
    project.write("c.csv", "id,word\n3,three\n")
    found = project.json("replay", "-q")["replay"]["dead_letters"]
    assert found == [{"file": "c.csv", "alive": True}]
    assert "nothing of run" in project.run("replay").stdout


def test_before_anything_ran(project) -> None:
    before = project.files()
    assert "nothing has run here yet" in project.run("replay", code=2).stderr
    assert project.files() - before <= {".stagepipe", ".stagepipe/letters.lock"}


def test_a_form_of_another_run_or_pipeline(project) -> None:
    """The form says of which run it is; another one beside it is an error."""
    first = project.json("run", "-q")
    returned(project)
    second = project.json("run", "-q")
    done = project.run("replay", second["run"], "--from", "form", code=2)
    assert f"are of run {first['run']}, not of {second['run']}" in done.stderr
    text = (project.folder / "pipeline.toml").read_text()
    project.write("other.toml", text.replace('name = "letters"', 'name = "others"'))
    done = project.run("replay", "-p", "other.toml", "--from", "form", code=2)
    assert "are of pipeline 'letters', not of 'others'" in done.stderr


def test_while_a_run_is_at_work(project) -> None:
    """A replay holds the pipeline's lock like a run."""
    project.run("run", "-q")
    with (project.folder / ".stagepipe/letters.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run" in project.run("replay", code=75).stderr


def test_two_forms_of_output_at_once(project) -> None:
    project.run("run", "-q")
    done = project.run("rejects", "--csv", "--return", code=2)
    assert "--csv and --return cannot stand together" in done.stderr
    assert json.loads(project.run("rejects", "--json", STAGEPIPE_RETURN="1").stdout)
