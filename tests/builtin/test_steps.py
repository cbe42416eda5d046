"""The built-in steps, each on a small table."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stagepipe.builtin.steps import (
    STEPS,
    cast,
    derive,
    drop,
    fill,
    filter,
    join,
    rename,
    select,
    strip_text,
    unpivot,
)

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
    ("columns", "message"),
    [
        ({"flight": ""}, "the name of a column must not be empty"),
        ({"flight": "day"}, "two columns of the result would be named 'day': give one"),
        ({"flight": "x", "zip": "x"}, "two columns of the result would be named 'x': give one"),
        ({}, "'columns' must name at least one column"),
    ],
)
def test_rename_says_what_is_wrong(columns, message):
    """Before there are rows, and in our words. Two names may change places."""
    with pytest.raises(ValueError, match=message):
        rename(FLIGHTS.clear(), columns=columns)
    swapped = rename(FLIGHTS, columns={"day": "zip", "zip": "day"})
    assert swapped.columns == ["flight", "carrier", "zip", "day"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "'expression' must not be empty"),
        (" ", "'expression' must not be empty"),
        ("flight +", "'flight \\+' is no expression of polars SQL$"),
        ("SELECT 1", "'SELECT 1' is no expression of polars SQL: expected an expression"),
    ],
)
def test_a_text_that_is_no_expression_is_named(expression, message):
    """In our words, as far as polars has none that help."""
    with pytest.raises(ValueError, match=message):
        filter(FLIGHTS, expression=expression)


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


def test_join_adds_a_suffix_to_names_that_are_taken(airlines):
    """Only to these."""
    frame = FLIGHTS.select("flight", "carrier", code="carrier")
    joined = join(frame, file=airlines, on="code", columns=["carrier", "title"], suffix="_file")
    assert joined.columns == ["flight", "carrier", "code", "carrier_file", "title"]


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
    with pytest.raises(
        ValueError, match="column 'flight' is int64 in the table, but 'carrier' is string"
    ):
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
    with pytest.raises(ValueError, match=r"r.csv has the key 'AA' more than once"):
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


def test_drop():
    """What is left keeps its order."""
    assert drop(FLIGHTS, columns=["day", "flight"]).columns == ["carrier", "zip"]
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match='column "zap"'):
        drop(FLIGHTS, columns=["zap"])
    with pytest.raises(ValueError, match="'columns' names all columns"):
        drop(FLIGHTS, columns=FLIGHTS.columns)
    for columns in ([], ["day", "day"]):
        with pytest.raises(ValueError, match="'columns' must name at least one column"):
            drop(FLIGHTS, columns=columns)


BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2020, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "word", "expected"),
    [
        ("12", "int64", 12),
        ("-7", "int8", -7),
        ("1.50", "decimal(12,2)", Decimal("1.50")),
        ("1e400", "string", "1e400"),
        ("0.1", "float64", 0.1),
        ("TRUE", "bool", True),
        ("2020-02-29", "date", date(2020, 2, 29)),
        ("10:00:00.5", "time", time(10, 0, 0, 500_000)),
        ("2020-07-01 12:00:00", "datetime", datetime(2020, 7, 1, 12)),
        ("2020-07-01T12:00:00Z", "datetime(UTC)", NOON),
        (3, "uint8", 3),
        (3, "float64", 3.0),
        (3, "decimal(12,2)", Decimal("3.00")),
        (1, "bool", True),
        (True, "int64", 1),
        (3.0, "int64", 3),
        (0.555, "decimal(12,1)", Decimal("0.6")),
        (Decimal("1.50"), "decimal(4,1)", Decimal("1.5")),
        (Decimal("2.00"), "int32", 2),
        (Decimal("0.10"), "float64", 0.1),
        (date(2020, 7, 1), "datetime", datetime(2020, 7, 1)),
        (date(2020, 7, 1), "datetime(Europe/Berlin)", datetime(2020, 7, 1, tzinfo=BERLIN)),
        (datetime(2020, 7, 1, 9), "date", date(2020, 7, 1)),
        (datetime(2020, 7, 1, 9), "time", time(9)),
        (datetime(2020, 7, 1, 9), "datetime(UTC)", datetime(2020, 7, 1, 9, tzinfo=UTC)),
        (NOON, "datetime(Europe/Berlin)", datetime(2020, 7, 1, 14, tzinfo=BERLIN)),
        (date(2020, 7, 1), "string", "2020-07-01"),
        (1.5, "string", "1.5"),
    ],
)
def test_cast(value, word, expected):
    """Beside nulls, among others of the kind, and in a table of its own."""
    frame = pl.DataFrame({"a": [None, value, None, value], "b": range(4)})
    assert cast(frame, columns={"a": word}).rows() == [
        (None, 0),
        (expected, 1),
        (None, 2),
        (expected, 3),
    ]
    empty = cast(frame.clear(), columns={"a": word})
    assert empty.schema == cast(frame, columns={"a": word}).schema
    assert cast(frame.head(1), columns={"a": word}).schema == empty.schema


def test_cast_goes_by_the_clock_of_the_zone():
    """Polars goes by that of UTC."""
    late = datetime(2020, 7, 1, 23, 30, tzinfo=UTC)
    frame = pl.DataFrame({"at": [late]}, schema={"at": pl.Datetime("us", "Europe/Berlin")})
    for word, expected in (
        ("date", date(2020, 7, 2)),
        ("time", time(1, 30)),
        ("datetime", datetime(2020, 7, 2, 1, 30)),
        ("datetime(UTC)", late),
    ):
        assert cast(frame, columns={"at": word}).item() == expected


@pytest.mark.parametrize(
    ("value", "word", "message"),
    [
        ("x", "int64", "'x' does not fit int64"),
        ("", "int64", "'' does not fit int64"),
        ("300", "uint8", "'300' does not fit uint8"),
        ("0x1A", "int64", "'0x1A' does not fit int64"),
        ("1\n2", "int64", r"'1\\n2' does not fit int64"),
        ("1.005", "decimal(12,2)", r"'1.005' does not fit decimal\(12,2\)"),
        ("12345678901", "decimal(12,2)", r"'12345678901' does not fit decimal\(12,2\)"),
        ("1e400", "float64", "'1e400' does not fit float64"),
        ("2020-1-1", "date", "'2020-1-1' does not fit date"),
        ("2020-07-01 12:00:00", "datetime(UTC)", "'2020-07-01 12:00:00' does not fit"),
        ("yes", "bool", "'yes' does not fit bool"),
        (300, "int8", "300 does not fit int8"),
        (2, "bool", "2 does not fit bool"),
        (2**53 + 1, "float64", "9007199254740993 does not fit float64"),
        (1.5, "int64", "1.5 does not fit int64"),
        (float("nan"), "int64", "nan does not fit int64"),
        (1e300, "float32", r"1e\+300 does not fit float32"),
        (Decimal("1.75"), "int64", "1.75 does not fit int64"),
        (Decimal("1.75"), "decimal(4,1)", r"1.75 does not fit decimal\(4,1\)"),
        (datetime(2020, 10, 25, 2, 30), "datetime(Europe/Berlin)", "2020-10-25 02:30:00 does not"),
    ],
)
def test_cast_names_the_first_value_that_does_not_fit(value, word, message):
    """No value becomes nothing, or another one, in silence."""
    with pytest.raises(ValueError, match=f"column 'a': {message}"):
        cast(pl.DataFrame({"a": [None, value, value]}), columns={"a": word})


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({}, ValueError, "must name at least one column"),
        ({"zap": "int64"}, pl.exceptions.ColumnNotFoundError, 'column "zap"'),
        ({"zip": "int46"}, ValueError, "'int46' is not a type; did you mean 'int64'?"),
        ({"zip": "money"}, ValueError, "'money' is not a type; the types are int8, "),
        ({"zip": "decimal(39,2)"}, ValueError, "decimal has 1 to 38 digits"),
        ({"zip": "decimal(2,3)"}, ValueError, "no more of them behind the point"),
        ({"zip": "datetime(Berlin)"}, ValueError, "there is no such time zone"),
        ({"day": "int64"}, ValueError, "'day' is date, and that cannot become int64"),
        ({"flight": "date"}, ValueError, "'flight' is int64, and that cannot become date"),
    ],
)
def test_cast_says_what_is_wrong_without_rows(columns, error, message):
    """A plan finds it."""
    for frame in (FLIGHTS, FLIGHTS.clear()):
        with pytest.raises(error, match=message):
            cast(frame, columns=columns)


@given(st.lists(st.none() | st.decimals(-(10**7), 10**7, places=2)))
def test_cast_there_and_back(values):
    """Text becomes decimals and is text again."""
    texts = [None if value is None else str(value) for value in values]
    frame = pl.DataFrame({"a": texts}, schema={"a": pl.String})
    decimals = cast(frame, columns={"a": "decimal(12,2)"})
    assert decimals["a"].to_list() == values
    back = cast(decimals, columns={"a": "string"})["a"].to_list()
    assert back == [None if text is None else text.replace("-0.00", "0.00") for text in texts]


def test_fill():
    """Only nulls; the types stay."""
    frame = pl.DataFrame(
        {
            "word": ["x", None, ""],
            "n": [1, None, 3],
            "price": [Decimal("1.50"), None, None],
            "x": [None, float("nan"), 1.0],
            "day": [None, date(2020, 1, 1), None],
            "no": [None, None, None],
        },
        schema_overrides={"n": pl.Int8, "price": pl.Decimal(12, 2), "no": pl.Boolean},
    )
    nulls = {"word": "-", "n": 0, "price": 0.1, "x": 2, "day": "2021-01-01", "no": False}
    filled = fill(frame, nulls=nulls)
    assert filled.schema == frame.schema
    assert filled["word"].to_list() == ["x", "-", ""]
    assert filled["n"].to_list() == [1, 0, 3]
    assert filled["price"].to_list() == [Decimal("1.50"), Decimal("0.10"), Decimal("0.10")]
    assert filled["x"].to_list()[::2] == [2.0, 1.0]
    assert filled["day"].to_list() == [date(2021, 1, 1), date(2020, 1, 1), date(2021, 1, 1)]
    assert filled["no"].to_list() == [False] * 3
    assert_frame_equal(fill(frame.clear(), nulls=nulls), frame.clear())
    assert fill(frame, nulls={"day": date(2022, 1, 1)})["day"][0] == date(2022, 1, 1)


@pytest.mark.parametrize(
    ("nulls", "message"),
    [
        ({}, "'nulls' must name at least one column"),
        ({"flight": 1.5}, "column 'flight': 1.5 does not fit int64"),
        ({"flight": "x"}, "column 'flight': 'x' does not fit int64"),
        ({"carrier": 1}, "column 'carrier' is string: write 1 in quotes"),
        ({"day": 1}, "column 'day' is int64, and that cannot become date"),
    ],
)
def test_fill_says_what_is_wrong_without_rows(nulls, message):
    """A constant has to be of its column's type."""
    for frame in (FLIGHTS, FLIGHTS.clear()):
        with pytest.raises(ValueError, match=message):
            fill(frame, nulls=nulls)


def test_unpivot():
    """The rows of one row stand together, so that it does not matter how a table was cut."""
    frame = pl.DataFrame({"id": ["p", "q"], "a": [1, 2], "b": [3, None], "c": [5, 6]})
    long = unpivot(frame, columns=["b", "a"], index=["id"])
    assert long.columns == ["id", "variable", "value"]
    assert long.rows() == [("p", "b", 3), ("p", "a", 1), ("q", "b", None), ("q", "a", 2)]
    parts = [unpivot(frame[row], columns=["b", "a"], index=["id"]) for row in (0, 1)]
    assert_frame_equal(pl.concat(parts), long)
    assert unpivot(frame, columns=["b", "a"]).columns == ["id", "c", "variable", "value"]
    named = unpivot(frame, columns=["a"], index=[], variable_name="what", value_name="n")
    assert named.rows(named=True)[0] == {"what": "a", "n": 1}
    assert_frame_equal(unpivot(frame.clear(), columns=["a"], index=["id"]), long.clear())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": []}, "'columns' must name at least one column"),
        ({"columns": ["zip", "zip"]}, "and each once"),
        ({"columns": ["zip"], "index": ["day", "day"]}, "'index' must name"),
        ({"columns": ["zip", "flight"]}, "column 'zip' is string, and 'flight' is int64: cast"),
        ({"columns": ["zip"], "value_name": "day"}, "two columns .* named 'day': choose another"),
        ({"columns": ["zip"], "value_name": ""}, "must not be empty"),
    ],
)
def test_unpivot_says_what_is_wrong(options, message):
    """Without rows."""
    with pytest.raises(ValueError, match=message):
        unpivot(FLIGHTS.clear(), **options)


def test_names_are_names_and_no_patterns():
    """Polars takes `^a.*$` for a pattern."""
    frame = pl.DataFrame({"^a.*$": [None, "1"], "ab": ["x", None]})
    assert drop(frame, columns=["^a.*$"]).columns == ["ab"]
    assert select(frame, columns=["^a.*$"]).columns == ["^a.*$"]
    assert strip_text(frame.with_columns(ab=pl.lit(" x ")), columns=["^a.*$"])["ab"][0] == " x "
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        select(frame, columns=["*"])
    assert fill(frame, nulls={"^a.*$": "2"}).rows() == [("2", "x"), ("1", None)]
    assert cast(frame, columns={"^a.*$": "int64"}).rows() == [(None, "x"), (1, None)]
    assert unpivot(frame, columns=["^a.*$"]).columns == ["ab", "variable", "value"]


@pytest.mark.parametrize("kind", [pl.String, pl.Int64, pl.Date])
def test_columns_of_a_csv_reference_are_no_patterns(tmp_path, kind):
    """Neither its keys nor what is taken from it, whatever the types."""
    path = tmp_path / "r.csv"
    text = "2013-01-01" if kind == pl.Date else "1"
    path.write_text(f"^a.*$,^b.*$,ab\n{text},5,x\n")
    frame = pl.DataFrame({"^a.*$": [date(2013, 1, 1) if kind == pl.Date else 1]}).cast(kind)
    found = join(frame, file=path, on="^a.*$")
    assert found.rows() == [(*frame.row(0), 5, "x")]
    path.write_text("^a.*$\n \n")
    if kind != pl.String:
        with pytest.raises(ValueError, match=r"column '\^a\.\*\$' of r.csv is a key of type"):
            join(frame, file=path, on="^a.*$")


def test_each_step_is_registered_under_its_name():
    """And has help."""
    assert set(STEPS) == {
        *("strip_text", "rename", "select", "drop", "cast", "fill"),
        *("filter", "derive", "join", "unpivot"),
    }
    assert all(step.__doc__ for step in STEPS.values())
