"""What the tortures share: their subjects, and the table at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import Subject, build, compiler

ROW = "fault"


class Trials:
    """What was tried of one fault, and what of it went wrong."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.tried = 0
        self.wrong: list[str] = []

    def note(self, what: str, complaints: list[str]) -> None:
        """One trial, and what there is to complain of."""
        self.tried += 1
        if complaints:
            self.wrong.append(f"{what}: " + "\n  ".join(complaints))


@pytest.fixture(autouse=True)
def _own_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What killed programs leave there goes with the test. It has a short name: in a long one there
    would be no fork server, and workers without the faults."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield


@pytest.fixture
def trials(record_property: Callable[[str, Any], None]) -> Iterator[Callable[[str], Trials]]:
    """Makes a row of the table; what is wrong in it fails the test when all was tried."""
    rows: list[Trials] = []

    def begin(fault: str) -> Trials:
        rows.append(Trials(fault))
        return rows[-1]

    yield begin
    for row in rows:
        record_property(ROW, (row.fault, row.tried, len(row.wrong)))
    assert not [row.wrong for row in rows if row.wrong], "\n".join(
        f"{row.fault}: {wrong}" for row in rows for wrong in row.wrong
    )


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if compiler() is None:
        pytest.fail("there is no C compiler: install gcc and libc6-dev")
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Subject:
    """One for all tests that leave its input files as they are."""
    subject = Subject(tmp_path_factory.mktemp("subject") / "subject", library)
    subject.make()
    return subject


@pytest.fixture
def own_subject(tmp_path: Path, library: Path) -> Subject:
    """One for a test that changes its input files."""
    subject = Subject(tmp_path / "subject", library)
    subject.make()
    return subject


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table: fault, tried, right, wrong."""
    rows: dict[str, list[int]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == ROW and report.when == "teardown":
                    fault, tried, wrong = value
                    row = rows.setdefault(fault, [0, 0, 0])
                    for place, count in enumerate((tried, tried - wrong, wrong)):
                        row[place] += count
    if not rows:
        return
    width = max(map(len, rows))
    terminalreporter.section("faults")
    terminalreporter.line(f"{'fault':{width}}  {'tried':>6} {'right':>6} {'wrong':>6}")
    for fault, (tried, right, wrong) in sorted(rows.items()):
        terminalreporter.line(f"{fault:{width}}  {tried:6} {right:6} {wrong:6}")
