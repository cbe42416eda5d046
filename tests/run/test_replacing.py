"""Replacing one folder by another."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagepipe.run.replacing import exchange


def test_exchange_swaps_two_folders(tmp_path: Path) -> None:
    """Both names are there all the time, each with the other's content afterwards."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system has no RENAME_EXCHANGE")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["other"]
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["one"]


def test_exchange_says_what_went_wrong(tmp_path: Path) -> None:
    """An error that is no lack of the system is raised."""
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "one", tmp_path / "other")
