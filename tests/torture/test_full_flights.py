"""A whole year of flights, 16 sources: the same bytes for any number of workers, the same rows for
any cut, and kill -9 at twenty random instants. Run by `make torture`; it fetches the data by pip.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psutil
import pytest

SAMPLE = Path(__file__).parents[2] / "sample_data"
ROWS = 336_776
KILLS = 20
SEED = int(os.environ.get("STAGEPIPE_TEST_SEED", "1"))
PATIENCE_SECONDS = 5.0
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo pipeline beside the whole year, one file for each of 16 carriers."""
    place = tmp_path_factory.mktemp("year")
    subprocess.run(
        [sys.executable, SAMPLE / "make_flights.py", "--full", place / "flights"], check=True
    )
    for name in ("pipeline.toml", "airlines.csv", "airports.csv"):
        shutil.copy(SAMPLE / name, place)
    yield place
    shutil.rmtree(place)


def command(chunk_size: str, jobs: int) -> list[str]:
    """The program on the pipeline."""
    size = f"pipeline.chunk_size={chunk_size}"
    return [sys.executable, "-m", "stagepipe", "run", "-q", "-j", str(jobs), "--set", size]


def forget(place: Path) -> None:
    """As if nothing had ever run here."""
    shutil.rmtree(place / "out", ignore_errors=True)


def run(place: Path, chunk_size: str = "500kB", jobs: int = 2) -> dict[str, str]:
    """Run to the end; the digests of all files of both tables."""
    subprocess.run(command(chunk_size, jobs), cwd=place, check=True)
    files = [*sorted((place / "out/flights").iterdir()), place / "out/summary.csv"]
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def rows(place: Path) -> list[pl.DataFrame]:
    """The rows of both tables, in order."""
    return [
        pl.read_parquet(place / "out/flights/*.parquet"),
        pl.read_csv(place / "out/summary.csv"),
    ]


def test_the_same_bytes_for_any_number_of_workers(place: Path) -> None:
    """One, two and four workers write the same files, with the same bytes."""
    found = []
    for jobs in (1, 2, 4):
        forget(place)
        found.append(run(place, jobs=jobs))
    assert found[0] == found[1] == found[2]
    assert rows(place)[0].height == ROWS


def test_the_same_rows_for_any_cut(place: Path) -> None:
    """Chunk sizes that split the files, and one that does not, give the same rows in order."""
    found = []
    for chunk_size in ("77kB", "1MB", "32MB"):
        forget(place)
        run(place, chunk_size)
        found.append(rows(place))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert one.equals(two)


def survivors(process: subprocess.Popen[bytes]) -> list[int]:
    """Living processes of the session that a killed run led."""
    found = []
    for pid in psutil.pids():
        try:
            is_alive = psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
            if is_alive and os.getsid(pid) == process.pid:
                found.append(pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def test_killed_at_random_instants(place: Path) -> None:
    """After kill -9 of the parent no process is left, and the next run ends with the same bytes."""
    forget(place)
    begin = time.monotonic()
    undisturbed = run(place)
    whole = time.monotonic() - begin
    chance = random.Random(SEED)
    for _ in range(KILLS):
        forget(place)
        process = subprocess.Popen(
            command("500kB", 2), cwd=place, start_new_session=True, stderr=subprocess.DEVNULL
        )
        # The instant itself is the input of this test: any is right.
        time.sleep(chance.uniform(0, whole))
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := survivors(process)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left
        assert run(place) == undisturbed
