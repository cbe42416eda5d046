"""`${NAME}` in the strings of a pipeline file takes a value from the environment; `$${` is `${`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stagepipe.declare.words import Complaint, Path, did_you_mean

MARK = re.compile(r"\$\$\{|\$\{(?P<name>[^{}]*)\}|\$\{")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def fill_in(value: Any, environ: Mapping[str, str], found: list[Complaint], path: Path = ()) -> Any:
    """Copy a value with all variables in it filled in; what cannot be is added to `found`."""
    if isinstance(value, str):
        complaints = [Complaint(path, text) for text in _wrong(value, environ)]
        found += complaints
        return value if complaints else MARK.sub(lambda mark: _meaning(mark, environ), value)
    if isinstance(value, dict):
        return {k: fill_in(item, environ, found, (*path, k)) for k, item in value.items()}
    if isinstance(value, list):
        return [fill_in(item, environ, found, (*path, i)) for i, item in enumerate(value)]
    return value


def _meaning(mark: re.Match[str], environ: Mapping[str, str]) -> str:
    name = mark["name"]
    return "${" if name is None else environ[name]


def _wrong(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Say what cannot be filled in, as predicates."""
    for mark in MARK.finditer(text):
        if mark[0] == "$${":
            continue
        name = mark["name"]
        if name is None or not NAME.fullmatch(name):
            yield "has a ${ that names no variable: write ${NAME}, or $${ for a plain ${"
        elif name not in environ:
            hint = did_you_mean(name, environ)
            yield f"takes ${{{name}}} from the environment, where it is not set{hint}"
