"""A staged hybrid data-pipeline engine: fan CSV batches out over processes, flush them in order,
lose no row.

    import stagepipe

    result = stagepipe.run(stagepipe.load("pipeline.toml"))

A pipeline is declared in a TOML file or, in the same words, in Python; a step is a function with
the `step` decorator. What is not named here is not promised to stay.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Two rooms bear the names of the functions that they are for. A package's name is bound here when
# it is first imported; done now and undone, `stagepipe.run` is the function ever after.
import stagepipe.plan
import stagepipe.run  # noqa: F401 - see above

del plan, run  # noqa: F821 - the imports above bound them

if TYPE_CHECKING:
    from stagepipe.contracts import step
    from stagepipe.declare import (
        Budget,
        Column,
        CsvDialect,
        Errors,
        Limit,
        Pipeline,
        Schema,
        Sink,
        Source,
        Stage,
        Use,
    )
    from stagepipe.errors import StagepipeError
    from stagepipe.hookspecs import hookimpl
    from stagepipe.plan.loading import load
    from stagepipe.plan.planner import Plan, plan
    from stagepipe.run.result import RunResult
    from stagepipe.run.start import run
    from stagepipe.stopwatch import timed

_HOMES = {
    "stagepipe.contracts": ("step",),
    "stagepipe.declare": (
        "Budget",
        "Column",
        "CsvDialect",
        "Errors",
        "Limit",
        "Pipeline",
        "Schema",
        "Sink",
        "Source",
        "Stage",
        "Use",
    ),
    "stagepipe.errors": ("StagepipeError",),
    "stagepipe.hookspecs": ("hookimpl",),
    "stagepipe.plan.loading": ("load",),
    "stagepipe.plan.planner": ("Plan", "plan"),
    "stagepipe.run.start": ("run",),
    "stagepipe.run.result": ("RunResult",),
    "stagepipe.stopwatch": ("timed",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Budget",
    "Column",
    "CsvDialect",
    "Errors",
    "Limit",
    "Pipeline",
    "Plan",
    "RunResult",
    "Schema",
    "Sink",
    "Source",
    "Stage",
    "StagepipeError",
    "Use",
    "hookimpl",
    "load",
    "plan",
    "run",
    "step",
    "timed",
]


def __getattr__(name: str) -> Any:
    """Import late: a plugin that only needs `step` does not load pydantic."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'stagepipe' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
