"""`--set key=value`: one value of the pipeline file, replaced from the command line.

The key is the value's path in the file; sources, stages and limits go by their names, as in
`source.acme.max_concurrent=2`, and items of lists by their numbers, from 0. The value is TOML if
it parses as such, and else a plain string.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stagepipe.declare.words import Path, did_you_mean

# Tables whose short form is one value, and the key that this value has in the long form.
SHORT_FORMS = {"columns": "type", "steps": "use"}

# What must be there before something in it can be set: a new one would lack its other keys.
NAMED = {"source", "stage", "limit"}


@dataclass(frozen=True, slots=True)
class Override:
    """A `--set` as written, and the path in the document of what it replaced or added."""

    path: Path
    text: str


class OverrideError(Exception):
    """A `--set` that cannot be applied; the message says why."""


def apply(document: dict[str, Any], text: str) -> Override:
    """Replace one value in a document.

    Raises:
        OverrideError: the key leads nowhere, or nothing is set.
    """
    key, equals, value = text.partition("=")
    words = _split(key) if equals else []
    if not words:
        raise OverrideError("write key=value, like pipeline.jobs=4")
    path: Path = ()
    added: Path | None = None
    place: Any = document
    while len(words) > 1:
        step, words = _step(place, path, words)
        if isinstance(place, dict) and step not in place:
            place[step] = {}
            added = added or (*path, step)
        place, path = _open(place, step, path), (*path, step)
    last, _ = _step(place, path, words)
    place[last] = _value(value)
    return Override(added or (*path, last), text)


def _split(key: str) -> list[str]:
    """Split a key at its dots, as TOML does; empty when it is no key."""
    try:
        table: Any = tomllib.loads(f"{key.strip()} = 0")
    except ValueError:
        return []
    words = []
    while isinstance(table, dict) and len(table) == 1:
        word, table = next(iter(table.items()))
        words.append(word)
    return words if table == 0 else []


def _step(place: Any, path: Path, words: list[str]) -> tuple[str | int, list[str]]:
    """Take the next part of a path off the words: a key, an index, or a name with dots in it."""
    if isinstance(place, list):
        return _item(place, path, words)
    if not isinstance(place, dict):
        raise OverrideError(f"{'.'.join(map(str, path))} is not a table")
    if path == ("limit",):
        return _named(place, "limit", words)
    return words[0], words[1:]


def _item(place: list[Any], path: Path, words: list[str]) -> tuple[int, list[str]]:
    """Find an item of a list: a source or a stage by its name, another by its number."""
    if len(path) == 1 and path[0] in NAMED:
        names = {
            item["name"]: index
            for index, item in enumerate(place)
            if isinstance(item, dict) and isinstance(item.get("name"), str)
        }
        name, rest = _named(names, str(path[0]), words)
        return names[name], rest
    if words[0].isdecimal() and int(words[0]) < len(place):
        return int(words[0]), words[1:]
    raise OverrideError(f"{'.'.join(map(str, path))} has no item {words[0]}; it has {len(place)}")


def _named(names: Iterable[str], kind: str, words: list[str]) -> tuple[str, list[str]]:
    """Find the longest name that the words begin with: names may have dots in them."""
    names = list(names)
    for length in range(len(words), 0, -1):
        if (name := ".".join(words[:length])) in names:
            return name, words[length:]
    raise OverrideError(f"there is no {kind} {words[0]!r}{did_you_mean(words[0], names)}")


def _open(place: Any, step: str | int, path: Path) -> Any:
    """Step into a value; one in a short form becomes a table."""
    if isinstance(place[step], str) and path and (key := SHORT_FORMS.get(str(path[-1]))):
        place[step] = {key: place[step]}
    return place[step]


def _value(text: str) -> Any:
    """Read a value as TOML; what is no TOML is a plain string."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if len(table) == 1 else text
