"""Records that came back mended are input like any other: which of them a plan takes, and why it
leaves the others out.

They are read behind all files, in chunks of their own, so that nothing else is packed otherwise for
them. A mended record belongs to the file from which it was rejected, as that file was then: where
the file is another one now, or gone, it is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from stagepipe.declare import Pipeline
from stagepipe.errors import InputError
from stagepipe.model import InputFile, Segment, printable
from stagepipe.plan.files import SourceFiles
from stagepipe.record.manifest import shown
from stagepipe.record.mended import Mended, MendedStore, Origin, OriginFile
from stagepipe.record.spool import file_sha256

FOLDER = "mended"
FEW = 3
Held = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class MendedPlan:
    """The mended records that a plan reads (`taken`), with their segments by source, and those that
    `rest` because the records whose place they took are right themselves; `held` went into the
    table that is appended to by another run. `notes` say which others are left out. `read` are the
    files whose own records are read too, so that a barrier can tell whether a record is still
    rejected."""

    taken: tuple[Mended, ...] = ()
    resting: tuple[Mended, ...] = ()
    held: tuple[Mended, ...] = ()
    segments: Mapping[str, tuple[Segment, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    read: frozenset[tuple[str, str]] = frozenset()

    def is_read(self, origin: Origin) -> bool:
        """Whether the plan reads the file that a record is of."""
        return origin[:2] in self.read


NOTHING = MendedPlan()


def store_of(pipeline: Pipeline) -> MendedStore:
    """Where the pipeline's mended records lie."""
    return MendedStore(pipeline.state_path / FOLDER / pipeline.name)


def path_of(pipeline: Pipeline, id: str) -> str:
    """The path of a mended file's records, as that of an input file."""
    return str(Path(pipeline.state, FOLDER, pipeline.name, store_of(pipeline).data(id).name))


def held_files(pipeline: Pipeline) -> Held:
    """The files whose rows the table holds that is appended to, with size and time."""
    sink = pipeline.stages[-1].sink
    if sink is None or sink.on_existing != "append":
        return {}
    manifest = shown(pipeline.output_path / sink.path)
    return {path: (size, time) for path, size, time in manifest.inputs} if manifest else {}


def lost_mended(pipeline: Pipeline, paths: Iterable[str]) -> Iterator[str]:
    """What is to be said of mended records that a run has read, by their paths, and that are gone
    since, unless their rows stay in the table."""
    gone = [path for path in paths if not (pipeline.folder / path).exists()]
    held = held_files(pipeline) if gone else {}
    for path in gone:
        if path not in held:
            yield (
                f"{path} is gone, with records that were mended: as they stand in their files they "
                "are rejected, until they are mended and replayed again"
            )


def find_mended(pipeline: Pipeline, sources: Sequence[SourceFiles]) -> MendedPlan:
    """The mended records that a run takes now; `sources` have the files that it reads. Raises
    StagepipeError where the records are damaged, InputError where they are gone."""
    store = store_of(pipeline)
    files = {(printable(s.name), printable(f.path)): f for s in sources for f in s.files}
    current = current_of(pipeline, files)
    if not current:
        return NOTHING
    names = {printable(source.name) for source in sources}
    held, at_rest = held_files(pipeline), store.resting()
    taken, resting, in_table, left_out = [], [], [], Counter[str]()
    failed = store.outcomes()
    for origin, mended in current.items():
        if path_of(pipeline, mended.file.id) in held:
            if mended.number not in failed.get(mended.file.id, ()):
                in_table.append(mended)
            continue
        file = files.get(origin[:2])
        if why := why_left_out(pipeline, mended, file, held, names):
            left_out[why] += 1
        elif mended.mark in at_rest:
            resting.append(mended)
        else:
            taken.append(mended)
    taken.sort(key=lambda mended: mended.mark)
    return MendedPlan(
        tuple(taken),
        tuple(resting),
        tuple(in_table),
        dict(_segments(pipeline, sources, taken)),
        tuple(_notes(left_out)),
        frozenset(files),
    )


def current_of(
    pipeline: Pipeline, files: Mapping[tuple[str, str], InputFile]
) -> dict[Origin, Mended]:
    """For each record that was mended the text that counts: the last one for its file as that is
    now, among these `files`; where there is none, the last one. Raises StagepipeError."""
    found = {}
    for origin, versions in store_of(pipeline).current().items():
        file, chosen = files.get(origin[:2]), versions[-1]
        if file is not None and len(versions) > 1:
            same = (v for v in versions if is_same(pipeline.folder, file, v.origin_file))
            chosen = next(same, chosen)
        found[origin] = chosen
    return found


def _notes(left_out: Counter[str]) -> Iterator[str]:
    for why, records in left_out.most_common(FEW):
        what = "1 mended record is" if records == 1 else f"{records} mended records are"
        yield f"{what} left out: {why}"
    if others := len(left_out) - FEW if len(left_out) > FEW else 0:
        rest = left_out.total() - sum(records for _, records in left_out.most_common(FEW))
        yield f"{rest} more mended records are left out, for {others} reasons like these"


def why_left_out(
    pipeline: Pipeline,
    mended: Mended,
    file: InputFile | None,
    held: Held,
    sources: set[str],
) -> str | None:
    """Why a mended record cannot be taken; `file` is the one that it was in, if that is read."""
    origin, was = mended.origin, mended.origin_file
    if origin.source not in sources:
        return f"there is no source {origin.source!r} any more"
    if file is None and was.file.path not in held:
        return f"{origin.file} is no longer there"
    if file is not None and not is_same(pipeline.folder, file, was):
        return (
            f"{origin.file} is another file now than the one that they were mended for: look at "
            "the rejects of this one, or bring that one back"
        )
    if file is None and held[was.file.path] != (was.file.size, was.file.mtime_ns):
        return f"the table holds the rows of another {origin.file}"
    return shown_before(pipeline, mended.record.stage)


def shown_before(pipeline: Pipeline, stage: str) -> str | None:
    """Why a record that a stage rejected cannot come back: a table of a stage before has it."""
    index = stage_index(pipeline, stage)
    for before in pipeline.stages[:index]:
        if before.sink is not None:
            return (
                f"stage {stage!r} rejected it, and the table of stage {before.name!r}, which comes "
                "before, has its row already: mend it in the file itself"
            )
    return None


def stage_index(pipeline: Pipeline, stage: str) -> int:
    """Where a stage stands; one that there is no more counts as the first."""
    names = [each.name for each in pipeline.stages]
    return names.index(stage) if stage in names else 0


def is_same(folder: Path, file: InputFile, was: OriginFile) -> bool:
    """Whether a file is the one that it was. Where only its time or its inode differ, the content
    tells."""
    if file == was.file:
        return True
    if (file.size, file.member) != (was.file.size, was.file.member):
        return False
    try:
        return _sha256(folder, file) == was.sha256
    except OSError:
        return False


@lru_cache(maxsize=1024)
def _sha256(folder: Path, file: InputFile) -> str:
    """The digest of a file as it is now: many records may be of one. Raises OSError."""
    return file_sha256(folder / file.on_disk)


def _segments(
    pipeline: Pipeline, sources: Sequence[SourceFiles], taken: Sequence[Mended]
) -> Iterator[tuple[str, tuple[Segment, ...]]]:
    """The segments of the mended files, by source. What is not taken lies between them."""
    for source in sources:
        found: list[Segment] = []
        before: Mended | None = None
        for mended in taken:
            if printable(mended.file.source) != printable(source.name):
                continue
            record = mended.record
            is_next = (
                before is not None
                and before.mark == (mended.file.id, mended.number - 1)
                and not record.stands_alone
                and not before.record.stands_alone
                and record.end - found[-1].start <= pipeline.chunk_size
            )
            before = mended
            if is_next:
                last = found.pop()
                found.append(Segment(last.file, last.start, record.end))
            else:
                file = _look_at(pipeline, mended.file.id)
                found.append(Segment(file, record.start, record.end))
        if found:
            yield source.name, tuple(found)


def _look_at(pipeline: Pipeline, id: str) -> InputFile:
    path = path_of(pipeline, id)
    try:
        status = (pipeline.folder / path).stat()
    except OSError as error:
        raise InputError(
            f"{path} cannot be looked at: {error.strerror}; it holds records that were mended",
            "bring it back from a backup, or move its folder away and replay the records again",
        ) from error
    return InputFile(path, status.st_size, status.st_mtime_ns, status.st_ino, is_mended=True)
