"""Drift at the first stage's barrier: the new files of each source beside those before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stagepipe.errors import DriftError
from stagepipe.model import Receipt
from stagepipe.plan.files import SourceFiles
from stagepipe.plan.planner import Plan
from stagepipe.record.drift import Change, FileFacts, Profile, changes, facts_by_source
from stagepipe.record.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Noted:
    """A change, and what the pipeline wants done about it: `warn`, `fail` or `accept`."""

    change: Change
    on_drift: str


@dataclass(frozen=True, slots=True)
class SourceDrift:
    """The files of a source that no committed run has read, what they are like, and what that
    changed."""

    source: SourceFiles
    files: Sequence[FileFacts]
    profile: Profile
    noted: tuple[Noted, ...]


def drift(plan: Plan, ledger: Ledger, receipts: Sequence[Receipt]) -> list[SourceDrift]:
    """What is new about each source that has new files. Raises LedgerError."""
    pipeline, table = plan.checked.pipeline, plan.checked.work.table
    known = {s.name: ledger.profiled_files(pipeline.name, s.name) for s in plan.sources}
    by_source = facts_by_source(receipts, [column.name for column in table.columns], known)
    found = []
    for source in plan.sources:
        new = by_source.get(source.name)
        if not new:
            continue
        before = ledger.profile(pipeline.name, source.name)
        records = list(known[source.name].values())
        told = changes(source.name, new, before, records) if before else []
        on_drift = pipeline.on_drift_of(source.declared)
        noted = tuple(Noted(change, on_drift) for change in told)
        found.append(SourceDrift(source, new, Profile.of(new).over(before), noted))
    return found


def failure(found: Sequence[SourceDrift]) -> DriftError | None:
    """What to end the run with, where a change is not to be taken."""
    failing = [
        (each.source, noted.change)
        for each in found
        for noted in each.noted
        if noted.on_drift == "fail"
    ]
    if not failing:
        return None
    (_, first), others = failing[0], len(failing) - 1
    more = f" (and {others} more {'change' if others == 1 else 'changes'})" if others else ""
    ways = dict.fromkeys(_ways([source for source, _ in failing]))
    return DriftError(
        f"{first.message}{more}; on_drift is 'fail'",
        "nothing was committed, and finished parts are kept: ask who sends the files, or, if this "
        f"is as it should be, {' and '.join(ways)}",
    )


def _ways(sources: Sequence[SourceFiles]) -> Iterator[str]:
    """How to accept what changed, once."""
    for source in sources:
        if source.declared.on_drift is None:
            yield "accept it once: run again with --set schema.on_drift=accept"
        elif not source.declared.captures:
            yield f"accept it once: run again with --set source.{source.name}.on_drift=accept"
        else:
            yield 'set on_drift = "accept" in its [[source]] for one run'
