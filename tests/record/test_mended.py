"""Mended records as they are kept: whose place each takes, and which of several texts counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagepipe.errors import StagepipeError
from stagepipe.model import InputFile
from stagepipe.record.mended import MendedRecord, MendedStore, Origin, OriginFile, origins_of

ONE = OriginFile(InputFile("in/\udcff.csv", 10, 1, 2), "aa")
TWO = OriginFile(InputFile("in/b.csv", 10, 1, 3), "bb")
DATA = b"id\n1\n22\n333\n\n"
RECORDS = (
    MendedRecord(3, 4, 0, 7, 2, "parse", False, "x"),
    MendedRecord(5, 7, 1, 9, None, "parse", True, "y"),
)


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    """Names that are no UTF-8 too; a later text of a record counts, the earlier one does not."""
    store = MendedStore(tmp_path / "mended")
    assert store.current() == {}
    store.add("acme", [ONE, TWO], RECORDS, DATA)
    store.add("acme", [TWO], [MendedRecord(3, 4, 0, 9, None, "parse", True, "y")], DATA)
    first, second = store.files()
    assert (first.source, first.files, first.records) == ("acme", (ONE, TWO), RECORDS)
    current = store.current()
    assert {origin: [each.mark for each in found] for origin, found in current.items()} == {
        Origin("acme", "in/\\xff.csv", 7): [(first.id, 0)],
        Origin("acme", "in/b.csv", 9): [(second.id, 0)],
    }
    assert store.data(first.id).read_bytes() == DATA
    origins = origins_of(store.data(first.id))
    assert origins.of([3, 5, 6]) == [
        ("in/\\xff.csv", 2, 7), ("in/b.csv", None, 9), ("in/b.csv", None, 9)
    ]  # fmt: skip


def test_records_without_their_note_do_not_count(tmp_path: Path) -> None:
    """As after a kill between the two; the next get another number."""
    store = MendedStore(tmp_path)
    store.add("acme", [ONE], RECORDS[:1], DATA)
    (file,) = store.files()
    (tmp_path / f"{file.id}.json").unlink()
    assert store.current() == {}
    store.add("acme", [ONE], RECORDS[:1], DATA)
    (again,) = store.files()
    assert again.id.startswith("000002-")


def test_what_rests(tmp_path: Path) -> None:
    store = MendedStore(tmp_path / "mended")
    assert store.resting() == set()
    store.add("acme", [ONE], RECORDS[:1], DATA)
    store.rest({("000001-aa", 0)})
    assert store.resting() == {("000001-aa", 0)}


def test_what_was_rejected_on_its_way(tmp_path: Path) -> None:
    """What a later run notes of a file counts; of others it changes nothing."""
    store = MendedStore(tmp_path)
    assert store.outcomes() == {}
    store.note_outcomes({"a": [2, 1], "b": [1]})
    store.note_outcomes({"b": []})
    assert store.outcomes() == {"a": {1, 2}, "b": set()}


@pytest.mark.parametrize("name", ["000001-aaaaaaaa.json", "resting.json", "outcomes.json"])
def test_what_is_damaged_is_told(tmp_path: Path, name: str) -> None:
    """It is never taken for nothing: the rows would be lost in silence."""
    (tmp_path / name).write_text("1")
    store = MendedStore(tmp_path)
    with pytest.raises(StagepipeError, match="cannot be read") as caught:
        _ = store.current(), store.resting(), store.outcomes()
    assert "backup" in (caught.value.hint or "")
