"""The sum, by tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stagepipe.errors import BalanceError
from stagepipe.model import InputFile, Receipt, Rows, SegmentCount
from stagepipe.record import balance

FILE = InputFile("a.csv", 9, 1, 1)


def receipt(rows: Rows, *segments: tuple[int, int, int], source: str = "acme") -> Receipt:
    """A receipt with segments of (records, rows, rejected)."""
    return Receipt(
        key="k",
        stage="parse",
        chunk=3,
        source=source,
        pieces=(),
        files=(),
        columns={},
        rows=rows,
        segments=tuple(
            SegmentCount(FILE, 0, 9, records=records, rows=kept, rejected=rejected)
            for records, kept, rejected in segments
        ),
    )


@pytest.mark.parametrize(
    ("rows", "segments"),
    [
        (Rows(), []),
        (Rows(read=5, written=5), []),
        (Rows(read=5, written=2, dropped=3), []),
        (Rows(read=5, added=7, written=7, dropped=5), []),
        (Rows(read=5, written=4, rejected=1), [(5, 4, 1)]),
        (Rows(read=5, written=3, rejected=2), [(2, 1, 1), (3, 2, 1)]),
    ],
)
def test_a_sum_that_comes_out_passes(rows: Rows, segments: list[Any]) -> None:
    """read + added = written + rejected + dropped, and each segment by itself."""
    balance.check_receipt(receipt(rows, *segments))


@pytest.mark.parametrize(
    ("rows", "segments", "message"),
    [
        (Rows(read=5, written=4), [], "read 5 + added 0 is not written 4"),
        (Rows(read=5, written=6), [], "written 6"),
        (Rows(read=5, added=1, written=5), [], "added 1"),
        (Rows(read=5, written=5), [(5, 4, 0)], "a.csv has 5 records"),
        (Rows(read=5, written=5), [(6, 5, 0)], "a.csv has 6 records"),
        (Rows(read=5, written=5), [(5, 4, 1)], "1 rejects counted"),
        (Rows(read=4, written=4), [(3, 2, 0), (1, 2, 0)], "a.csv has 3 records"),
    ],
)
def test_a_sum_that_does_not_come_out_fails(rows: Rows, segments: list[Any], message: str) -> None:
    """One row more or less, anywhere, is found, even where two errors cancel each other."""
    with pytest.raises(BalanceError, match=r"stage 'parse', chunk 3: ") as caught:
        balance.check_receipt(receipt(rows, *segments))
    assert message in str(caught.value)
    assert caught.value.hint == balance.HINT


def test_a_stage_reads_what_the_one_before_wrote() -> None:
    """A row that is lost between two stages fails the run."""
    receipts = [receipt(Rows(read=2, written=2)), receipt(Rows(read=3, written=3))]
    assert balance.stage_rows("later", receipts, 5) == Rows(read=5, written=5)
    assert balance.stage_rows("first", receipts, None).read == 5
    with pytest.raises(BalanceError, match="read 5 rows, but the stage before it wrote 6"):
        balance.stage_rows("later", receipts, 6)


def test_a_stage_comes_out_by_itself() -> None:
    """The stage's own sum is checked, beside that of its tasks."""
    with pytest.raises(BalanceError, match="stage 'parse': the sum does not come out"):
        balance.stage_rows("parse", [receipt(Rows(read=2, written=1))], None)


def test_errors_of_two_tasks_do_not_cancel_each_other() -> None:
    """A stage's sum is that of tasks which each come out."""
    receipts = [receipt(Rows(read=2, written=3)), receipt(Rows(read=3, written=2))]
    for each in receipts:
        with pytest.raises(BalanceError):
            balance.check_receipt(each)


@pytest.mark.parametrize(
    ("stages", "total"),
    [
        ([], Rows()),
        ([Rows(read=5, written=4, rejected=1)], Rows(read=5, written=4, rejected=1)),
        (
            [Rows(5, 0, 4, 1, 0), Rows(4, 0, 3, 0, 1), Rows(3, 2, 2, 0, 3)],
            Rows(read=5, added=2, written=2, rejected=1, dropped=4),
        ),
    ],
)
def test_a_run_is_read_by_its_first_stage_and_written_by_its_last(
    stages: list[Rows], total: Rows
) -> None:
    """All that was added, rejected and dropped on the way is in the total."""
    assert balance.run_rows(stages) == total


def test_a_run_whose_stages_do_not_fit_fails() -> None:
    """The total is checked too."""
    with pytest.raises(BalanceError, match="the run: "):
        balance.run_rows([Rows(read=5, written=5), Rows(read=4, written=4)])


def test_rows_are_counted_by_source() -> None:
    """Budgets hold for each source."""
    one, other = receipt(Rows(read=1, written=1)), receipt(Rows(read=2, written=2), source="b")
    assert balance.by_source([one, other, replace(one)]) == {
        "acme": Rows(read=2, written=2),
        "b": Rows(read=2, written=2),
    }
