from __future__ import annotations

import pytest

from stagepipe.builtin.csv import sifting


@pytest.fixture(autouse=True)
def no_habits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test's files were like makes no difference for the next one's way."""
    monkeypatch.setattr(sifting, "_HABITS", type(sifting._HABITS)(set))
