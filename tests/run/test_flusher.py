"""Bringing parts to the disk while others are made."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stagepipe.run.flusher import Flusher


class AtOnce(ThreadPoolExecutor):
    """A thread that is always done."""

    def submit(self, do: Any, /, *given: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(do(*given, **named))
        except OSError as error:
            future.set_exception(error)
        return future


def test_it_keeps_nothing_of_what_is_on_the_disk(tmp_path: Path) -> None:
    """A million parts are not a million futures at the barrier."""
    to_disk = Flusher(AtOnce(1))
    for number in range(3):
        part = tmp_path / f"{number}.parquet"
        part.write_bytes(b"rows")
        to_disk.add(str(part))
        assert not to_disk._pending
    to_disk.finish()


def test_what_the_disk_did_not_take_is_told_at_the_barrier(tmp_path: Path) -> None:
    """Whatever came after it."""
    to_disk = Flusher(AtOnce(1))
    (tmp_path / "whole.parquet").write_bytes(b"rows")
    to_disk.add(str(tmp_path / "gone.parquet"), str(tmp_path / "whole.parquet"))
    to_disk.add(str(tmp_path / "whole.parquet"))
    with pytest.raises(FileNotFoundError, match="gone"):
        to_disk.finish()
