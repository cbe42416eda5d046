"""The first rows of each source through the first stage, to look at before a run.

Nothing is written: no state folder, no spool, no ledger, no lock. All of it happens in this
process, so that the plugins' steps of the first stage run here and not in a worker. Of a file only
the beginning is read, as far as the wanted records reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.contracts import DeadSegment, Reader
from stagepipe.declare import Pipeline
from stagepipe.errors import StagepipeError, TaskError
from stagepipe.model import RECORD, InputFile, Reject, Segment, printable
from stagepipe.plan.files import SourceFiles, find_files
from stagepipe.plan.planner import check, source_work
from stagepipe.plan.work import SourceWork, StageWork, Work
from stagepipe.plugins import Plugins
from stagepipe.run.applying import StepReject, Tally, apply_steps
from stagepipe.run.reading import no_rows, with_provenance

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

FIRST_BYTES = 2**18
"""How much of a file is read at first; four times as much when it holds too few records."""
LONGEST_RECORD = 2**24
"""Where so many bytes hold no more records than a quarter of them, one does not end there."""
FIRST_RECORD = 2**44
"""Rows are numbered from here, so that no step comes to these numbers by itself."""


@dataclass(frozen=True, slots=True)
class SourcePreview:
    """The first records of a source. `file` is the first of its files, relative to the pipeline's
    folder, `files` how many were looked into. `records` of them were read; `rows` are what came
    out of the stage, `rejects` those that it rejected; `dropped` and `added` count rows by step.
    `error` says why there is nothing, or no more."""

    name: str
    file: str
    files: int
    records: int
    rows: pl.DataFrame
    rejects: tuple[Reject, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What the first stage makes of the first records of each source."""

    stage: str
    steps: tuple[str, ...]
    sources: tuple[SourcePreview, ...]


def preview(pipeline: Pipeline, rows: int) -> Preview:
    """The first `rows` records of each source, through the first stage.

    Raises PipelineError, PluginError or InputError where a run would be refused.
    """
    checked = check(pipeline)
    work = checked.work
    stage = work.stages[0]
    shown = (
        _source_preview(checked.plugins, work, stage, source, rows)
        for source in find_files(pipeline)
    )
    return Preview(stage.name, tuple(step.where.name for step in stage.steps), tuple(shown))


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The first records of a file: its rows, and of each the offset and line; its rejects; the
    bytes that all of them lie in."""

    file: InputFile
    table: pa.Table
    places: list[tuple[int, int]]
    rejects: list[Reject]
    data: bytes

    @property
    def records(self) -> int:
        return len(self.places) + len(self.rejects)


def _source_preview(
    plugins: Plugins, work: Work, stage: StageWork, source: SourceFiles, wanted: int
) -> SourcePreview:
    import pyarrow as pa

    how = source_work(source)
    reader: Reader = plugins.reader(how.reader)
    found: list[_Beginning] = []
    error: str | None = None
    for file in source.files:
        missing = wanted - sum(each.records for each in found)
        if missing <= 0:
            break
        try:
            found.append(_beginning(reader, work, how, source.name, file, missing))
        except DeadSegment as dead:
            error = f"{printable(file.path)}: {dead}"
            break
        except OSError as trouble:
            error = f"{printable(file.path)}: cannot be read: {trouble.strerror}"
            break
    table = pa.concat_tables([no_rows(work.table), *(each.table for each in found)])
    tally = Tally()
    rejects = [reject for each in found for reject in each.rejects]
    frame, trouble_in_step = _stepped(table, stage, tally, source.name)
    rejects += _of_steps(tally.rejects, found, reader, how)
    return SourcePreview(
        name=source.name,
        file=source.files[0].path,
        files=len(found),
        records=sum(each.records for each in found),
        rows=frame,
        rejects=tuple(
            reject._replace(source=printable(source.name), stage=stage.name) for reject in rejects
        ),
        dropped=dict(tally.dropped),
        added=dict(tally.added),
        error=error or trouble_in_step,
    )


def _beginning(
    reader: Reader, work: Work, how: SourceWork, source: str, file: InputFile, wanted: int
) -> _Beginning:
    """The first `wanted` records of a file, as far as it has them. Raises DeadSegment, OSError."""
    path = Path(work.folder) / file.path
    length, before = FIRST_BYTES, 0
    while True:
        end = _end(reader, path, file.size, length, how)
        is_whole = end == file.size
        is_stuck = not is_whole and end == before and length >= LONGEST_RECORD
        if is_whole or (end and not is_stuck):
            found = _first(_read(reader, work, how, source, file, end), wanted)
            if found.records == wanted or is_whole:
                return found
        elif is_stuck:
            raise DeadSegment(
                f"the record that begins at byte {end:,} does not end within the next "
                f"{length // 2**20} MiB: a quote in it is not closed, or [source.csv] is wrong"
            )
        length, before = length * 4, end


def _end(reader: Reader, path: Path, size: int, length: int, how: SourceWork) -> int:
    """A record boundary after at most `length` bytes; 0 where there is none but the start."""
    if size <= length:
        return size
    # The reader cuts a file that is said to be only this long.
    cuts = reader.cuts(path, min(size, 2 * length), length, how.options)
    return cuts[0] if cuts else 0


def _read(
    reader: Reader, work: Work, how: SourceWork, source: str, file: InputFile, end: int
) -> _Beginning:
    with (Path(work.folder) / file.path).open("rb") as stream:
        data = stream.read(end)
    segment = Segment(file, 0, len(data), first_line=1)
    result = reader.read(data, data, segment, work.table, how.options, with_places=True)
    assert result.places is not None
    places = zip(*(result.places[name].to_pylist() for name in ("offset", "line")), strict=True)
    rejects = [reject._replace(file=printable(file.path)) for reject in result.rejects]
    table = with_provenance(result, source, segment, work.table)
    return _Beginning(file, table, list(places), rejects, data)


def _first(found: _Beginning, wanted: int) -> _Beginning:
    """The first of the records, good and bad ones together."""
    offsets = [offset for offset, _ in found.places]
    offsets += [reject.byte_offset or 0 for reject in found.rejects]
    if len(offsets) <= wanted:
        return found
    end = sorted(offsets)[wanted]
    places = [place for place in found.places if place[0] < end]
    rejects = [reject for reject in found.rejects if (reject.byte_offset or 0) < end]
    return _Beginning(found.file, found.table.slice(0, len(places)), places, rejects, found.data)


def _stepped(
    table: pa.Table, stage: StageWork, tally: Tally, source: str
) -> tuple[pl.DataFrame, str | None]:
    """The rows after the stage's steps, or those before them and what went wrong in a step."""
    import polars as pl

    rows = pl.DataFrame(pl.from_arrow(table))
    frame = rows
    if stage.reads_records:
        numbers = pl.int_range(FIRST_RECORD, FIRST_RECORD + rows.height, dtype=pl.Int64)
        frame = rows.with_columns(numbers.alias(RECORD))
    where = f"stage {stage.name!r}, source {printable(source)!r}"
    try:
        frame = apply_steps(stage.steps, frame, rows.height, tally, where)
    except TaskError as error:
        return rows.clear(), _with_hint(error)
    return frame.drop(RECORD, strict=False), None


def _with_hint(error: StagepipeError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _of_steps(
    rejects: Sequence[StepReject], found: Sequence[_Beginning], reader: Reader, how: SourceWork
) -> Iterator[Reject]:
    """The rejects of steps, each with its record's place; `record` numbers the rows that were
    read."""
    places = [(each, offset, line) for each in found for offset, line in each.places]
    for reject in rejects:
        plain = Reject("", None, None, None, "", None, None, reject.reason, None, None)
        if reject.record is None:
            yield plain
            continue
        beginning, offset, line = places[reject.record - FIRST_RECORD]
        yield plain._replace(
            file=printable(beginning.file.path),
            line=line,
            byte_offset=offset,
            raw=reader.records_at(beginning.data, [offset], how.options)[0][1],
        )
