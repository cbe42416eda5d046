"""Cells that a spreadsheet would take for formulas, read back from what the CSV sink wrote."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stagepipe.builtin import stagepipe_sinks

FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\0=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
)
TEXTS = ("", "a=1", " =1", "'=1", "1-2", None)


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_formulas_are_texts_to_a_spreadsheet(tmp_path: Path, kind: Any) -> None:
    """With escape_formulas each text that looks like one has a quote in front; other texts and
    numbers are as they were. Without it all are."""
    sink = stagepipe_sinks()["csv"]
    words = [*FORMULAS, *TEXTS]
    numbers = [-number for number in range(len(words))]
    frame = pl.DataFrame({"=word": words, "n": numbers, "'=word": words}).with_columns(
        pl.col("=word").cast(kind)
    )
    found = []
    for options in ({"escape_formulas": True}, {}):
        path = tmp_path / f"{len(found)}.csv"
        (encoded,) = sink.encode(frame.to_arrow(), options, lambda path=path: path)
        assert encoded.rows == len(words)
        with path.open(newline="", encoding="utf-8") as file:
            found.append(list(csv.reader(file)))
    escaped, kept = found
    assert kept[0] == ["=word", "n", "'=word"]
    assert [row[0] for row in kept[1:]] == [word or "" for word in words]
    assert escaped[0] == ["'=word", "n", "''=word"]
    assert [row[0] for row in escaped[1:]] == [
        *(f"'{word}" for word in FORMULAS),
        *(word or "" for word in TEXTS),
    ]
    assert [row[1] for row in escaped] == [row[1] for row in kept]


def test_by_a_real_run(project: Any) -> None:
    """The option is the pipeline file's, and part of the part's key."""
    project.write("landing/a.csv", "id,word\n-1,=1+1\n2,plain\n")
    sink = 'sink = { use = "csv", path = "letters.csv", on_existing = "replace", %s }'
    project.declare(stages=sink % "escape_formulas = true")
    assert project.command().code == 0
    assert (project.root / "out/letters.csv").read_text() == "id,word\n-1,'=1+1\n2,plain\n"
    project.declare(stages=sink % "escape_formulas = false")
    ended = project.command()
    assert (ended.code, ended.json["stages"][0]["tasks"]["made"]) == (0, 1)
    assert (project.root / "out/letters.csv").read_text() == "id,word\n-1,=1+1\n2,plain\n"
