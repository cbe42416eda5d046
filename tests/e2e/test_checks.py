"""Checks over several columns: exact rejects, however files are cut, and faults before the run."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from stagepipe.errors import PipelineError
from stagepipe.record import rejects

PIPELINE = """\
[pipeline]
name = "checks"
chunk_size = "{chunk_size}"
[[source]]
name = "shop"
files = "*.csv"
[schema.columns]
id = "int64"
ordered = "date"
shipped = {{ type = "date", name = "sent" }}
price = {{ type = "decimal(8,2)", min = 0 }}
paid = "decimal(8,2)"
{checks}
[[stage]]
name = "parse"
sink = {{ use = "parquet", path = "orders", on_existing = "replace" }}
[errors]
max_rejected = "100%"
"""
CHECKS = """\
[[schema.checks]]
name = "sent_early"
expression = "shipped >= ordered"
message = "sent before it was ordered"
[[schema.checks]]
name = "overpaid"
expression = "paid <= price OR price < 0"
"""


def declare(project: Any, checks: str = CHECKS, chunk_size: str = "1MB") -> None:
    project.write("pipeline.toml", PIPELINE.format(checks=checks, chunk_size=chunk_size))


def orders(count: int) -> tuple[str, list[int], list[tuple[Any, ...]]]:
    """A file, the ids that are to be rows, and the rejects: line, reason, also, value."""
    choose = random.Random(5)
    lines, good, bad = ["id,ordered,sent,price,paid"], [], []
    for number in range(count):
        ordered = date(2024, 1, 1) + timedelta(days=choose.randrange(60))
        shipped = choose.choice([None, ordered, ordered + timedelta(1), ordered - timedelta(1)])
        price, paid = choose.choice(["5.00", "", "-1.00"]), choose.choice(["5.00", "", "6.00", "x"])
        lines.append(f"{number},{ordered},{shipped or ''},{price},{paid}")
        found = []
        if price == "-1.00":
            found.append(("price:min", price))
        if paid == "x":
            found.append(("paid:type", paid))
        if shipped is not None and shipped < ordered:
            found.append(("sent_early", "sent before it was ordered"))
        if paid == "6.00" and price == "5.00":
            found.append(("overpaid", None))
        if found:
            reason, value = found[0]
            also = ", ".join(other for other, _ in found[1:]) or None
            bad.append((len(lines), reason.rpartition(":")[2], also, value))
        else:
            good.append(number)
    return "\n".join(lines) + "\n", good, bad


@pytest.mark.parametrize("chunk_size", ["1B", "200B", "1MB"])
def test_records_that_fail_are_rejects(project: Any, chunk_size: str) -> None:
    """A check that comes out null passes; column checks come first; each record is one reject."""
    declare(project, chunk_size=chunk_size)
    text, good, bad = orders(150)
    project.write("orders.csv", text)
    result = project.run()
    assert result.error is None
    table = pl.read_parquet(project.root / "out/orders/*.parquet")
    assert table["id"].to_list() == good
    found = rejects.read(project.root / result.rejects)
    assert [(r.line, r.reason, r.also, r.value) for r in found] == bad
    assert {reason for _, reason, _, _ in bad} == {"min", "type", "sent_early", "overpaid"}


def test_another_expression_makes_parts_anew(project: Any) -> None:
    declare(project)
    project.write("orders.csv", orders(20)[0])
    project.run()
    declare(project, CHECKS.replace("paid <= price", "paid < price"))
    (task,) = project.plan().stages[0].tasks
    assert task.reason == "[schema] changed"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("shipped >= ordered", "sent >= ordered", "check 'sent_early': unable to find column"),
        ("shipped >= ordered", "price + 1", "check 'sent_early': it is decimal(38,2), not true"),
        ("shipped >= ordered", "SUM(price) > 1", "looks at more than one row"),
        ("shipped >= ordered", "ordered >", "check 'sent_early': "),
        ('"overpaid"', '"min"', "is 'min', a reason that is taken"),
        ('"overpaid"', '"sent_early"', "is 'sent_early', as that of another check"),
        ("message", "mesage", "did you mean 'message'?"),
    ],
)
def test_faults_are_found_before_the_run(project: Any, old: str, new: str, said: str) -> None:
    declare(project, CHECKS.replace(old, new))
    project.write("orders.csv", orders(1)[0])
    with pytest.raises(PipelineError) as caught:
        project.plan()
    assert said in str(caught.value)
