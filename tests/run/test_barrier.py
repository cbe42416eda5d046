"""What stops a stage at its barrier, and what its message says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stagepipe.builtin.csv.returning import DISAGREEMENT
from stagepipe.declare import Errors
from stagepipe.errors import TaskError
from stagepipe.model import Failure, InputFile, Receipt, Rows, SegmentCount
from stagepipe.run.barrier import changed, check_whole_files, over_budget, task_error

FILE = InputFile("a.csv", 9, 1, 1)
NO_ROWS = Rows()


def receipt(*dead: str | None, source: str = "acme", rows: Rows = NO_ROWS) -> Receipt:
    """A receipt for segments of one file, each with the reason why it is dead."""
    return Receipt(
        key="k",
        stage="parse",
        chunk=0,
        source=source,
        pieces=(),
        files=(),
        columns={},
        rows=rows,
        segments=tuple(SegmentCount(FILE, 0, 9, dead=reason) for reason in dead),
    )


def test_files_that_are_wholly_alive_or_wholly_dead_pass() -> None:
    """A dead file is a matter of the budget; what must not be is a part of one in the table."""
    check_whole_files([receipt(None, None)])
    check_whole_files([receipt("gone", "gone")])


@pytest.mark.parametrize("reason", [DISAGREEMENT, "it changed after the run was planned"])
def test_a_file_that_is_dead_in_parts_stops_the_stage(reason: str) -> None:
    """The hint helps when the file was being written, and when nothing but the reader was wrong."""
    with pytest.raises(TaskError) as caught:
        check_whole_files([receipt(None), receipt(reason)])
    assert caught.value.message == f"a.csv could be read in parts only: {reason}"
    assert caught.value.hint is not None
    assert "once the file is no longer being written" in caught.value.hint
    assert "if it was not, take it out of the source's files" in caught.value.hint


def test_all_budgets_that_are_exceeded_are_told_at_once() -> None:
    """Who mends the rejects is not told of a dead letter only after the next run."""
    bad = Rows(read=4, written=3, rejected=1)
    receipts = [receipt(None, source=source, rows=bad) for source in ("acme", "bolt", "coil")]
    errors = Errors(max_rejected=0)
    one = "1 of 4 records of source 'acme' were rejected, and max_rejected is 0"
    dead = "1 file is a dead letter: b.csv: it is empty; max_dead is 0"
    assert over_budget(errors, receipts[:1], {}) == one
    assert over_budget(errors, [], {"b.csv": "it is empty"}) == dead
    assert over_budget(errors, receipts, {"b.csv": "it is empty"}) == (
        f"{one} (and so in 2 more of the sources); {dead}"
    )
    assert over_budget(Errors(max_rejected=1, max_dead=1), receipts, {"b.csv": "gone"}) is None


@pytest.mark.parametrize(
    ("failed", "end"),
    [(1, "no luck"), (2, " (and 1 more task failed)"), (3, " (and 2 more tasks failed)")],
)
def test_a_task_that_failed_speaks_for_the_others(failed: int, end: str) -> None:
    """The first chunk's message is told, and how many tasks failed beside it."""
    failures = [Failure("k", "parse", chunk, "acme", "no luck") for chunk in range(failed)]
    error = task_error(failures)
    assert error.message.startswith("no luck")
    assert error.message.endswith(end)


def test_files_that_rest_are_not_told_of_as_changed(tmp_path: Path) -> None:
    """Neither are those of mended records, nor a zip for the file in it; what changed is."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n1\n")
    status = path.stat()
    file = InputFile("a.csv", status.st_size, status.st_mtime_ns, status.st_ino)
    resting = [file, replace(file, is_mended=True), replace(file, path="a.csv/b", member="b")]
    assert list(changed(tmp_path, resting)) == []
    others = [
        replace(file, size=9),
        replace(file, mtime_ns=1),
        replace(file, inode=1),
        replace(file, path="gone.csv"),
    ]
    told = list(changed(tmp_path, others))
    assert told == ["a.csv changed since it was read"] * 3 + ["gone.csv is gone since it was read"]
