"""Loading a pipeline file, and checking all of it that can be checked without its data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from stagepipe import declare
from stagepipe.declare import Pipeline
from stagepipe.errors import Fault, PipelineError
from stagepipe.plan.resolve import find_steps, reader_faults, table_spec


def load(path: Path | str, overrides: Sequence[str] = ()) -> Pipeline:
    """Read a pipeline file.

    Args:
        path: the file.
        overrides: `key=value` texts, as `--set` takes them.

    Raises:
        PipelineError: something in it is wrong. It holds all faults in the order of the file;
            where other things are wrong too, plugins and steps are checked all the same.
    """
    path = Path(path)
    try:
        return declare.load(path, overrides)
    except PipelineError as error:
        sketch = declare.sketch(path, overrides)
        more: list[Fault] = []
        if sketch:
            found = find_steps(sketch)
            more = [*found.faults, *reader_faults(sketch, found.plugins, table_spec(sketch))]
        raise PipelineError(in_file_order([*error.faults, *more])) from None


def in_file_order(faults: Iterable[Fault]) -> list[Fault]:
    """Faults by line and column, those without a place last; each once."""
    once = dict.fromkeys(faults)
    return sorted(once, key=lambda fault: (fault.line is None, fault.line or 0, fault.column or 0))
