"""What a part is made of, and what a change of it means."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stagepipe.contracts import ColumnSpec, TableSpec
from stagepipe.model import Chunk, InputFile, Piece, Segment
from stagepipe.plan import keys
from stagepipe.plan.work import Role, SourceWork, StageWork, StepWork
from stagepipe.plugins import StepName

FILE = InputFile("a.csv", 100, 5, 7)
CHUNK = Chunk(0, "acme", (Segment(FILE, 0, 50), Segment(FILE, 50, 100)))
SOURCE = SourceWork("csv", {"delimiter": ",", "quote": '"', "null_values": ("",)}, 500)
TABLE = TableSpec((ColumnSpec("id", "id", pa.int64(), True, (("min", 0),)),))
STEP = StepWork(StepName("cut", "m", "cut", None), {"n": 1}, False, "code", {})
STAGE = StageWork("parse", (STEP,), "parquet", {"x": 1})


def with_file(**changes: Any) -> Chunk:
    file = replace(FILE, **changes)
    return replace(CHUNK, segments=tuple(replace(s, file=file) for s in CHUNK.segments))


def with_step(**changes: Any) -> StageWork:
    return replace(STAGE, steps=(replace(STEP, **changes),))


def with_column(**changes: Any) -> TableSpec:
    return replace(TABLE, columns=(replace(TABLE.columns[0], **changes),))


OF_STAGE = keys.stage_ingredients(STAGE)


def first_ingredients(
    chunk: Chunk, source: SourceWork, table: TableSpec, stage: StageWork
) -> dict[str, str]:
    """What a part of the first stage is made of."""
    of_source = keys.source_ingredients(chunk.source, source, table, stage)
    return {**keys.chunk_ingredients(chunk), **of_source}


@pytest.mark.parametrize(
    ("changes", "ingredients"),
    [
        ({"chunk": with_file(size=101)}, {"inputs"}),
        ({"chunk": with_file(mtime_ns=6)}, {"inputs"}),
        ({"chunk": with_file(inode=8)}, {"inputs"}),
        ({"chunk": with_file(path="b.csv")}, {"inputs", "cut"}),
        ({"chunk": replace(CHUNK, segments=CHUNK.segments[:1])}, {"inputs", "cut"}),
        (
            {"chunk": replace(CHUNK, segments=(Segment(FILE, 0, 40), Segment(FILE, 40, 100)))},
            {"cut"},
        ),
        ({"chunk": replace(CHUNK, source="other")}, {"dialect"}),
        ({"source": replace(SOURCE, reader="tsv")}, {"dialect"}),
        ({"source": SourceWork("csv", {**SOURCE.options, "delimiter": ";"}, 500)}, {"dialect"}),
        ({"table": with_column(name="no")}, {"schema"}),
        ({"table": with_column(header="ID")}, {"schema"}),
        ({"table": with_column(arrow_type=pa.int32())}, {"schema"}),
        ({"table": with_column(required=False)}, {"schema"}),
        ({"table": with_column(checks=(("min", 1),))}, {"schema"}),
        ({"table": with_column(format="%d.%m.%Y")}, {"schema"}),
        ({"table": with_column(default=0)}, {"schema"}),
        ({"table": replace(TABLE, extra_columns="ignore")}, {"schema"}),
        ({"table": replace(TABLE, missing_columns="null")}, {"schema"}),
        ({"stage": with_step(options={"n": 2})}, {"steps"}),
        ({"stage": with_step(code="mended")}, {"steps"}),
        ({"stage": with_step(reshapes=True)}, {"steps"}),
        ({"stage": with_step(reads={"file": "abc"})}, {"reference"}),
        ({"stage": replace(STAGE, steps=())}, {"steps"}),
        ({"stage": replace(STAGE, sink=None)}, {"sink"}),
        ({"stage": replace(STAGE, sink_options={})}, {"sink"}),
    ],
)
def test_each_change_is_found_in_its_ingredient(
    changes: dict[str, Any], ingredients: set[str]
) -> None:
    """A change shows in the ingredient that it belongs to and in no other, and in the key."""
    made_of = {"chunk": CHUNK, "source": SOURCE, "table": TABLE, "stage": STAGE}
    before = first_ingredients(**made_of)
    now = first_ingredients(**{**made_of, **changes})
    assert {name for name in before if before[name] != now[name]} == ingredients
    assert keys.key_of(before) != keys.key_of(now)


@pytest.mark.parametrize(
    "changes",
    [
        {"chunk": replace(CHUNK, index=9)},
        {"stage": replace(STAGE, name="read")},
        {"stage": with_step(where=StepName("cut", "m", "cut", "/elsewhere"))},
    ],
)
def test_what_makes_no_other_bytes_makes_no_other_key(changes: dict[str, Any]) -> None:
    """A chunk's number, a stage's name and a plugin's folder are no ingredients."""
    made_of = {"chunk": CHUNK, "source": SOURCE, "table": TABLE, "stage": STAGE}
    before = first_ingredients(**made_of)
    assert first_ingredients(**{**made_of, **changes}) == before


def test_a_reference_counts_by_its_content_and_not_by_its_place() -> None:
    """The path of a file that a step reads is no ingredient; what stands in it is."""
    here = with_step(options={"file": Path("/here/c.csv")}, reads={"file": "abc"})
    there = with_step(options={"file": Path("/there/c.csv")}, reads={"file": "abc"})
    assert keys.stage_ingredients(here) == keys.stage_ingredients(there)


def test_a_later_part_is_made_of_the_one_before() -> None:
    """The key of the part that is read is an ingredient of a later part."""
    one, other = (keys.later_ingredients(Piece(key), OF_STAGE) for key in "12")
    assert {name for name in one if one[name] != other[name]} == {"before"}


@pytest.mark.parametrize("name", keys.MEANING)
def test_changed_names_what_changed(name: str) -> None:
    """Each ingredient has words of its own for its change."""
    before = dict.fromkeys(keys.MEANING, "same")
    assert keys.changed(before, {**before, name: "other"}) == keys.MEANING[name]


def test_changed_knows_new_gone_and_several() -> None:
    """A part without a past is new, one without a difference is gone, and changes are listed."""
    before = dict.fromkeys(keys.MEANING, "same")
    assert keys.changed(None, before) == "new"
    assert keys.changed(before, before) == "its finished part is gone or damaged"
    both = keys.changed(before, {**before, "schema": "x", "inputs": "y"})
    assert both == "an input file changed; [schema] changed"


def test_every_ingredient_has_a_meaning() -> None:
    """No ingredient could change without words for it."""
    keeping = replace(TABLE, extra_columns="keep")
    pieces = [Piece("1")]
    made_of = [
        first_ingredients(CHUNK, SOURCE, keeping, STAGE),
        first_ingredients(CHUNK, SOURCE, TABLE, replace(STAGE, role=Role.READS)),
        keys.comparing_ingredients(pieces, TABLE, None),
        keys.going_on_ingredients(pieces[0], "2", OF_STAGE),
        keys.later_ingredients(pieces[0], OF_STAGE),
        keys.all_ingredients(pieces, STAGE, 1),
    ]
    assert {name for ingredients in made_of for name in ingredients} == set(keys.MEANING)


def test_columns_beyond_the_schema_have_a_word_of_their_own() -> None:
    """Which they are, and in which order, changes the part; where none are kept nothing of that
    stands in its key."""
    keeping = replace(TABLE, extra_columns="keep")
    extra = [ColumnSpec(name, name, pa.string(), is_extra=True) for name in ("x", "y")]
    found = [
        first_ingredients(CHUNK, SOURCE, replace(keeping, columns=(*TABLE.columns, *more)), STAGE)
        for more in ([], extra, extra[::-1])
    ]
    assert len({made["extra"] for made in found}) == 3
    assert len({made["schema"] for made in found}) == 1
    assert "extra" not in first_ingredients(CHUNK, SOURCE, TABLE, STAGE)


def test_a_digest_tells_values_apart() -> None:
    """Dates, decimals, paths and undecodable names go by what they are."""
    values = [1, "1", True, None, date(2020, 1, 2), Decimal("1.0"), Path("a"), "\udcff", [1], {}]
    assert len({keys.digest([value]) for value in values}) == len(values)


def test_a_digest_is_the_same_in_every_process() -> None:
    """The order of a set, which differs from process to process, does not show."""
    script = "from stagepipe.plan.keys import digest; print(digest({'o': set('abcdef'), 'a': 1}))"
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(3)
    }
    assert len(found) == 1
