"""The built-in steps, each on a small table."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stagepipe.builtin.steps import STEPS, derive, filter, join, rename, select, strip_text

FLIGHTS = pl.DataFrame(
    {
        "flight": [3, 1, 2, 4],
        "carrier": ["UA", "AA", None, "ZZ"],
        "day": [date(2013, 1, 2), date(2013, 1, 1), date(2013, 1, 2), None],
        "zip": ["08123", "8123", "1", None],
    }
)


@pytest.fixture
def airlines(tmp_path):
    path = tmp_path / "airlines.csv"
    path.write_text(
        "code,title,zip,fleet,carrier\n"
        'AA,American,08123,12,x\nUA,"United, Inc",8123,n/a,y\n,none,,1,z\n'
    )
    return path


def test_strip_text():
    """All text columns, or the named ones; other types stay as they are."""
    frame = pl.DataFrame({"a": [" x\t", None, ""], "b": ["\ny ", " ", "é "], "n": [1, 2, 3]})
    assert strip_text(frame).rows() == [("x", "y", 1), (None, "", 2), ("", "é", 3)]
    assert strip_text(frame, columns=["a"]).rows() == [
        ("x", "\ny ", 1),
        (None, " ", 2),
        ("", "é ", 3),
    ]


def test_rename_and_select():
    """Order and values stay; a column that is not there is an error."""
    assert rename(FLIGHTS, columns={"zip": "code"}).columns == ["flight", "carrier", "day", "code"]
    assert select(FLIGHTS, columns=["zip", "flight"]).columns == ["zip", "flight"]
    for step, options in ((rename, {"columns": {"x": "y"}}), (select, {"columns": ["x"]})):
        with pytest.raises(pl.exceptions.ColumnNotFoundError):
            step(FLIGHTS, **options)


@pytest.mark.parametrize(
    ("expression", "flights"),
    [
        ("flight > 1", [3, 2, 4]),
        ("flight > 1 AND carrier <> 'ZZ'", [3]),
        ("carrier IS NULL", [2]),
        ("day >= DATE '2013-01-02'", [3, 2]),
        ("carrier IN ('AA', 'UA') OR zip = '1'", [3, 1, 2]),
    ],
)
def test_filter(expression, flights):
    """Rows for which the expression is true stay, in order; null is not true."""
    assert filter(FLIGHTS, expression=expression)["flight"].to_list() == flights


def test_derive():
    """A new column comes last, one that is there is replaced where it stands."""
    longer = derive(FLIGHTS, column="twice", expression="flight * 2")
    assert longer.columns == [*FLIGHTS.columns, "twice"]
    assert longer["twice"].to_list() == [6, 2, 4, 8]
    same = derive(FLIGHTS, column="flight", expression="flight + 1")
    assert same.columns == FLIGHTS.columns
    assert same["flight"].to_list() == [4, 2, 3, 5]


@pytest.mark.parametrize(
    ("how", "flights", "titles"),
    [
        ("left", [3, 1, 2, 4], ["United, Inc", "American", None, None]),
        ("inner", [3, 1], ["United, Inc", "American"]),
        ("semi", [3, 1], None),
        ("anti", [2, 4], None),
    ],
)
def test_join_keeps_the_order_and_knows_four_ways(airlines, how, flights, titles):
    """What has no match stays with nulls, goes, or is all that stays; a null matches nothing."""
    options = {} if titles is None else {"columns": ["title"]}
    joined = join(FLIGHTS, file=airlines, on="carrier", file_on="code", how=how, **options)
    assert joined["flight"].to_list() == flights
    assert joined.columns == [*FLIGHTS.columns, *options.get("columns", [])]
    assert titles is None or joined["title"].to_list() == titles


def test_join_keeps_the_order_of_many_rows(tmp_path):
    """Also of far more rows than the reference has."""
    path = tmp_path / "r.csv"
    path.write_text("k,v\n" + "".join(f"{n},{n * n}\n" for n in range(50)))
    frame = pl.DataFrame({"k": [(n * 7919) % 60 for n in range(5000)], "row": range(5000)})
    joined = join(frame, file=path, on="k")
    assert joined["row"].to_list() == list(range(5000))
    assert joined["v"].to_list() == [k * k if k < 50 else None for k in frame["k"]]


def test_join_takes_columns_under_new_names(airlines):
    """By the file's name; all but the keys when nothing is said."""
    joined = join(FLIGHTS, file=airlines, on="carrier", file_on="code", columns={"carrier": "mark"})
    assert joined["mark"].to_list() == ["y", "x", None, None]
    frame = FLIGHTS.select("flight", code="carrier")
    assert join(frame, file=airlines, on="code").columns == [
        "flight",
        "code",
        "title",
        "zip",
        "fleet",
        "carrier",
    ]


def test_join_on_several_keys(tmp_path):
    """All have to match."""
    path = tmp_path / "weather.csv"
    path.write_text("when,who,wind\n2013-01-02,UA,5\n2013-01-01,UA,6\n2013-01-02,AA,7\n")
    joined = join(FLIGHTS, file=path, on=["carrier", "day"], file_on=["who", "when"])
    assert joined["wind"].to_list() == [5, None, None, None]


def test_join_reads_keys_and_numbers_as_they_are_written(airlines):
    """`08123` is no number: it keeps its zero, as a key and as a value."""
    joined = join(FLIGHTS, file=airlines, on="zip", columns=["title"])
    assert joined["title"].to_list() == ["American", "United, Inc", None, None]
    joined = join(FLIGHTS, file=airlines, on="carrier", file_on="code", columns={"zip": "z"})
    assert joined["z"].to_list() == ["8123", "08123", None, None]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "-2", ""], [1, -2, None]),
        (["1.5", "2"], [1.5, 2.0]),
        (["0.5", "-0.25"], [0.5, -0.25]),
        (["48.053808600000004"], [48.053808600000004]),
        (["12345678901234567890"], ["12345678901234567890"]),
        (["1.5", "12345678901234567890"], ["1.5", "12345678901234567890"]),
        (["01", "2"], ["01", "2"]),
        (["01.5", "2"], ["01.5", "2"]),
        (["true", "false"], ["true", "false"]),
        (["1.10", "1.1"], ["1.10", "1.1"]),
        (["9007199254740993", "0.5"], ["9007199254740993", "0.5"]),
        (["1e-400", "0.5"], ["1e-400", "0.5"]),
    ],
)
def test_join_takes_for_a_number_only_what_comes_back(tmp_path, texts, values):
    """Digits are never lost."""
    path = tmp_path / "r.csv"
    path.write_text("k,v\n" + "".join(f"{n},{text}\n" for n, text in enumerate(texts)))
    joined = join(pl.DataFrame({"k": range(len(texts))}), file=path, on="k")
    assert joined["v"].to_list() == values


def test_join_null_values(airlines):
    """Words that mean nothing, beside the empty cell."""
    how = {"file": airlines, "on": "carrier", "file_on": "code", "columns": ["fleet"]}
    assert join(FLIGHTS, **how)["fleet"].to_list() == ["n/a", "12", None, None]
    assert join(FLIGHTS, **how, null_values=["n/a"])["fleet"].to_list() == [None, 12, None, None]


@pytest.mark.parametrize("kind", [pl.Int8, pl.Int64, pl.UInt32, pl.UInt64])
def test_join_on_integers_of_any_width(tmp_path, kind):
    """The file's keys need not fit the table's type."""
    path = tmp_path / "r.csv"
    path.write_text("k,v\n1,a\n300,b\n")
    joined = join(pl.DataFrame({"k": [1, 2]}, schema={"k": kind}), file=path, on="k")
    assert joined.rows() == [(1, "a"), (2, None)]


def test_join_with_a_parquet_file(tmp_path):
    """Its types are what they are."""
    path = tmp_path / "r.parquet"
    pl.DataFrame({"carrier": ["AA"], "n": [date(2013, 1, 1)]}).write_parquet(path)
    assert join(FLIGHTS, file=path, on="carrier")["n"].to_list() == [
        None,
        date(2013, 1, 1),
        None,
        None,
    ]
    with pytest.raises(ValueError, match="column 'flight' is Int64 in the table, but 'carrier' is"):
        join(FLIGHTS, file=path, on="flight", file_on="carrier")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"on": "carrier"}, ValueError, "column 'title' is in|column 'zip' is in"),
        ({"on": "zap"}, pl.exceptions.ColumnNotFoundError, 'column "zap"'),
        (
            {"on": "carrier", "file_on": "zap"},
            ValueError,
            "airlines.csv has no column 'zap'; it has",
        ),
        ({"on": "zip", "columns": ["zap"]}, ValueError, "no column 'zap'"),
        ({"on": "flight", "file_on": "code"}, ValueError, "key of type int64, and 'AA' is none"),
        ({"on": "day", "file_on": "title"}, ValueError, "key of type date, and 'American' is none"),
        ({"on": ["carrier", "zip"], "file_on": "code"}, ValueError, "'on' names 2 columns"),
    ],
)
def test_join_says_what_is_wrong(airlines, options, error, message):
    """Each message names the file's or the table's column."""
    with pytest.raises(error, match=message):
        join(FLIGHTS, file=airlines, **options)


def test_join_refuses_keys_that_stand_twice(tmp_path):
    """A row would come out twice; missing keys match nothing, and harm nobody."""
    path = tmp_path / "r.csv"
    path.write_text("carrier,n\nAA,1\nUA,2\nAA,3\n")
    with pytest.raises(ValueError, match=r"r.csv has the key \('AA',\) more than once"):
        join(FLIGHTS, file=path, on="carrier")
    path.write_text("carrier,n\nAA,1\n,2\n,3\n")
    assert join(FLIGHTS, file=path, on="carrier")["n"].to_list() == [None, 1, None, None]


def test_join_sees_a_changed_file(tmp_path):
    """What was read is kept only as long as the file is the same."""
    path = tmp_path / "r.csv"
    path.write_text("carrier,n\nAA,1\n")
    assert join(FLIGHTS, file=path, on="carrier")["n"].to_list()[1] == 1
    path.write_text("carrier,n\nAA,22\n")
    assert join(FLIGHTS, file=path, on="carrier")["n"].to_list()[1] == 22


def test_steps_take_tables_without_rows(airlines):
    """A plan tries them so; types come out as with rows."""
    empty = FLIGHTS.clear()
    for options in ({"on": "carrier", "file_on": "code", "columns": ["title", "fleet"]},):
        full = join(FLIGHTS, file=airlines, **options)
        assert_frame_equal(join(empty, file=airlines, **options), full.clear())
    assert strip_text(empty).schema == FLIGHTS.schema
    assert filter(empty, expression="flight > 1").schema == FLIGHTS.schema


def test_each_step_is_registered_under_its_name():
    """And has help."""
    assert set(STEPS) == {"strip_text", "rename", "select", "filter", "derive", "join"}
    assert all(step.__doc__ for step in STEPS.values())
