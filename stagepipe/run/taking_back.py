"""Which rejected records can come back, and how they are kept.

A record must never be in a table twice. Where its file is read in the same run, the barrier sees to
that (`run.mending`). Where the table holds the file's rows already, nothing is read that could tell
it: then the record comes back only on the evidence of the very run that brought them there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from stagepipe.contracts import DeadSegment, Reader
from stagepipe.errors import UsageError
from stagepipe.model import InputFile, Segment, printable
from stagepipe.packing import UnpackError, is_packed, unpacked
from stagepipe.plan.appending import leave_out
from stagepipe.plan.detecting import HEAD_BYTES, work_of_file
from stagepipe.plan.files import find_files
from stagepipe.plan.mended import (
    current_of,
    held_files,
    is_same,
    path_of,
    shown_before,
    store_of,
)
from stagepipe.plan.planner import Checked, source_work, with_sources
from stagepipe.plan.work import SourceWork
from stagepipe.record.ledger import Ledger, Row
from stagepipe.record.mended import Mended, MendedRecord, Origin, OriginFile
from stagepipe.record.rejects import Noted
from stagepipe.record.spool import file_sha256
from stagepipe.run.mending import raw_sha256

GONE = "their files are no longer among those of the pipeline"
LATER = "another run has read their files since: replay the rejects of that one"
SETTLED = "they were settled before"
AGAIN = "a mended text of them was rejected in its turn: mend that one"
AS_BEFORE = "they would be rejected as before"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reject, and the text that is to take its record's place."""

    noted: Noted
    origin: Origin
    text: bytes


@dataclass(frozen=True, slots=True)
class _Fit:
    """A candidate that may come back: the file that its record is of, how many records its text is,
    and whether it has to be read by itself."""

    candidate: Candidate
    file: InputFile
    text: bytes
    records: int
    stands_alone: bool


class Desk:
    """Where the rejects of one run are handed in. `left_out` counts those that are not taken, by
    why. Raises what finding the files raises."""

    def __init__(self, checked: Checked, ledger: Ledger, run: Row) -> None:
        self.left_out: Counter[str] = Counter()
        self._run = run
        self._pipeline = checked.pipeline
        sources, skipped = leave_out(self._pipeline, find_files(self._pipeline))
        self._checked = with_sources(checked, sources)
        self._sources = {printable(source.name): source for source in sources}
        self._read = {(printable(s.name), printable(f.path)): f for s in sources for f in s.files}
        self._skipped = {printable(file.path): file for file in skipped}
        self._held = {printable(path) for path in held_files(self._pipeline)}
        self._readings = ledger.last_readings(self._pipeline.name)
        self._stages = ledger.stages(run["run"])
        self._store = store_of(self._pipeline)
        held = {(name, path): f for path, f in self._skipped.items() for name in self._sources}
        self._current = current_of(self._pipeline, {**held, **self._read})
        self._failed = self._store.outcomes()
        self._sha256: dict[str, str] = {}

    def is_read(self, origin: Origin) -> bool:
        """Whether a run reads the file that a record is of."""
        return origin[:2] in self._read

    def has_lost(self, origin: Origin) -> bool:
        """Whether a run reads the file that a record is of, and nothing that was mended for it is
        there: then it may come back, whatever became of it before."""
        return self.is_read(origin) and origin not in self._current

    def take(
        self, candidates: Sequence[Candidate], *, is_tried: bool = False
    ) -> Iterator[Candidate]:
        """Keep those that may come back, and say which they are. `is_tried`: only those that the
        reader does not reject. Raises UsageError where they cannot be kept."""
        may_come = []
        for each in candidates:
            if self._is_waiting(each):
                yield each
            elif why := self._why_not(each):
                self.left_out[why] += 1
            else:
                may_come.append(each)
        groups: dict[tuple[str, bytes], list[tuple[Candidate, InputFile]]] = defaultdict(list)
        for file, of_file in groupby(may_come, self._file_of):
            listed = list(of_file)
            try:
                beginning = self._beginning(listed[0].origin.source, file)
            except (DeadSegment, UnpackError, OSError) as error:
                why = f"{printable(file.path)} cannot be read: {error}"
                self.left_out[why] += len(listed)
                continue
            groups[listed[0].origin.source, beginning] += [(each, file) for each in listed]
        for (source, beginning), found in groups.items():
            yield from self._keep(source, beginning, found, is_tried)

    def _why_not(self, each: Candidate) -> str | None:
        """Why a record cannot come back."""
        origin, noted = each.origin, each.noted
        if origin.source not in self._sources:
            return f"there is no source {origin.source!r} any more"
        current = self._current.get(origin)
        if noted.mended is not None:
            if current is None or current.file.id != noted.mended:
                return "they were mended again since: replay the rejects of that run"
            if current.record.records > 1:
                return "they were mended to several records, of which some are in the table"
        if not self.is_read(origin) and (why := self._why_not_held(each, current)):
            return why
        if why := shown_before(self._pipeline, noted.reject.stage):
            return why
        names = [stage["name"] for stage in self._stages]
        last = names.index(noted.reject.stage) if noted.reject.stage in names else len(names)
        if noted.by_step and any(stage["added"] for stage in self._stages[: last + 1]):
            return "a step had made several rows of records, of which others may be in the table"
        return None

    def _why_not_held(self, each: Candidate, current: Mended | None) -> str | None:
        """Why a record cannot come back whose file is not read again."""
        origin, noted = each.origin, each.noted
        if origin.file not in self._held:
            return GONE
        if origin.file not in self._skipped:
            return f"{origin.file} is gone, and without its header they cannot be read"
        if current is not None and path_of(self._pipeline, current.file.id) in self._held:
            if current.number not in self._failed.get(current.file.id, ()):
                return SETTLED
            return None if noted.mended is not None else AGAIN
        if self._run["status"] != "succeeded":
            return "their run did not end well, and the rows of their file came with another"
        reading = self._readings.get(origin[:2])
        is_last = reading is not None and reading["run"] == self._run["run"]
        return None if is_last and noted.mended is None else LATER

    def _file_of(self, each: Candidate) -> InputFile:
        return self._read.get(each.origin[:2]) or self._skipped[each.origin.file]

    def _beginning(self, source: str, file: InputFile) -> bytes:
        """All that a reader has to know of a file to read its records. Raises DeadSegment,
        UnpackError and OSError."""
        _, how = self._how(source)
        with (self._pipeline.folder / file.on_disk).open("rb") as raw:
            if is_packed(file):
                with unpacked(raw, file, how.max_inflation) as stream:
                    head = stream.read(HEAD_BYTES)
            else:
                head = raw.read(HEAD_BYTES)
        reader, options = self._reader(source, head)
        data, starts = reader.copy_with(head, [b""], options)
        beginning = data[: starts[0]]
        if self._reader(source, beginning)[1] != options:
            raise DeadSegment("its header alone does not tell its dialect: set it in [source.csv]")
        return beginning

    def _keep(
        self,
        source: str,
        beginning: bytes,
        found: Sequence[tuple[Candidate, InputFile]],
        is_tried: bool,
    ) -> Iterator[Candidate]:
        """Keep the records of files that begin alike."""
        fits = list(self._fitting(source, beginning, found))
        reader, options = self._reader(source, beginning)
        data, starts = reader.copy_with(beginning, [fit.text for fit in fits], options)
        has_several = any(fit.records > 1 for fit in fits)
        try:
            rejected = self._tried(source, data, starts, fits) if is_tried or has_several else {}
        except DeadSegment as error:
            self.left_out[f"their file cannot be read: {error}"] += len(fits)
            return
        kept = []
        for number, fit in enumerate(fits):
            reason = rejected.get(number)
            if reason is not None and (is_tried or fit.records > 1):
                several = f"their text is several records, and some are wrong ({reason})"
                self.left_out[AS_BEFORE if is_tried else several] += 1
                continue
            kept.append(fit)
        if kept:
            self._write(source, beginning, kept)
        yield from (fit.candidate for fit in kept)

    def _fitting(
        self, source: str, beginning: bytes, found: Sequence[tuple[Candidate, InputFile]]
    ) -> Iterator[_Fit]:
        """The candidates whose text holds records."""
        reader, options = self._reader(source, beginning)
        data, (one, two) = reader.copy_with(beginning, [b"", b""], options)
        end = data[one:two]
        for each, file in found:
            try:
                inside = reader.records_in(each.text, beginning, options)
                records = [record for record, _ in inside]
                stands_alone = len(records) != 1 or list(
                    reader.records_in(records[0] + end, beginning, options)
                ) != [(records[0], True)]
            except (DeadSegment, ValueError) as error:
                self.left_out[f"their text cannot be read: {error}"] += 1
                continue
            if not records:
                self.left_out["their text holds no record"] += 1
                continue
            yield _Fit(each, file, end.join(records), len(records), stands_alone)

    def _tried(
        self, source: str, data: bytes, starts: Sequence[int], fits: Sequence[_Fit]
    ) -> dict[int, str]:
        """Which of these the reader rejects, and why."""
        reader, options = self._reader(source, data)
        rejected: dict[int, str] = {}
        file = InputFile("mended", len(data), 0, 0, is_mended=True)
        head, table = data[:HEAD_BYTES], self._checked.work.table
        for first, last in _runs(fits):
            start, end = starts[first], starts[last] + len(fits[last].text)
            inside = Segment(file, start, end)
            result = reader.read(data[start:end], head, inside, table, options, is_last=False)
            for reject in result.rejects:
                number = bisect_right(starts, (reject.byte_offset or 0) + start) - 1
                rejected.setdefault(number, reject.reason)
        return rejected

    def _is_waiting(self, each: Candidate) -> bool:
        """Whether just this text takes the record's place already, and is read by the next run."""
        current = self._current.get(each.origin)
        if current is None or path_of(self._pipeline, current.file.id) in self._held:
            return False
        file = self._read.get(each.origin[:2])
        if file is not None and not is_same(self._pipeline.folder, file, current.origin_file):
            return False  # it is left out: the file is another one since
        record = current.record
        with self._store.data(current.file.id).open("rb") as data:
            data.seek(record.start)
            return data.read(record.end - record.start) == each.text

    def _write(self, source: str, beginning: bytes, fits: Sequence[_Fit]) -> None:
        reader, options = self._reader(source, beginning)
        data, starts = reader.copy_with(beginning, [fit.text for fit in fits], options)
        files = list(dict.fromkeys(fit.file for fit in fits))
        numbers = {file: number for number, file in enumerate(files)}
        records = [
            self._record(fit, start, numbers[fit.file])
            for fit, start in zip(fits, starts, strict=True)
        ]
        try:
            origins = [OriginFile(file, self._digest(file)) for file in files]
            self._store.add(self._sources[source].name, origins, records, data)
        except OSError as error:
            raise UsageError(
                f"mended records cannot be kept in {self._store.folder}: {error.strerror}",
                "nothing of them was taken: see who owns it, and that the disk is not full",
            ) from error

    def _record(self, fit: _Fit, start: int, file: int) -> MendedRecord:
        noted, origin = fit.candidate.noted, fit.candidate.origin
        stage, by_step = noted.reject.stage, noted.by_step
        raw = raw_sha256(noted.reject.raw)
        if noted.mended is not None:  # the record itself is the one that was in the file
            before = self._current[origin].record
            stage, by_step, raw = before.stage, before.by_step, before.raw_sha256
        return MendedRecord(
            start=start,
            end=start + len(fit.text),
            file=file,
            byte_offset=origin.byte_offset,
            line=noted.reject.line,
            stage=stage,
            by_step=by_step,
            raw_sha256=raw,
            records=fit.records,
            stands_alone=fit.stands_alone,
        )

    def _digest(self, file: InputFile) -> str:
        if file.on_disk not in self._sha256:
            self._sha256[file.on_disk] = file_sha256(self._pipeline.folder / file.on_disk)
        return self._sha256[file.on_disk]

    def _reader(self, source: str, head: bytes) -> tuple[Reader, Mapping[str, Any]]:
        """What reads a file that begins so, and its options."""
        reader, how = self._how(source)
        return reader, work_of_file(reader, head, how, self._checked.work.table).options

    def _how(self, source: str) -> tuple[Reader, SourceWork]:
        how = source_work(self._sources[source])
        reader = self._checked.plugins.reader(how.reader)
        if not hasattr(reader, "copy_with"):
            raise UsageError(
                f"the reader {how.reader!r} cannot take records back", "mend them in their files"
            )
        return reader, how


def _runs(fits: Sequence[_Fit]) -> Iterator[tuple[int, int]]:
    """First and last of those that are read together."""
    first = 0
    for number, fit in enumerate(fits):
        is_end = number + 1 == len(fits)
        if is_end or fit.stands_alone or fits[number + 1].stands_alone:
            yield first, number
            first = number + 1
