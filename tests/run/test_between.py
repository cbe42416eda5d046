"""Pieces between stages are read as they were written, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from stagepipe.errors import TaskError
from stagepipe.model import PartFile
from stagepipe.plan.planner import check
from stagepipe.record.spool import Spool, file_sha256
from stagepipe.run import between


@pytest.mark.parametrize("read", [between.read_sound, between.sound])
@pytest.mark.parametrize("damage", [lambda content: content.replace(b"alpha", b"alphX"), None])
def test_a_piece_that_was_damaged_is_told_and_made_again(
    project: Any, read: Callable[..., object], damage: Callable[[bytes], bytes] | None
) -> None:
    """Whether it is read at once, or is to be looked at by a plan; after the run was planned."""
    project.write("landing/a.csv", "id,word\n1,alpha\n")
    project.declare(stages='[[stage]]\nname = "two"')
    work = check(project.load()).work
    spool, key = Spool(project.root), "0" * 32
    path = project.root / f"{key}.0.arrow"
    between.write(pa.table({"word": ["alpha", "b"]}), path)
    receipt = project.write(f"{key}.json", "{}")
    piece = PartFile(path.name, 2, path.stat().st_size, file_sha256(path))
    assert read(spool, work, 1, piece)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TaskError, match="a finished part of stage 'parse' was damaged on disk"):
        read(spool, work, 1, piece)
    assert not receipt.exists()
