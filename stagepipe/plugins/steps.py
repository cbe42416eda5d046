"""What a step is: where workers find it, which options it takes, what its code is."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stagepipe.contracts import MARK, StepMark
from stagepipe.errors import PluginError
from stagepipe.plugins.importing import modules_below, without_bytecode
from stagepipe.plugins.no_pandas import have_pandas_back
from stagepipe.plugins.options import options_model

REJECT = "reject"
"""The argument by which a step is given the function that rejects rows."""
OWN_MODULES = "stagepipe."


@dataclass(frozen=True, slots=True)
class StepName:
    """Where a worker finds a step: names only, so that nothing is pickled that cannot be."""

    name: str
    module: str
    function: str
    folder: str | None


@dataclass(frozen=True)
class Step:
    """A step that a pipeline may use."""

    where: StepName
    function: Callable[..., Any]
    mark: StepMark
    origin: str

    @property
    def summary(self) -> str:
        """The first sentence of the step's docstring."""
        return first_sentence(self.function)

    @property
    def takes_reject(self) -> bool:
        """Whether the step rejects rows."""
        return REJECT in inspect.signature(self.function).parameters

    @property
    def digest(self) -> str:
        """A digest of the code: the file in which the step stands, the version of its
        distribution, and the modules that a local plugin imported from its own folder."""
        source = inspect.getsourcefile(self.function)
        files = {source} if source else set()
        digest = hashlib.sha256()
        if self.where.folder is None:
            digest.update(self.origin.encode())
        else:
            files |= modules_below(Path(self.where.folder))
        for path in sorted(files):
            digest.update(Path(path).read_bytes())
        return digest.hexdigest()[:32]

    @cached_property
    def options_model(self) -> Any:
        """A pydantic model of the keyword-only arguments."""
        defaults = {
            p.name: ... if p.default is p.empty else p.default for p in _options(self.function)
        }
        return options_model(f"step {self.where.name!r} ({self.origin})", self.function, defaults)


def first_sentence(documented: Any) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())
    sentence, dot, _ = paragraph.partition(". ")
    return sentence + dot.rstrip()


def step_of(function: Callable[..., Any], origin: str, folder: str | None) -> Step:
    """The step that a marked function is. Raises PluginError when it cannot be called as one."""
    mark: StepMark = getattr(function, MARK)
    parameters = list(inspect.signature(function).parameters.values())
    named = f"step {mark.name!r} ({origin})"
    if not parameters or parameters[0].kind is parameters[0].KEYWORD_ONLY:
        raise PluginError(f"{named} takes no frame")
    beside = [p.name for p in parameters[1:] if p.kind is not p.KEYWORD_ONLY and p.name != REJECT]
    if beside:
        raise PluginError(
            f"{named}: {', '.join(beside)} must be keyword-only; put a * before the options"
        )
    if mark.scope == "all" and any(p.name == REJECT for p in parameters):
        raise PluginError(
            f"{named} takes reject and has scope='all', which knows no records: reject rows in a "
            "step before it"
        )
    where = StepName(mark.name, function.__module__, function.__qualname__, folder)
    return Step(where, function, mark, origin)


def load_step(where: StepName) -> Callable[..., Any]:
    """The step's function, imported by its real name. For workers."""
    if where.folder is not None and where.folder not in sys.path:
        sys.path.insert(0, where.folder)
    if not where.module.startswith(OWN_MODULES):
        have_pandas_back()
    with without_bytecode():
        found: Any = importlib.import_module(where.module)
    for part in where.function.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def place_of(error: BaseException, where: StepName) -> str | None:
    """The innermost line of the step's own code that an exception came from, as in
    `plugins/mine.py, line 97`."""
    place, trace = None, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if _is_own(file, trace.tb_frame.f_globals.get("__name__"), where):
            place = f"{_from_here(file)}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _is_own(file: str, module: str | None, where: StepName) -> bool:
    """Whether a file of code belongs to the step's plugin: a local one's folder, or a package."""
    if where.folder is not None:
        return Path(file).is_relative_to(where.folder) and "site-packages" not in file
    return (module or "").partition(".")[0] == where.module.partition(".")[0]


def _from_here(file: str) -> str:
    try:
        return min(os.path.relpath(file), file, key=len)
    except (OSError, ValueError):  # the current folder is gone
        return file


def _options(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != REJECT]
