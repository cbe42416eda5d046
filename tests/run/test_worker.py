"""What happens in a worker: whatever a step does comes back as plain data."""

from __future__ import annotations

import errno
import os
import pickle
from typing import Any

import pytest

from stagepipe.model import Failure
from stagepipe.plan.planner import check as check_pipeline
from stagepipe.plan.planner import make_plan
from stagepipe.record.spool import Spool
from stagepipe.run import worker
from stagepipe.run.orders import Order
from stagepipe.run.parts import Bench

HEAD = "import sys\nimport polars as pl\nfrom stagepipe import step\n\n"


def do(project: Any, monkeypatch: pytest.MonkeyPatch, body: str, decorator: str = "@step") -> Any:
    """Run one task with a step of that body in this process, as a worker would."""
    indented = body.replace("\n", "\n    ")
    project.write("own.py", f"{HEAD}{decorator}\ndef own(frame):\n    {indented}\n")
    project.declare(settings='plugins = ["own.py"]', first='"own"')
    project.letters("a.csv", range(6))
    plan = make_plan(check_pipeline(project.load()))
    monkeypatch.setattr(worker, "_bench", Bench(plan.checked.work))
    (project.root / ".stagepipe/spool/letters").mkdir(parents=True)
    result = worker.run_task(Order(plan.stages[0].tasks[0], "attempt"))
    assert pickle.loads(pickle.dumps(result)) == result
    left = [path.name for path in (project.root / ".stagepipe/spool/letters").glob(".*")]
    assert not left
    return result


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no luck')", "step 'own': ValueError: no luck"),
        ("raise KeyError", "step 'own': KeyError ("),
        ("raise KeyError('x')", "own.py, line 8)"),
        ("raise KeyError('x')", "step 'own': KeyError: 'x' ("),
        ("sys.exit(0)", "step 'own': SystemExit: 0"),
        ("raise KeyboardInterrupt", "step 'own': KeyboardInterrupt"),
        ("return None", "step 'own' returned a NoneType, not a polars DataFrame"),
        ("return frame.lazy()", "step 'own' returned a LazyFrame, not a polars DataFrame"),
        ("return pl.concat([frame, frame])", "step 'own' made 12 rows of 6"),
        ("return frame.select('gone')", "there is no column 'gone'"),
        (
            "return frame.with_columns(odd=pl.Series([object()] * len(frame), dtype=pl.Object))",
            "step 'own' made column 'odd' of Python objects, which cannot be stored",
        ),
        (
            "return frame.with_columns(odd=pl.col('id').cast(pl.Int128))",
            "step 'own' made column 'odd' of integers of 128 bits, which cannot be stored",
        ),
        (
            "return frame.with_columns(odd=pl.struct(pl.lit([1], pl.List(pl.Int128))))",
            "made column 'odd' of nested integers of 128 bits",
        ),
        (
            "return frame.with_columns(odd=pl.lit(None, pl.Struct([])))",
            "made column 'odd' of structs without fields",
        ),
        (
            "return frame.with_columns(odd=pl.lit(None, pl.Array(pl.Int8, 0)))",
            "made column 'odd' of arrays without items",
        ),
        ("return pl.DataFrame()", "step 'own' gave back a frame without columns"),
        (
            "class Odd(Exception):\n"
            "    def __init__(self, one, two): super().__init__(one)\n"
            "raise Odd(1, 2)",
            "step 'own': Odd: 1",
        ),
        ("raise RuntimeError('\\udcff')", "step 'own'"),
    ],
)
def test_a_step_that_fails_comes_back_as_a_failure(
    project: Any, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    """Whatever a step raises or returns, a Failure says stage, chunk and file, and unpickles."""
    guarded = "if not len(frame): return frame\n" + body
    result = do(project, monkeypatch, guarded)
    assert isinstance(result, Failure)
    assert "stage 'parse', chunk 0 (landing/a.csv)" in result.message
    assert message in result.message


def test_a_panic_comes_back_as_a_failure(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A panic of polars is no Exception, and must not reach the pool either."""
    body = (
        "if not len(frame): return frame\n"
        "from polars.exceptions import PanicException\n"
        "assert not issubclass(PanicException, Exception)\n"
        "raise PanicException('the thread panicked')"
    )
    result = do(project, monkeypatch, body)
    assert isinstance(result, Failure)
    assert "panicked" in result.message


def test_what_a_failed_attempt_wrote_is_taken_away(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would: the run goes on, and its next attempt writes under other names. That
    nothing of it is left, `do` says."""

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Spool, "keep", broken)
    result = do(project, monkeypatch, "return frame")
    assert isinstance(result, Failure)
    assert os.strerror(errno.EIO) in result.message


def test_a_step_that_takes_rows_away_is_counted(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer rows count as dropped, by the step's name."""
    result = do(project, monkeypatch, "return frame.head(2)")
    assert result.dropped == {"own": 4}
    assert (result.rows.read, result.rows.written, result.rows.dropped) == (6, 2, 4)
    assert result.rows.difference == 0


def test_a_step_that_reshapes_counts_both_ways(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that goes in counts as dropped, and all that comes out as added."""
    body = "return pl.concat([frame, frame])"
    result = do(project, monkeypatch, body, "@step(reshapes=True)")
    assert (result.dropped, result.added) == ({"own": 6}, {"own": 12})
    assert (result.rows.written, result.rows.difference) == (12, 0)


def test_the_part_is_what_its_receipt_says(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size, checksum, columns and rows of the receipt are those of the file."""
    result = do(project, monkeypatch, "return frame")
    spool = Bench(make_plan(check_pipeline(project.load())).checked.work).spool
    assert all(map(spool.is_sound, result.all_files))
    assert spool.receipts() == {result.key: result}
    assert result.columns == {"id": "int64", "word": "string"}
    (segment,) = result.segments
    assert (segment.records, segment.rows, segment.lines) == (6, 6, 7)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: path.write_text("id,word\n9,nine\n"), "it changed after the run was planned"),
        (lambda path: path.unlink(), "cannot be read: No such file or directory"),
        (lambda path: path.touch(), "it changed after the run was planned"),
    ],
)
def test_a_file_that_changed_since_the_plan_is_dead(
    project: Any, monkeypatch: pytest.MonkeyPatch, change: Any, why: str
) -> None:
    """A worker reads the file that was planned, or nothing of it."""
    project.declare()
    path = project.letters("a.csv", range(6))
    plan = make_plan(check_pipeline(project.load()))
    monkeypatch.setattr(worker, "_bench", Bench(plan.checked.work))
    (project.root / ".stagepipe/spool/letters").mkdir(parents=True)
    change(path)
    result = worker.run_task(Order(plan.stages[0].tasks[0], "attempt"))
    assert why in result.segments[0].dead
    assert result.rows.read == result.rows.written == 0
    assert not result.is_whole


def test_a_damaged_part_is_noticed_and_forgotten(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later stage does not read a part that is not what its receipt says."""
    project.letters("a.csv", range(6))
    project.declare(stages='[[stage]]\nname = "second"')
    project.run()
    spool = project.root / ".stagepipe/spool/letters"
    plan = make_plan(check_pipeline(project.load()), fresh=False)
    first, second = (stage.tasks[0] for stage in plan.stages)
    part = spool / f"{first.key}.0.arrow"
    part.write_bytes(bytes(part.stat().st_size))
    monkeypatch.setattr(worker, "_bench", Bench(plan.checked.work))
    order = Order(second, "attempt", plan.receipts[first.key].pieces)
    result = worker.run_task(order)
    assert isinstance(result, Failure)
    assert "was damaged on disk" in result.message
    assert not list(spool.glob(f"{first.key}*"))
