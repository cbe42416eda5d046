"""Rejects from the workers' files to the run's one file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagepipe.errors import TaskError
from stagepipe.model import InputFile, Receipt, Reject, Rows, SegmentCount
from stagepipe.record import rejects
from stagepipe.record.spool import Spool, file_sha256

FILE = InputFile("big.csv", 300, 1, 1)
OTHER = InputFile("small.csv", 50, 1, 2)


def segment(
    file: InputFile, start: int, end: int, lines: int, dead: str | None = None
) -> SegmentCount:
    return SegmentCount(file, start, end, lines=lines, dead=dead)


def task(
    spool: Spool,
    chunk: int,
    segments: Sequence[SegmentCount],
    bad: Sequence[tuple[int, int | None]],
    stage: str = "parse",
) -> Receipt:
    """Keep the rejects of a task, each as (segment of the chunk, line in it)."""
    spool.folder.mkdir(parents=True, exist_ok=True)
    key = f"key{chunk}"
    found = [
        (number, Reject("acme", "f", line, 7, "parse", "id", "x", "type", None, b"x\xff,1"))
        for number, line in bad
    ]
    sha256 = ""
    if found:
        rejects.write_task_rejects(spool.rejects(key), stage, found)
        sha256 = file_sha256(spool.rejects(key))
    rows = Rows(read=len(bad), rejected=len(bad))
    counts = tuple(segments)
    return Receipt(
        key, stage, chunk, "acme", (), (), {}, rows, segments=counts, rejects_sha256=sha256
    )


def lines(spool: Spool, receipts: Sequence[Receipt], tmp_path: Path) -> list[int | None]:
    path = tmp_path / "run/rejects.parquet"
    written = rejects.collect(spool, receipts, path)
    found = list(rejects.read(path)) if path.exists() else []
    assert written == len(found)
    return [reject.line for reject in found]


def test_lines_add_up_over_the_segments_of_a_file(tmp_path: Path) -> None:
    """A line counts from the file's first, through all segments before, in whichever chunk."""
    spool = Spool(tmp_path / "spool")
    first = task(spool, 0, [segment(FILE, 0, 100, 10)], [(0, 2), (0, 10)])
    second = task(spool, 1, [segment(FILE, 100, 200, 5)], [(0, 1)])
    third = task(spool, 2, [segment(FILE, 200, 300, 5), segment(OTHER, 0, 50, 3)], [(0, 4), (1, 3)])
    assert lines(spool, [first, second, third], tmp_path) == [2, 10, 11, 19, 3]


def test_lines_after_a_missing_segment_are_not_known(tmp_path: Path) -> None:
    """Where nobody counted the lines before, the line is null and never a guess."""
    spool = Spool(tmp_path / "spool")
    first = task(spool, 0, [segment(FILE, 0, 100, 10)], [(0, 2)])
    third = task(spool, 2, [segment(FILE, 200, 300, 5)], [(0, 4)])
    assert lines(spool, [first, third], tmp_path) == [2, None]


def test_lines_after_a_dead_segment_are_not_known(tmp_path: Path) -> None:
    """A dead segment counted no lines."""
    spool = Spool(tmp_path / "spool")
    dead = task(spool, 0, [segment(FILE, 0, 100, 0, "gone")], [])
    second = task(spool, 1, [segment(FILE, 100, 200, 5)], [(0, 4)])
    assert lines(spool, [dead, second], tmp_path) == [None]


def test_a_line_that_is_not_known_stays_unknown(tmp_path: Path) -> None:
    """A null line is not turned into a number."""
    spool = Spool(tmp_path / "spool")
    first = task(spool, 0, [segment(FILE, 0, 100, 10)], [(0, None)])
    assert lines(spool, [first], tmp_path) == [None]


def test_without_rejects_there_is_no_file(tmp_path: Path) -> None:
    """A run without rejects leaves no file."""
    spool = Spool(tmp_path / "spool")
    assert lines(spool, [task(spool, 0, [segment(FILE, 0, 100, 1)], [])], tmp_path) == []
    assert not (tmp_path / "run").exists()


def test_rejects_bear_the_name_that_their_stage_has_now(tmp_path: Path) -> None:
    """A part may be taken by a stage that was renamed since it was made."""
    spool = Spool(tmp_path / "spool")
    receipt = task(spool, 0, [segment(FILE, 0, 100, 1)], [(0, 1), (0, 2)])
    path = tmp_path / "rejects.parquet"
    rejects.collect(spool, [replace(receipt, stage="renamed")], path)
    assert {reject.stage for reject in rejects.read(path)} == {"renamed"}
    assert rejects.count(path, "renamed") == {("acme", "id", "type"): 2}
    assert rejects.count(path, "parse") == {}


@pytest.mark.parametrize("content", [None, b"", b"\0" * 200, "one fewer", "one byte"])
def test_damaged_rejects_are_made_anew(tmp_path: Path, content: bytes | str | None) -> None:
    """Where a task's rejects are not what its receipt counts, the task is forgotten and the run
    says so; the old file of rejects stays."""
    spool = Spool(tmp_path / "spool")
    receipt = task(spool, 0, [segment(FILE, 0, 100, 9)], [(0, 1), (0, 2)])
    (spool.folder / "key0.json").touch()
    path = spool.rejects("key0")
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "one byte":
        path.write_bytes(path.read_bytes().replace(b"\xff", b"\xfe"))
    else:
        task(spool, 0, [segment(FILE, 0, 100, 9)], [(0, 1)])
    with pytest.raises(TaskError, match="chunk 0 were damaged on disk"):
        rejects.collect(spool, [receipt], tmp_path / "rejects.parquet")
    assert not list(spool.folder.iterdir())
    assert not (tmp_path / "rejects.parquet").exists()


def test_reading_one_source_leaves_the_others_out(tmp_path: Path) -> None:
    """`read` filters by source."""
    spool = Spool(tmp_path / "spool")
    path = tmp_path / "rejects.parquet"
    rejects.collect(spool, [task(spool, 0, [segment(FILE, 0, 100, 9)], [(0, 1)])], path)
    assert len(list(rejects.read(path, "acme"))) == 1
    assert list(rejects.read(path, "other")) == []


def test_csv_has_the_fixed_columns_and_every_byte(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 stand escaped; a null is an empty cell."""
    spool = Spool(tmp_path / "spool")
    path = tmp_path / "rejects.parquet"
    rejects.collect(spool, [task(spool, 0, [segment(FILE, 0, 100, 9)], [(0, 1)])], path)
    out = io.StringIO()
    rejects.write_csv(rejects.read(path), out)
    assert out.getvalue() == (
        "source,file,line,byte_offset,stage,column,value,reason,also,raw\n"
        'acme,f,1,7,parse,id,x,type,,"x\\xff,1"\n'
    )


def test_what_a_dead_run_left_is_cleared_away(project: Any) -> None:
    """Its half-written rejects go; those of another pipeline, whose run may be alive, stay."""
    project.letters("a.csv", range(3))
    project.declare()
    runs = project.root / ".stagepipe" / "runs"
    for name in (".letters.new", ".others.new", "20240101T000000-abcdef"):
        (runs / name).mkdir(parents=True)
        (runs / name / "rejects.parquet").touch()
    project.run()
    assert not (runs / ".letters.new").exists()
    assert (runs / ".others.new" / "rejects.parquet").exists()
    assert (runs / "20240101T000000-abcdef" / "rejects.parquet").exists()
