"""What counts as drift, by tables."""

from __future__ import annotations

from collections import Counter

import pytest

from stagepipe.model import InputFile, Receipt, Rows, SegmentCount, receipt_from_plain, to_plain
from stagepipe.record.drift import MOST, FileFacts, Profile, changes, facts_by_source


def facts(
    path: str = "a.csv",
    rows: int = 100,
    header: str | None = "id word",
    nulls: int = 0,
    unfit: int = 0,
) -> FileFacts:
    """A file of which so many rows have no word and so many records no id."""
    return FileFacts(
        InputFile(path, 1, 2, 3),
        rows + unfit,
        rows,
        tuple(header.split()) if header is not None else None,
        Counter({"id": 0, "word": nulls}),
        Counter({"id": unfit} if unfit else {}),
    )


BEFORE = Profile.of([facts(nulls=10)])


def told(files: list[FileFacts], before: Profile = BEFORE, last: tuple[int, ...] = ()) -> list[str]:
    return [change.kind for change in changes("s", files, before, last)]


@pytest.mark.parametrize(
    ("now", "kinds"),
    [
        (facts(), []),
        (facts(header="word id"), []),
        (facts(header=None), []),
        (facts(header="id word more"), ["new_column"]),
        (facts(header="id word more most"), ["new_column"] * 2),
        (facts(header="id", nulls=100), ["missing_column"]),
        (facts(header="id Word", nulls=100), ["new_column", "missing_column"]),
        (facts(nulls=99), []),
        (facts(nulls=100), ["empty"]),
        (facts(rows=3, nulls=3), []),
        (facts(rows=4, nulls=4), ["empty"]),
        (facts(rows=0), []),
        (facts(rows=991, unfit=9), []),
        (facts(rows=990, unfit=10), ["type"]),
    ],
)
def test_one_file_beside_one(now: FileFacts, kinds: list[str]) -> None:
    """A file beside one of 100 rows, of which ten have no word."""
    assert told([now]) == kinds


def test_what_was_so_before_is_no_drift() -> None:
    """Neither a type that never fitted, nor a column that never had a value."""
    before = Profile.of([facts(nulls=100, unfit=1)])
    assert told([facts(nulls=100, unfit=50)], before) == []


def test_columns_that_only_some_files_have() -> None:
    """They are neither new nor gone, in whichever files they stand."""
    before = Profile.of([facts(), facts(header="id word x")])
    assert told([facts()], before) == []
    assert told([facts(header="id word x")], before) == []
    both = [facts("b.csv", header="id"), facts("c.csv")]
    (change,) = changes("s", both, BEFORE, ())
    assert "missing in 1 of 2 new files, as in b.csv" in change.message


def test_a_day_without_records_says_nothing_about_values() -> None:
    """The numbers of the day before it stay, its header counts."""
    before = Profile.of([facts(rows=0, header="id word x")]).over(BEFORE)
    assert told([facts(header="id word x", nulls=100)], before) == ["empty"]
    assert before.columns["x"] == 1


@pytest.mark.parametrize(
    ("last", "rows", "is_far"),
    [
        ((100,) * 6, 0, False),
        ((100,) * 7, 100, False),
        ((100,) * 7, 135, False),
        ((100,) * 7, 136, True),
        ((100,) * 7, 64, True),
        ((0,) * 7, 0, False),
        ((0,) * 7, 1, True),
        ((50, 100, 150, 200, 250, 300, 350), 700, False),
        ((50, 100, 150, 200, 250, 300, 350), 800, True),
        ((100,) * 100 + (9000,) * 500, 100, False),
    ],
)
def test_rows_far_off(last: tuple[int, ...], rows: int, is_far: bool) -> None:
    """By median and MAD over the last files, with a tenth of the median as the least spread."""
    assert told([facts(rows=rows)], last=last) == ["rows"] * is_far


def test_a_hundred_thousand_new_columns_are_few_lines() -> None:
    """Of one kind no more is told than can be read."""
    header = "id word " + " ".join(f"c{number}" for number in range(100_000))
    found = changes("s", [facts(header=header)], BEFORE, ())
    assert len(found) == MOST + 1
    assert found[-1].message.endswith("and 99,980 more like it; before in none")


def receipt(source: str, *segments: SegmentCount) -> Receipt:
    headers = (("id", "word"), ("word", "id"))
    return Receipt("k", "parse", 0, source, (), (), {}, Rows(), segments=segments, headers=headers)


def test_the_facts_of_files_from_receipts() -> None:
    """A file in several pieces is one; dead ones and those of older receipts are none."""
    file = InputFile("a.csv", 9, 2, 3)
    one = SegmentCount(file, 0, 5, 3, 2, 1, nulls=(0, 1), unfit={"id": 1}, header=1)
    two = SegmentCount(file, 5, 9, 4, 4, nulls=(0, 2), header=1)
    dead = SegmentCount(InputFile("d.csv", 9, 2, 3), 0, 9, dead="why")
    old = SegmentCount(InputFile("o.csv", 9, 2, 3), 0, 9, 4, 4)
    receipts = [receipt("s", one, dead), receipt("s", two, old), receipt("t", dead)]
    receipts = [receipt_from_plain(to_plain(each)) for each in receipts]
    (found,) = facts_by_source(receipts, ["id", "word"]).pop("s")
    assert (found.records, found.rows, found.header) == (7, 6, ("word", "id"))
    assert (found.nulls, found.unfit) == ({"id": 0, "word": 3}, {"id": 1})
    assert "t" not in facts_by_source(receipts, ["id", "word"])
