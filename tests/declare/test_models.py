"""Pipelines built in Python."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from stagepipe.declare import (
    Budget,
    Column,
    CsvDialect,
    Errors,
    Limit,
    Pipeline,
    Schema,
    Sink,
    Source,
    Stage,
    Use,
)
from stagepipe.errors import PipelineError


def pipeline(**words):
    """Build a pipeline that is right, but for the words."""
    right = {
        "name": "orders",
        "sources": [Source(name="acme", files="*.csv")],
        "schema": Schema(columns={"id": "int64"}),
        "stages": [Stage(name="parse")],
    }
    return Pipeline(**right | words)


def faults(make):
    """Give the messages of what `make` raises."""
    with pytest.raises(PipelineError) as caught:
        make()
    return [str(fault) for fault in caught.value.faults]


def test_defaults():
    """What is left out has the defaults that the design names."""
    made = pipeline(folder=Path("/data"))
    assert (made.jobs, made.chunk_size, made.executor) == (0, 32_000_000, "processes")
    assert made.output_path == Path("/data/out")
    assert made.state_path == Path("/data/.stagepipe")
    assert made.spool_path == Path("/data/.stagepipe/spool")
    assert made.errors == Errors(max_rejected=Budget(share=0.1), max_dead=0)
    dialect = made.sources[0].csv
    assert dialect == CsvDialect(null_values=[""])
    left_out = (dialect.delimiter, dialect.quote, dialect.encoding, dialect.skip_lines)
    assert left_out == (None,) * 4, "each file tells"
    assert made.schema_.extra_columns == made.schema_.missing_columns == "refuse"
    assert pipeline().folder == Path.cwd()
    assert pipeline(spool="/fast", folder="x").spool_path == Path("/fast")
    assert pipeline(folder="x").folder == Path.cwd() / "x"


def test_units_and_short_forms():
    """Units, single values and short forms are taken as in the file."""
    made = pipeline(
        chunk_size="1MiB",
        sources=(Source(name=n, files=[Path(n)], start_delay="200ms") for n in ("a", "b")),
        stages=[Stage(name="s", steps=["strip", {"use": "join", "on": "x"}, Use("cut", at=3)])],
        errors={"max_rejected": 3},
    )
    assert made.chunk_size == 2**20
    assert [source.files for source in made.sources] == [("a",), ("b",)]
    assert made.sources[0].start_delay == 0.2
    assert made.stages[0].steps == (Use("strip"), Use("join", on="x"), Use("cut", at=3))
    assert made.stages[0].steps[2].options == {"at": 3}
    assert made.errors.max_rejected == Budget(count=3)


def test_frozen_and_pickled():
    """A pipeline cannot be changed, and crosses process borders."""
    made = pipeline(limits={"nas": Limit(max_concurrent=4)})
    with pytest.raises(ValidationError):
        made.name = "other"
    assert pickle.loads(pickle.dumps(made)) == made
    assert pickle.loads(pickle.dumps(made)).schema_.columns["id"].header == "id"


def test_header():
    """A column knows its name in the file, also when one column is used twice."""
    column = Column(type="string")
    schema = Schema(columns={"a": column, "b": column, "c": Column(type="date", name="C D")})
    assert [each.header for each in schema.columns.values()] == ["a", "b", "C D"]


def test_errors_of_a_stage():
    """A stage's budgets stand over the pipeline's, each for itself."""
    made = pipeline(
        errors=Errors(max_rejected="5%"),
        stages=[Stage(name="a"), Stage(name="b", errors=Errors(max_dead=2))],
    )
    assert made.errors_of(made.stages[0]) == made.errors
    assert made.errors_of(made.stages[1]) == Errors(max_rejected="5%", max_dead=2)


@pytest.mark.parametrize(
    ("kind", "words", "kept"),
    [
        ("int8", {"min": -128, "max": 127}, (-128, 127)),
        ("float64", {"min": 1, "max": 1.5}, (1.0, 1.5)),
        ("decimal(4,2)", {"min": 0.1, "max": "99.99"}, (Decimal("0.1"), Decimal("99.99"))),
        ("date", {"min": date(2024, 1, 1)}, (date(2024, 1, 1), None)),
        ("time", {"max": time(12)}, (None, time(12))),
        ("datetime", {"min": datetime(2024, 1, 1)}, (datetime(2024, 1, 1), None)),
        ("datetime(UTC)", {"max": datetime(2024, 1, 1, tzinfo=UTC)}, None),
    ],
)
def test_bounds(kind, words, kept):
    """Bounds are kept as values of the column's type."""
    column = Column(type=kind, **words)
    assert kept is None or ((column.min, column.max) == kept)
    assert [type(v) for v in (column.min, column.max)] == [
        type(v) for v in (kept or (column.min, column.max))
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"type": "int8", "min": 128}, "min in Column must be from -128 to 127"),
        ({"type": "int64", "min": True}, "must be a whole number, because the type is int64"),
        ({"type": "int64", "min": 1.0}, "must be a whole number"),
        ({"type": "float64", "max": "1"}, "must be a number"),
        ({"type": "float64", "max": float("nan")}, "must be a number"),
        ({"type": "float64", "max": 10**400}, "must be a number"),
        ({"type": "decimal(4,2)", "min": 0.001}, "a number that fits decimal(4,2), got 0.001"),
        ({"type": "decimal(4,2)", "min": 100}, "a number that fits decimal(4,2), got 100"),
        ({"type": "decimal(4,2)", "min": "x"}, "must be a number"),
        ({"type": "date", "min": datetime(2024, 1, 1)}, "must be a date, like 2024-12-31"),
        ({"type": "date", "min": "2024-01-01"}, "without quotes, got '2024-01-01'"),
        ({"type": "time", "min": time(1, tzinfo=UTC)}, "must be a time"),
        ({"type": "datetime", "min": datetime(2024, 1, 1, tzinfo=UTC)}, "without an offset"),
        ({"type": "datetime(UTC)", "min": datetime(2024, 1, 1)}, "with an offset"),
        ({"type": "string", "min": "a"}, "min in Column is only for numbers, dates and times"),
        ({"type": "bool", "max": True}, "max in Column is only for numbers"),
        ({"type": "int64", "min": 2, "max": 1}, "min in Column must not be above max: 2 > 1"),
        ({"type": "string", "one_of": ["a", 1]}, "one_of[1] in Column must be a string"),
        ({"type": "string", "one_of": []}, "one_of in Column must not be empty"),
        ({"type": "int64", "pattern": "x"}, "pattern in Column is only for strings"),
        ({"type": "date", "max_length": 1}, "max_length in Column is only for strings"),
        ({"type": "string", "pattern": "("}, "pattern in Column is no regular expression"),
        ({"type": "string", "min_length": -1}, "min_length in Column must be at least 0, got -1"),
        ({"type": "string", "min_length": 2, "max_length": 1}, "must not be above max_length"),
        ({"type": "strng"}, "type in Column: 'strng' is not a type; did you mean 'string'?"),
        ({}, "Column lacks 'type'"),
        ({"type": "string", "required": 1}, "required in Column must be true or false, got 1"),
    ],
)
def test_wrong_columns(words, message):
    """A column's checks must fit its type and each other."""
    (fault,) = faults(lambda: Column(**words))
    assert message in fault


def test_pattern_that_python_only_warns_of():
    """A pattern that Python merely finds odd is taken: RE2 judges it."""
    assert Column(type="string", pattern="[[a]").pattern == "[[a]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"files": "*.csv"}, "Source lacks 'name'"),
        ({"name": "a"}, "Source lacks 'files'"),
        ({"name": "a", "files": []}, "files in Source must not be empty"),
        ({"name": "a", "files": [""]}, "files[0] in Source: '' is not a path"),
        ({"name": "a", "files": 3}, "files in Source must be a list, got 3"),
        ({"name": "a/b", "files": "x"}, "name in Source: 'a/b' is not a name"),
        ({"name": ".a", "files": "x"}, "is not a name"),
        ({"name": "a" * 101, "files": "x"}, "a name has at most 100 characters"),
        ({"name": "a\n", "files": "x"}, "is not a name"),
        ({"name": "a", "files": "{source}/x"}, "name in Source cannot stand beside {source}"),
        ({"files": ["{source}/x", "y"]}, "has {source} in some paths, but not in 'y'"),
        ({"name": "a", "files": "x", "max_concurrent": 0}, "must be at least 1, got 0"),
        ({"name": "a", "files": "x", "max_concurrent": "2"}, "a whole number, got '2'"),
        ({"name": "a", "files": "x", "max_concurrent": True}, "a whole number, got true"),
        ({"name": "a", "files": "x", "max_concurent": 2}, "did you mean 'max_concurrent'?"),
        ({"name": "a", "files": "s3://b/x"}, "addresses are not available yet"),
        ({"name": "a", "files": "x", "csv": {"delimiter": '"'}}, "they must differ"),
        ({"name": "a", "files": "x", "csv": {"delimiter": ""}}, "'' is not one character"),
        ({"name": "a", "files": "x", "csv": {"delimiter": "a\n"}}, "a character that ends a line"),
        ({"name": "a", "files": "x", "csv": {"delimiter": '"|'}}, "they must differ"),
        ({"name": "a", "files": "x", "csv": {"quote": "''"}}, "is not one character"),
        ({"name": "a", "files": "x", "csv": {"escape": "é"}}, "is not one ASCII character"),
        ({"name": "a", "files": "x", "csv": {"escape": ","}}, "as the other of delimiter and"),
        ({"name": "a", "files": "x", "csv": {"comment": '#"'}}, "'\"' in it is the quote"),
        ({"name": "a", "files": "x", "csv": {"comment": ""}}, "must not be empty"),
        ({"name": "a", "files": "x", "csv": {"encoding": "cp1525"}}, "did you mean 'cp125"),
        ({"name": "a", "files": "x", "csv": {"encoding": "rot13"}}, "is no encoding of text"),
        ({"name": "a", "files": "x", "csv": {"encoding": "punycode"}}, "for names of hosts"),
        ({"name": "a", "files": "x", "csv": {"encoding": "x\0"}}, "is no encoding"),
        (
            {"name": "a", "files": "x", "csv": {"encoding": "ascii", "quote": "«"}},
            "quote in csv is '«', which is not in 'ascii'",
        ),
        ({"name": "a", "files": "x", "csv": {"header": -1}}, "-1 is not true, false or a number"),
        ({"name": "a", "files": "x", "csv": {"header": "no"}}, "'no' is not true, false or a"),
        ({"name": "a", "files": "x", "csv": 3}, "csv in Source must be a table, got 3"),
    ],
)
def test_wrong_sources(words, message):
    """A source has files and one name, and values that make sense."""
    (fault,) = faults(lambda: Source(**words))
    assert message in fault


def test_source_with_a_captured_name():
    """A source whose paths all have {source} in them needs no name."""
    source = Source(files=["{source}/a.csv", "b/{source}.csv"])
    assert source.name is None
    assert source.captures


def test_no_quoting():
    """An empty quote turns quoting off."""
    assert CsvDialect(quote="").quote == ""


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../x", "leaves the output folder"),
        ("a/../../x", "leaves the output folder"),
        ("/x", "is absolute"),
        (".", "is the output folder itself"),
        ("./", "is the output folder itself"),
        ("", "is the output folder itself"),
        ("a/.hidden", "begins with '.'"),
        ("a\0b", "is not a path"),
        (3, "must be a string, got 3"),
        ("a.csv", "ends like a file of 'csv', and 'use' is 'parquet'"),
    ],
)
def test_wrong_sink_paths(path, message):
    """A sink stays inside the output folder."""
    (fault,) = faults(lambda: Sink(path=path))
    assert message in fault


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"name": "a b"}, "name in Pipeline: 'a b' is not a name"),
        ({"jobs": -1}, "jobs in Pipeline must be at least 0, got -1"),
        ({"chunk_size": 0}, "chunk_size in Pipeline must be at least 1, got 0"),
        ({"chunk_size": "1XB"}, "chunk_size in Pipeline: '1XB' is not a size"),
        ({"sources": []}, "sources in Pipeline must not be empty"),
        ({"stages": []}, "stages in Pipeline must not be empty"),
        ({"schema": {"columns": {}}}, "columns in schema must not be empty"),
        ({"schema": {"columns": {"_record": "int8"}}}, "cannot be called '_record'"),
        ({"schema": {"columns": {"a": "int8", "b": {"type": "int8", "name": "a"}}}}, "as column"),
        ({"stages": [{"name": "a"}, {"name": "a"}]}, "name in stages[1] is 'a', as in another"),
        ({"sources": 2 * [Source(name="a", files="x")]}, "name in sources[1] is 'a', as in"),
        ({"sources": [Source(name="a", files="x", limits=["b"])]}, "declare it as [limit.b]"),
        (
            {
                "sources": [Source(name="a", files="x", limits=["b", "b"])],
                "limits": {"b": Limit(max_concurrent=4)},
            },
            "limits[1] in sources[0] names the limit 'b' a second time; name it once",
        ),
        ({"limits": {"a b": Limit(max_concurrent=1)}}, "'a b' is not a name"),
        ({"stages": [{"name": "a", "steps": [3]}]}, "must be the name of a step in quotes, or"),
        ({"stages": [{"name": "a", "steps": [{"on": 3}]}]}, "stages[0].steps[0] lacks 'use'"),
        ({"executor": "threads"}, "is 'threads', which is not available yet"),
        ({"jbos": 3}, "unknown key 'jbos' in Pipeline; did you mean 'jobs'?"),
    ],
)
def test_wrong_pipelines(words, message):
    """A pipeline's parts fit together, and the message says which does not."""
    (fault,) = faults(lambda: pipeline(**words))
    assert message in fault


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a"), ("a", "a/"), ("a", "a/b"), ("a/b", "a"), ("a//b", "a/b")]
)
def test_sinks_in_each_others_place(first, second):
    """No sink lies in another's place."""
    stages = [
        Stage(name=path.replace("/", "_") + str(n), sink=Sink(path=path))
        for n, path in enumerate((first, second))
    ]
    (fault,) = faults(lambda: pipeline(stages=stages))
    assert fault.startswith("path in stages[1].sink is ")


def test_sinks_beside_each_other():
    """Sinks whose names only begin alike are beside each other."""
    stages = [Stage(name=name, sink=Sink(path=name)) for name in ("a", "ab")]
    assert len(pipeline(stages=stages).stages) == 2


def test_all_faults_at_once():
    """One fault does not hide another."""
    found = faults(
        lambda: Pipeline(
            name="a b",
            sources=[{"name": "x", "files": 3, "limits": ["y"]}, {"name": "x", "use": "xml"}],
            stages=[{"name": "s", "sink": {"path": "../x", "on_existing": 3}}],
        )
    )
    assert sorted(found) == sorted(
        [
            "name in sources[1] is 'x', as in another source; give each source a name of its own",
            "limits[0] in sources[0] names the limit 'y', which is not declared;"
            " declare it as [limit.y]",
            "name in Pipeline: 'a b' is not a name: write letters, digits, '_', '-' and '.',"
            " beginning with a letter or a digit",
            "files in sources[0] must be a list, got 3",
            "use in sources[1] is 'xml', which is not available yet; for now it can be 'csv'",
            "sources[1] lacks 'files'",
            "Pipeline lacks 'schema'",
            "path in stages[0].sink is '../x', which leaves the output folder; leave '..' out",
            "on_existing in stages[0].sink must be 'error', 'replace' or 'append', got 3",
        ]
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"thousands": "."}, "is '.', as the decimal sign is; set decimal_comma = true"),
        ({"thousands": ",", "decimal_comma": True}, "thousands in CsvDialect is ',', as the"),
        ({"thousands": ".."}, "'..' is not one character that could stand between digits"),
        ({"thousands": "1"}, "'1' is not one character"),
        ({"thousands": "-"}, "'-' is not one character"),
        ({"thousands": ""}, "'' is not one character"),
        ({"true_values": []}, "true_values in CsvDialect must not be empty"),
        ({"true_values": ["y", "0"]}, "true_values[1] in CsvDialect is '0', which is one of false"),
        ({"false_values": ["1"]}, "is '1', which is one of true_values too"),
        ({"false_values": [""]}, "is '', which is one of null_values too"),
        ({"null_values": ["NA", " "], "trim": True}, "is ' ', and trim takes the blanks off"),
    ],
)
def test_signs_and_words_that_would_mean_two_things_or_nothing(words, message):
    """Each is told apart from the others that count, declared or not."""
    (fault,) = faults(lambda: CsvDialect(**words))
    assert message in fault


def test_a_word_that_is_true_and_false_is_refused_at_both_places():
    """Either may be the one to take out."""
    assert len(faults(lambda: CsvDialect(true_values=["x", "y"], false_values=["y"]))) == 2


def test_signs_and_words_that_are_told_apart():
    """Words that are replaced no longer count."""
    CsvDialect(thousands=".", decimal_comma=True, true_values=["0"], false_values=["1"])
    CsvDialect(thousands="\u202f", null_values=["NA"], false_values=[""], trim=True)
    CsvDialect(null_values=["true", " "])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"type": "int64", "format": "%d"}, "only for dates, times and datetimes, and the type is"),
        ({"type": "int8", "default": 200}, "default in Column must be from -128 to 127"),
        ({"type": "date", "default": "2024-12-31"}, "default in Column must be a date"),
        ({"type": "bool", "default": 0}, "default in Column must be true or false"),
    ],
)
def test_formats_and_defaults_that_do_not_fit_the_type(words, message):
    """A default is a value of the column's type, as min and max are."""
    (fault,) = faults(lambda: Column(**words))
    assert message in fault


def test_a_default_is_kept_as_a_value_of_the_type():
    """Also beside `required`, which it satisfies."""
    assert Column(type="decimal(5,2)", default=0.1, required=True).default == Decimal("0.1")
    assert Column(type="bool", default=False).default is False


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Source(name="a", files="x", use="json"), "use"),
        (lambda: Source(name="a", files="https://example.org/a.csv"), "files"),
    ],
)
def test_not_available_yet(make, key):
    """What comes later is refused, never ignored."""
    (fault,) = faults(make)
    assert fault.startswith(f"{key} in ")
    assert "not available yet" in fault


@pytest.mark.parametrize(
    ("word", "name"),
    [("UTF8", "utf-8"), ("utf-8-sig", "utf-8"), ("latin-1", "iso8859-1"), ("sjis", "shift_jis")],
)
def test_an_encoding_has_one_name(word, name):
    """So that parts made under one of its names are taken under another."""
    assert CsvDialect(encoding=word).encoding == name


def test_the_structure_of_files_may_be_odd():
    """Delimiters of several characters, quotes that are not ASCII, a quote that escapes itself."""
    CsvDialect(delimiter="||", quote="«", escape="\\", comment="//", header=3)
    assert CsvDialect(escape='"', header=False).header is False


def test_present_behaviour_may_be_stated():
    """A value that says what happens today is taken, though the key's other values come later."""
    Schema(columns={"a": "int8"}, provenance=[])
    Sink(use="parquet", path="a", on_existing="replace")
