"""What stands in a table's place, and who put it there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stagepipe.record.manifest import (
    DataFile,
    Manifest,
    is_pending,
    manifest_path,
    pending_path,
    shown,
    strangers,
)

NAME = "0001-000000-0123abcd.parquet"
MANIFEST = Manifest("p", "s", ("k1", "k2"), "of", (DataFile(NAME, 3, 4, "ab"),))
OTHER = Manifest("p", "s", ("k3",), "other", (DataFile(NAME.replace("abcd", "ffff"), 3, 4, "ff"),))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with one file of four bytes."""
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / NAME).write_bytes(b"data")
    return folder


def test_a_manifest_that_agrees_is_shown(table: Path) -> None:
    """A manifest comes back as it was written."""
    manifest_path(table).write_text(MANIFEST.to_json())
    assert shown(table) == MANIFEST
    assert not is_pending(table)


def test_a_pending_manifest_that_agrees_is_shown(table: Path) -> None:
    """After a kill between the two renames the pending manifest is the true one."""
    manifest_path(table).write_text(OTHER.to_json())
    pending_path(table).write_text(MANIFEST.to_json())
    assert shown(table) == MANIFEST
    assert is_pending(table)


def test_a_pending_manifest_that_does_not_agree_counts_for_nothing(table: Path) -> None:
    """After a kill before the first rename the old manifest is still the true one."""
    manifest_path(table).write_text(MANIFEST.to_json())
    pending_path(table).write_text(OTHER.to_json())
    assert shown(table) == MANIFEST
    assert not is_pending(table)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: (table / NAME).write_bytes(b"other"),
        lambda table: (table / NAME).unlink(),
        lambda table: (table / "more").touch(),
        lambda table: (table / NAME).rename(table / "moved"),
    ],
)
def test_a_table_that_was_changed_is_not_shown(table: Path, change: Any) -> None:
    """A file more, less, larger or moved: this is not what stagepipe wrote."""
    manifest_path(table).write_text(MANIFEST.to_json())
    change(table)
    assert shown(table) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        "{}",
        json.dumps({"files": [], "keys": []}),
        json.dumps({"files": [{"name": NAME}], "keys": []}),
        MANIFEST.to_json().replace('"format": 2', '"format": 3'),
        MANIFEST.to_json().replace('"format"', '"future"'),
    ],
)
def test_a_damaged_manifest_is_none(table: Path, text: str) -> None:
    """What cannot be read, or is of another format, tells nothing."""
    manifest_path(table).write_text(text)
    assert shown(table) is None


def test_no_table_shows_nothing(tmp_path: Path) -> None:
    """A manifest without a table is not believed."""
    table = tmp_path / "table"
    manifest_path(table).write_text(MANIFEST.to_json())
    assert shown(table) is None


def test_strangers_are_what_has_another_name(table: Path) -> None:
    """Folders, links and files of other names were not written by stagepipe."""
    (table / "a.txt").touch()
    (table / "0001-000001-0123abcd").mkdir()
    (table / "0001-000002-0123abcd.parquet").symlink_to(NAME)
    (table / "0001-000003-0123ABCD.parquet").touch()
    assert list(strangers(table)) == [
        "0001-000001-0123abcd",
        "0001-000002-0123abcd.parquet",
        "0001-000003-0123ABCD.parquet",
        "a.txt",
    ]
