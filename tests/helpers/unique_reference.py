"""Records with values that may stand only once, files of them, and a slow reading of these one
record after the other."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from hypothesis import strategies as st

from stagepipe import Column, Errors, Pipeline, Schema, Sink, Source, Stage, Use
from stagepipe.model import Reject
from stagepipe.record import rejects


class Record(NamedTuple):
    """A record as a file has it; `row` is what it is read as, None where it is a reject anyway."""

    text: str
    row: tuple[int | None, str | None, int] | None


@st.composite
def records(draw: st.DrawFn) -> Record:
    number = draw(st.one_of(st.none(), st.integers(0, 9)))
    word = draw(st.one_of(st.none(), st.sampled_from(["a", "b", "ä,", 'q"', "two\nlines", "c"])))
    n = draw(st.integers(0, 99))
    written = "" if number is None else draw(st.sampled_from(["", "0", " "])) + str(number)
    if word is None:
        quoted = ""
    else:
        quoted = '"' + word.replace('"', '""') + '"' if set(word) & set('",\n') else word
    text = f"{written},{quoted},{n}"
    dirt = draw(st.sampled_from(["", "", "", "", ",more", "x"]))
    return Record(text + dirt, (number, word, n) if not dirt and n < 90 else None)


class Case(NamedTuple):
    files: dict[str, list[Record]]
    chunk_size: int
    jobs: int
    is_two_stages: bool


cases = st.builds(
    Case,
    st.dictionaries(
        st.sampled_from(["in/one/a.csv", "in/one/b.csv", "in/two/a.csv", "in/two/c.csv.gz"]),
        st.lists(records(), max_size=15),
        min_size=1,
    ),
    st.sampled_from([1, 20, 60, 200, 10**6]),
    st.sampled_from([1, 2]),
    st.booleans(),
)
Found = tuple[Any, ...]


def written(root: Path, files: dict[str, list[Record]]) -> Iterator[tuple[Record, Found]]:
    """Write the files; each record with its file, line, offset and bytes, in chunk order."""
    for path in sorted(files):
        text = "id,word,n\n"
        for record in files[path]:
            place = (path, 1 + text.count("\n"), len(text.encode()), record.text.encode())
            text += record.text + "\n"
            yield record, place
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        data = text.encode()
        target.write_bytes(gzip.compress(data, mtime=0) if path.endswith(".gz") else data)


def slow(found: Sequence[tuple[Record, Found]]) -> tuple[list[Any], list[Found]]:
    """What one reading in chunk order keeps, and the duplicates that it rejects."""
    seen: dict[str, set[Any]] = {"id": set(), "word": set()}
    rows, duplicates = [], []
    for record, place in found:
        if record.row is None:
            continue
        values = dict(zip(("id", "word"), record.row, strict=False))
        bad = [name for name, value in values.items() if value is not None and value in seen[name]]
        if not bad:
            rows.append(record.row)
            for name, value in values.items():
                seen[name].add(value)
            continue
        column, *others = bad
        text = record.text.split(",")[0] if column == "id" else values[column]
        also = ", ".join(f"{name}:unique" for name in others) or None
        duplicates.append((*place, column, text, "unique", also))
    return rows, duplicates


def declared(root: Path, case: Case) -> Pipeline:
    sink = Sink(path="table", on_existing="replace")
    first = [Use("derive", column="double", expression="n * 2")]
    stages = [Stage(name="parse", steps=first, sink=sink)]
    if case.is_two_stages:
        later = [Use("filter", expression="n > 5")]
        last = Sink(use="csv", path="last.csv", on_existing="replace")
        stages.append(Stage(name="more", steps=later, sink=last))
    folders = sorted({path.split("/")[1] for path in case.files})
    return Pipeline(
        name="random",
        folder=root,
        chunk_size=case.chunk_size,
        sources=[Source(name=name, files=f"in/{name}/*") for name in folders],
        schema=Schema(
            columns={
                "id": Column(type="int64", unique=True),
                "word": Column(type="string", unique=True),
                "n": Column(type="int64", max=89),
            }
        ),
        stages=stages,
        errors=Errors(max_rejected="100%"),
    )


def table(root: Path, name: str = "table") -> list[tuple[Any, ...]]:
    """The rows of a table, in the order of its files."""
    paths = sorted((root / "out" / name).iterdir())
    return [row for path in paths for row in pl.read_parquet(path).rows()]


def told(root: Path, result: Any) -> list[Reject]:
    return list(rejects.read(root / result.rejects)) if result.rejects else []


def of_duplicates(found: Sequence[Reject]) -> list[Found]:
    return [
        (r.file, r.line, r.byte_offset, r.raw, r.column, r.value, r.reason, r.also)
        for r in found
        if r.reason == "unique"
    ]
