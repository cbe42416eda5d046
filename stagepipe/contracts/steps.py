"""The decorator that marks a function as a step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from stagepipe.errors import PluginError

StepFunction = TypeVar("StepFunction", bound=Callable[..., Any])
MARK = "__stagepipe_step__"


@dataclass(frozen=True, slots=True)
class StepMark:
    """What the decorator notes on a step function."""

    name: str
    reshapes: bool = False
    scope: Literal["chunk", "all"] = "chunk"
    io_bound: bool = False


@overload
def step(function: StepFunction, /) -> StepFunction: ...
@overload
def step(
    *,
    name: str | None = None,
    reshapes: bool = False,
    scope: Literal["chunk", "all"] = "chunk",
    io_bound: bool = False,
) -> Callable[[StepFunction], StepFunction]: ...
def step(
    function: StepFunction | None = None,
    /,
    *,
    name: str | None = None,
    reshapes: bool = False,
    scope: Literal["chunk", "all"] = "chunk",
    io_bound: bool = False,
) -> StepFunction | Callable[[StepFunction], StepFunction]:
    """Mark a function as a step and return it unchanged.

    The function takes a `polars.DataFrame` and returns one. An argument named `reject` lets it
    reject rows: `reject(frame, condition, reason)` gives the frame without the rows for which the
    condition (an expression) is true. Its keyword-only arguments are its
    options: their annotations check the pipeline file; an option annotated as `pathlib.Path` is
    a file, looked for from the pipeline's folder, and a change of its content makes parts anew.

    Args:
        function: the step, when the decorator stands without brackets.
        name: the name in pipeline files; the function's own by default.
        reshapes: the step changes the number of rows by its nature.
        scope: `"all"` for a step that needs every row at once. It takes and returns a
            `polars.LazyFrame` over the rows of the stage before, and must come first in its stage.
        io_bound: the step waits for a network rather than computing: its stage runs in threads.

    Raises:
        PluginError: one of these is something else. It names the file and the line.
    """
    if wrong := _wrong_mark(function, name, reshapes, scope, io_bound):
        raise PluginError(f"{_caller()}: {wrong}")

    def mark(function: StepFunction) -> StepFunction:
        setattr(function, MARK, StepMark(name or function.__name__, reshapes, scope, io_bound))
        return function

    return mark if function is None else mark(function)


def _wrong_mark(function: Any, name: Any, reshapes: Any, scope: Any, io_bound: Any) -> str | None:
    """What is wrong with the arguments of `step`, if anything is."""
    if isinstance(function, str):
        return f"@step({function!r}) gives the name by position: write @step(name={function!r})"
    if function is not None and not callable(function):
        return f"@step marks a function, not a {type(function).__name__}"
    if name is not None and (not isinstance(name, str) or not name):
        return f"@step has the name {name!r}: write a text that is not empty, or leave name out"
    if scope not in ("chunk", "all"):
        return f'@step has the scope {scope!r}: write scope="chunk" or scope="all"'
    for word, value in (("reshapes", reshapes), ("io_bound", io_bound)):
        if not isinstance(value, bool):
            return f"@step has {word}={value!r}: write True or False"
    return None


def _caller() -> str:
    """The file and the line in which `step` was called."""
    frame = sys._getframe(2)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
