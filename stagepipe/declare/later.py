"""What is not available yet: the one place that says so.

A key of the pipeline file whose feature comes later is known, typed and described like any other
key, but refused with 'not available yet', never ignored. The issue that brings the feature deletes
the key's entry here, and nothing else in this room changes. For each model, `LATER` names its keys
that are not, or not wholly, available:

- `()`: the key is refused whatever its value is;
- a tuple: only these values, which state what happens today, are taken;
- a function: gives what to say about a value, or None when it is available.

`OPTIONS` among the keys stands for all keys that the model does not name, a plugin's options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from stagepipe.declare.words import Complaint, did_you_mean, shown

URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
OPTIONS = "*"


def _no_address(files: Any) -> str | None:
    """Refuse files that are not local."""
    for name in (
        [files] if isinstance(files, str) else files if isinstance(files, list | tuple) else ()
    ):
        if isinstance(name, str) and URL.match(name):
            return f"names {shown(name)}: addresses are not available yet; name local files"
    return None


LATER: Mapping[str, Mapping[str, tuple[Any, ...] | Callable[[Any], str | None]]] = {
    "Settings": {
        "executor": ("processes",),
    },
    "Source": {
        "files": _no_address,
        "use": ("csv",),
    },
}


def not_available(model: type[BaseModel], data: Mapping[str, Any]) -> list[Complaint]:
    """Find which of a model's keys are not available yet. None is Python's word for 'left out'."""
    entries = {
        key: entry for kind in model.__mro__ for key, entry in LATER.get(kind.__name__, {}).items()
    }
    found = []
    if OPTIONS in entries:
        found += [_option(key, model.model_fields) for key in data.get("options", ())]
    for key, value in data.items():
        if value is None or key not in entries:
            continue
        entry = entries[key]
        if callable(entry):
            if text := entry(value):
                found.append(Complaint((key,), text))
        elif not entry:
            found.append(Complaint((key,), "is not available yet; leave it out", "key"))
        elif value not in entry:
            found.append(Complaint((key,), _refusal(value, entry)))
    return found


def _option(key: str, known: Iterable[str]) -> Complaint:
    """Refuse an option; one that is nearly a key was meant to be that key."""
    if hint := did_you_mean(key, known):
        return Complaint((key,), hint, "unknown")
    return Complaint((key,), "is not available yet; leave it out", "key")


def _refusal(value: Any, available: tuple[Any, ...]) -> str:
    """Say that a value is not available, and which are."""
    if isinstance(available[0], tuple):
        return "is not available yet; leave it out"
    values = " or ".join(map(shown, available))
    return f"is {shown(value)}, which is not available yet; for now it can be {values}"
