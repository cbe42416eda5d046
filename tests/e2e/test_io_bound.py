"""Stages that wait for a network run in threads of the parent; stages of one chunk at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stagepipe.errors import PipelineError

WAITS = """\
import os
import subprocess
import threading

import polars as pl
from stagepipe import step

BARRIER = threading.Barrier({parties}, timeout=60)
LOCK = threading.Lock()
COUNTS = {{"now": 0, "most": 0}}


@step(io_bound=True)
def pid_of_thread(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(os.getpid()).alias("thread"))


@step
def pid_of_worker(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(os.getpid()).alias("worker"))


@step(io_bound=True)
def together(frame: pl.DataFrame) -> pl.DataFrame:
    "Nobody goes on before so many are here."
    with LOCK:
        COUNTS["now"] += 1
        COUNTS["most"] = max(COUNTS.values())
    BARRIER.wait()
    with LOCK:
        COUNTS["now"] -= 1
    return frame.with_columns(pl.lit(COUNTS["most"]).alias("most"))


@step(io_bound=True)
def talks(frame: pl.DataFrame) -> pl.DataFrame:
    print("said by a thread", flush=True)
    os.write(1, b"written by a thread\\n")
    subprocess.run(["echo", "said by a child"], check=True)
    return frame


@step(io_bound=True)
def waits(frame: pl.DataFrame, *, fifo: str, chunk: int) -> pl.DataFrame:
    "Never comes back from one chunk, and tells that it is there."
    if frame["id"][0] == chunk:
        with open(fifo, "w") as out:
            out.write("waiting")
        threading.Event().wait()
    return frame


@step(io_bound=True)
def fails(frame: pl.DataFrame) -> pl.DataFrame:
    raise TimeoutError("no answer from the moon")


@step(io_bound=True)
def rejects(frame: pl.DataFrame, reject) -> pl.DataFrame:
    return reject(frame, pl.col("id") % 10 == 3, "three")
"""


@pytest.fixture
def waiting(project: Any) -> Any:
    """Six files, each a chunk of its own, and the steps above."""
    for number in range(6):
        project.letters(f"{number}.csv", range(10 * number, 10 * number + 10))
    project.write("waits.py", WAITS.format(parties=6))
    return project


def declare(project: Any, step: str, *, cap: int | None = None, more: str = "") -> None:
    """A stage with the step after one without; the table stands behind both."""
    text = f'[[stage]]\nname = "wait"\nsteps = [{step}]\n'
    text += f"max_concurrent = {cap}\n" if cap else ""
    text += f'{more}\nsink = {{ use = "parquet", path = "letters", on_existing = "replace" }}\n'
    project.declare(settings='chunk_size = "110B"\nplugins = ["waits.py"]', stages=text)


def column(project: Any, name: str) -> set[Any]:
    paths = sorted((project.root / "out/letters").iterdir())
    return {value for path in paths for value in pq.read_table(path)[name].to_pylist()}


def succeeded(project: Any, **how: Any) -> Any:
    result = project.run(**how)
    assert result.error is None, result.error
    return result


def test_they_run_in_the_parent(waiting: Any) -> None:
    """In its process, while the stages around run in others."""
    last = '[[stage]]\nname = "work"\nsteps = ["pid_of_worker"]'
    declare(waiting, '"pid_of_thread"', more=last)
    succeeded(waiting, jobs=2)
    assert column(waiting, "thread") == {os.getpid()}
    assert os.getpid() not in column(waiting, "worker")


def test_a_stage_with_one_such_step_runs_in_threads_as_a_whole(waiting: Any) -> None:
    """Its other steps too."""
    declare(waiting, '"pid_of_worker", "pid_of_thread"')
    succeeded(waiting, jobs=2)
    assert column(waiting, "worker") == column(waiting, "thread") == {os.getpid()}


def test_also_the_first_stage_may_wait(waiting: Any) -> None:
    """It reads its files in threads."""
    waiting.declare(
        settings='chunk_size = "110B"\nplugins = ["waits.py"]',
        first='"pid_of_thread"',
        source="max_concurrent = 2",
    )
    succeeded(waiting, jobs=2)
    assert column(waiting, "thread") == {os.getpid()}
    assert column(waiting, "id") == set(range(60))


def test_more_may_wait_than_there_are_workers(waiting: Any) -> None:
    """`max_concurrent` of the stage says how many: here each waits until all six are there."""
    declare(waiting, '"together"', cap=6)
    succeeded(waiting, jobs=2)
    assert max(column(waiting, "most")) == 6


@pytest.mark.parametrize(("cap", "jobs", "most"), [(3, 4, 3), (None, 2, 2), (3, 1, 3)])
def test_never_more_than_allowed_wait(waiting: Any, cap: int | None, jobs: int, most: int) -> None:
    """Two or three have to be there for one to go on, and no fourth comes meanwhile."""
    waiting.write("waits.py", WAITS.format(parties=most))
    declare(waiting, '"together"', cap=cap)
    succeeded(waiting, jobs=jobs)
    assert max(column(waiting, "most")) == most


def test_the_bytes_do_not_depend_on_the_threads(waiting: Any) -> None:
    """Nor on their number: chunks come to the table in order, and so do rejects."""
    trees = []
    for cap in (1, 5):
        declare(waiting, '"rejects"', cap=cap)
        result = succeeded(waiting, fresh=True)
        assert (result.rows.rejected, result.rows.difference) == (6, 0)
        trees.append(waiting.tree())
        lines = waiting.root.joinpath(result.rejects)
        assert pq.read_table(lines)["line"].to_pylist() == [5] * 6
        assert pq.read_table(lines)["raw"].to_pylist() == [b"%d,word%d" % (n, n) for n in TENS]
    assert trees[0] == trees[1]


TENS = range(3, 60, 10)


def test_what_goes_wrong_in_a_thread_is_told(waiting: Any) -> None:
    """With stage, chunk, file and step."""
    declare(waiting, '"fails"', cap=2)
    ended = waiting.command("--set", "errors.backoff=0s")
    assert ended.code == 1
    assert (
        "stage 'wait', chunk 0 (landing/0.csv): step 'fails': TimeoutError: no answer"
        in ended.message
    )


@pytest.mark.parametrize("words", [("--json",), ()], ids=["json", "text"])
def test_what_they_print_is_no_result(waiting: Any, words: tuple[str, ...]) -> None:
    """It goes to stderr, whatever way it is written; stdout is for the result."""
    declare(waiting, '"talks"')
    done = subprocess.run(
        [sys.executable, "-m", "stagepipe", "run", *words],
        cwd=waiting.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert " by a " not in done.stdout
    for said in ("said by a thread", "written by a thread", "said by a child"):
        assert done.stderr.count(said) == 6
    if words:
        assert json.loads(done.stdout)["status"] == "succeeded"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_does_not_wait_for_those_who_wait(
    waiting: Any, signum: signal.Signals, code: int
) -> None:
    """A thread cannot be ended; the process ends without it, and the next run goes on."""
    fifo = waiting.root / "fifo"
    os.mkfifo(fifo)
    declare(waiting, f'{{ use = "waits", fifo = "{fifo}", chunk = 50 }}', cap=1)
    process = waiting.start("-j", "1")
    try:
        assert fifo.read_text() == "waiting"
        process.send_signal(signum)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert json.loads(out)["status"] == "interrupted"
    assert not (waiting.root / "out/letters").exists()
    declare(waiting, f'{{ use = "waits", fifo = "{fifo}", chunk = 99 }}', cap=1)
    assert succeeded(waiting).rows.written == 60


SCRIPT = """\
import stagepipe

if __name__ == "__main__":
    try:
        stagepipe.run(stagepipe.load("pipeline.toml"), jobs=1)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_a_script_ends_without_those_who_wait(waiting: Any) -> None:
    """Also where the program is somebody else's: Ctrl-C gets him out of `run`, and out."""
    fifo = waiting.root / "fifo"
    os.mkfifo(fifo)
    declare(waiting, f'{{ use = "waits", fifo = "{fifo}", chunk = 0 }}')
    script = waiting.write("script.py", SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=waiting.root, stdout=subprocess.PIPE, text=True
    )
    try:
        assert fifo.read_text() == "waiting"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert out == "interrupted\n"
    assert process.returncode == 0


def test_a_step_that_waits_stands_in_no_stage_that_computes_over_all_rows(waiting: Any) -> None:
    """Sums of floats would come from the parent's many threads, and differ from run to run."""
    declare(waiting, '{ use = "sort", by = ["id"] }, "pid_of_thread"')
    with pytest.raises(PipelineError, match=r"pipeline.toml:\d+:41: step 'pid_of_thread' waits"):
        waiting.plan()
    last = '[[stage]]\nname = "order"\nsteps = [{ use = "sort", by = ["id"] }]'
    declare(waiting, '"pid_of_thread"', more=last)
    succeeded(waiting)
    assert column(waiting, "thread") == {os.getpid()}


def test_a_check_says_where_memory_is_not_watched(waiting: Any) -> None:
    """Nobody can tell a thread's from that of the others; without a limit that is no news."""
    declare(waiting, '"pid_of_thread"')
    assert waiting.program("check", "--json").json["notes"] == []
    (note,) = waiting.program("check", "--json", "--set", "pipeline.worker_memory=2GB").json[
        "notes"
    ]
    assert "stage 'wait' runs in threads, as a step of it waits (io_bound)" in note
    assert note.endswith("worker_memory is not watched there")


def test_the_program_knows_such_threads_by_name() -> None:
    """It leaves without them; it imports nothing of the engine to know how they are called."""
    from stagepipe.cli import IO_THREADS
    from stagepipe.run.pools import THREAD_NAME

    assert IO_THREADS == THREAD_NAME


# -- one chunk at a time --------------------------------------------------------------------------

COUNTS = """\
import os
from pathlib import Path
import polars as pl
from stagepipe import step

FOLDER = Path("{root}")


@step{kind}
def counts(frame: pl.DataFrame) -> pl.DataFrame:
    "Reads a number, thinks for a moment, and writes the next one. Fails when it is not alone."
    name = frame["_source"][0]
    lock = FOLDER / f"{{name}}.lock"
    os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    counter, order = FOLDER / f"{{name}}.count", FOLDER / f"{{name}}.order"
    before = int(counter.read_text()) if counter.exists() else 0
    with order.open("a") as file:
        file.write(f"{{frame['id'][0]}}\\n")
    sum(number * number for number in range(300_000))
    counter.write_text(str(before + 1))
    lock.unlink()
    return frame.with_columns(pl.lit("all").alias("_source"))
"""
TWO_SOURCES = """\
[pipeline]
name = "counting"
chunk_size = "30B"
plugins = ["counts.py"]
[[source]]
name = "one"
files = "one/*.csv"
{source}
[[source]]
name = "two"
files = "two/*.csv"
[schema]
provenance = ["source"]
[schema.columns]
id = "int64"
word = "string"
{stages}
"""
SINK = 'sink = { use = "parquet", path = "letters", on_existing = "replace" }\n'


@pytest.fixture
def counting(project: Any) -> Any:
    """Two sources of some dozens of chunks."""
    project.letters("a.csv", range(10, 60), folder="one")
    project.letters("b.csv", range(60, 90), folder="one")
    project.letters("a.csv", range(100, 190), folder="two")
    return project


def noted(folder: Path, name: str) -> tuple[int, list[int]]:
    """The count, and the first row of each chunk in the order in which they came."""
    order = [int(line) for line in (folder / f"{name}.order").read_text().split()]
    return int((folder / f"{name}.count").read_text()), order


@pytest.mark.parametrize("kind", ["", "(io_bound=True)"], ids=["processes", "threads"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first stage", "later stage"])
def test_a_stage_of_one_at_a_time_goes_in_order(counting: Any, kind: str, is_first: bool) -> None:
    """Over all sources: no count is lost, and each chunk comes after the one before it."""
    counting.write("counts.py", COUNTS.format(root=counting.root, kind=kind))
    same = '{ use = "derive", column = "_source", expression = "\'all\'" }'
    first = f'[[stage]]\nname = "parse"\nsteps = [{same}]\n'
    text = f'[[stage]]\nname = "count"\nmax_concurrent = 1\nsteps = [{same}, "counts"]\n{SINK}'
    stages = text if is_first else first + text
    counting.write("pipeline.toml", TWO_SOURCES.format(source="", stages=stages))
    result = succeeded(counting, jobs=4)
    count, order = noted(counting.root, "all")
    assert count == len(order) == result.stages[-1].made > 50
    assert order == sorted(order)


def test_a_source_of_one_at_a_time_goes_in_order(counting: Any) -> None:
    """Beside another that has no such cap."""
    counting.write("counts.py", COUNTS.format(root=counting.root, kind=""))
    step = '{ use = "derive", column = "free", expression = "_source = \'two\'" }'
    stages = f'[[stage]]\nname = "parse"\nsteps = [{step}, "counts_one"]\n{SINK}'
    text = (counting.root / "counts.py").read_text()
    text += (
        "\n\n@step\ndef counts_one(frame: pl.DataFrame) -> pl.DataFrame:\n"
        "    return frame if frame['free'][0] else counts(frame)\n"
    )
    counting.write("counts.py", text)
    counting.write("pipeline.toml", TWO_SOURCES.format(source="max_concurrent = 1", stages=stages))
    succeeded(counting, jobs=4)
    count, order = noted(counting.root, "one")
    assert count == len(order) > 20
    assert order == sorted(order)


def test_without_the_cap_they_get_in_each_others_way(counting: Any) -> None:
    """What the tests above would see if nothing kept chunks apart."""
    counting.write("counts.py", COUNTS.format(root=counting.root, kind=""))
    stages = f'[[stage]]\nname = "parse"\nsteps = ["counts"]\n{SINK}'
    counting.write("pipeline.toml", TWO_SOURCES.format(source="", stages=stages))
    result = counting.run(jobs=4)
    assert "File exists" in str(result.error)
