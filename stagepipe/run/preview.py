"""The first rows of each source through the first stage, to look at before a run.

Nothing is written: no state folder, no spool, no ledger, no lock. All of it happens in this
process, so that the plugins' steps of the first stage run here and not in a worker. Of a file only
the beginning is read, as far as the wanted records reach.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.contracts import DeadSegment, Reader, SegmentResult, TableSpec
from stagepipe.declare import Pipeline
from stagepipe.errors import StagepipeError, TaskError
from stagepipe.model import RECORD, InputFile, Reject, Segment, printable
from stagepipe.plan.detecting import found_in
from stagepipe.plan.files import SourceFiles, find_files
from stagepipe.plan.planner import check, source_work, with_sources
from stagepipe.plan.work import SourceWork, StageWork, Work
from stagepipe.plugins import Plugins
from stagepipe.run.applying import StepReject, Tally, apply_steps
from stagepipe.run.duplicates import duplicates, keys_of, without
from stagepipe.run.places import in_its_file, no_rows, with_provenance
from stagepipe.run.portions import Portion, streamed
from stagepipe.run.step_rejects import Place, placed

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

FIRST_BYTES = 2**18
"""How much of a file is read at once, until there are enough records."""
FIRST_RECORD = 2**44
"""Rows are numbered from here, so that no step comes to these numbers by itself."""


@dataclass(frozen=True, slots=True)
class SourcePreview:
    """The first records of a source. `file` is the first of its files, relative to the pipeline's
    folder, `files` how many were looked into. `records` of them were read; `rows` are what came
    out of the stage, `rejects` those that it rejected; `dropped` and `added` count rows by step.
    `detected` are options that were left out and found in files, by path; `error` says why there
    is nothing, or no more."""

    name: str
    file: str
    files: int
    records: int
    rows: pl.DataFrame
    rejects: tuple[Reject, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)
    detected: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
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
    sources = find_files(pipeline)
    checked = with_sources(check(pipeline), sources)
    work, plugins = checked.work, checked.plugins
    stage = next(stage for stage in work.stages if not stage.is_inner)
    read = [_read(plugins, work, source, rows) for source in sources]
    repeating = _duplicates(work, read)
    shown = (
        _source_preview(plugins, work, stage, each, found)
        for each, found in zip(read, repeating, strict=True)
    )
    return Preview(stage.name, tuple(step.where.name for step in stage.steps), tuple(shown))


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Some of the first records of a file: its rows, and of each the offset and line in the file;
    its rejects; the portion that all of them lie in."""

    file: InputFile
    portion: Portion
    table: pa.Table
    places: list[tuple[int, int]]
    rejects: list[Reject]

    @property
    def records(self) -> int:
        return len(self.places) + len(self.rejects)


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a source, and why not more."""

    source: SourceFiles
    found: list[_Beginning]
    table: pa.Table
    error: str | None


def _read(plugins: Plugins, work: Work, source: SourceFiles, wanted: int) -> _Read:
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
            for beginning in _beginnings(reader, work, how, source.name, file, missing):
                found += [beginning]
        except DeadSegment as dead:
            error = f"{printable(file.path)}: {dead}"
            break
        except OSError as trouble:
            error = f"{printable(file.path)}: cannot be read: {trouble.strerror}"
            break
    table = pa.concat_tables([no_rows(work.table), *(each.table for each in found)])
    return _Read(source, found, table, error)


def _duplicates(work: Work, read: Sequence[_Read]) -> Sequence[pa.Table | None]:
    """For each source which of its rows repeat a value, among all that were read."""
    if not work.table.unique:
        return [None] * len(read)
    import polars as pl

    keys = [pl.DataFrame(pl.from_arrow(keys_of(each.table, work.table))) for each in read]
    parts = [frame.lazy() for frame in keys]
    return [found.to_arrow() for found in duplicates(parts, len(work.table.unique))]


def _source_preview(
    plugins: Plugins, work: Work, stage: StageWork, read: _Read, repeating: pa.Table | None
) -> SourcePreview:
    source, found = read.source, read.found
    how = source_work(source)
    reader: Reader = plugins.reader(how.reader)
    tally = Tally()
    rejects = [reject for each in found for reject in each.rejects]
    frame, trouble_in_step = _stepped(read.table, stage, work, tally, source.name, repeating)
    rejects += _of_steps(tally.rejects, found, reader, work.table)
    return SourcePreview(
        name=source.name,
        file=source.files[0].path,
        files=len({each.file for each in found}),
        records=sum(each.records for each in found),
        rows=frame,
        rejects=tuple(
            reject._replace(source=printable(source.name), stage=stage.name) for reject in rejects
        ),
        dropped=dict(tally.dropped),
        added=dict(tally.added),
        detected={
            each.file.path: options
            for each in found
            if (options := found_in(each.portion.options, how))
        },
        error=read.error or trouble_in_step,
    )


def _beginnings(
    reader: Reader, work: Work, how: SourceWork, source: str, file: InputFile, wanted: int
) -> Iterator[_Beginning]:
    """The first `wanted` records of a file, as far as it has them. Raises DeadSegment, OSError."""
    line = 1
    with closing(_whole(reader, work, how, file)) as portions:
        for portion in portions:
            inside = portion.within(file, line)
            result = reader.read(
                portion.data,
                portion.head,
                inside,
                work.table,
                portion.options,
                with_places=True,
                is_last=portion.is_last,
            )
            found = _first(_placed(result, source, inside, work, portion), wanted)
            yield found
            line += result.lines
            wanted -= found.records
            if wanted <= 0:
                return


def _whole(reader: Reader, work: Work, how: SourceWork, file: InputFile) -> Generator[Portion]:
    whole = Segment(file, 0, file.size)
    return streamed(Path(work.folder), whole, reader, how, FIRST_BYTES, work.table)


def _placed(
    result: SegmentResult, source: str, inside: Segment, work: Work, portion: Portion
) -> _Beginning:
    """What a reader made of a portion, with its places in the file."""
    assert result.places is not None
    offsets, lines = (result.places[name].to_pylist() for name in ("offset", "line"))
    file, first = inside.file, inside.first_line - 1
    places = [
        (offset + inside.start, line + first) for offset, line in zip(offsets, lines, strict=True)
    ]
    rejects = [
        in_its_file(reject, printable(source), printable(file.path), inside.start, first)
        for reject in result.rejects
    ]
    table = with_provenance(result, source, inside, work.table)
    return _Beginning(file, portion, table, places, rejects)


def _first(found: _Beginning, wanted: int) -> _Beginning:
    """The first of the records, good and bad ones together."""
    offsets = [offset for offset, _ in found.places]
    offsets += [reject.byte_offset or 0 for reject in found.rejects]
    if len(offsets) <= wanted:
        return found
    end = sorted(offsets)[wanted]
    places = [place for place in found.places if place[0] < end]
    rejects = [reject for reject in found.rejects if (reject.byte_offset or 0) < end]
    return replace(found, table=found.table.slice(0, len(places)), places=places, rejects=rejects)


def _stepped(
    table: pa.Table,
    stage: StageWork,
    work: Work,
    tally: Tally,
    source: str,
    repeating: pa.Table | None,
) -> tuple[pl.DataFrame, str | None]:
    """The rows after the stage's steps, or no rows and what went wrong in a step."""
    import polars as pl
    import pyarrow as pa

    rows = pl.DataFrame(pl.from_arrow(table))
    if stage.reads_records:
        numbers = range(FIRST_RECORD, FIRST_RECORD + table.num_rows)
        table = table.append_column(RECORD, pa.array(numbers, pa.int64()))
    if repeating is not None:
        ((table, _),) = without([(table, table.num_rows)], repeating, work.table, tally)
    frame = pl.DataFrame(pl.from_arrow(table))
    where = f"stage {stage.name!r}, source {printable(source)!r}"
    try:
        frame = apply_steps(stage.steps, frame, frame.height, tally, where)
    except TaskError as error:
        return rows.clear(), _with_hint(error)
    return frame.drop(RECORD, strict=False), None


def _with_hint(error: StagepipeError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _of_steps(
    rejects: Sequence[StepReject],
    found: Sequence[_Beginning],
    reader: Reader,
    spec: TableSpec,
) -> Iterator[Reject]:
    """The rejects of steps, and duplicates, each with its record's place; `record` numbers the rows
    that were read."""
    places = [(each, offset, line) for each in found for offset, line in each.places]
    for reject in rejects:
        plain = Reject("", None, None, None, "", None, None, reject.reason, None, None)
        if reject.record is None:
            yield plain
            continue
        beginning, offset, line = places[reject.record - FIRST_RECORD]
        portion = beginning.portion
        at = [offset - portion.start]
        ((_, raw),) = reader.records_at(portion.data, portion.head, at, portion.options)
        texts: Sequence[str | None] = ()
        if reject.is_duplicate:
            (texts,) = reader.texts([raw], portion.head, spec, portion.options)
        place = Place(printable(beginning.file.path), line, offset, raw, texts)
        yield placed(plain, reject, place, spec)
