"""Attempts that fail: what they cost, what is tried again, and what is left in the end."""

from __future__ import annotations

import hashlib
import json
import select
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest

STEPS = """\
import ctypes, os, resource, signal, sys, time
from pathlib import Path
import polars as pl
from stagepipe import step

HERE = Path(__file__).parent

def goes_wrong(how):
    if how == "killed": os.kill(os.getpid(), signal.SIGKILL)
    if how == "exits": os._exit(3)
    if how == "crashes": ctypes.string_at(0)
    if how == "hangs": signal.pause()
    if how == "holds the GIL": __import__("re").match("(a+)+$", "a" * 60 + "b")
    if how == "raises": raise RuntimeError("no luck")
    if how == "is wrong": raise ValueError("no good")
    if how == "is large":
        much = bytearray(600_000_000)
        signal.pause()

def bad(frame, *, how: str, at: int = 300, times: int = 1000, poison: str = ""):
    if not (frame["id"] == at).any() or (poison and not (HERE / poison).exists()):
        return frame
    tries = HERE / "tries"
    with tries.open("a") as file:
        file.write("x")
    if tries.stat().st_size <= times:
        goes_wrong(how)
    return frame

step(bad)

@step
def large(frame):
    if len(frame) > 300 and not (HERE / "roomy").exists():
        much = bytearray(600_000_000)
        signal.pause()
    return frame

@step
def odd_ones(frame, *, reject):
    return reject(frame, pl.col("id") % 2 == 1, "odd")


kept = []

@step
def leaking(frame, *, handles: int):
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    kept.extend(open(os.devnull) for _ in range(handles))
    return frame

@step(io_bound=True)
def slow_io(frame, *, at: int = 300):
    if (frame["id"] == at).any():
        __import__("threading").Event().wait()
    return frame
"""
FILES = 8
ROWS = 70


@pytest.fixture
def letters(project: Any) -> Any:
    """Eight files of seventy rows; those of the fourth begin with 300."""
    project.write("own.py", STEPS)
    for number in range(FILES):
        project.letters(f"{number}.csv", range(number * 100, number * 100 + ROWS))
    return project


def declare(project: Any, *, step: str = "", errors: str = "", settings: str = "", **more: str):
    """The pipeline with what is to go wrong; all files are one chunk unless it says otherwise."""
    project.declare(
        settings=f'plugins = ["own.py"]\n{settings}',
        first=step,
        after=f'[errors]\nbackoff = "1ms"\n{errors}',
        **more,
    )


def bad(how: str, **options: object) -> str:
    given = "".join(f", {name} = {value!r}".replace("'", '"') for name, value in options.items())
    return f'{{ use = "bad", how = "{how}"{given} }}'


def ids(project: Any, name: str = "letters") -> list[int]:
    return pl.read_parquet(f"{project.root}/out/{name}")["id"].to_list()


def all_ids(without: int | None = None) -> list[int]:
    return [n * 100 + i for n in range(FILES) if n != without for i in range(ROWS)]


def table(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix == ".parquet"
    }


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("killed", "its worker was killed by SIGKILL, perhaps by the kernel for want of memory"),
        ("exits", "its worker ended itself with exit code 3"),
        ("crashes", "its worker was killed by SIGSEGV"),
    ],
)
def test_a_file_that_kills_its_worker_is_a_dead_letter(letters: Any, how: str, why: str) -> None:
    """After all attempts it is found among the others, whose rows are in the table, in one part."""
    declare(letters, step=bad(how), errors="max_dead = 1")
    ended = letters.command("-j", "2")
    assert ended.code == 0
    assert f"dead letter: landing/3.csv: {why}" in ended.err
    assert ids(letters) == all_ids(without=3)
    assert ended.json["files"] == {"read": FILES - 1, "skipped": 0, "dead": 1}
    assert ended.json["stages"][0]["tasks"] == {"made": 1, "taken": 0, "dead": 1, "retried": 2}
    # Three times whole; in halves of eight, four and two; by itself.
    assert (letters.root / "tries").stat().st_size == 3 + 3
    assert not list((letters.root / ".stagepipe/spool/letters").glob(".*"))


def test_what_was_dead_is_made_when_it_is_mended(letters: Any) -> None:
    """Then the table is what an undisturbed run would have written."""
    declare(letters, step=bad("killed", poison="poison"), settings="jobs = 2")
    assert letters.command().code == 0
    undisturbed = table(letters.root / "out")
    letters.write("poison", "")
    declare(letters, step=bad("killed", poison="poison"), errors="max_dead = 1")
    assert letters.command("--fresh").code == 0
    assert ids(letters) == all_ids(without=3)
    (letters.root / "poison").unlink()
    assert letters.command().code == 0
    assert ids(letters) == all_ids()
    assert table(letters.root / "out").keys() == undisturbed.keys()
    assert list(table(letters.root / "out").values()) == list(undisturbed.values())


def test_without_a_budget_for_it_a_dead_letter_fails_the_run(letters: Any) -> None:
    """The file is named, and the old table stands."""
    declare(letters, step=bad("exits", poison="poison"))
    assert letters.command().code == 0
    before = table(letters.root / "out")
    letters.write("poison", "")
    ended = letters.command("--fresh")
    assert ended.code == 1
    assert "landing/3.csv: its worker ended itself with exit code 3" in ended.message
    assert table(letters.root / "out") == before


@pytest.mark.parametrize("how", ["killed", "raises"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_goes_well_at_the_third_time_leaves_no_trace_in_the_table(
    letters: Any, how: str, jobs: str
) -> None:
    """The bytes are those of a run in which all went well; the others are made once."""
    declare(letters, step=bad(how, times=0), settings='chunk_size = "1kB"')
    assert letters.command().code == 0
    undisturbed = table(letters.root / "out")
    (letters.root / "tries").unlink()
    declare(letters, step=bad(how, times=2), settings='chunk_size = "1kB"')
    ended = letters.command("--fresh", "-j", jobs)
    assert ended.code == 0
    assert sorted(table(letters.root / "out").values()) == sorted(undisturbed.values())
    assert ids(letters) == all_ids()
    assert ended.json["stages"][0]["tasks"]["retried"] in (1, 2)  # a death in company is none


def test_an_error_that_comes_again_is_not_tried_again(letters: Any) -> None:
    """It ends the run at once; where dead letters are allowed, the file is found."""
    declare(letters, step=bad("is wrong"))
    ended = letters.command()
    assert ended.code == 1
    assert "chunk 0 (landing/0.csv and 7 more): step 'bad': ValueError: no good" in ended.message
    assert (letters.root / "tries").stat().st_size == 1
    declare(letters, step=bad("is wrong"), errors="max_dead = 1")
    ended = letters.command()
    assert ended.code == 0
    assert "landing/3.csv: step 'bad': ValueError: no good" in ended.err
    assert ended.json["stages"][0]["tasks"]["retried"] == 0
    assert ids(letters) == all_ids(without=3)


@pytest.mark.parametrize("how", ["hangs", "holds the GIL"])
def test_what_hangs_is_ended_and_found(letters: Any, how: str) -> None:
    """Native code that holds the GIL, too; where it hung is kept."""
    for number in set(range(FILES)) - {2, 3}:
        (letters.root / f"landing/{number}.csv").unlink()
    declare(letters, step=bad(how), errors='timeout = "3s"\nattempts = 1\nmax_dead = 1')
    ended = letters.command("-j", "2")
    assert ended.code == 0
    assert "dead letter: landing/3.csv: it took longer than 3.0 s" in ended.err
    assert ids(letters) == list(range(200, 200 + ROWS))
    (found,) = (letters.root / ".stagepipe/runs").glob("*/tracebacks.txt")
    assert "in goes_wrong" in found.read_text()


def test_what_takes_many_times_as_long_as_others_is_ended(letters: Any) -> None:
    """By a multiple of the median of those that are done."""
    errors = 'timeout = "5x"\nattempts = 1\nmax_dead = 1'
    declare(letters, step=bad("hangs"), errors=errors, settings='chunk_size = "900B"')
    ended = letters.command("-j", "2")
    assert ended.code == 0, ended.message
    assert ended.json["stages"][0]["tasks"]["made"] == FILES
    assert "dead letter: landing/3.csv: it took longer than" in ended.err
    assert ids(letters) == all_ids(without=3)


def test_a_file_is_not_to_blame_where_the_fork_server_dies(letters: Any) -> None:
    """Its workers die with it, and nobody knows of what: the attempt does not count."""
    for number in set(range(FILES)) - {3}:
        (letters.root / f"landing/{number}.csv").unlink()
    declare(letters, step=bad("hangs", times=1), errors="attempts = 1\nmax_dead = 1")
    process = letters.start("-j", "1")
    try:
        while not (letters.root / "tries").exists():
            assert process.poll() is None
            select.select([], [], [], 0.05)
        for child in psutil.Process(process.pid).children():
            if "forkserver" in " ".join(child.cmdline()):
                child.kill()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert json.loads(out)["files"] == {"read": 1, "skipped": 0, "dead": 0}, err
    assert ids(letters) == list(range(300, 300 + ROWS))


def test_a_worker_that_can_open_no_more_files_is_made_anew(letters: Any) -> None:
    """What is tried again is tried in another one."""
    step, settings = '{ use = "leaking", handles = 60 }', 'chunk_size = "1kB"'
    declare(letters, step=step, settings=settings)
    ended = letters.command("-j", "1")
    assert ended.code == 0, ended.err
    assert ids(letters) == all_ids()
    assert ended.json["stages"][0]["tasks"]["retried"] in range(1, FILES)


def test_a_step_that_opens_too_much_at_once_is_named(letters: Any) -> None:
    """In a new worker, too, and the hint says what it may be."""
    declare(letters, step='{ use = "leaking", handles = 300 }')
    ended = letters.command("-j", "1")
    assert ended.code == 1
    assert "OSError: [Errno 24] Too many open files" in ended.message
    assert "may not close what it opens" in ended.message


def test_what_waits_too_long_in_a_thread_is_given_up(letters: Any) -> None:
    """No thread can be ended, but nothing waits for it, not even the end of the program."""
    for number in set(range(FILES)) - {2, 3}:
        (letters.root / f"landing/{number}.csv").unlink()
    declare(
        letters,
        step='"slow_io"',
        errors='timeout = "3s"\nattempts = 1\nmax_dead = 1',
    )
    ended = letters.command("-j", "2")
    assert ended.code == 0
    assert "dead letter: landing/3.csv: it took longer than 3.0 s" in ended.err
    assert ids(letters) == list(range(200, 200 + ROWS))
    (found,) = (letters.root / ".stagepipe/runs").glob("*/tracebacks.txt")
    assert "in slow_io" in found.read_text()


def test_what_needs_too_much_memory_is_ended_and_found(letters: Any) -> None:
    """Without trying it again as it is."""
    settings = 'worker_memory = "500MB"'
    declare(letters, step=bad("is large"), errors="max_dead = 1", settings=settings)
    ended = letters.command("-j", "2")
    assert ended.code == 0
    assert "and worker_memory is 500 MB" in ended.err
    assert ids(letters) == all_ids(without=3)
    assert (letters.root / "tries").stat().st_size == 1 + 3


def test_a_chunk_that_is_too_large_as_a_whole_is_made_in_pieces(letters: Any) -> None:
    """None of its files is dead, and its rows are those that they were."""
    declare(letters, step='"large"', settings='worker_memory = "500MB"')
    ended = letters.command("-j", "2")
    assert ended.code == 0
    assert ended.json["files"]["dead"] == 0
    assert ids(letters) == all_ids()
    assert ended.json["outputs"][0]["files"] > 1


SECOND = """sink = {{ path = "letters", on_existing = "replace" }}
[[stage]]
name = "second"
steps = [{steps}]
sink = {{ path = "second", on_existing = "replace" }}"""


def test_a_part_of_a_later_stage_that_is_too_large_is_made_by_halves(letters: Any) -> None:
    """What is written is what one with more room writes, the rejects too."""
    stages = SECOND.format(steps='"large", "odd_ones"')
    letters.write("roomy", "")
    most = 'max_rejected = "90%"'
    declare(letters, stages=stages, settings='worker_memory = "500MB"', errors=most)
    assert letters.command().code == 0
    roomy, rejects = letters.tree(), letters.program("rejects", "--csv").out
    assert rejects.count("odd") == len(all_ids()) // 2
    (letters.root / "roomy").unlink()
    ended = letters.command("--fresh", "-j", "2")
    assert ended.code == 0, ended.message
    assert "and worker_memory is 500 MB; tried again with half of its rows at a time" in ended.err
    assert letters.tree() == roomy
    assert letters.program("rejects", "--csv").out == rejects


def test_what_is_too_large_in_a_later_stage_is_told_with_what_helps(letters: Any) -> None:
    """When half of it was too much as well."""
    stages = SECOND.format(steps=bad("is large"))
    declare(letters, stages=stages, settings='worker_memory = "500MB"', errors="max_dead = 1")
    ended = letters.command("-j", "2")
    assert ended.code == 1
    assert "and worker_memory is 500 MB" in ended.json["error"]["message"]
    assert "give it more worker_memory" in ended.json["error"]["hint"]
    assert "make chunk_size smaller" in ended.json["error"]["hint"]
    assert (letters.root / "tries").stat().st_size == 2


def test_a_file_that_is_cut_is_dead_as_a_whole(letters: Any) -> None:
    """Its other chunks are made once more without it, those too that it shares with others."""
    declare(
        letters, step=bad("exits", at=333), errors="max_dead = 1", settings='chunk_size = "300B"'
    )
    ended = letters.command("-j", "2")
    assert ended.code == 0
    assert ended.json["files"]["dead"] == 1
    assert ids(letters) == all_ids(without=3)
    history = letters.program("show", "--json")
    assert [each["file"] for each in history.json["dead_letters"]] == ["landing/3.csv"]


def test_a_part_of_a_later_stage_is_not_taken_when_a_file_of_it_died(letters: Any) -> None:
    """The plan took it, when nobody knew."""
    stages = (
        'sink = { path = "letters", on_existing = "replace" }\n'
        '[[stage]]\nname = "second"\nsink = { path = "second", on_existing = "replace" }'
    )
    how = {"step": bad("exits", poison="poison"), "stages": stages, "errors": "max_dead = 1"}
    declare(letters, **how)
    assert letters.command().code == 0
    assert ids(letters, "second") == all_ids()
    shutil.rmtree(letters.root / "out/letters")
    (first,) = letters.plan().stages[0].tasks
    for path in (letters.root / ".stagepipe/spool/letters").glob(f"{first.key}.*.parquet"):
        path.unlink()
    letters.write("poison", "")
    ended = letters.command()
    assert ended.code == 0
    assert ids(letters) == ids(letters, "second") == all_ids(without=3)


def test_a_source_that_fails_in_a_row_is_given_up(letters: Any) -> None:
    """Its tasks do not all use up their attempts on it; those of the others are made."""
    settings = 'chunk_size = "300B"'
    letters.write("b/1.csv", "id,word\n" + "".join(f"300,word{n}\n" for n in range(500)))
    source = '[[source]]\nname = "beta"\nfiles = "b/*.csv"'
    errors = 'backoff = "0s"\nattempts = 9'
    (letters.root / "landing/3.csv").unlink()
    declare(letters, step=bad("raises"), settings=settings, source=source)
    text = (letters.root / "pipeline.toml").read_text().replace('backoff = "1ms"', errors)
    letters.write("pipeline.toml", text)
    ended = letters.command("-j", "2")
    assert ended.code == 1
    assert "no luck" in ended.message
    assert "beta rests for" in ended.err
    assert "beta is given up" in ended.err
    assert (letters.root / "tries").stat().st_size < 20
    again = letters.command("--set", "errors.max_dead=0", "-j", "2")
    assert again.json["stages"][0]["tasks"]["taken"] >= 7


def test_a_disk_with_too_little_room_is_not_written_to(letters: Any) -> None:
    """The run says so before anything is made."""
    declare(letters, settings='min_free = "900000GB"')
    ended = letters.command()
    assert ended.code == 1
    assert "are free on the disk of" in ended.message
    assert "min_free is 900 TB" in ended.message
    assert not (letters.root / "out/letters").exists()


FILLING = """
import shutil
from stagepipe import hookimpl

@hookimpl
def stagepipe_event(event):
    if type(event).__name__ == "TaskFinished" and (HERE / "poison").exists():
        usage = shutil.disk_usage(HERE)
        shutil.disk_usage = lambda _: usage._replace(free=5)
"""


def test_a_disk_that_fills_up_during_a_run_ends_it(letters: Any) -> None:
    """Tasks that still run are not waited for; what is finished is taken when there is room."""
    letters.write("own.py", STEPS + FILLING)
    letters.write("poison", "")
    declare(
        letters,
        step=bad("hangs", poison="poison"),
        settings='min_free = "10B"\nchunk_size = "900B"',
    )
    ended = letters.command("-j", "1")
    assert ended.code == 1
    assert "only 5 bytes are free on the disk of" in ended.message
    assert "make room and run again: finished parts are kept" in ended.message
    assert not (letters.root / "out/letters").exists()
    (letters.root / "poison").unlink()
    ended = letters.command("-j", "1")
    assert ended.code == 0, ended.message
    assert ended.json["stages"][0]["tasks"]["taken"] >= 1
    assert ids(letters) == all_ids()


def test_a_later_stage_has_no_dead_letters(letters: Any) -> None:
    """Nobody knows there which file a row is from; what failed is named, and tried again."""
    stages = '[[stage]]\nname = "second"\nsteps = [STEP]\n' + (
        'sink = { path = "letters", on_existing = "replace" }'
    )
    declare(letters, stages=stages.replace("STEP", bad("exits")), errors="max_dead = 1")
    ended = letters.command()
    assert ended.code == 1
    assert "stage 'second', chunk 0 (landing/0.csv and 7 more): its worker ended" in ended.message
    assert (letters.root / "tries").stat().st_size == 3


@pytest.mark.parametrize("how", ["hangs", "holds the GIL"])
def test_nothing_outlives_a_run_that_is_killed(letters: Any, how: str) -> None:
    """Not a worker either that lets no other thread of its run."""
    declare(letters, step=bad(how))
    process = letters.start("-j", "2")
    try:
        while not (letters.root / "tries").exists():
            assert process.poll() is None
            select.select([], [], [], 0.05)
        family = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=5)
    for one in alive:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.communicate()
    assert not alive
