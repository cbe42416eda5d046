"""A line of a gigabyte, in every place where one can stand: bounded memory, one dead letter or one
reject, and the other files go on. Run by `make torture`; it takes a few gigabytes of disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.measure import PeakSampler

SIZE = 10**9
BLOCK = 10**6
MOST_BYTES = 10**9
"""Of the parent and two workers together, with chunks of 32 MB. For a line 0.5 GB were measured,
and 0.9 GB where reading goes on behind a quote, with the 64 MiB that were looked at as one
portion."""
RECORDS = b"".join(b"%d,word\n" % number for number in range(10, 10_000_010, 1000)) * 1000
"""About 100 MB, which follow on the line."""
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def long_line(project: Any) -> Iterator[Path]:
    """Where the file goes; it is not kept for those who look at failed tests."""
    project.write("landing/a.csv", "id,word\n1,one\n2,two\n")
    project.declare(settings="", after='[errors]\nmax_dead = 1\nmax_rejected = "90%"')
    path = project.root / "landing/b.csv"
    yield path
    path.unlink(missing_ok=True)


def write(path: Path, start: bytes, middle: bytes, end: bytes) -> None:
    """A file of which the middle is a gigabyte."""
    with path.open("wb") as file:
        file.write(start)
        for _ in range(SIZE // BLOCK):
            file.write(middle * (BLOCK // len(middle)))
        file.write(end)


def run(project: Any) -> dict[str, Any]:
    """Run, and see the memory of all processes kept within bounds."""
    with PeakSampler() as sampler:
        ended = project.command("-j", "2")
    assert ended.code == 0, ended.err
    assert 0 < sampler.peak_bytes < MOST_BYTES, f"{sampler.peak_bytes:,} bytes"
    return ended.json


@pytest.mark.parametrize(
    ("start", "middle", "end"),
    [
        (b"id,word\n1,", b"a", b"\n"),
        (b"id,word\n1,", b"a", b"\n" + RECORDS),
        (b"id,word\n" + RECORDS + b"1,", b"a", b"\n" + RECORDS),
        (b'id,word\n1,"', b"a", b'"\n' + RECORDS),
        (b'id,word\n1,"', b"word\n", b'"\n' + RECORDS),
        (b"id,word\n1", b",", b"\n" + RECORDS),
        (b"", b"a", b""),
        (b"", b"id,word,", b"\n1,one\n"),
        (b'"', b"a", b""),
        (b"", b"\0", b""),
    ],
    ids=[
        *("at the end", "in front", "in the middle", "quoted", "lines in quotes", "delimiters"),
        *("nothing else", "a header", "a quote and nothing else", "NULs"),
    ],
)
def test_a_line_of_a_gigabyte(
    project: Any, long_line: Path, start: bytes, middle: bytes, end: bytes
) -> None:
    """Nobody can hold it: its file is a dead letter as a whole, whatever else is in it."""
    write(long_line, start, middle, end)
    result = run(project)
    assert (result["files"]["read"], result["files"]["dead"]) == (1, 1)
    assert (result["rows"]["read"], result["rows"]["written"]) == (2, 2)


def test_a_quote_that_is_open_for_a_gigabyte_of_records(project: Any, long_line: Path) -> None:
    """It costs the record in which it opens: after that much of it reading goes on behind it."""
    write(long_line, b'id,word\n3,one\n4,"open\n', b"5,three\n6,a four\n", b"")
    result = run(project)
    records = 2 * (SIZE // BLOCK) * (BLOCK // 17)
    assert result["files"]["dead"] == 0
    assert result["rows"]["rejected"] == 1
    assert result["rows"]["written"] == 2 + 1 + records
    found = pl.scan_parquet(project.root / "out/letters/*.parquet").select(pl.len()).collect()
    assert found.item() == 2 + 1 + records
