"""Pipeline files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagepipe.declare import (
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
    fault_at,
    load,
)
from stagepipe.declare.load import _check
from stagepipe.errors import PipelineError

RIGHT = """\
[pipeline]
name = "orders"
chunk_size = "1MB"

[[source]]
name = "acme"
files = "landing/*.csv"
max_concurrent = 3
limits = ["nas"]
[source.csv]
delimiter = ";"

[[source]]
files = "other/{source}/*.csv"

[limit.nas]
max_concurrent = 4

[schema.columns]
id = { type = "int64", required = true }
email = "string"

[[stage]]
name = "parse"
steps = ["strip_text", { use = "join", file = "c.csv" }]
sink = { path = "orders" }
[stage.errors]
max_dead = 1
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a pipeline file into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="orders.toml"):
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return Path(name)

    return write


def faults(path, *overrides, environ=None):
    """Give what is wrong with a file, as the user sees it."""
    with pytest.raises(PipelineError) as caught:
        load(path, overrides, environ or {})
    return str(caught.value).splitlines()


def test_the_same_words_build_the_same_thing(write, tmp_path):
    """A pipeline from a file is the one that Python builds."""
    assert load(write(RIGHT)) == Pipeline(
        name="orders",
        chunk_size="1MB",
        sources=[
            Source(
                name="acme",
                files="landing/*.csv",
                max_concurrent=3,
                limits=["nas"],
                csv=CsvDialect(delimiter=";"),
            ),
            Source(files="other/{source}/*.csv"),
        ],
        limits={"nas": Limit(max_concurrent=4)},
        schema=Schema(columns={"id": Column(type="int64", required=True), "email": "string"}),
        stages=[
            Stage(
                name="parse",
                steps=["strip_text", Use("join", file="c.csv")],
                sink=Sink(path="orders"),
                errors=Errors(max_dead=1),
            )
        ],
        folder=tmp_path,
        file=Path("orders.toml"),
    )


def test_many_faults_in_file_order(write):
    """All faults are told at once, each with its place, in plain words."""
    text = """\
[pipeline]
name = "orders"
jobs = "many"

[[source]]
name = "acme"
max_concurrent = "three"

[[source]]
name = "äöü"
files = ["ä", 3]
        max_concurent = 3
limits = ["nass"]
csv = { delimiter = ";", header = "no" }

[limit.nas]
max_concurrent = 1.5

[schema]
extra_columns = "ignor"
[schema.columns]
id = { type = "int8", min = 300 }
email = "strng"
"ä" = { typ = "int8" }

[[stage]]
name = "a"
[[stage]]
name = "a"
steps = ["x", { us = "y" }]
sink = { use = "csv", path = "../b", on_existing = "appand", level = 3 }
[stage.errors]
timeout = "1x"
[sorce]
"""
    assert faults(write(text)) == [
        "orders.toml:3:8: jobs in [pipeline] must be a whole number, got 'many'",
        "orders.toml:5:1: [[source]] lacks 'files'",
        "orders.toml:7:18: max_concurrent in [[source]] must be a whole number, got 'three'",
        "orders.toml:10:8: name in [[source]]: 'äöü' is not a name: write letters, digits, '_', '-'"
        " and '.', beginning with a letter or a digit",
        "orders.toml:11:15: files[1] in [[source]] must be a string, got 3",
        "orders.toml:12:9: unknown key 'max_concurent' in [[source]];"
        " did you mean 'max_concurrent'?",
        "orders.toml:13:11: limits[0] in [[source]] names the limit 'nass', which is not declared;"
        " did you mean 'nas'?",
        "orders.toml:14:26: header in [source.csv]: 'no' is not true, false or a number of lines",
        "orders.toml:17:18: max_concurrent in [limit.nas] must be a whole number, got 1.5",
        "orders.toml:20:17: extra_columns in [schema] must be 'refuse', 'ignore' or 'keep',"
        " got 'ignor'; did you mean 'ignore'?",
        "orders.toml:22:23: min in column 'id' must be from -128 to 127, because the type is int8,"
        " got 300",
        "orders.toml:23:9: type in column 'email': 'strng' is not a type; did you mean 'string'?",
        "orders.toml:24:7: column 'ä' lacks 'type'",
        "orders.toml:24:9: unknown key 'typ' in column 'ä'; did you mean 'type'?",
        "orders.toml:29:8: name in [[stage]] is 'a', as in another stage;"
        " give each stage a name of its own",
        "orders.toml:30:15: the step lacks 'use'",
        "orders.toml:31:23: path in the sink is '../b', which leaves the output folder;"
        " leave '..' out",
        "orders.toml:31:38: on_existing in the sink must be 'error', 'replace' or 'append',"
        " got 'appand'; did you mean 'append'?",
        "orders.toml:33:11: timeout in [stage.errors]: '1x' is not more than what the median task"
        " takes",
        "orders.toml:34:1: unknown key 'sorce' in the pipeline file; did you mean 'source'?",
    ]


DESIGNED = """\
[pipeline]
name = "orders"
output = "out"
plugins = ["plugins/prices.py"]
jobs = 0
chunk_size = "32MB"

[[source]]
name = "acme"
files = "landing/acme/*.csv"
use = "csv"
max_concurrent = 3
start_delay = "200ms"
limits = ["nas"]
[source.csv]
delimiter = ";"
encoding = "cp1252"

[[source]]
files = "other/{source}/*.csv.gz"
max_concurrent = 3

[limit.nas]
max_concurrent = 4

[schema]
extra_columns = "refuse"
missing_columns = "refuse"
provenance = []
[schema.columns]
order_id = { type = "int64", required = true, unique = true }
ordered  = { type = "date", format = "%d.%m.%Y" }
amount   = { type = "decimal(12,2)", min = 0 }
currency = { type = "string", one_of = ["EUR", "USD"] }
email    = "string"

[[stage]]
name = "parse"
steps = ["strip_text", { use = "to_eur", column = "amount" }]

[[stage]]
name = "orders"
steps = [{ use = "join", file = "customers.csv", on = "customer" }]
sink = { use = "parquet", path = "orders", on_existing = "replace" }

[[stage]]
name = "summary"
steps = [{ use = "aggregate", by = ["currency"], sum = ["amount"] }]
sink = { use = "csv", path = "summary.csv" }
max_concurrent = 1

[errors]
max_rejected = "10%"
max_dead = 0
attempts = 3
backoff = "1s"
retry_budget = "10%"
timeout = "10m"
"""


def test_the_designed_example(write):
    """The design's example loads."""
    made = load(write(DESIGNED))
    assert made.schema_.columns["order_id"].unique
    assert [stage.name for stage in made.stages] == ["parse", "orders", "summary"]
    assert [stage.sink.is_file for stage in made.stages if stage.sink] == [False, True]
    assert made.sources[0].start_delay == 0.2
    assert made.schema_.columns["amount"].min == 0
    assert (made.errors.attempts, made.errors.backoff, made.errors.timeout.seconds) == (3, 1.0, 600)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = 1\nb = \n", "orders.toml:2:5: this is not TOML: invalid value"),
        ("a = 1\na = 2\n", "orders.toml:2:6: this is not TOML: cannot overwrite a value"),
        ("[a", "orders.toml:1:3: this is not TOML: expected ']' at the end of a table declaration"),
        (b"a = '\xc3\xa4' # \xe4", "orders.toml:1:11: byte 0xe4 is not UTF-8, which TOML is"),
        ("a = " + "9" * 5000, "orders.toml:1:5005: this is not TOML"),
        ("a = " + "[" * 5000, "orders.toml: this is no pipeline file: its lists or tables are"),
    ],
)
def test_no_toml(write, text, fault):
    """What is no TOML is refused with its place."""
    assert faults(write(text))[0].startswith(fault)


def test_empty_file(write):
    """An empty file lacks all that a pipeline must have."""
    lacks = ("[pipeline]", "[[source]]", "[schema]", "[[stage]]")
    assert faults(write("")) == [f"orders.toml:1:1: the pipeline file lacks {x}" for x in lacks]


def test_a_limit_named_twice(write):
    """It would count twice, and a source would start half of what it may; the second is wrong."""
    wrong = RIGHT.replace('limits = ["nas"]', 'limits = ["nas", "nas"]')
    line = wrong[: wrong.index("limits = ")].count("\n") + 1
    assert faults(write(wrong)) == [
        f"orders.toml:{line}:18: limits[1] in [[source]] names the limit 'nas' a second time;"
        " name it once"
    ]


def test_single_brackets(write):
    """Who writes [source] for [[source]] is told so."""
    (fault,) = faults(write(RIGHT.replace("[[stage]]", "[stage]")))
    assert (
        fault == "orders.toml:23:1: stage in the pipeline file must be written [[stage]], in"
        " double brackets"
    )


def test_byte_order_mark_and_crlf(write):
    """What Windows editors add does no harm, and does not move the places."""
    assert load(write(b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode())).name == "orders"
    bad = RIGHT.replace("max_concurrent = 3", "max_concurrent = 0").replace("\n", "\r\n")
    (fault,) = faults(write(bad))
    assert fault.startswith("orders.toml:8:18: ")


def test_no_file(write, tmp_path):
    """What is no readable file is refused, and the message says what to do."""
    assert faults(Path("no.toml"))[0].startswith("no.toml: no such file; name the pipeline file")
    assert faults(write(RIGHT) / "x")[0].startswith("orders.toml/x: no such file")
    assert faults(tmp_path) == [f"{tmp_path}: is a folder; name the pipeline file in it"]


def test_file_that_may_not_be_read(write, monkeypatch):
    """A file that may not be read is told as such."""
    path = write(RIGHT)

    def refuse(self):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert faults(path) == ["orders.toml: cannot be read: Permission denied; check who may read it"]


def test_environment(write):
    """${NAME} takes a value from the environment, $${ is a plain ${."""
    text = RIGHT.replace('"landing/*.csv"', '"${LANDING}/$${x}/${A_1}${LANDING}.csv"')
    made = load(write(text), environ={"LANDING": "in", "A_1": "${B}"})
    assert made.sources[0].files == ("in/${x}/${B}in.csv",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${LANDIN}", "takes ${LANDIN} from the environment, where it is not set; did you mean"),
        ("${OTHER_X}", "takes ${OTHER_X} from the environment, where it is not set"),
        ("${}", "has a ${ that names no variable: write ${NAME}, or $${ for a plain ${"),
        ("${A B}", "has a ${ that names no variable"),
        ("${A", "has a ${ that names no variable"),
    ],
)
def test_environment_faults(write, value, message):
    """A variable that is not set is a fault, never an empty string."""
    text = RIGHT.replace('"landing/*.csv"', f'["a", "{value}"]')
    (fault,) = faults(write(text), environ={"LANDING": "in"})
    assert fault.startswith(f"orders.toml:7:15: files[1] in [[source]] {message}")


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("pipeline.chunk_size=2MB", lambda p: p.chunk_size, 2_000_000),
        ("pipeline.jobs=4", lambda p: p.jobs, 4),
        ("pipeline.name='1'", lambda p: p.name, "1"),
        ("errors.max_dead=2", lambda p: p.errors.max_dead, 2),
        ("source.acme.max_concurrent=2", lambda p: p.sources[0].max_concurrent, 2),
        ("source.acme.csv.delimiter=|", lambda p: p.sources[0].csv.delimiter, "|"),
        ("source.acme.files=${X}/*", lambda p: p.sources[0].files, ("x/*",)),
        ("source.acme.files=['a', 'b']", lambda p: p.sources[0].files, ("a", "b")),
        ("stage.parse.max_concurrent=1", lambda p: p.stages[0].max_concurrent, 1),
        ("stage.parse.steps.1.file=d=e", lambda p: p.stages[0].steps[1].options["file"], "d=e"),
        ("stage.parse.steps.0.x=1", lambda p: p.stages[0].steps[0], Use("strip_text", x=1)),
        ("limit.nas.max_concurrent=1", lambda p: p.limits["nas"].max_concurrent, 1),
        ("schema.columns.email.required=true", lambda p: p.schema_.columns["email"].required, True),
        ("schema.columns.'a b'=date", lambda p: str(p.schema_.columns["a b"].type), "date"),
    ],
)
def test_overrides(write, override, read, value):
    """--set replaces one value, by its place in the file."""
    assert read(load(write(RIGHT), [override], {"X": "x"})) == value


def test_names_with_dots(write):
    """A name with dots in it is found whole."""
    path = write(RIGHT.replace('"acme"', '"acme.eu"'))
    assert load(path, ["source.acme.eu.max_concurrent=1"]).sources[0].max_concurrent == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("x", "write key=value, like pipeline.jobs=4"),
        ("=3", "write key=value, like pipeline.jobs=4"),
        ("a b=3", "write key=value, like pipeline.jobs=4"),
        ("source.acmee.max_concurrent=2", "there is no source 'acmee'; did you mean 'acme'?"),
        ("stage.x.max_concurrent=2", "there is no stage 'x'"),
        ("limit.nass.max_concurrent=2", "there is no limit 'nass'; did you mean 'nas'?"),
        ("stage.parse.steps.7.x=2", "stage.0.steps has no item 7; it has 2"),
        ("pipeline.name.x=2", "pipeline.name is not a table"),
        ("pipeline.jbos=2", "unknown key 'jbos' in [pipeline]; did you mean 'jobs'?"),
        ("pipelin.jobs=2", "unknown key 'pipelin' in the pipeline file; did you mean 'pipeline'?"),
        ("source.acme.max_concurrent=0", "max_concurrent in [[source]] must be at least 1, got 0"),
        ("source.acme.files=${X}", "files in [[source]] takes ${X} from the environment, where it"),
        ("source.acme.limits=['x']", "limits[0] in [[source]] names the limit 'x', which is not"),
    ],
)
def test_override_faults(write, override, message):
    """What --set makes wrong is told with the --set, not with a line."""
    (fault,) = faults(write(RIGHT), override)
    assert fault.startswith(f"--set {override}: {message}")


def test_overrides_after_the_file(write):
    """Faults of the file and of --set are told together."""
    text = RIGHT.replace("max_concurrent = 4", "max_concurrent = 0")
    assert [fault[:14] for fault in faults(write(text), "x", "pipeline.jobs=-1")] == [
        "--set x: write",
        "orders.toml:17",
        "--set pipeline",
    ]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("stage", 0, "steps", 0), "orders.toml:25:10"),
        (("stage", 0, "steps", 1, "file"), "orders.toml:25:40"),
        (("schema", "columns", "email"), "orders.toml:21:9"),
        (("source", 1, "files"), "orders.toml:14:9"),
        (("pipeline", "jobs"), "--set pipeline.jobs=3"),
    ],
)
def test_faults_found_later(write, monkeypatch, path, place):
    """A fault found after loading has its place, wherever the process is by then."""
    made = load(write(RIGHT), ["pipeline.jobs=3"])
    monkeypatch.chdir("/")
    assert str(fault_at(made, path, "is odd")) == f"{place}: is odd"


def test_faults_found_later_without_a_file(write):
    """A fault in a pipeline built in Python, or whose file is gone, still says where."""
    path = write(RIGHT)
    made = load(path)
    path.unlink()
    assert str(fault_at(made, ("stage", 0), "is odd")) == "orders.toml: is odd"
    built = made.model_copy(update={"file": None})
    for where, place in [
        (("stage", 0, "steps", 1, "file"), "stages[0].steps[1].file: "),
        (("schema", "columns", "a b"), "schema.columns['a b']: "),
        (("pipeline", "jobs"), "jobs: "),
        ((), ""),
    ]:
        assert str(fault_at(built, where, "is odd")) == f"{place}is odd"


def paths_in(value, path=()):
    """List all paths in a document."""
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_in(item, (*path, key))


PATHS = [path for path in paths_in(tomllib.loads(DESIGNED)) if path]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
VALUES = st.recursive(
    SCALARS | st.times() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_any_value_anywhere(changes):
    """Whatever stands wherever in a file, it is told in our own words or taken."""
    document = tomllib.loads(DESIGNED)
    for path, value in changes:
        place = document
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue
    _, found = _check(document, {})
    assert not [each for each in found if "is wrong: " in each.text or "Input should" in each.text]


def test_nothing_heavy_is_imported():
    """The room needs neither frames nor, while nothing is wrong, a parser of places."""
    code = (
        "import sys, stagepipe.declare; "
        "print([m for m in ('polars', 'pyarrow', 'tree_sitter', 'difflib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
