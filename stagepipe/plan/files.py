"""Finding the files of each source, in an order that no file system can change."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stagepipe.declare import Pipeline, Source, fault_at
from stagepipe.errors import Fault, InputError
from stagepipe.model import EVERYTHING, InputFile, printable
from stagepipe.packing import ZIP, members
from stagepipe.plan.globbing import Globbing
from stagepipe.plan.own_output import Guard

CAPTURE = "{source}"
FEW = 5
"""So many faults of one glob are told of."""


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """One source, with its name and its files in the order of their paths' bytes. `unsettled` are
    those that are left alone this time, as somebody may still be writing them."""

    name: str
    declared: Source
    files: tuple[InputFile, ...]
    unsettled: tuple[InputFile, ...] = ()


def find_files(pipeline: Pipeline) -> tuple[SourceFiles, ...]:
    """Every source with its files. Raises InputError with all that is wrong, if anything is."""
    found, faults = look_for_files(pipeline)
    if faults:
        raise InputError("\n".join(map(str, faults)), faults=faults)
    return found


def look_for_files(
    pipeline: Pipeline, now_ns: int | None = None
) -> tuple[tuple[SourceFiles, ...], list[Fault]]:
    """Every source with its files, as far as they were found, and what is wrong. `now_ns` is the
    time in nanoseconds, by which files have settled or not."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    faults: list[Fault] = []
    found: list[SourceFiles] = []
    owners: dict[tuple[int, int], tuple[str, str]] = {}
    guard, above = Guard(pipeline), str(pipeline.folder)
    for index, source in enumerate(pipeline.sources):
        by_name: dict[str, list[InputFile]] = {}
        unsettled: dict[str, list[InputFile]] = {}
        seen: dict[str, str] = {}
        for position, pattern in enumerate(source.files):
            globbing = Globbing(pipeline.folder)
            matches = _matches(globbing, pattern)
            wrong = list(guard.refusals(pattern, [path for path, _ in matches]))
            wrong += map(_unreadable, _closed_folders(globbing, pipeline.folder, pattern))
            wrong += map(_in_a_circle, sorted(globbing.circles, key=os.fsencode))
            if not matches:
                wrong.append(_why_nothing(pipeline.folder, pattern))
            for path, captured in matches:
                name = source.name or captured
                if name == EVERYTHING:
                    text = f"{printable(path)}: no source can be called {name!r}: rename the folder"
                    wrong.append(text)
                    continue
                if path in seen:
                    if seen[path] != name:
                        wrong.append(_twice(path, name, path, seen[path]))
                    continue
                seen[path] = name
                try:
                    file, identity = _look_at(above, path)
                except InputError as error:
                    wrong.append(error.message)
                    continue
                owner, other = owners.setdefault(identity, (name, path))
                if (owner, other) != (name, path):
                    wrong.append(_twice(path, name, other, owner))
                if not is_settled(file, source.settle, now_ns):
                    unsettled.setdefault(name, []).append(file)
                    continue
                by_name.setdefault(name, []).extend(members_of(pipeline.folder, file))
            location = ("source", index, "files", position)
            faults += [fault_at(pipeline, location, message) for message in _first_of(wrong)]
        for name in sorted({*by_name, *unsettled}, key=os.fsencode):
            left_alone = _in_order(unsettled.get(name, ()))
            found.append(SourceFiles(name, source, _in_order(by_name.get(name, ())), left_alone))
        if unsettled and not by_name and not _may_be_idle(pipeline):
            faults.append(fault_at(pipeline, ("source", index, "settle"), _all_young(unsettled)))
    faults += _same_names(pipeline, found)
    return tuple(found), faults


def is_settled(file: InputFile, settle_seconds: float, now_ns: int) -> bool:
    """Whether nobody has written to a file for that long. A file server's clock may be a little
    ahead of ours, so that a file is as young when its time is as little to come; a file from
    farther in the future says no more than that a clock was wrong."""
    return abs(now_ns - file.mtime_ns) >= settle_seconds * 1e9


def left_alone(source: SourceFiles) -> str:
    """What is to be said of the files of a source that have not settled."""
    files = source.unsettled
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return (
        f"left alone this time: {printable(files[0].path)}{more}, changed less than "
        f"{source.declared.settle:g} s ago ('settle' of source {printable(source.name)!r})"
    )


def _in_order(files: Iterable[InputFile]) -> tuple[InputFile, ...]:
    return tuple(sorted(files, key=lambda file: os.fsencode(file.path)))


def _may_be_idle(pipeline: Pipeline) -> bool:
    """Whether a run without any new file is right: where a table is appended to."""
    sink = pipeline.stages[-1].sink
    return sink is not None and sink.on_existing == "append"


def _all_young(unsettled: Mapping[str, Sequence[InputFile]]) -> str:
    files = [file for found in unsettled.values() for file in found]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return (
        f"no file has settled yet: {printable(files[0].path)}{more} changed less than that long "
        "ago; run again later"
    )


def _matches(globbing: Globbing, pattern: str) -> list[tuple[str, str]]:
    """(path, captured source) of all that matches, in the order of the paths' bytes."""
    paths = sorted(globbing.matches(pattern.replace(CAPTURE, "*")), key=os.fsencode)
    if CAPTURE not in pattern:
        return [(path, "") for path in paths]
    expression = _expression(pattern)
    found = ((path, expression.fullmatch(path)) for path in paths)
    return [(path, match["source"]) for path, match in found if match]


def _closed_folders(globbing: Globbing, folder: Path, pattern: str) -> Iterator[str]:
    """The folders in which files may match, but which this process may not list: `glob` leaves
    them out in silence, and with them all their rows."""
    if not glob.has_magic(pattern) and CAPTURE not in pattern:
        return
    parts = pattern.replace(CAPTURE, "*").split("/")
    seen = set()
    for depth in range(1, len(parts)):
        above = "/".join(parts[:depth]) + "/"
        for path in globbing.matches(above):
            if path not in seen and not _may_list(folder / path):
                yield path
            seen.add(path)


def _may_list(folder: Path) -> bool:
    by_effective_id = os.access in os.supports_effective_ids
    return os.access(folder, os.R_OK | os.X_OK, effective_ids=by_effective_id)


def _unreadable(path: str) -> str:
    return f"folder {printable(path)} cannot be listed: see who may read it"


def _in_a_circle(link: str) -> str:
    return f"{printable(link)} is a link to a folder that it lies in: remove it, or narrow 'files'"


def _first_of(messages: Sequence[str]) -> Iterator[str]:
    """As many as a person reads: what is wrong with thousands of files is seldom different."""
    yield from messages[:FEW]
    if len(messages) > FEW:
        yield f"and {len(messages) - FEW:,} more"


def _expression(pattern: str) -> re.Pattern[str]:
    """The glob as a regular expression that captures `{source}`; a second one must be the same."""
    pieces = re.split(r"(\{source\}|\*\*/|\*\*|\*|\?|\[!?\]?[^]]*\])", pattern)
    words = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    out, is_captured = [], False
    for piece in pieces:
        if piece == CAPTURE:
            out.append("(?P=source)" if is_captured else "(?P<source>[^/]+)")
            is_captured = True
        elif piece in words:
            out.append(words[piece])
        elif piece.startswith("[") and len(piece) > 2:
            # As fnmatch has it; `glob` matched with it already.
            out.append(fnmatch.translate(piece).removesuffix(r"\Z"))
        else:
            out.append(re.escape(piece))
    return re.compile("".join(out), re.DOTALL)


def _look_at(folder: str, path: str) -> tuple[InputFile, tuple[int, int]]:
    try:
        # As text and by os: ten thousand times a run.
        status = os.stat(os.path.join(folder, path))  # noqa: PTH116, PTH118
    except FileNotFoundError:
        raise InputError(f"{printable(path)} is a link to nothing: mend or remove it") from None
    except OSError as error:
        raise InputError(f"{printable(path)} cannot be looked at: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(
            f"{printable(path)} is a folder where a file should be: "
            "narrow 'files' (landing/*.csv, landing/**/*.csv), or move it away"
        )
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{printable(path)} is no regular file: copy its content into one")
    file = InputFile(path, status.st_size, status.st_mtime_ns, status.st_ino)
    return file, (status.st_dev, status.st_ino)


def members_of(folder: Path, file: InputFile) -> Iterator[InputFile]:
    """The files in a zip; any other file is itself, and so is a zip of which nothing can be had."""
    names = members(folder / file.path) if file.path.lower().endswith(ZIP) else []
    yield from (replace(file, path=f"{file.path}/{name}", member=name) for name in names)
    if not names:
        yield file


def _why_nothing(folder: Path, pattern: str) -> str:
    if not glob.has_magic(pattern) and CAPTURE not in pattern:
        return f"file {printable(pattern)!r} does not exist (looked in {folder})"
    start = Path(pattern)
    fixed = []
    for part in start.parts[:-1]:
        if glob.has_magic(part) or CAPTURE in part:
            break
        fixed.append(part)
    place = folder.joinpath(*fixed)
    why = f"the folder {place} does not exist" if not place.is_dir() else f"looked in {folder}"
    return f"no file matches {printable(pattern)!r} ({why})"


def _twice(path: str, name: str, other: str, owner: str) -> str:
    if path == other:
        return f"{printable(path)} is matched by source {owner!r} and by source {name!r}"
    return f"{printable(path)} is the same file as {printable(other)}: its rows would count twice"


def _same_names(pipeline: Pipeline, found: list[SourceFiles]) -> Iterator[Fault]:
    first: dict[str, Source] = {}
    for source in found:
        other = first.setdefault(source.name, source.declared)
        if other is not source.declared:
            index = next(i for i, s in enumerate(pipeline.sources) if s is source.declared)
            message = f"there is another source named {source.name!r}"
            yield fault_at(pipeline, ("source", index), message)
