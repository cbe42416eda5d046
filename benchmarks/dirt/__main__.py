"""`python -m benchmarks.dirt`: the table of docs/dirt.md, measured anew."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.dirt.cases import CASES, Case
from benchmarks.dirt.readers import READERS, Found


def verdict(case: Case, found: Found) -> str:
    """What a reader made of a file, in a few words. An amount may be a float to it."""
    rows, reported = found
    got = Counter(map(_plain, rows))
    good = Counter(map(_plain, case.rows))
    if case.dead:
        return f"**{_rows(got.total())} of a file that is none**" if rows else "no rows"
    lost, wrong = good - got, got - good
    if wrong and not wrong - Counter(map(_plain, case.kept)):
        return "keeps it"
    pieces = []
    if wrong:
        pieces.append(f"**{_rows(wrong.total())} wrong**")
    if lost:
        pieces.append(f"**{_rows(lost.total())} lost**")
    silent = 0 if wrong else len(case.rejects) - len(reported)
    if silent > 0:
        pieces.append(f"**{_rows(silent)} gone in silence**")
    return ", ".join(pieces) or "exact"


def _rows(number: int) -> str:
    return f"{number} row{'s' * (number != 1)}"


def _plain(row: Sequence[Any]) -> tuple[Any, ...]:
    number, name, amount = row
    return number, name, None if amount is None else round(Decimal(str(amount)), 6)


def outcome(case: Case, reader: str) -> str:
    """What a reader makes of a case, also when it refuses the file."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"file{case.ending}"
        path.write_bytes(case.data)
        try:
            found = READERS[reader](path, case)
        except Exception:  # noqa: BLE001 - each has errors of its own
            return "dead letter" if reader == "stagepipe" else "refuses the file"
    return verdict(case, found)


def table() -> Iterator[str]:
    """The lines of the table, in Markdown."""
    yield f"| dirt | {' | '.join(READERS)} |"
    yield "|---|" + "---|" * len(READERS)
    for case in CASES:
        yield f"| {case.title} | {' | '.join(outcome(case, reader) for reader in READERS)} |"


if __name__ == "__main__":
    print("\n".join(table()))
