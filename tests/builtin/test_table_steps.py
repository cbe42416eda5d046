"""The built-in steps over whole tables, each on a small one, and against plain Python."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stagepipe.builtin.table_steps import (
    TABLE_STEPS,
    aggregate,
    deduplicate,
    join_table,
    pivot,
    sort,
)
from stagepipe.contracts import MARK
from stagepipe.plugins import Step, StepName

ORDERS = pl.DataFrame(
    {
        "id": [4, 1, 3, 2, 5],
        "currency": ["USD", "EUR", None, "EUR", "USD"],
        "amount": ["1.50", "2.00", "0.25", None, "4.00"],
        "pieces": [1, 2, 3, 4, None],
        "late": [True, False, None, True, False],
        "day": [date(2020, 1, n) for n in (3, 1, 2, 1, 3)],
    },
    schema_overrides={"pieces": pl.Int32},
).with_columns(pl.col("amount").cast(pl.Decimal(12, 2)))


def carried_out(step, frame, **options):
    """The rows of a step, on a table in one piece and in several, by both of polars' engines; the
    types are those that the plan promised, and those of a table without rows."""
    whole = step(frame.lazy(), **options)
    pieces = [frame[:1].lazy(), frame[1:1].lazy(), frame[1:3].lazy(), frame[3:].lazy()]
    found = whole.collect()
    assert found.schema == whole.collect_schema()
    assert step(frame.clear().lazy(), **options).collect().schema == found.schema
    for plan in (whole, step(pl.concat(pieces), **options)):
        for engine in ("in-memory", "streaming"):
            assert_frame_equal(plan.collect(engine=engine), found)
    return found


def test_deduplicate():
    """The first or the last of its like stays, where it stands."""
    assert carried_out(deduplicate, ORDERS, by=["currency"])["id"].to_list() == [4, 1, 3]
    last = carried_out(deduplicate, ORDERS, by=["currency"], keep="last")
    assert last["id"].to_list() == [3, 2, 5]
    assert carried_out(deduplicate, ORDERS, by=["day", "currency"])["id"].to_list() == [4, 1, 3]
    assert carried_out(deduplicate, pl.concat([ORDERS, ORDERS])).rows() == ORDERS.rows()


def test_sort():
    """Equal rows keep their order; nulls come last, or first, whatever the direction."""
    ids = lambda **options: carried_out(sort, ORDERS, **options)["id"].to_list()  # noqa: E731
    assert ids(by=["currency"]) == [1, 2, 4, 5, 3]
    assert ids(by=["currency"], descending=True) == [4, 5, 1, 2, 3]
    assert ids(by=["currency"], nulls_last=False) == [3, 1, 2, 4, 5]
    assert ids(by=["currency"], descending=True, nulls_last=False) == [3, 4, 5, 1, 2]
    assert ids(by=["currency", "id"], descending=[False, True]) == [2, 1, 5, 4, 3]
    assert ids(by=["day", "amount"]) == [1, 2, 3, 4, 5]


def test_aggregate():
    """Groups stand in the order of their first rows; results are named after function and
    column, or as one likes."""
    found = carried_out(
        aggregate,
        ORDERS,
        by=["currency"],
        count="orders",
        n_unique=["day"],
        sum=["amount", "pieces", "late"],
        mean={"pieces": "average"},
        median=["amount"],
        min=["day"],
        max={"day": "latest"},
        first=["pieces"],
        last=["pieces"],
    )
    assert found.rows(named=True)[0] == {
        "currency": "USD",
        "orders": 2,
        "n_unique_day": 1,
        "sum_amount": Decimal("5.50"),
        "sum_pieces": 1,
        "sum_late": 1,
        "average": 1.0,
        "median_amount": 2.75,
        "min_day": date(2020, 1, 3),
        "latest": date(2020, 1, 3),
        "first_pieces": 1,
        "last_pieces": None,
    }
    assert found["currency"].to_list() == ["USD", "EUR", None]
    assert dict(found.schema) | {"sum_amount": pl.Decimal(38, 2), "sum_pieces": pl.Int64} == dict(
        found.schema
    )
    assert {found.schema[name] for name in ("orders", "n_unique_day", "sum_late")} == {pl.Int64}


def test_aggregate_of_a_whole_table():
    """One row, also when there is none to look at."""
    options = {"count": {"pieces": "known"}, "sum": ["pieces"], "mean": ["pieces"], "last": ["id"]}
    assert carried_out(aggregate, ORDERS, **options).rows() == [(4, 10, 2.5, 5)]
    assert carried_out(aggregate, ORDERS.clear(), **options).rows() == [(0, 0, None, None)]
    assert carried_out(aggregate, ORDERS.clear(), by=["id"], **options).rows() == []


@pytest.mark.parametrize("kind", [pl.Int8, pl.Int32, pl.UInt32, pl.Int64, pl.UInt64])
def test_sums_of_whole_numbers_do_not_wrap_around(kind):
    """They have 64 bits, whatever the column has; a sum that these do not hold is an error."""
    largest = pl.select(kind.max()).item()
    frame = pl.DataFrame({"k": [7, 8, 8], "n": [0, largest, largest]}, {"k": pl.Int8, "n": kind})
    if 2 * largest < 2**63:
        rows = carried_out(aggregate, frame, by=["k"], sum=["n"]).rows()
        assert rows == [(7, 0), (8, 2 * largest)]
        return
    message = f"sum of column 'n' for k=8 is {2 * largest}, too large for int64: cast the column"
    for engine in ("in-memory", "streaming"):
        with pytest.raises(ValueError, match=message):
            aggregate(frame.lazy(), by=["k"], sum=["n"]).collect(engine=engine)
    with pytest.raises(ValueError, match="sum of column 'n' is "):
        aggregate(frame.lazy(), sum=["n"]).collect()


def test_the_smallest_and_the_largest_sum():
    """Both fit."""
    frame = pl.DataFrame({"k": [1, 1, 2, 2], "n": [2**62, 2**62 - 1, -(2**62), -(2**62)]})
    found = carried_out(aggregate, frame, by=["k"], sum=["n"])
    assert found["sum_n"].to_list() == [2**63 - 1, -(2**63)]


def test_sums_of_decimals_keep_their_scale_and_do_not_wrap_around():
    """38 digits are what there is."""
    half = Decimal("4" * 36 + ".44")
    frame = pl.DataFrame(
        {"k": [1, 1, 2, 2, 2], "x": [half] * 5}, {"k": pl.Int8, "x": pl.Decimal(38, 2)}
    )
    found = carried_out(aggregate, frame[:4], by=["k"], sum=["x"])
    assert found.schema["sum_x"] == pl.Decimal(38, 2)
    assert found["sum_x"].to_list() == [Decimal("8" * 36 + ".88")] * 2
    for engine in ("in-memory", "streaming"):
        for options in ({"by": ["k"]}, {}):
            with pytest.raises(ValueError, match=r"sum of column 'x'.* is too large for 38 digits"):
                aggregate(frame.lazy(), sum=["x"], **options).collect(engine=engine)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": ["id"]}, "name what to compute: count, n_unique, sum, "),
        ({"by": [], "sum": ["pieces"]}, "'by' must name at least one column"),
        ({"by": ["id", "id"], "sum": ["pieces"]}, "'by' must name .* each once"),
        ({"sum": []}, "'sum' must name at least one column"),
        ({"by": ["id"], "sum": ["currency"]}, "sum needs numbers, and column 'currency' is string"),
        ({"by": ["id"], "mean": ["day"]}, "mean needs numbers, and column 'day' is date"),
        ({"median": {"day": "x"}}, "median needs numbers, and column 'day' is date"),
        ({"by": ["id"], "count": "id"}, "two columns of the result would be named 'id': name one"),
        ({"sum": {"id": "n"}, "max": {"id": "n"}}, "two columns .* named 'n'"),
        ({"count": ""}, "name of a column must not be empty"),
    ],
)
def test_aggregate_says_what_is_wrong_without_rows(options, message):
    """A plan finds it."""
    with pytest.raises(ValueError, match=message):
        aggregate(ORDERS.clear().lazy(), **options)


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (deduplicate, {"by": ["zap"]}),
        (sort, {"by": ["zap"]}),
        (aggregate, {"by": ["zap"], "count": "n"}),
        (aggregate, {"by": ["id"], "sum": ["zap"]}),
        (pivot, {"on": "zap", "columns": ["a"], "index": ["id"], "values": "amount"}),
        (pivot, {"on": "currency", "columns": ["a"], "index": ["zap"], "values": "amount"}),
        (pivot, {"on": "currency", "columns": ["a"], "index": ["id"], "values": "zap"}),
        (join_table, {"file": None, "on": "zap"}),
    ],
)
def test_a_column_that_is_not_there_is_named_without_rows(step, options):
    """As the other steps do."""
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match='column "zap"'):
        step(ORDERS.clear().lazy(), **options)


@pytest.mark.parametrize(
    ("step", "options", "message"),
    [
        (deduplicate, {"by": []}, "'by' must name at least one column"),
        (sort, {"by": []}, "'by' must name at least one column"),
        (
            sort,
            {"by": ["id"], "descending": [True, False]},
            "names 1 columns, and 'descending' has 2",
        ),
    ],
)
def test_deduplicate_and_sort_say_what_is_wrong(step, options, message):
    """Without rows."""
    with pytest.raises(ValueError, match=message):
        step(ORDERS.clear().lazy(), **options)


def test_pivot():
    """Columns are known before the data; rows stand in the order of their first ones."""
    frame = ORDERS.filter(pl.col("currency").is_not_null())
    options = {"on": "currency", "columns": ["EUR", "USD", "GBP"], "index": ["day"]}
    found = carried_out(pivot, frame, **options, values="pieces", aggregate="sum")
    assert found.columns == ["day", "EUR", "USD", "GBP"]
    assert found.rows() == [(date(2020, 1, 3), 0, 1, 0), (date(2020, 1, 1), 6, 0, 0)]
    found = carried_out(pivot, frame, **options, values="id", aggregate="last")
    assert found.rows() == [(date(2020, 1, 3), None, 5, None), (date(2020, 1, 1), 2, None, None)]
    single = carried_out(pivot, frame, **options | {"index": ["id"]}, values="amount")
    assert single.rows()[0] == (4, None, Decimal("1.50"), None)
    assert single.schema["EUR"] == pl.Decimal(12, 2)


def test_pivot_on_whole_numbers():
    """Their columns have their digits for names."""
    frame = pl.DataFrame({"k": ["a", "a", "b"], "hour": [1, 2, 1], "n": [5, 6, 7]})
    options = {"on": "hour", "columns": [2, 1], "index": ["k"], "values": "n"}
    found = carried_out(pivot, frame, **options)
    assert found.columns == ["k", "2", "1"]
    assert found.rows() == [("a", 6, 5), ("b", None, 7)]


def test_pivot_loses_no_row_in_silence():
    """A value that has no column, and a second value in one place, are errors, if not allowed."""
    options = {"on": "currency", "values": "id"}
    for columns, index, frame, message in (
        (["EUR", "USD"], "id", ORDERS, "column 'currency' has nulls: put a value there"),
        (["EUR"], "id", ORDERS, "column 'currency' has 'USD', not in 'columns': name it there, or"),
        (["EUR", "USD"], "day", ORDERS[:2].vstack(ORDERS[4:]), "'USD' for day=.* has 2 values"),
    ):
        plan = pivot(frame.lazy(), **options, columns=columns, index=[index])
        for engine in ("in-memory", "streaming"):
            with pytest.raises(ValueError, match=message):
                plan.collect(engine=engine)
            with pytest.raises(ValueError, match=message):
                plan.select(pl.len()).collect(engine=engine)
    found = carried_out(
        pivot, ORDERS, **options, index=["day"], columns=["EUR"], aggregate="count", others="ignore"
    )
    assert found.rows() == [(date(2020, 1, 1), 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": []}, "'columns' must have at least one value"),
        ({"columns": ["EUR", "EUR"]}, "and each once"),
        ({"columns": [1]}, "'columns' has 1, and column 'currency' is string: write text for"),
        ({"columns": ["1"], "on": "id"}, "'columns' has '1', and column 'id' is int64: write"),
        ({"columns": ["1"], "on": "late"}, "column 'late' is bool: .*; cast others to string"),
        ({"columns": ["day"]}, "two columns of the result would be named 'day': rename"),
        ({"columns": ["EUR"], "index": []}, "'index' must name at least one column"),
        (
            {"columns": ["EUR"], "aggregate": "sum", "values": "late", "index": ["EUR"]},
            'column "EUR"',
        ),
        (
            {"columns": ["EUR"], "aggregate": "sum", "values": "day"},
            "sum needs numbers, and column",
        ),
    ],
)
def test_pivot_says_what_is_wrong_without_rows(options, message):
    """A plan finds it."""
    given = {"on": "currency", "index": ["day"], "values": "amount"} | options
    with pytest.raises((ValueError, pl.exceptions.ColumnNotFoundError), match=message):
        pivot(ORDERS.clear().lazy(), **given)


RATES = pl.DataFrame(
    {
        "code": ["EUR", "USD", "GBP", None],
        "rate": [1.0, 0.9, 1.2, 7.0],
        "day": ["a", "b", "c", "d"],
    }
)


@pytest.fixture(params=["parquet", "arrow", "csv"])
def rates(request, tmp_path):
    path = tmp_path / f"rates.{request.param}"
    {"parquet": RATES.write_parquet, "arrow": RATES.write_ipc, "csv": RATES.write_csv}[
        request.param
    ](path)
    return path


def test_join_table(rates):
    """Rows keep their order; a null matches nothing."""
    options = {"file": rates, "on": "currency", "file_on": "code", "columns": ["rate"]}
    found = carried_out(join_table, ORDERS, **options)
    assert found.columns == [*ORDERS.columns, "rate"]
    assert found["rate"].to_list() == [0.9, 1.0, None, 1.0, 0.9]
    inner = carried_out(join_table, ORDERS, **options, how="inner")
    assert inner["id"].to_list() == [4, 1, 2, 5]
    new = carried_out(join_table, ORDERS, **options | {"columns": {"day": "weekday"}})
    assert new.columns == [*ORDERS.columns, "weekday"]
    all_ = carried_out(join_table, ORDERS, **options | {"columns": None}, suffix="_rates")
    assert all_.columns == [*ORDERS.columns, "rate", "day_rates"]


def test_join_table_with_a_key_that_stands_twice(tmp_path):
    """Is an error that names it, or repeats rows in the file's order. Nulls harm nobody."""
    path = tmp_path / "r.parquet"
    file = pl.DataFrame({"currency": ["USD", "EUR", None, "USD", None], "n": [3, 1, 0, 2, 0]})
    file.write_parquet(path)
    plan = join_table(ORDERS.lazy(), file=path, on="currency")
    assert plan.collect_schema().names() == [*ORDERS.columns, "n"]
    message = r"r.parquet has the key 'USD' more than once: allow it with many = true"
    for engine in ("in-memory", "streaming"):
        with pytest.raises(ValueError, match=message):
            plan.collect(engine=engine)
        with pytest.raises(ValueError, match=message):
            plan.select("id").head(1).collect(engine=engine)
    found = carried_out(join_table, ORDERS, file=path, on="currency", many=True)
    pairs = found.select("id", "n").rows()
    assert pairs == [(4, 3), (4, 2), (1, 1), (3, None), (2, 1), (5, 3), (5, 2)]
    file[1:4].write_parquet(path)
    assert carried_out(join_table, ORDERS, file=path, on="currency")["n"].to_list() == [
        2,
        1,
        None,
        1,
        2,
    ]


def test_join_table_on_several_keys(tmp_path):
    """All have to match, and only all of them have to be unique."""
    path = tmp_path / "r.csv"
    path.write_text("when,what,n\n2020-01-01,EUR,1\n2020-01-03,EUR,2\n2020-01-03,USD,3\n")
    found = carried_out(
        join_table, ORDERS, file=path, on=["currency", "day"], file_on=["what", "when"]
    )
    assert found["n"].to_list() == [3, 1, None, 1, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "currency"}, "has no column 'currency'; it has code, rate, day"),
        ({"on": "currency", "file_on": "code", "columns": ["zap"]}, "has no column 'zap'"),
        ({"on": "currency", "file_on": ["code", "day"]}, "'on' names 1 columns, and 'file_on' 2"),
        ({"on": "late", "file_on": "code"}, "column 'late' is bool in the table"),
        ({"on": "currency", "file_on": "code"}, "column 'day' is in the table already: give it"),
        (
            {"on": "currency", "file_on": "code", "columns": {"day": "x", "rate": "x"}},
            "two columns of the result would be named 'x'",
        ),
        ({"on": []}, "'on' must name at least one column"),
    ],
)
def test_join_table_says_what_is_wrong_without_rows(rates, options, message):
    """A plan finds it."""
    with pytest.raises(ValueError, match=message):
        join_table(ORDERS.clear().lazy(), file=rates, **options)


def test_names_are_names_and_no_patterns(tmp_path):
    """Polars takes `^a.*$` for a pattern."""
    frame = pl.DataFrame({"^a.*$": [2, 1, 1], "ab": [1, 1, 2], "*": ["x", "y", "x"]})
    name = "^a.*$"
    assert carried_out(deduplicate, frame, by=[name]).height == 2
    assert carried_out(sort, frame, by=[name])["ab"].to_list() == [1, 2, 1]
    found = carried_out(aggregate, frame, by=["*"], sum={name: "^b.*$"}, count="*b")
    assert found.rows() == [("x", 2, 3), ("y", 1, 1)]
    found = carried_out(
        pivot, frame, on="*", columns=["x", "y"], index=[name], values="ab", aggregate="sum"
    )
    assert found.rows() == [(2, 1, 0), (1, 2, 1)]
    path = tmp_path / "r.parquet"
    frame[:2].write_parquet(path)
    found = carried_out(join_table, frame, file=path, on=name, columns={"*": "^z$"})
    assert found["^z$"].to_list() == ["x", "y", "y"]


KEYS = st.sampled_from([None, "a", "b", "é"])
NUMBERS = st.none() | st.integers(-(2**40), 2**40)
FLOATS = st.sampled_from([None, 0.0, -0.0, 0.5, -2.0, math.inf])
DECIMALS = st.none() | st.decimals(-1000, 1000, places=2)
ROWS = st.lists(st.tuples(KEYS, NUMBERS, FLOATS, DECIMALS), max_size=12)
SCHEMA = {"k": pl.String, "n": pl.Int64, "f": pl.Float64, "d": pl.Decimal(9, 2)}


def frame_of(rows):
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def grouped_rows(rows):
    groups = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    return groups


@given(ROWS)
def test_aggregate_against_plain_python(rows):
    """Each function, with nulls among keys and values."""
    found = aggregate(
        frame_of(rows).lazy(),
        by=["k"],
        count={"n": "count"},
        n_unique=["n"],
        sum=["n", "d"],
        mean=["n"],
        min=["n"],
        max=["f"],
        first=["d"],
        last=["n"],
    ).collect()
    expected = []
    for key, group in grouped_rows(rows).items():
        numbers = [row[1] for row in group if row[1] is not None]
        expected.append(
            (
                key,
                len(numbers),
                len(set(numbers)),
                sum(numbers),
                sum((row[3] for row in group if row[3] is not None), Decimal(0)),
                pytest.approx(sum(numbers) / len(numbers), abs=1e-3) if numbers else None,
                min(numbers, default=None),
                max((row[2] for row in group if row[2] is not None), default=None),
                group[0][3],
                group[-1][1],
            )
        )
    assert found.rows() == expected


@given(ROWS, st.sampled_from(["first", "last"]))
@example([("a", 1, 0.0, None), ("a", 1, -0.0, None)], "last")
def test_deduplicate_against_plain_python(rows, keep):
    """By all columns and by one."""
    for by in (None, ["k"], ["n", "f"]):
        found = deduplicate(frame_of(rows).lazy(), by=by, keep=keep).collect()
        positions = [list(SCHEMA).index(name) for name in by or SCHEMA]
        kept, seen = [], set()
        for row in rows if keep == "first" else reversed(rows):
            key = tuple(row[position] for position in positions)
            if key not in seen:
                seen.add(key)
                kept.append(row)
        assert found.rows() == (kept if keep == "first" else kept[::-1])


@given(ROWS, st.lists(st.booleans(), min_size=2, max_size=2), st.booleans())
def test_sort_against_plain_python(rows, descending, nulls_last):
    """Python's own sort is stable as well."""
    found = sort(
        frame_of(rows).lazy(), by=["k", "f"], descending=descending, nulls_last=nulls_last
    ).collect()
    expected = list(enumerate(rows))
    for position, reverse in ((2, descending[1]), (0, descending[0])):
        present = [row for row in expected if row[1][position] is not None]
        absent = [row for row in expected if row[1][position] is None]
        present.sort(key=lambda row: row[1][position], reverse=reverse)
        expected = present + absent if nulls_last else absent + present
    assert found.rows() == [row for _, row in expected]


SCRIPT = """
import hashlib, polars as pl
from stagepipe.builtin.table_steps import aggregate, deduplicate, join_table, pivot, sort
n = 200_000
frame = pl.DataFrame({"row": range(n)}).with_columns(
    k=pl.col("row") * 7919 % 1000, v=pl.col("row") * 104729 % 10007, h=pl.col("row") % 3
)
frame.select("k", w="v").unique("k", keep="first", maintain_order=True).write_parquet("r.parquet")
for engine in ("in-memory", "streaming"):
    for result in (
        aggregate(frame.lazy(), by=["k"], sum=["v"], first=["row"], median=["v"]),
        deduplicate(frame.lazy(), by=["k", "v"], keep="last"),
        sort(frame.lazy(), by=["v"], descending=True),
        pivot(frame.lazy(), on="h", columns=[0, 1, 2], index=["k"], values="v", aggregate="last"),
        join_table(frame.lazy(), file=__import__("pathlib").Path("r.parquet"), on="k"),
    ):
        text = result.collect(engine=engine).write_csv()
        print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_number_of_threads_does_not_matter(tmp_path):
    """Nor the engine: the same rows in the same order, of a table of some size."""
    printed = []
    for threads in ("1", "4"):
        environment = os.environ | {"POLARS_MAX_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        printed.append(done.stdout.split())
    assert printed[0] == printed[1]
    assert printed[0][:5] == printed[0][5:]


def test_each_step_is_known_by_its_name():
    """Has help, needs the whole table, and options that pydantic understands."""
    assert set(TABLE_STEPS) == {"deduplicate", "sort", "aggregate", "pivot", "join_table"}
    for name, function in TABLE_STEPS.items():
        mark = getattr(function, MARK)
        assert (mark.name, mark.scope) == (name, "all")
        assert mark.reshapes == (name in {"aggregate", "pivot", "join_table"})
        where = StepName(name, function.__module__, function.__qualname__, None)
        step = Step(where, function, mark, "test")
        assert step.summary
        assert step.options_model.model_fields


def test_options_are_checked_from_a_pipeline_file():
    """What TOML gives is taken as it is."""

    def options(name, given):
        function = TABLE_STEPS[name]
        mark = getattr(function, MARK)
        where = StepName(name, function.__module__, function.__qualname__, None)
        model = Step(where, function, mark, "test").options_model.model_validate(given)
        return {
            field.alias: getattr(model, key)
            for key, field in type(model).model_fields.items()
            if field.alias in given
        }

    for name, given_ in (
        ("aggregate", {"by": ["k"], "sum": ["a"], "max": {"a": "b"}, "count": "n"}),
        ("aggregate", {"count": ["n"]}),
        ("pivot", {"on": "a", "columns": [1, 2], "index": ["b"], "values": "c"}),
        ("pivot", {"on": "a", "columns": ["1"], "index": ["b"], "values": "c"}),
        ("sort", {"by": ["a"], "descending": [True]}),
    ):
        assert options(name, given_) == given_
