"""Polars SQL expressions that look at one row at a time.

A step sees a chunk, and what is in a chunk depends on how files are cut and packed. So an
expression over several rows (a sum, a rank), or over the clock, would give other results for other
cuts, in silence; it is refused.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import polars as pl

_MANY_ROWS = frozenset(
    {
        *("Agg", "All", "Any", "Correlation", "Len", "Quantile", "Rank", "Unique"),
        *("Explode", "Filter", "Gather", "Over", "Rolling", "Slice", "Sort", "SortBy", "SubPlan"),
        *("CumCount", "CumMax", "CumMin", "CumProd", "CumSum", "Range", "Reverse", "Shift"),
    }
)
"""Names of polars' expression nodes whose result depends on more than one row."""
_WITHIN_A_ROW = frozenset(
    {"Alias", "Column", "String"}
    | {"ArrayExpr", "ListExpr", "StringExpr", "StructExpr", "TemporalExpr"}
)
"""Nodes under which such a word is a column's name, a text, or works on the parts of one value."""
_CLOCK = re.compile(r"\b(NOW\s*\(|CURRENT_(DATE|TIME|TIMESTAMP)\b)", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


@functools.lru_cache(maxsize=256)
def row_expression(text: str) -> pl.Expr:
    """The expression that a text is. Raises ValueError when it is none, or looks at more than one
    row, or at the clock."""
    if not text.strip():
        raise ValueError("'expression' must not be empty")
    if clock := _CLOCK.search(_QUOTED.sub("", text)):
        raise ValueError(
            f"{clock.group().rstrip('( ')} in {text!r} would give another result in each run"
        )
    try:
        expression = pl.sql_expr(text)
    except (pl.exceptions.SQLInterfaceError, pl.exceptions.SQLSyntaxError) as error:
        why = str(error).partition("\n")[0]
        why = "" if why.startswith("unable to parse") else f": {why}"
        raise ValueError(f"{text!r} is no expression of polars SQL{why}") from error
    tree = json.loads(expression.meta.serialize(format="json"))
    if found := sorted(_MANY_ROWS.intersection(_nodes(tree))):
        raise ValueError(
            f"{text!r} looks at more than one row ({', '.join(found)}), and a chunk does not hold "
            "them all"
        )
    return expression


def _nodes(tree: Any, above: str = "") -> Iterator[str]:
    """The names of all nodes of a serialized expression; some stand as a plain string."""
    if isinstance(tree, dict):
        for name, inner in tree.items():
            if above not in _WITHIN_A_ROW:
                yield name
            yield from _nodes(inner, name)
    elif isinstance(tree, list):
        for inner in tree:
            yield from _nodes(inner, above)
    elif isinstance(tree, str) and above not in _WITHIN_A_ROW:
        yield tree
