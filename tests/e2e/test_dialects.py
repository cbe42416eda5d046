"""Files that are written in odd ways, through the real program."""

from __future__ import annotations

import gzip
from typing import Any

import polars as pl
import pytest

QUOTED = [f"{n}§«ä§\n{n}«" for n in range(300)]
BARE = [f"{n}§ä" for n in range(300)]
DIALECT = """
[source.csv]
encoding = "{encoding}"
delimiter = "§"
quote = "«"
comment = "#"
skip_lines = 1
skip_footer = 1
"""


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_file_of_another_encoding_and_structure(project: Any, encoding: str) -> None:
    """Rows and rejects are the same however it is cut; rejects have its lines and bytes."""
    lines = ["«Letters", "id§word", "# «", *QUOTED, "x§bad", "302§«open", *BARE, "Total§«"]
    data = "\n".join(lines).encode(encoding)
    project.write("landing/a.csv", data)
    project.declare(source=DIALECT.format(encoding=encoding))
    ended = project.command()
    assert ended.code == 0, ended.err
    counts = {"read": 602, "added": 0, "written": 600, "rejected": 2, "dropped": 0}
    assert ended.json["rows"] == counts
    table = pl.read_parquet(project.root / "out" / "**" / "*.parquet")
    assert table["word"].to_list() == [*(f"ä§\n{n}" for n in range(300)), *["ä"] * 300]
    assert table["id"].to_list() == [*range(300), *range(300)]
    rejects = pl.read_parquet(project.root / ended.json["rejects"])
    assert rejects["reason"].to_list() == ["type", "unclosed_quote"]
    assert rejects["line"].to_list() == [604, 605]
    for raw, offset in zip(rejects["raw"], rejects["byte_offset"], strict=True):
        assert data[offset : offset + len(raw)] == raw


PICKY = """\
import polars as pl
from stagepipe import step


@step
def picky(frame: pl.DataFrame, reject) -> pl.DataFrame:
    return reject(frame, pl.col("id") % 50 == 7, "seven")
"""


@pytest.mark.parametrize("chunk_size", ["300B", "1MB"])
@pytest.mark.parametrize("encoding", ["cp1252", "cp037", "utf-16"])
def test_a_packed_file_of_another_encoding_and_structure(
    project: Any, encoding: str, chunk_size: str
) -> None:
    """Rows with their lines, and the places and bytes of the reader's rejects and of a step's, are
    those of the unpacked file, in however many portions it is read."""
    lines = ["«Letters", "id§word", "# «", *QUOTED, "x§bad", "302§«open", *BARE, "Total§«", ""]
    data = "\n".join(lines).encode(encoding)
    (project.root / "landing").mkdir()
    (project.root / "landing/a.csv.gz").write_bytes(gzip.compress(data))
    project.write("picky.py", PICKY)
    project.declare(
        settings=f'chunk_size = "{chunk_size}"\nplugins = ["picky.py"]',
        source=DIALECT.format(encoding=encoding),
        first='"picky"',
        after='[errors]\nmax_rejected = "100%"',
    )
    declared = (project.root / "pipeline.toml").read_text()
    declared = declared.replace("*.csv", "*.gz")
    declared = declared.replace(
        "[schema.columns]", '[schema]\nprovenance = ["line"]\n[schema.columns]'
    )
    project.write("pipeline.toml", declared)
    ended = project.command()
    assert ended.code == 0, ended.err
    counts = {"read": 602, "added": 0, "written": 588, "rejected": 14, "dropped": 0}
    assert ended.json["rows"] == counts
    table = pl.read_parquet(project.root / "out" / "**" / "*.parquet")
    kept = [number for number in range(300) if number % 50 != 7]
    assert table["id"].to_list() == [*kept, *kept]
    assert table["word"].to_list() == [*(f"ä§\n{n}" for n in kept), *["ä"] * len(kept)]
    assert table["_line"].to_list() == [*(4 + 2 * n for n in kept), *(606 + n for n in kept)]
    rejects = pl.read_parquet(project.root / ended.json["rejects"]).sort("byte_offset")
    steps = [number for number in range(300) if number % 50 == 7]
    places = [*(4 + 2 * n for n in steps), 604, 605, *(606 + n for n in steps)]
    assert rejects["line"].to_list() == places
    codec = "utf-16-le" if encoding == "utf-16" else encoding
    texts = [*(QUOTED[n] for n in steps), "x§bad", "302§«open", *(BARE[n] for n in steps)]
    assert rejects["raw"].to_list() == [text.encode(codec) for text in texts]
    for raw, offset in zip(rejects["raw"], rejects["byte_offset"], strict=True):
        assert data[offset : offset + len(raw)] == raw
