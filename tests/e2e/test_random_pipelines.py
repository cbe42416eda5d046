"""Random pipelines over random tables, against the same steps called on the whole table at once.

The steps themselves are tested elsewhere. What is tried here is all that the engine does around
them: cutting and packing, stages and barriers, cutting the result of a step over all rows again,
order, and the sum.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import stagepipe
from stagepipe import Column, CsvDialect, Errors, Pipeline, Schema, Sink, Source, Stage, Use
from stagepipe.builtin.steps import STEPS
from stagepipe.builtin.table_steps import TABLE_STEPS

EXAMPLES = int(os.environ.get("STAGEPIPE_TEST_PIPELINES", "15"))
"""How many pipelines are tried. `make torture` asks for more."""
SHRINK = "STAGEPIPE_TEST_SHRINK" in os.environ
CALLS = STEPS | TABLE_STEPS
SCHEMA = {
    "id": Column(type="int64", required=True),
    "tag": "string",
    "note": "string",
    "amount": "decimal(12,2)",
    "day": "date",
    "count": "int64",
}
TYPES = {
    "id": pl.Int64(),
    "tag": pl.String(),
    "note": pl.String(),
    "amount": pl.Decimal(12, 2),
    "day": pl.Date(),
    "count": pl.Int64(),
}
TAGS = ("red", "green", "blue", "grey")
NOTES = st.text(st.sampled_from("ab ,;\"\n\r'é|0"), min_size=1, max_size=8)
FILES = ("one/a.csv", "one/b.csv", "one/c.csv", "two/a.csv", "two/deep/b.csv")
REFERENCE = {"tag": ["red", "blue", "violet"], "code": [7, None, 9], "name": ["R", "B,\n", None]}

Row = tuple[Any, ...]
rows = st.tuples(
    st.integers(-1000, 1000),
    st.none() | st.sampled_from(TAGS),
    st.none() | NOTES,
    st.none() | st.integers(-(10**6), 10**6).map(lambda cents: Decimal(cents) / 100),
    st.none() | st.dates(date(1999, 12, 30), date(2000, 3, 2)),
    st.none() | st.integers(-5, 5),
)


class Drawn(NamedTuple):
    """A step in a pipeline, and the same call in Python."""

    use: str
    options: dict[str, Any]


# -- random steps that fit the columns that there are ---------------------------------------------


class Steps:
    """Draws one step after the other; `schema` is what the last one gives."""

    def __init__(self, draw: st.DrawFn, reference: Path) -> None:
        self.draw = draw
        self.reference = reference
        self.schema: dict[str, pl.DataType] = dict(TYPES)
        self.fresh = iter(range(1000))

    def stage(self, is_first: bool) -> list[Drawn]:
        """The steps of one stage: those over all rows come first, and not in the first stage."""
        found = []
        if not is_first:
            names = self.draw(st.lists(st.sampled_from(OVER_ALL), max_size=2))
            found += [self.one(name) for name in names]
        names = self.draw(st.lists(st.sampled_from(OVER_CHUNKS), max_size=3))
        found += [self.one(name) for name in names]
        return [step for step in found if step is not None]

    def one(self, name: str) -> Drawn | None:
        """A step with options that fit, if there are any."""
        options = getattr(self, name)()
        if options is None:
            return None
        empty: Any = pl.DataFrame(schema=self.schema)
        empty = empty.lazy() if name in TABLE_STEPS else empty
        self.schema = dict(CALLS[name](empty, **options).lazy().collect_schema())
        return Drawn(name, options)

    def new(self) -> str:
        """A name that no column has."""
        return f"n{next(self.fresh)}"

    def some(self, names: list[str], least: int = 1, most: int = 3) -> list[str]:
        return self.draw(
            st.lists(st.sampled_from(names), min_size=least, max_size=most, unique=True)
        )

    def of(self, *kinds: Any) -> list[str]:
        return [name for name, kind in self.schema.items() if kind.base_type() in kinds]

    def strip_text(self) -> Any:
        texts = self.of(pl.String)
        if not texts or self.draw(st.booleans()):
            return {}
        return {"columns": self.some(texts)}

    def rename(self) -> Any:
        return {"columns": {name: self.new() for name in self.some(list(self.schema))}}

    def select(self) -> Any:
        names = self.draw(st.permutations(list(self.schema)))
        return {"columns": names[: self.draw(st.integers(1, len(names)))]}

    def drop(self) -> Any:
        if len(self.schema) < 2:
            return None
        return {"columns": self.some(list(self.schema), most=min(2, len(self.schema) - 1))}

    def cast(self) -> Any:
        to = {
            pl.Int64: ["float64", "string", "decimal(20,3)"],
            pl.Decimal: ["string", "decimal(38,6)"],
            pl.Date: ["string", "datetime"],
            pl.Float64: ["string"],
        }
        fitting = [n for n, k in self.schema.items() if k.base_type() in to]
        if not fitting:
            return None
        names = self.some(fitting)
        kinds = {n: self.draw(st.sampled_from(to[self.schema[n].base_type()])) for n in names}
        return {"columns": kinds}

    def fill(self) -> Any:
        constants = {
            pl.Int64: 0,
            pl.Decimal: "0.50",
            pl.Date: date(2024, 2, 29),
            pl.String: "nothing\nhere",
        }
        fitting = [n for n, k in self.schema.items() if k.base_type() in constants]
        if not fitting:
            return None
        return {"nulls": {n: constants[self.schema[n].base_type()] for n in self.some(fitting)}}

    def filter(self) -> Any:
        conditions = [f'"{name}" IS NOT NULL' for name in self.schema]
        conditions += [f'"{name}" > 0' for name in self.of(pl.Int64)]
        conditions += [f"\"{name}\" <> 'red'" for name in self.of(pl.String)]
        conditions += [f"\"{name}\" > CAST('2000-01-15' AS DATE)" for name in self.of(pl.Date)]
        return {"expression": self.draw(st.sampled_from(conditions))}

    def derive(self) -> Any:
        expressions = [f'"{name}" * 2 + 1' for name in self.of(pl.Int64)]
        expressions += [f'UPPER("{name}")' for name in self.of(pl.String)]
        expressions += [f'"{name}" IS NULL' for name in self.schema]
        column = self.draw(st.sampled_from([*self.schema, self.new()]))
        return {"column": column, "expression": self.draw(st.sampled_from(expressions))}

    def join(self) -> Any:
        keys = list(self.of(pl.String))
        if not keys:
            return None
        options: dict[str, Any] = {
            "file": self.reference,
            "on": self.draw(st.sampled_from(keys)),
            "file_on": "tag",
            "how": self.draw(st.sampled_from(["left", "inner", "semi", "anti"])),
        }
        if options["how"] in ("left", "inner"):
            options["columns"] = {"code": self.new(), "name": self.new()}
        return options

    def unpivot(self) -> Any:
        by_kind: dict[Any, list[str]] = {}
        for name, kind in self.schema.items():
            by_kind.setdefault(kind, []).append(name)
        columns = self.some(self.draw(st.sampled_from(list(by_kind.values()))))
        return {"columns": columns, "variable_name": self.new(), "value_name": self.new()}

    def deduplicate(self) -> Any:
        by = None if self.draw(st.booleans()) else self.some(list(self.schema))
        return {"by": by, "keep": self.draw(st.sampled_from(["first", "last"]))}

    def sort(self) -> Any:
        return {
            "by": self.some(list(self.schema)),
            "descending": self.draw(st.booleans()),
            "nulls_last": self.draw(st.booleans()),
        }

    def aggregate(self) -> Any:
        names = list(self.schema)
        options: dict[str, Any] = {"by": self.some(names, least=0) or None, "count": self.new()}
        # Sums and means of floats depend on the number of threads, and polars' own has many.
        for function, fitting in (
            ("sum", self.of(pl.Int64, pl.Decimal)),
            ("mean", self.of(pl.Int64)),
            ("min", names),
            ("max", names),
            ("first", names),
            ("last", names),
            ("n_unique", names),
        ):
            if fitting and self.draw(st.booleans()):
                options[function] = {name: self.new() for name in self.some(fitting)}
        return options

    def pivot(self) -> Any:
        texts = self.of(pl.String)
        others = [name for name in self.schema if name not in TAGS]
        if not texts or not others:
            return None
        on = self.draw(st.sampled_from(texts))
        index = self.some(others)
        return {
            "on": on,
            "columns": self.some(list(TAGS)),
            "index": index,
            "values": self.draw(st.sampled_from(list(self.schema))),
            "aggregate": self.draw(st.sampled_from(["count", "first", "last", "max"])),
            "others": "ignore",
        }


OVER_CHUNKS = ("strip_text", "rename", "select", "filter", "derive", "drop", "cast", "fill")
OVER_CHUNKS += ("unpivot", "join")
OVER_ALL = ("deduplicate", "sort", "aggregate", "pivot")


# -- a whole pipeline -----------------------------------------------------------------------------


class Case(NamedTuple):
    """Files with rows, and the stages: each its steps and whether it has a sink."""

    files: dict[str, list[Row]]
    stages: list[tuple[list[Drawn], bool]]
    chunk_size: int
    jobs: int
    line_end: str


@st.composite
def cases(draw: st.DrawFn, reference: Path) -> Case:
    names = draw(st.lists(st.sampled_from(FILES), min_size=1, unique=True))
    files = {name: draw(st.lists(rows, max_size=12)) for name in sorted(names)}
    steps = Steps(draw, reference)
    count = draw(st.integers(2, 4))
    stages = [
        (steps.stage(index == 0), index == count - 1 or draw(st.booleans()))
        for index in range(count)
    ]
    return Case(
        files,
        stages,
        chunk_size=draw(st.sampled_from([1, 100, 300, 1000, 10**6])),
        jobs=draw(st.sampled_from([1, 2])),
        line_end=draw(st.sampled_from(["\n", "\r\n"])),
    )


def write(path: Path, found: list[Row], line_end: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(map(field, row)) for row in [tuple(SCHEMA), *found]]
    path.write_bytes("".join(line + line_end for line in lines).encode())


def field(value: Any) -> str:
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def declared(root: Path, case: Case) -> Pipeline:
    folders = {name.partition("/")[0] for name in case.files}
    return Pipeline(
        name="random",
        folder=root,
        chunk_size=case.chunk_size,
        sources=[
            Source(name=folder, files=f"{folder}/**/*.csv", csv=CsvDialect(null_values=[""]))
            for folder in sorted(folders, reverse=True)
        ],
        schema=Schema(columns=SCHEMA),
        stages=[
            Stage(
                name=f"stage{index}",
                steps=[Use(step.use, **step.options) for step in steps],
                sink=Sink(path=f"table{index}", on_existing="replace") if has_sink else None,
            )
            for index, (steps, has_sink) in enumerate(case.stages)
        ],
        errors=Errors(max_rejected=0),
    )


def expected(case: Case) -> Iterator[pl.DataFrame]:
    """What each stage gives, by its steps on the whole table."""
    names = sorted(case.files, key=lambda name: (name < "two", name))  # sources as declared
    found = [row for name in names for row in case.files[name]]
    frame = pl.DataFrame(found, schema=TYPES, orient="row")
    for steps, _ in case.stages:
        for step in steps:
            given = frame.lazy() if step.use in TABLE_STEPS else frame
            frame = CALLS[step.use](given, **step.options).lazy().collect()
        yield frame


def table(root: Path, index: int) -> pl.DataFrame:
    paths = sorted((root / "out" / f"table{index}").iterdir())
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stagepipe-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def reference() -> Iterator[Path]:
    with folder() as root:
        path = root / "reference.csv"
        pl.DataFrame(REFERENCE).write_csv(path)
        yield path


@pytest.mark.timeout(100 + 5 * EXAMPLES)
def test_a_random_pipeline_gives_what_its_steps_give_at_once(reference: Path, tree: Any) -> None:
    """Whatever the chunks, the files and the number of workers: each stage with a sink shows the
    rows of the whole table in their order, the sum comes out, and a second run changes nothing."""

    @settings(
        max_examples=EXAMPLES,
        # To shrink takes minutes of runs; `STAGEPIPE_TEST_SHRINK=1` asks for it.
        phases=set(Phase) if SHRINK else set(Phase) - {Phase.shrink, Phase.explain},
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(case=cases(reference))
    def check(case: Case) -> None:
        note(repr(case))
        with folder() as root:
            check_case(root, case, tree)

    check()


def check_case(root: Path, case: Case, tree: Any) -> None:
    for name, found in case.files.items():
        write(root / name, found, case.line_end)
    pipeline = declared(root, case)
    result = stagepipe.run(pipeline, jobs=case.jobs)
    assert result.error is None, f"{result.error} {result.error.hint}"
    frames = list(expected(case))
    count = sum(map(len, case.files.values()))
    for index, (frame, (_, has_sink)) in enumerate(zip(frames, case.stages, strict=True)):
        of_stage = result.stages[index].rows
        assert of_stage.difference == 0
        assert (of_stage.read, of_stage.written) == (count, frame.height)
        count = frame.height
        if has_sink:
            assert_frame_equal(table(root, index), frame)
    assert result.rows.difference == 0
    assert result.rows.rejected == 0
    assert result.rows.read == sum(map(len, case.files.values()))
    before = tree(root / "out")
    again = stagepipe.run(pipeline, jobs=case.jobs)
    assert again.error is None
    assert sum(stage.made for stage in again.stages) == 0
    assert tree(root / "out") == before
    shutil.rmtree(root / "out")
