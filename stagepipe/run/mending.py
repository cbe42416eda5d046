"""A record that came back mended counts only while the record whose place it takes is rejected.

Whether that is so, the barrier of the stage that rejected it tells, before anything is committed:
a mended schema may let it pass by itself, and then both would be in the table. So the mended one
rests from then on, or is taken up again, and the run plans anew with what it has made.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stagepipe.plan.mended import stage_index, store_of
from stagepipe.plan.planner import Plan
from stagepipe.record import rejects
from stagepipe.record.mended import Mended, Origin
from stagepipe.record.returning import origin_of

log = logging.getLogger("stagepipe")


class PlanAgain(Exception):  # noqa: N818 - nothing went wrong
    """What was planned does not hold any more, for the reason that is given."""


def raw_sha256(raw: bytes | None) -> str:
    """What tells a record's bytes from others."""
    return hashlib.sha256(raw or b"").hexdigest()


@dataclass(slots=True)
class Mending:
    """What the barriers of a run find out of its mended records. `replaced` says for each stage
    and source how many rejected records a mended one stands for."""

    plan: Plan
    replaced: dict[str, Counter[str]] = field(default_factory=dict)
    failed: set[Origin] = field(default_factory=set)

    def at_barrier(self, stage: str, added: int, path: Path | None) -> Mapping[str, int]:
        """Compare what was planned with what the stage rejected; `added` is how many rows steps
        brought up to here, `path` is where the rejects stand. How many of the stage's rejects, by
        source, have a mended record in their stead.

        Raises PlanAgain, when it is noted what is to rest; OSError.
        """
        mended = self.plan.mended
        known = {each.origin: each for each in (*mended.taken, *mended.resting)}
        if not known:
            return {}
        found, failed = _rejected(path, stage, known)
        self.failed |= failed
        pipeline = self.plan.checked.pipeline
        index = stage_index(pipeline, stage)
        checked = [
            each
            for each in known.values()
            if stage_index(pipeline, each.record.stage) == index and mended.is_read(each.origin)
        ]
        rest = {each.mark for each in mended.resting}
        wanted = rest.copy()
        for each in checked:
            by_step = found.get((each.origin, each.record.raw_sha256))
            if by_step is None or (by_step and added):
                wanted.add(each.mark)
            else:
                wanted.discard(each.mark)
        if wanted != rest:
            store = store_of(pipeline)
            _tell(len(wanted - rest), len(rest - wanted))
            others = store.resting() - {each.mark for each in known.values()}
            store.rest(others | wanted)
            raise PlanAgain("other mended records are to be taken than were planned")
        taken = {each.origin for each in mended.taken}
        replaced = Counter(
            origin.source for origin, _ in found if origin in taken and mended.is_read(origin)
        )
        self.replaced[stage] = replaced
        return replaced

    def note_outcomes(self) -> None:
        """Note, before the rows are appended to a table, which mended records are not among them:
        after a kill nothing else would tell. Raises OSError, StagepipeError."""
        failed: dict[str, list[int]] = {}
        for each in self.plan.mended.taken:
            of_file = failed.setdefault(each.file.id, [])
            if each.origin in self.failed:
                of_file.append(each.number)
        if failed:
            store_of(self.plan.checked.pipeline).note_outcomes(failed)

    @property
    def settled(self) -> Sequence[Mended]:
        """The mended records that are among the table's rows, or were dropped on their way."""
        mended = self.plan.mended
        return [*mended.held, *(each for each in mended.taken if each.origin not in self.failed)]


def _tell(resting: int, taken: int) -> None:
    """Say what is to rest from now on, and what is taken up again."""
    if resting:
        log.warning(
            "%s from now on: the records in whose place they stood are right as they stand in "
            "their files now, or are no longer there",
            "1 mended record rests" if resting == 1 else f"{resting} mended records rest",
        )
    if taken:
        what = "1 mended record is" if taken == 1 else f"{taken} mended records are"
        log.warning("%s taken up again: the record itself is rejected again", what)


def _rejected(
    path: Path | None, stage: str, known: Mapping[Origin, Mended]
) -> tuple[dict[tuple[Origin, str], bool], set[Origin]]:
    """Of the records that were mended once: those that the stage rejected as they stand in their
    files, with the digest of their bytes and whether a step did it; and those of which it rejected
    the mended text."""
    found: dict[tuple[Origin, str], bool] = {}
    failed: set[Origin] = set()
    if path is None:
        return found, failed
    for noted in rejects.read_noted(path):
        origin = origin_of(noted.reject)
        if noted.reject.stage != stage or origin is None or origin not in known:
            continue
        if noted.mended is not None:
            failed.add(origin)
        else:
            found[origin, raw_sha256(noted.reject.raw)] = noted.by_step
    return found, failed
