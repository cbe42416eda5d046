"""How values are written: whole runs over files as people in other places write them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
import pytest

from stagepipe.errors import PipelineError

GERMAN = """\
[pipeline]
name = "bookings"
chunk_size = "{chunk_size}"
[[source]]
name = "bank"
files = "in/*.csv"
[source.csv]
delimiter = ";"
decimal_comma = true
thousands = "."
true_values = ["ja"]
false_values = ["nein"]
null_values = ["", "k.A."]
trim = true
[schema]
missing_columns = "null"
[schema.columns]
number = {{ type = "int64", name = "Nr." }}
booked = {{ type = "date", name = "Buchungstag", format = "%d.%m.%Y" }}
seen = {{ type = "datetime(Europe/Berlin)", name = "Zeit", format = "%d.%m.%Y %H:%M %z" }}
amount = {{ type = "decimal(12,2)", name = "Betrag", min = 0 }}
paid = {{ type = "bool", name = "bezahlt", required = true, default = false }}
currency = {{ type = "string", name = "Währung", one_of = ["EUR", "CHF"], default = "EUR" }}
[[stage]]
name = "parse"
sink = {{ path = "bookings", on_existing = "replace" }}
[errors]
max_rejected = "100%"
"""
FILE = """\
Nr.; Buchungstag ;Zeit;Betrag;bezahlt\r
1;31.12.2024;31.12.2024 23:59 +0100;1.234,50;ja\r
1.000;1.2.2024;1.2.2024 0:05 Z; 0,5 ;nein\r
3;29.02.2024;k.A.;12;k.A.\r
4;31.02.2024;k.A.;1.234.567,89;ja\r
5;01.01.2024;;1,234.50;ja\r
6;01.01.2024;;1.23;nein\r
7;01.01.2024;;"-1.000,00";ja\r
8; k.A. ;31.12.2024 23:59;;true\r
"""


@pytest.mark.parametrize("chunk_size", ["1B", "90B", "1MB"])
def test_a_german_file(project: Any, chunk_size: str) -> None:
    """Each record is in the table as meant, or in the rejects as it stands in the file."""
    project.write("pipeline.toml", GERMAN.format(chunk_size=chunk_size))
    project.write("in/a.csv", FILE)
    result = project.run()
    rows = pq.read_table(project.root / "out/bookings").to_pylist()
    assert [row["number"] for row in rows] == [1, 1000, 3]
    days = [date(2024, 12, 31), date(2024, 2, 1), date(2024, 2, 29)]
    assert [row["booked"] for row in rows] == days
    berlin = [datetime.fromisoformat(f"2024-{text}") for text in ("12-31T22:59Z", "02-01T00:05Z")]
    assert [row["seen"] for row in rows] == [*berlin, None]
    assert [row["amount"] for row in rows] == [Decimal("1234.50"), Decimal("0.50"), Decimal(12)]
    assert [row["paid"] for row in rows] == [True, False, False]
    assert [row["currency"] for row in rows] == ["EUR"] * 3
    rejects = pq.read_table(project.root / result.rejects).to_pylist()
    lines = FILE.encode().split(b"\r\n")
    assert [(r["line"], r["column"], r["value"], r["reason"], r["also"]) for r in rejects] == [
        (5, "booked", "31.02.2024", "type", None),
        (6, "amount", "1,234.50", "type", None),
        (7, "amount", "1.23", "type", None),
        (8, "amount", "-1.000,00", "min", None),
        (9, "seen", "31.12.2024 23:59", "type", "paid:type"),
    ]
    assert [r["raw"] for r in rejects] == [lines[r["line"] - 1] for r in rejects]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('["ja"]', '["ja", "true"]', "[source.csv] changed"),
        ("trim = true", "trim = false", "[source.csv] changed"),
        ("%d.%m.%Y %H", "%m.%d.%Y %H", "[schema] changed"),
        ('default = "EUR"', 'default = "CHF"', "[schema] changed"),
    ],
)
def test_parts_are_made_anew_where_values_are_read_otherwise(
    project: Any, old: str, new: str, reason: str
) -> None:
    """A changed word, format or default may give another table."""
    text = GERMAN.format(chunk_size="1MB")
    project.write("pipeline.toml", text)
    project.write("in/a.csv", FILE)
    project.run()
    assert [str(task.decision) for task in project.plan().stages[0].tasks] == ["taken"]
    project.write("pipeline.toml", text.replace(old, new))
    assert [task.reason for task in project.plan().stages[0].tasks] == [reason]


def test_check_names_all_that_no_file_could_have(project: Any) -> None:
    """Each with its place in the pipeline file."""
    text = GERMAN.format(chunk_size="1MB").replace("%d.%m.%Y %H:%M %z", "%d.%m.%Y %H:%M")
    text = text.replace('"%d.%m.%Y"', '"%d.%m.%Q"').replace('t = "EUR"', 't = "USD"')
    project.write("pipeline.toml", text)
    project.write("in/a.csv", FILE)
    with pytest.raises(PipelineError) as caught:
        project.plan()
    assert [str(fault).partition("pipeline.toml:")[2] for fault in caught.value.faults] == [
        "19:49: format of column 'booked' has '%Q', which is none of"
        " %d %m %Y %y %b %B %H %I %p %M %S %f %z %%",
        "20:59: format of column 'seen' lacks %z: without an offset a datetime with a time zone"
        " would be a guess",
        "23:74: default of column 'currency' fails one_of, a check of its own column",
    ]
