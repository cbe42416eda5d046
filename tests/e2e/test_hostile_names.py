"""Names, cells and pipeline files that mean harm: what is in them is text, and leads nowhere."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

GOOD = "id,word\n1,one\nnone,two\n"
NAMES = {
    "newline": "a\nwarning: all is well.csv",
    "return": "a\rb.csv",
    "escape": "a\x1b[2J\x1b]0;title\x07.csv",
    "HTML": "<script>alert(1)<\\script>.csv",
    "SQL": "'; DROP TABLE runs; --.csv",
    "options": "--help.csv",
    "glob": "[a-z]*?.csv",
    "TOML": '"]\n[pipeline]\nname = "x.csv',
    "format": "%s%n{0}${HOME}.csv",
    "bidi": "\u202egpj.csv",
    "not UTF-8": os.fsdecode(b"\xff\xfe.csv"),
    "long": "x" * 250 + ".csv",
    "space": " .csv",
}


def outside(project: Any) -> dict[str, str]:
    """What lies beside the project."""
    return {str(p): p.name for p in project.root.parent.iterdir() if p != project.root}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_of_a_file(project: Any, name: str) -> None:
    """It is read like any other, its rejects name it, and nothing that is printed does more than
    print; JSON and CSV stay what they are."""
    project.write(f"landing/{name}", GOOD)
    project.declare(after='[errors]\nmax_rejected = "90%"')
    ended = project.command()
    assert ended.code == 0, ended.err
    assert ended.json["rows"]["written"] == 1
    for words in (("show",), ("plan", "-v"), ("preview",), ("rejects",), ("runs",)):
        shown = project.program(*words)
        for text in (shown.out, shown.err, ended.err):
            assert "\x1b" not in text
            assert "\r" not in text
            assert not [line for line in text.splitlines() if line.startswith("warning: all is")]
            text.encode()
    text = io.StringIO(project.program("rejects", "--csv").out, newline="")
    (line,) = csv.DictReader(text)
    assert (line["reason"], line["raw"]) == ("type", "none,two")
    for words in (("runs", "--json"), ("show", "--json"), ("plan", "--json")):
        json.loads(project.program(*words).out)
    assert project.program("runs", "--json").json[0]["rows"]["rejected"] == 1


def test_names_that_differ_by_case(project: Any) -> None:
    """Files, sources and columns whose names differ only by case are not the same."""
    for name in ("A/x.csv", "a/x.csv", "a/X.csv"):
        project.write(f"landing/{name}", "id,word,Word\n1,low,up\n")
    project.declare(columns='Word = "string"')
    text = (project.root / "pipeline.toml").read_text()
    text = text.replace('name = "acme"\n', "").replace("landing/*", "landing/{source}/*")
    project.write("pipeline.toml", text)
    ended = project.command()
    assert (ended.code, ended.json["rows"]["written"]) == (0, 3), ended.err
    table = pl.read_parquet(project.root / "out/letters/*.parquet")
    assert table.columns == ["id", "word", "Word"]
    assert {each["source"] for each in project.program("show", "--json").json["sources"]} == {
        "a",
        "A",
    }


@pytest.mark.parametrize("path", ["../up", "/tmp/absolute", "a/../../up", "x/..", ".", "a\0b", ""])
def test_a_sink_that_leads_out(project: Any, path: str) -> None:
    """It is refused with its place, and nothing is written."""
    project.letters("a.csv", range(3))
    before = outside(project)
    project.declare(stages=f"sink = {{ path = {json.dumps(path)} }}")
    ended = project.command()
    assert ended.code == 2, ended.out
    assert "pipeline.toml:" in ended.message
    assert outside(project) == before
    assert not (project.root / "out").exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "x\ny", "..", "", "x" * 300])
def test_a_pipeline_name_that_is_a_path(project: Any, name: str) -> None:
    """Names become names of files, so they may not be paths."""
    project.letters("a.csv", range(3))
    before = outside(project)
    project.declare()
    text = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace('"letters"\n', json.dumps(name) + "\n"))
    assert project.command().code == 2
    assert outside(project) == before
    assert not (project.root / ".stagepipe").exists()


def test_members_of_a_zip_that_lead_out(project: Any) -> None:
    """They are read where they are, and unpacked nowhere."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("../../up.csv", "/absolute.csv", "a/../../b.csv", "C:\\x.csv"):
            archive.writestr(name, GOOD)
    before = outside(project)
    project.write("landing/all.zip", packed.getvalue())
    project.declare(source="", after='[errors]\nmax_rejected = "90%"')
    text = (project.root / "pipeline.toml").read_text().replace("*.csv", "*.zip")
    project.write("pipeline.toml", text)
    ended = project.command()
    assert ended.json["rows"]["written"] == 4, ended.err
    assert outside(project) == before
    assert not Path("/absolute.csv").exists()


def test_links_in_circles(project: Any) -> None:
    """A folder that is in itself, by two ways even, ends a search, and reads no row twice."""
    project.letters("a.csv", range(3))
    (project.root / "landing/again").symlink_to(project.root / "landing")
    (project.root / "landing/and_again").symlink_to(".")
    (project.root / "landing/me.csv").symlink_to("me.csv")
    project.declare()
    text = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace("landing/*.csv", "landing/**/a.csv"))
    ended = project.command()
    assert ended.code == 2
    first, second = (line for line in ended.message.splitlines() if "landing/" in line)
    assert "landing/again is a link to a folder that it lies in: remove it, or narrow" in first
    assert "landing/and_again is a link to a folder that it lies in: remove it" in second
    project.write("pipeline.toml", text)
    ended = project.command()
    assert (ended.code, "landing/me.csv" in ended.message) == (2, True)


@pytest.mark.parametrize("what", ["out", "out/letters", "out/letters.parquet"])
def test_a_link_in_the_place_of_an_output(project: Any, what: str) -> None:
    """Nothing is written through it to somewhere else."""
    elsewhere = project.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "letters").mkdir()
    (elsewhere / "precious").write_text("precious")
    project.letters("a.csv", range(3))
    link = project.root / what
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere / "precious" if "." in what else elsewhere)
    is_file = what.endswith(".parquet")
    project.declare(
        stages='sink = { path = "letters.parquet" }'
        if is_file
        else 'sink = { path = "letters", on_existing = "replace" }'
    )
    ended = project.command()
    assert (elsewhere / "precious").read_text() == "precious"
    if what != "out":  # the output folder itself may be a link: it is where its owner wants it
        assert ended.code == 2, ended.out
        assert {path.name for path in elsewhere.iterdir()} == {"precious", "letters"}


DEEP = 50_000
TOML = {
    "deep": "x = " + "[" * DEEP + "]" * DEEP,
    "deep tables": "[" + ".".join(["a"] * DEEP) + "]",
    "deep inline": "x = " + "{a=" * DEEP + "1" + "}" * DEEP,
    "huge": "x = '" + "a" * 20_000_000 + "'",
    "many keys": "\n".join(f"key{number} = {number}" for number in range(50_000)),
    "huge number": "x = " + "9" * 100_000,
    "NUL": "x = 'a\0b'",
}


@pytest.mark.parametrize("text", TOML.values(), ids=TOML)
def test_a_pipeline_file_that_is_deep_or_huge(project: Any, text: str) -> None:
    """It is refused with a word and its place, and not with what Python says of it."""
    project.letters("a.csv", range(3))
    project.declare()
    good = (project.root / "pipeline.toml").read_text()
    project.write("pipeline.toml", f"{text}\n{good}")
    for command in ("run", "check"):
        ended = project.program(command, "--json", code=None)
        assert ended.code == 2, ended.err[-1000:]
        assert "Traceback" not in ended.err
        assert len(ended.out) + len(ended.err) < 5_000_000
        assert "pipeline.toml" in ended.out + ended.err


def test_cells_that_mean_harm(project: Any) -> None:
    """SQL, HTML and escape sequences are kept byte for byte, and shown so that they only show."""
    cells = [
        "'; DROP TABLE runs; --",
        "<script>alert(1)</script>",
        "\x1b[31mred\x1b[0m",
        "\u202eright to left",
        "${HOME} $(id) `id`",
        "{0} %s",
        "NaN",
        "../../etc/passwd",
    ]
    rows = "".join(f'{number},"{cell}"\n' for number, cell in enumerate(cells))
    project.write("landing/a.csv", "id,word\n" + rows + "".join(f'x,"{c}"\n' for c in cells))
    project.declare(after='[errors]\nmax_rejected = "90%"')
    ended = project.command()
    assert ended.json["rows"]["written"] == len(cells)
    table = pl.read_parquet(project.root / "out/letters/*.parquet")
    assert table["word"].to_list() == cells
    for words in (("preview",), ("rejects",), ("show",)):
        assert "\x1b" not in project.program(*words).out
    found = list(csv.DictReader(io.StringIO(project.program("rejects", "--csv").out)))
    assert [row["raw"] for row in found] == [f'x,"{cell}"' for cell in cells]
    assert len(project.program("runs", "--json").json) == 1
