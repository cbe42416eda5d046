"""The page on dirt: what it says of stagepipe holds, and its table is what is measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.dirt.__main__ import table
from benchmarks.dirt.cases import CASES, Case
from benchmarks.dirt.readers import stagepipe

PAGE = Path(__file__).parents[2] / "docs" / "dirt.md"


@pytest.mark.parametrize("case", CASES, ids=lambda case: re.sub(r"\\W+", "-", case.title))
def test_each_record_is_a_row_or_a_reject(case: Case, tmp_path: Path) -> None:
    """Once, and a reject has its line and its reason; other files go on beside a dead one."""
    path = tmp_path / f"file{case.ending}"
    path.write_bytes(case.data)
    if case.dead:
        with pytest.raises(Exception, match="is a dead letter"):
            stagepipe(path, case)
        return
    rows, rejects = stagepipe(path, case)
    assert list(rows) == list(case.rows)
    assert list(rejects) == list(case.rejects)


def test_the_table_is_what_is_measured() -> None:
    found = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    assert found == list(table())
