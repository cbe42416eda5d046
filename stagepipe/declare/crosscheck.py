"""What no single part of a pipeline shows: a name used twice, a limit that nobody declared or that
a source names again, sinks that lie in each other's place.

The checks look at parts as they were written, in a file or in Python, faulty ones too: a wrong
value in one place must not hide a wrong name in another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from stagepipe.declare.names import check_name
from stagepipe.declare.stages import is_file_path
from stagepipe.declare.words import Complaint, did_you_mean, shown


def crosscheck(sources: Any, limits: Any, stages: Any) -> Iterator[Complaint]:
    """Check the parts against each other; paths are those of the pipeline file."""
    yield from _names_used_twice("source", _items(sources))
    yield from _names_used_twice("stage", _items(stages))
    yield from _wrong_names_of_limits(limits)
    yield from _wrong_limits(_items(sources), limits)
    yield from _sinks_in_one_place(_items(stages))
    yield from _appending(_items(stages))


def word(part: Any, key: str) -> Any:
    """Give a value of a part that is a model or still a table; None where it has none."""
    return part.get(key) if isinstance(part, Mapping) else getattr(part, key, None)


def _items(parts: Any) -> list[Any]:
    return list(parts) if isinstance(parts, list | tuple) else []


def _names_used_twice(kind: str, parts: list[Any]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for index, part in enumerate(parts):
        name = word(part, "name")
        if isinstance(name, str):
            if name in seen:
                text = f"is {shown(name)}, as in another {kind}; give each {kind} a name of its own"
                yield Complaint((kind, index, "name"), text)
            seen.add(name)


def _wrong_names_of_limits(limits: Any) -> Iterator[Complaint]:
    for name in limits if isinstance(limits, Mapping) else ():
        try:
            check_name(str(name))
        except ValueError as error:
            yield Complaint(("limit", str(name)), f"cannot be called so: {error}", "key")


def _wrong_limits(sources: list[Any], limits: Any) -> Iterator[Complaint]:
    known = [str(name) for name in limits] if isinstance(limits, Mapping) else []
    for index, source in enumerate(sources):
        names = _items(word(source, "limits"))
        for position, name in enumerate(names):
            if isinstance(name, str) and name in names[:position]:
                text = f"names the limit {shown(name)} a second time; name it once"
                yield Complaint(("source", index, "limits", position), text)
            elif isinstance(name, str) and name not in known:
                hint = did_you_mean(name, known) or f"; declare it as [limit.{name}]"
                text = f"names the limit {shown(name)}, which is not declared{hint}"
                yield Complaint(("source", index, "limits", position), text)


def _sinks_in_one_place(stages: list[Any]) -> Iterator[Complaint]:
    taken: list[PurePosixPath] = []
    for index, stage in enumerate(stages):
        written = word(word(stage, "sink"), "path")
        if not isinstance(written, str):
            continue
        path = PurePosixPath(written)
        if text := next(filter(None, (_clash(path, other) for other in taken)), None):
            yield Complaint(("stage", index, "sink", "path"), f"{text}; name another folder")
        taken.append(path)


def _appending(stages: list[Any]) -> Iterator[Complaint]:
    """Appending reads new files only, so that all else that a run wrote would show only these."""
    how = {
        index: word(sink, "on_existing")
        for index, stage in enumerate(stages)
        if (sink := word(stage, "sink")) is not None
    }
    last = len(stages) - 1
    for index, mode in how.items():
        path = ("stage", index, "sink", "on_existing")
        if mode == "append" and index < last:
            yield Complaint(path, "can be 'append' only in the last stage")
        elif mode != "append" and how.get(last) == "append":
            text = "cannot stand beside a last stage that appends: a run then reads only new files"
            text += ", and this sink would show only their rows; leave it out"
            yield Complaint(("stage", index, "sink"), text)
    written = word(word(stages[last], "sink"), "path") if stages else None
    if how.get(last) == "append" and isinstance(written, str) and is_file_path(written):
        text = f"is {shown(written)}, one file: appending adds files to a folder; name a folder"
        yield Complaint(("stage", last, "sink", "path"), text)


def _clash(path: PurePosixPath, other: PurePosixPath) -> str | None:
    """Say how two sinks are in each other's way, if they are."""
    if path == other:
        return f"is {shown(str(path))}, the place of another sink too"
    if path in other.parents or other in path.parents:
        return (
            f"is {shown(str(path))}, and another sink is {shown(str(other))}: one lies in the other"
        )
    return None
