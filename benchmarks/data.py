"""The data: TPC-H `lineitem` as CSV, as many files, as one big one, as many files in which each
hundredth record is bad, and the first of its records as very many small files.

`tpchgen-cli` writes the big file (766 MB at scale 1), always the same bytes. Each record is one
line: only the last column, the comment, is quoted, and no comment holds a quote or a newline. The
big file is cut at record ends into 20 folders of 20 files, each with the header; put together in
order they hold the same records. In the same pass the expected counts and sums are taken from the
bytes with plain Python, so that no peer is its own judge. Copies of these files are the dirty ones:
in turn a text for a price, a day that there is not, a record cut short, a field too many, and
letters in a key. The small files are cut from the big one's beginning in the same way, as many as
there are or as it has records for. The tenfold work, ten copies of the
many files, is only made when it is asked for.

A folder with `complete.json` in it is complete and is used again; one without is made anew.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import click

from benchmarks.errors import BenchError
from benchmarks.lineitem import COLUMNS

SOURCES = 20
FILES_PER_SOURCE = 20
SMALL_FILES_PER_SOURCE = 500
SMALL_BYTES = 20_000
BAD_EVERY = 100
TIMES = 10
LAYOUT = 3  # raise it when other code would make other files
MARKER = "complete.json"


@dataclass(frozen=True)
class Expected:
    """What must be in the output: the row count, and three sums that need every row."""

    rows: int
    orderkey_sum: int
    quantity_hundredths: int
    comment_bytes: int


@dataclass(frozen=True)
class Work:
    """One piece of work: the same records in one of the shapes. What is dirty has a clean twin."""

    name: str
    sources: dict[str, str]  # a source's name → glob of its files
    pattern: str  # one glob for all files
    files: int
    bytes: int
    expected: Expected
    clean: "Work | None" = None


def prepare(data: Path, scale: float, names: Sequence[str]) -> list[Work]:
    """The works of these names at this scale factor, their files made where they are not there
    already."""
    folder = (data / f"scale-{scale:g}").resolve()
    expected = _expected_if_complete(folder, scale)
    if expected is None:
        click.echo(
            f"making lineitem at scale {scale:g} in {click.format_filename(folder)}", err=True
        )
        shutil.rmtree(folder, ignore_errors=True)
        table = _generate(folder / "big", scale)
        whole, many, dirty = table.stat().st_size, folder / "many", folder / "dirty"
        small_files = min(SMALL_FILES_PER_SOURCE, whole // (SOURCES * SMALL_BYTES))
        clean = _cut(table, many, FILES_PER_SOURCE, whole / (SOURCES * FILES_PER_SOURCE))
        expected = {
            "many": clean,
            "big": clean,
            "dirty": _spoil(many, dirty, clean),
            "small": _cut(table, folder / "small", small_files, SMALL_BYTES),
        }
        _mark_complete(folder, scale, expected)
    works = {name: _work(folder / name, expected[name]) for name in expected}
    works["dirty"] = replace(works["dirty"], clean=works["many"])
    if "tenfold" in names:
        works["tenfold"] = _tenfold(folder, works["many"])
    return [work for name, work in works.items() if name in names]


def _work(folder: Path, expected: Expected) -> Work:
    """The work of a folder of files, or of folders of them: each of these is a source."""
    files = [path.stat().st_size for path in folder.glob("**/*.csv")]
    sources = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return Work(
        name=folder.name,
        sources={name: str(folder / name / "*.csv") for name in sources}
        or {"lineitem": str(folder / "*.csv")},
        pattern=str(folder / "*" / "*.csv" if sources else folder / "*.csv"),
        files=len(files),
        bytes=sum(files),
        expected=expected,
    )


def _generate(folder: Path, scale: float) -> Path:
    tool = shutil.which("tpchgen-cli", path=str(Path(sys.executable).parent))
    tool = tool or shutil.which("tpchgen-cli")
    if tool is None:
        raise BenchError("tpchgen-cli is not installed; `make bench` installs it")
    folder.mkdir(parents=True)
    options = ["--scale-factor", f"{scale:g}", "--tables", "lineitem", "--quiet"]
    done = subprocess.run([tool, "csv", *options, "--output-dir", str(folder)], check=False)
    if done.returncode:
        raise BenchError(f"tpchgen-cli failed with exit code {done.returncode}")
    return folder / "lineitem.csv"


def _cut(table: Path, folder: Path, files_per_source: int, file_bytes: float) -> Expected:
    """Deal records out to small files in order, about so many bytes to each, and sum what every
    peer must find."""
    rows = orderkeys = hundredths = comments = 0
    with table.open("rb") as lines:
        header = next(lines)
        if header.decode().strip().split(",") != list(COLUMNS):
            raise BenchError(f"tpchgen-cli wrote other columns than expected: {header!r}")
        position, end = 0, 0.0
        for out in _small_files(folder, header, files_per_source):
            end += file_bytes
            while position < end and (line := next(lines, None)) is not None:
                out.write(line)
                position += len(line)

                orderkey, quantity, comment = _summands(line)
                rows += 1
                orderkeys += orderkey
                hundredths += quantity
                comments += comment
            if out.tell() == len(header):
                raise BenchError(f"the data are too small for {SOURCES * files_per_source} files")
    return Expected(rows, orderkeys, hundredths, comments)


def _summands(line: bytes) -> tuple[int, int, int]:
    """A record's key, its quantity in hundredths, and the length of its comment."""
    orderkey, _, _, _, quantity, rest = line.split(b",", 5)
    # The quantity is a whole number in the file, or int() raises.
    return int(orderkey), int(quantity) * 100, len(rest) - rest.index(b',"') - len(b',""\n')


def _spoil(many: Path, dirty: Path, expected: Expected) -> Expected:
    """Copy the small files with every so manieth record made bad; what must be left of them."""
    rows, orderkeys, hundredths, comments = astuple(expected)
    for path in sorted(many.glob("*/*.csv")):
        lines = path.read_bytes().splitlines(keepends=True)
        for number, index in enumerate(range(BAD_EVERY // 2, len(lines), BAD_EVERY)):
            orderkey, quantity, comment = _summands(lines[index])
            rows -= 1
            orderkeys -= orderkey
            hundredths -= quantity
            comments -= comment
            lines[index] = _spoiled(lines[index], number)
        copy = dirty / path.relative_to(many)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(b"".join(lines))
    return Expected(rows, orderkeys, hundredths, comments)


def _spoiled(line: bytes, number: int) -> bytes:
    fields = line.split(b",", 15)
    match number % 5:
        case 0:
            fields[5] = b"n/a"
        case 1:
            fields[10] = b"1996-02-30"
        case 2:
            return b",".join(fields[:12]) + b"\n"
        case 3:
            fields.insert(3, b"17")
        case 4:
            fields[0] = b"12x4"
    return b",".join(fields)


def _tenfold(folder: Path, many: Work) -> Work:
    """Ten copies of each of the small files; made again unless all are there."""
    tenfold = folder / "tenfold"
    if len(list(tenfold.glob("*/*.csv"))) < TIMES * many.files or not (tenfold / MARKER).exists():
        click.echo(f"copying {TIMES} times {many.bytes / 1e6:.0f} MB", err=True)
        shutil.rmtree(tenfold, ignore_errors=True)
        for path in sorted((folder / "many").glob("*/*.csv")):
            of_source = tenfold / path.parent.name
            of_source.mkdir(parents=True, exist_ok=True)
            for number in range(TIMES):
                shutil.copyfile(path, of_source / f"{path.stem}_{number}.csv")
        (tenfold / MARKER).touch()
    return _work(tenfold, Expected(*(TIMES * number for number in astuple(many.expected))))


def _small_files(folder: Path, header: bytes, files_per_source: int) -> Iterator[BinaryIO]:
    digits = len(str(files_per_source - 1))
    for source in range(SOURCES):
        of_source = folder / f"source_{source:02}"
        of_source.mkdir(parents=True)
        for part in range(files_per_source):
            with (of_source / f"lineitem_{part:0{digits}}.csv").open("wb") as file:
                file.write(header)
                yield file


def _identity(folder: Path, scale: float) -> dict[str, object]:
    """What makes a folder usable: how it was made, and the size of each file."""
    return {
        "layout": LAYOUT,
        "scale": scale,
        "tpchgen-cli": version("tpchgen-cli"),
        "files": {
            str(path.relative_to(folder)): path.stat().st_size
            for path in sorted(folder.glob("**/*.csv"))
        },
    }


def _mark_complete(folder: Path, scale: float, expected: dict[str, Expected]) -> None:
    record = {
        "identity": _identity(folder, scale),
        "expected": {name: asdict(of_work) for name, of_work in expected.items()},
    }
    unfinished = folder / f"{MARKER}.tmp"
    unfinished.write_text(json.dumps(record, indent=1))
    unfinished.replace(folder / MARKER)


def _expected_if_complete(folder: Path, scale: float) -> dict[str, Expected] | None:
    marker = folder / MARKER
    if not marker.exists():
        return None
    record = json.loads(marker.read_text())
    if record["identity"] != _identity(folder, scale):
        return None
    return {name: Expected(**of_work) for name, of_work in record["expected"].items()}
