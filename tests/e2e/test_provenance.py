"""`provenance`: each row says where it is from, however files are cut and packed."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stagepipe
from stagepipe.errors import PipelineError

PIPELINE = """\
[pipeline]
name = "places"
chunk_size = "{chunk_size}"
[[source]]
files = "in/{{source}}/*.csv"
[schema]
provenance = [{provenance}]
[schema.columns]
id = {{ type = "int64", required = true }}
text = "string"
{columns}
[[stage]]
name = "parse"
steps = [{steps}]
sink = {{ use = "parquet", path = "table", on_existing = "replace" }}
[errors]
max_rejected = "100%"
"""
ALL = '"source", "file", "line"'


def declare(
    project: Any,
    *,
    chunk_size: str = "1kB",
    provenance: str = ALL,
    columns: str = "",
    steps: str = "",
) -> None:
    project.write(
        "pipeline.toml",
        PIPELINE.format(chunk_size=chunk_size, provenance=provenance, columns=columns, steps=steps),
    )


def written(project: Any, name: str, seed: int, end: str, count: int = 60) -> list[tuple[Any, ...]]:
    """A file of records over one line and over several, with blank lines and bad records between
    them; the rows that it holds, each with its line."""
    choose = random.Random(seed)
    lines: list[str] = ["id,text"]
    rows = []
    for number in range(count):
        kind = choose.choice(["plain", "plain", "long", "blank", "bad", "short"])
        line = len(lines) + 1
        if kind == "plain":
            lines.append(f"{number},t{number}")
            rows.append((number, f"t{number}", line))
        elif kind == "long":  # physical lines within quotes, one of them blank
            lines += [f'{number},"a', "", f'b""{number}"']
            rows.append((number, f'a{end}{end}b"{number}', line))
        elif kind == "blank":
            lines += [""] * choose.randint(1, 3)
        elif kind == "bad":
            lines += [f'x{number},"two', 'lines"']
        else:
            lines.append(f"{number}")
    project.write(name, end.join(lines) + choose.choice(["", end]))
    source = name.split("/")[1]
    return [(number, text, source, name, line) for number, text, line in rows]


@pytest.fixture
def places(project: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    """Files of two sources with LF, CRLF and CR, and the rows with their places."""
    rows = []
    names = ("in/one/a.csv", "in/one/b.csv", "in/two/a.csv", "in/two/b.csv")
    for seed, (name, end) in enumerate(zip(names, ("\n", "\r\n", "\n", "\r"), strict=True)):
        rows += written(project, name, seed, end)
    return project, rows


def table(project: Any) -> pa.Table:
    paths = sorted((project.root / "out/table").iterdir())
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths])


def rows(found: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


@pytest.mark.parametrize(
    ("chunk_size", "jobs"),
    [("1B", 1), ("1B", 4), ("100B", 4), ("700B", 1), ("1MB", 1)],
)
def test_each_row_knows_its_place(places: Any, chunk_size: str, jobs: int) -> None:
    """Source, file and physical line, in files cut after each record and in whole ones."""
    project, expected = places
    declare(project, chunk_size=chunk_size)
    result = project.run(jobs=jobs)
    assert result.error is None
    found = table(project)
    assert found.column_names == ["id", "text", "_source", "_file", "_line"]
    assert [str(kind) for kind in found.schema.types[2:]] == ["string", "string", "int64"]
    assert rows(found) == expected
    assert result.rows.rejected > 20


def test_the_bytes_do_not_depend_on_the_workers(places: Any) -> None:
    """Also with lines in the table."""
    project, _ = places
    declare(project, chunk_size="100B")
    trees = []
    for jobs in (1, 4):
        assert project.run(jobs=jobs, fresh=True).error is None
        trees.append(project.tree())
    assert trees[0] == trees[1]


@pytest.mark.parametrize(
    ("provenance", "names"),
    [
        ('"line"', ["_line"]),
        ('"file"', ["_file"]),
        ('"line", "source", "file"', ["_line", "_source", "_file"]),
        ("", []),
    ],
)
def test_only_what_was_asked_for_is_added_in_its_order(
    places: Any, provenance: str, names: list[str]
) -> None:
    """Behind the schema's columns."""
    project, expected = places
    declare(project, provenance=provenance, chunk_size="300B")
    assert project.run().error is None
    found = table(project)
    assert found.column_names == ["id", "text", *names]
    position = {"_source": 2, "_file": 3, "_line": 4}
    assert rows(found) == [
        (row[0], row[1], *(row[position[name]] for name in names)) for row in expected
    ]


def test_steps_can_use_them(places: Any) -> None:
    """They are columns like others, for `check` too."""
    project, expected = places
    steps = (
        '{ use = "filter", expression = "_line > 20 AND _file LIKE \'%a.csv\'" },'
        '{ use = "derive", column = "next", expression = "_line + 1" },'
        '{ use = "drop", columns = ["_line", "_file"] }'
    )
    declare(project, steps=steps, chunk_size="100B")
    assert project.run(jobs=2).error is None
    found = table(project)
    assert found.column_names == ["id", "text", "_source", "next"]
    wanted = [row for row in expected if row[4] > 20 and row[3].endswith("a.csv")]
    assert rows(found) == [(row[0], row[1], row[2], row[4] + 1) for row in wanted]
    declare(project, steps='{ use = "drop", columns = ["_lime"] }')
    with pytest.raises(PipelineError, match="did you mean '_line'"):
        project.plan()


def test_a_file_of_which_nothing_could_be_read_has_the_same_columns(project: Any) -> None:
    """Dead letters leave tables that fit together."""
    project.write("in/one/a.csv", "id,text\n1,x\n")
    project.write("in/two/a.csv", "nothing\n1\n")
    declare(project)
    pipeline = project.load("errors.max_dead=1")
    assert stagepipe.run(pipeline, jobs=1).error is None
    assert rows(table(project)) == [(1, "x", "one", "in/one/a.csv", 2)]


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_source", "_file", "_line"])
def test_a_column_may_be_called_so_where_nothing_is_added(project: Any, name: str) -> None:
    """A supplier's own `_file` is a column like any other as long as `provenance` leaves the name
    free."""
    word = name.removeprefix("_")
    other = "line" if word == "file" else "file"
    project.write("in/one/a.csv", f"id,text,{name}\n1,x,mine\n")
    declare(project, columns=f'{name} = "string"', provenance=f'"{other}"')
    assert project.run().error is None
    assert table(project)[name].to_pylist() == ["mine"]
    declare(project, columns=f'{name} = "string"', provenance=f'"{word}"')
    with pytest.raises(PipelineError) as caught:
        project.load()
    (fault,) = caught.value.faults
    assert fault.line == 11
    assert "which provenance adds" in fault.message
    assert f'name = "{name}"' in fault.message
    declare(
        project,
        columns=f'theirs = {{ type = "string", name = "{name}" }}',
        provenance=f'"{word}"',
    )
    assert project.run().error is None
    assert table(project)["theirs"].to_pylist() == ["mine"]


def test_the_reserved_name_is_always_refused(project: Any) -> None:
    """`_record` may be added at any time by a step that rejects."""
    declare(project, columns='_record = "string"', provenance="")
    with pytest.raises(PipelineError, match="cannot be called '_record'"):
        project.load()


def test_a_place_is_named_once(project: Any) -> None:
    """Two columns of one name are no table."""
    declare(project, provenance='"file", "line", "file"')
    with pytest.raises(PipelineError) as caught:
        project.load()
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == (7, 31)
    assert "'file' a second time" in fault.message


@pytest.mark.parametrize(
    "step",
    [
        '{ use = "rename", columns = { text = "_record" } }',
        '{ use = "derive", column = "_record", expression = "id + 1" }',
        '{ use = "unpivot", columns = ["text"], value_name = "_record" }',
    ],
)
def test_no_step_makes_the_reserved_column(project: Any, step: str) -> None:
    """`check` says so of built-in steps, with their place."""
    declare(project, steps=step)
    project.write("in/one/a.csv", "id,text\n1,x\n")
    with pytest.raises(PipelineError, match=r"pipeline.toml:14:\d+: .*'_record'.* reserved"):
        project.plan()
