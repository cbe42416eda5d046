"""Files that are written in odd ways, through the real program."""

from __future__ import annotations

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
