"""What stops a stage at its barrier, and what its message says."""

from __future__ import annotations

import pytest

from stagepipe.builtin.csv.reader import DISAGREEMENT
from stagepipe.errors import TaskError
from stagepipe.model import InputFile, Receipt, Rows, SegmentCount
from stagepipe.run.barrier import check_whole_files

FILE = InputFile("a.csv", 9, 1, 1)


def receipt(*dead: str | None) -> Receipt:
    """A receipt for segments of one file, each with the reason why it is dead."""
    return Receipt(
        key="k",
        stage="parse",
        chunk=0,
        source="acme",
        pieces=(),
        files=(),
        columns={},
        rows=Rows(),
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
