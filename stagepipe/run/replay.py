"""The way back: rejected records that were mended are taken up, each once.

A replay is no run of a special kind. It notes mended records as input of their source, runs the
pipeline like any other run, and notes which rejects that has settled. Without mended records it is
the pipeline file that was mended: then a run reads all files anew, but for those whose rows a table
that is appended to holds already. Of these the rejected records themselves are what comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stagepipe.declare import Pipeline
from stagepipe.errors import UsageError
from stagepipe.plan.planner import Checked
from stagepipe.record.form_encoding import REPLACEMENT
from stagepipe.record.ledger import Ledger, Row
from stagepipe.record.mended import Origin
from stagepipe.record.open_rejects import open_before
from stagepipe.record.rejects import Noted, read_noted
from stagepipe.record.returning import Form, Status, is_table, origin_of, with_status
from stagepipe.run.lock import only_run
from stagepipe.run.result import RunResult
from stagepipe.run.start import Request, get_ready, run_locked
from stagepipe.run.taking_back import AGAIN, SETTLED, Candidate, Desk

TABLES = "they are tables that are not wanted: what is has to come in a file of its own"
LOST = "nobody knows which records they were: their line and raw are empty"
REPLACED = (
    "they have replacement characters (U+FFFD), as where an editor cannot read what it opens: mend "
    "them in one that is told the encoding of their file"
)
MOVE_AWAY = "move it away to have it made anew with the mended records, or replace it"
Settled = Mapping[tuple[str, str, int], int]


@dataclass(frozen=True, slots=True)
class Taking:
    """Which rejects a replay takes up, and why it leaves others out."""

    asked: set[Origin]
    left_out: Counter[str]


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of the rejects of the run `of`. `asked` is how many were taken up, `settled` how
    many of them are not rejected any more; `still` has the others that were rejected again, by
    reason and column, and `left_out` those that were not taken up, by why. `dead_letters` are those
    of that run which were tried again, by path, and whether each is alive now. Where nobody said
    which run and nothing was taken up, `earlier` has the open rejects of runs before it, by run."""

    of: str
    result: RunResult
    asked: int
    settled: int
    still: Counter[tuple[str, str]]
    left_out: Counter[str]
    dead_letters: Mapping[str, bool] = field(default_factory=dict)
    earlier: Mapping[str, int] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """The object that `replay --json` prints: that of the run, and what it was for."""
        still = [
            {"reason": r, "column": c or None, "records": n} for (r, c), n in self.still.items()
        ]
        left_out = [{"reason": why, "records": n} for why, n in self.left_out.items()]
        about = {
            "of": self.of,
            "records": self.asked,
            "settled": self.settled,
            "rejected": still,
            "left_out": left_out,
            "dead_letters": [
                {"file": path, "alive": is_alive} for path, is_alive in self.dead_letters.items()
            ],
            "earlier": dict(self.earlier),
        }
        return {**self.result.to_plain(), "replay": about}


def replay(
    pipeline: Pipeline, run: str | None = None, form: Form | None = None, how: Request | None = None
) -> Replay:
    """Take up the rejects of a run, the latest when left out; those of `form` where it is given.

    Raises what `run` raises, and UsageError where the form is of another run or pipeline.
    """
    how = how or Request()
    with how.counting():
        return _replayed(pipeline, run, form, how)


def _replayed(pipeline: Pipeline, run: str | None, form: Form | None, how: Request) -> Replay:
    checked = get_ready(pipeline)
    with only_run(pipeline):
        path = pipeline.state_path / "ledger.sqlite"
        if not path.exists():
            raise UsageError(
                f"nothing has run here yet: there is no ledger at {path}", "run the pipeline first"
            )
        _refuse_what_stands(pipeline)
        with Ledger(path) as ledger:
            row = _run_of(ledger, pipeline, run, form)
            taking = _take_back(checked, ledger, row, form)
        result = run_locked(checked, replace(how, replay_of=row["run"]))
        with Ledger(path) as ledger:
            done = _outcome(pipeline, ledger, row, taking, result)
            if run is not None or form is not None or done.asked or done.dead_letters:
                return done
            return replace(done, earlier=open_before(ledger, row, pipeline.state_path))


def _refuse_what_stands(pipeline: Pipeline) -> None:
    """Raises UsageError where a table stands that must not be replaced."""
    for stage in pipeline.stages:
        if stage.sink is None or stage.sink.on_existing != "error":
            continue
        table = pipeline.output_path / stage.sink.path
        if table.exists():
            raise UsageError(
                f'{table} stands, and on_existing = "error": mended records cannot be added to it',
                MOVE_AWAY,
            )


def _run_of(ledger: Ledger, pipeline: Pipeline, run: str | None, form: Form | None) -> Row:
    if form is not None and form.pipeline != pipeline.name:
        raise UsageError(
            f"the mended records are of pipeline {form.pipeline!r}, not of {pipeline.name!r}",
            "name its pipeline file with -p",
        )
    row = ledger.run(run if run is not None or form is None else form.run, pipeline.name)
    if row["pipeline"] != pipeline.name:
        raise UsageError(
            f"run {row['run']} is one of {row['pipeline']!r}", "name its pipeline file with -p"
        )
    if form is not None and row["run"] != form.run:
        raise UsageError(
            f"the mended records are of run {form.run}, not of {row['run']}",
            "leave the run out: the file says which it is",
        )
    return row


def _rejects_of(pipeline: Pipeline, row: Row, settled: Settled) -> Iterator[tuple[Noted, Status]]:
    """The rejects of a run. Raises UsageError where they are gone."""
    path = pipeline.state_path / "runs" / row["run"] / "rejects.parquet"
    if path.exists():
        return with_status(path, settled, row["number"])
    if row["rejects"]:
        raise UsageError(
            f"the rejects of run {row['run']} are gone: there is no {path}",
            "run again with --fresh to have them anew",
        )
    return iter(())


def _take_back(checked: Checked, ledger: Ledger, row: Row, form: Form | None) -> Taking:
    """Note what is to be read beside the files."""
    pipeline = checked.pipeline
    rejects = _rejects_of(pipeline, row, ledger.settled(pipeline.name))
    desk = Desk(checked, ledger, row)
    if form is not None:
        candidates = list(_of_form(rejects, form, desk))
        return Taking({each.origin for each in desk.take(candidates)}, desk.left_out)
    asked: set[Origin] = set()
    held = []
    for noted, status in rejects:
        origin = origin_of(noted.reject)
        if status is not Status.OPEN:
            continue
        if is_table(noted):
            desk.left_out[TABLES] += 1
        elif origin is None:
            desk.left_out[LOST] += 1
        elif desk.is_read(origin):
            asked.add(origin)  # in its own file, which is read anew
        else:
            held.append(Candidate(noted, origin, noted.reject.raw or b""))
    asked |= {each.origin for each in desk.take(held, is_tried=True)}
    return Taking(asked, desk.left_out)


def _of_form(
    rejects: Iterable[tuple[Noted, Status]], form: Form, desk: Desk
) -> Iterator[Candidate]:
    """The records of a form that were mended; why others are left out is counted."""
    left_out = desk.left_out
    awaited = {(each.origin, each.mended): each for each in form.records}
    for noted, status in rejects:
        origin = origin_of(noted.reject)
        returned = awaited.pop((origin, noted.mended), None) if origin is not None else None
        if returned is None or origin is None:
            continue
        text = returned.text_like(noted.reject.raw or b"")
        if is_table(noted):
            left_out[TABLES] += 1
        elif status is Status.SETTLED and not desk.has_lost(origin):
            left_out[SETTLED] += 1
        elif status is Status.REPLACED:
            left_out[AGAIN] += 1
        elif text == noted.reject.raw:
            left_out["they were not changed"] += 1
        elif REPLACEMENT in text and REPLACEMENT not in (noted.reject.raw or b""):
            left_out[REPLACED] += 1
        else:
            yield Candidate(noted, origin, text)
    if awaited:
        left_out[f"they are no rejects of run {form.run}"] += len(awaited)


def _outcome(
    pipeline: Pipeline, ledger: Ledger, row: Row, taking: Taking, result: RunResult
) -> Replay:
    """What became of the rejects that were asked for. Those that were read again in their own files
    and are not rejected any more are noted as settled."""
    now = ledger.run(result.run)
    rejected = _reasons(pipeline.state_path / "runs" / now["run"] / "rejects.parquet")
    if result.error is None:
        readings, before = ledger.last_readings(pipeline.name), ledger.files(row["run"])
        passed = [
            origin
            for origin in sorted(taking.asked - rejected.keys())
            if _is_read_again(readings.get(origin[:2]), before.get(origin[:2]), now)
        ]
        ledger.settle(now["run"], passed)
    settled = ledger.settled(pipeline.name)
    done = {origin for origin in taking.asked if settled.get(origin, 0) >= now["number"]}
    still = Counter(rejected[origin] for origin in (taking.asked - done) & rejected.keys())
    tried = _tried_again(ledger, row["run"], now["run"])
    return Replay(row["run"], result, len(taking.asked), len(done), still, taking.left_out, tried)


def _tried_again(ledger: Ledger, before: str, now: str) -> dict[str, bool]:
    """The dead letters of a run that another one has read again, and whether each is alive."""
    read, dead = ledger.files(now), {each["path"] for each in ledger.dead_letters(now)}
    were_dead = ((each["source"], each["path"]) for each in ledger.dead_letters(before))
    return {path: path not in dead for source, path in were_dead if (source, path) in read}


def _reasons(path: Path) -> dict[Origin, tuple[str, str]]:
    """The records that a run rejected, with reason and column: of one that came back mended, those
    of its mended text."""
    found: dict[Origin, tuple[str, str]] = {}
    for noted in read_noted(path) if path.exists() else ():
        origin, reject = origin_of(noted.reject), noted.reject
        if origin is not None and (noted.mended or origin not in found):
            found[origin] = (reject.reason, reject.column or "")
    return found


def _is_read_again(reading: Row | None, before: Row | None, now: Row) -> bool:
    """Whether a run has read the very file again that one before it read."""
    if reading is None or before is None or reading["run"] != now["run"] or reading["dead"]:
        return False
    return all(reading[name] == before[name] for name in ("size", "mtime_ns", "inode"))
