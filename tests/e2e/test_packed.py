"""Packed files: the same rows, lines and rejects as the files that were packed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from xopen import xopen

from stagepipe.contracts import DeadSegment
from stagepipe.declare.units import parse_size
from stagepipe.record import rejects
from stagepipe.run import portions

PIPELINE = """\
[pipeline]
name = "packed"
chunk_size = "{chunk_size}"
plugins = ["picky.py"]
[[source]]
name = "s"
files = "in/*"
{source}
[schema]
provenance = ["line"]
[schema.columns]
id = {{ type = "int64", max = 999 }}
text = "string"
[[stage]]
name = "parse"
[[stage]]
name = "checked"
steps = ["picky", {{ use = "derive", column = "twice", expression = "id * 2" }}]
sink = {{ use = "parquet", path = "table", on_existing = "replace" }}
[[stage]]
name = "sums"
steps = [{{ use = "aggregate", count = "rows", sum = {{ twice = "twice" }} }}]
sink = {{ use = "csv", path = "sums.csv", on_existing = "replace" }}
[errors]
max_rejected = "100%"
max_dead = 1
"""
PICKY = """\
import polars as pl
from stagepipe import step


@step
def picky(frame: pl.DataFrame, reject) -> pl.DataFrame:
    return reject(frame, pl.col("id") % 50 == 7, "seven")
"""
RECORDS = 400


def content(first: int = 0) -> bytes:
    """Records over one line and over two, a blank line, some that are bad."""
    lines = ["id,text"]
    for number in range(first, first + RECORDS):
        match number % 10:
            case 3:
                lines.append(f'{number},"over\n{number} lines"')
            case 5:
                lines += ["", f"{number},after a blank line"]
            case 8:
                lines.append(f"{number},too,many" if number % 20 == 8 else f"x{number},é")
            case _:
                lines.append(f"{number},word")
    return "\r\n".join(lines).encode()


def zst(data: bytes) -> bytes:
    out = BytesIO()
    with xopen(out, "wb", format="zst") as packed:
        packed.write(data)
    return out.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zst,
}


def zipped(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def declare(project: Any, *, chunk_size: str = "1kB", source: str = "") -> None:
    project.write("picky.py", PICKY)
    project.write("pipeline.toml", PIPELINE.format(chunk_size=chunk_size, source=source))


def outcome(project: Any) -> tuple[list[Any], list[Any], str]:
    """The rows, the rejects with their places but for the file, and the sums."""
    result = project.run()
    assert result.error is None, result.error
    rows = pl.read_parquet(project.root / "out/table/*.parquet").rows()
    found = [
        (reject.line, reject.byte_offset, reject.reason, reject.raw)
        for reject in rejects.read(project.root / result.rejects)
    ]
    return rows, found, (project.root / "out/sums.csv").read_text()


@pytest.fixture
def plain(project: Any) -> tuple[list[Any], list[Any], str]:
    """What the file gives as it is."""
    declare(project, chunk_size="1MB")
    project.write("in/a.csv", content())
    found = outcome(project)
    assert (len(found[0]), len(found[1])) == (352, 48)
    (project.root / "in/a.csv").unlink()
    return found


@pytest.mark.parametrize("chunk_size", ["300B", "1kB", "1MB"])
@pytest.mark.parametrize("ending", PACKERS)
def test_a_packed_file_gives_what_the_file_gives(
    project: Any, plain: Any, ending: str, chunk_size: str
) -> None:
    """Rows, and the lines, offsets and bytes of rejects, of the reader and of a later step, in
    however many portions it is read."""
    declare(project, chunk_size=chunk_size)
    project.write(f"in/a.csv.{ending}", PACKERS[ending](content()))
    assert outcome(project) == plain
    plan = project.plan()
    files = plan.receipts[plan.stages[1].tasks[0].key].files
    assert len(files) >= len(content()) / parse_size(chunk_size)
    assert (len(files) == 1) == (chunk_size == "1MB")


@pytest.mark.parametrize("chunk_size", ["300B", "1MB"])
def test_the_members_of_a_zip_are_files(project: Any, plain: Any, chunk_size: str) -> None:
    """Each with a header of its own, named after the zip; what is no data is left out."""
    declare(project, chunk_size=chunk_size)
    (project.root / "in").mkdir(exist_ok=True)
    files = {"b/two.csv": content(RECORDS), "a/one.csv": content()}
    others = {"__MACOSX/a/one.csv": b"junk", ".hidden": b"junk", "a/._one.csv": b"junk"}
    zipped(project.root / "in/all.zip", files | others)
    rows, found, _ = outcome(project)
    assert rows[: len(plain[0])] == plain[0]
    assert len(rows) == 2 * RECORDS - len(found)
    by_file: dict[str | None, list[Any]] = {}
    for reject in rejects.read(project.root / project.run().rejects):
        place = (reject.line, reject.byte_offset, reject.reason, reject.raw)
        by_file.setdefault(reject.file, []).append(place)
    assert set(by_file) == {"in/all.zip/a/one.csv", "in/all.zip/b/two.csv"}
    assert by_file["in/all.zip/a/one.csv"] == plain[1]


def test_a_file_that_ends_early_is_dead_as_a_whole(project: Any) -> None:
    """Although many of its rows were written before that came out: the rows beside it in its chunk
    are all there, and none of its own."""
    for chunk_size in ("300B", "1kB", "1MB"):
        declare(project, chunk_size=chunk_size)
        project.write("in/a.csv.gz", gzip.compress(content(0)))
        project.write("in/b.csv.gz", gzip.compress(content(RECORDS))[:-20])
        project.write("in/c.csv.gz", gzip.compress(content(2 * RECORDS)))
        rows, found, _ = outcome(project)
        ids = {row[0] for row in rows}
        assert min(ids) == 0
        assert max(ids) == 999
        assert not ids & set(range(RECORDS, 2 * RECORDS))
        assert len(rows) + len(found) == 2 * RECORDS
        result = project.run()
        assert result.files_dead == 1
        assert result.rows.difference == 0


def twice() -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv.gz", gzip.compress(b"id,text\n", mtime=0))
    return packed.getvalue()


def alike() -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", b"id,text\n1,x\n")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.csv", b"id,text\n2,y\n")
    return packed.getvalue()


BEHIND = gzip.compress(b"id,text\n" + b"1,x\n" * 2**14, mtime=0) + b"x" * 99


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.csv.gz", b"no gzip at all, and long enough for a header", "cannot be unpacked"),
        ("a.csv.xz", b"none", "cannot be unpacked"),
        ("a.csv.bz2", b"none", "cannot be unpacked"),
        ("a.csv.gz", BEHIND, "something else stands behind it"),
        ("a.zip", twice(), "it is packed twice, by itself and in the zip"),
        ("a.zip", alike(), "several files of this name"),
        ("a.csv.zst", b"none", "cannot be unpacked"),
        ("a.zip", b"none", "it is no zip, or holds no file"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("a.csv.gz", gzip.compress(b"id,text\n1," + b"a" * 2**25, mtime=0), "unpacks to more than"),
    ],
    ids=[
        "no gzip",
        "no xz",
        "no bz2",
        "more",
        "twice",
        "two of one name",
        "no zst",
        "no zip",
        "nothing in it",
        "a bomb",
    ],
)
def test_what_cannot_be_unpacked_is_a_dead_letter(
    project: Any, name: str, data: bytes, why: str
) -> None:
    """With a reason; the other files go on."""
    declare(project, source="max_inflation = 20")
    project.write(f"in/{name}", data)
    project.write("in/good.csv", content())
    rows, found, _ = outcome(project)
    assert (len(rows), len(found)) == (352, 48)
    end = project.command()
    assert why in end.err + end.out or why in _dead(project)


def _dead(project: Any) -> str:
    import sqlite3

    database = sqlite3.connect(project.root / ".stagepipe/ledger.sqlite")
    found = database.execute("SELECT dead FROM files WHERE dead IS NOT NULL").fetchall()
    database.close()
    return str(found)


@pytest.mark.parametrize("name", ["long.csv", "long.csv.gz"])
def test_a_record_without_an_end_is_a_dead_letter(
    project: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In a packed file and in a plain one: nobody can hold it."""
    monkeypatch.setattr(portions, "LONGEST_RECORD", 10_000)
    declare(project)
    data = b'id,text\n1,"' + b"a" * 50_000
    project.write(f"in/{name}", gzip.compress(data) if name.endswith("gz") else data)
    checked = project.plan().checked
    (chunk,) = project.plan().chunks
    how = checked.work.sources["s"]
    reader = checked.plugins.reader(how.reader)
    with pytest.raises(DeadSegment, match=r"begins at byte 0 does not end within"):
        list(
            portions.portions(
                project.root, chunk.segments[0], reader, how, 1000, checked.work.table
            )
        )


def test_what_a_packed_file_gave_is_taken_again(project: Any) -> None:
    """A part of many files is taken as a whole, by the stages after it too."""
    declare(project, chunk_size="300B")
    project.write("in/a.csv.gz", gzip.compress(content()))
    outcome(project)
    before = project.tree("out/table") | {"sums": (project.root / "out/sums.csv").read_text()}
    result = project.run()
    assert [stage.made for stage in result.stages] == [0, 0, 0]
    (project.root / "out/sums.csv").unlink()
    result = project.run()
    assert result.error is None
    assert [stage.made for stage in result.stages] == [0, 0, 0]
    sums = {"sums": (project.root / "out/sums.csv").read_text()}
    assert project.tree("out/table") | sums == before
