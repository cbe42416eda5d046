"""What a plugin may build on: the `step` decorator, and what a reader, a sink and a listener are.

The built-ins use this page and nothing deeper, as any third party does. Sinks and executors count
as experimental until faults and databases have been through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, overload

from stagepipe.model import Cell, Output, Part, Reject, Segment

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import polars as pl
    import pyarrow as pa

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

    The function takes a `polars.DataFrame` and returns one. Its keyword-only arguments are its
    options: their annotations check the pipeline file; an option annotated as `pathlib.Path` is
    a file, looked for from the pipeline's folder, and a change of its content makes parts anew.

    Args:
        function: the step, when the decorator stands without brackets.
        name: the name in pipeline files; the function's own by default.
        reshapes: the step changes the number of rows by its nature.
        scope: `"all"` for a step that needs every row at once; not available yet.
        io_bound: the step waits for a network rather than computing; not available yet.
    """

    def mark(function: StepFunction) -> StepFunction:
        setattr(function, MARK, StepMark(name or function.__name__, reshapes, scope, io_bound))
        return function

    return mark if function is None else mark(function)


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column that a reader yields: its name in the table, its name in the file (`header`), its
    Arrow type, whether it may be null, and the checks that a value has to pass, by name, in the
    order in which they are made."""

    name: str
    header: str
    arrow_type: pa.DataType
    required: bool = False
    checks: tuple[tuple[str, Cell | tuple[Cell, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class TableSpec:
    """The table that every source yields, and what to do with other columns."""

    columns: tuple[ColumnSpec, ...]
    extra_columns: Literal["refuse", "ignore"] = "refuse"
    missing_columns: Literal["refuse", "null"] = "refuse"


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """What a reader makes of one segment.

    `table` has the columns of the TableSpec. `records` is counted from the bytes, apart from the
    parse. `rejects` have lines that count from the segment's first line (1); their `file` and
    `source` are filled in by the caller. `lines` is how many physical lines the segment holds.
    """

    table: pa.Table
    records: int
    lines: int
    rejects: Sequence[Reject]


class DeadSegment(Exception):  # noqa: N818 - the word of the field and of our users
    """A reader cannot make anything of a file: the message says why, and what to do."""


class Reader(Protocol):
    """Reads one kind of file. `options` are the source's, already checked."""

    def faults(self, spec: TableSpec) -> Iterable[tuple[str, str, str]]:
        """What of the table's declaration this reader cannot do, as (column, key, message).
        Called at `check`, in the parent."""
        ...

    def cuts(self, path: Path, size: int, chunk_size: int, options: Mapping[str, Any]) -> list[int]:
        """Offsets at which a file larger than `chunk_size` may be cut. Called while planning, in
        the parent. Each is a record boundary, ascending, without 0 and `size`."""
        ...

    def read(
        self,
        data: bytes,
        head: bytes,
        segment: Segment,
        spec: TableSpec,
        options: Mapping[str, Any],
    ) -> SegmentResult:
        """The table in a segment's bytes. `head` is the beginning of the file, a MiB of it or the
        whole segment where that starts the file. Called in a worker. Raises DeadSegment."""
        ...


class ExecutorFactory(Protocol):
    """Makes the `concurrent.futures.Executor` that runs the workers."""

    def prepare(self, modules: Sequence[str]) -> None:
        """A run is about to be planned, and its workers will import these modules: begin whatever
        takes time and does no harm if unused."""
        ...

    def __call__(
        self, *, max_workers: int, initializer: Callable[..., None], initargs: tuple[Any, ...]
    ) -> Executor:
        """An executor of so many workers, each of which has called the initializer."""
        ...


class Place(Protocol):
    """Where a sink's rows go, with the all-or-nothing rules built in."""

    def publish(self, parts: Sequence[Part]) -> Output:
        """Show exactly these parts, in this order, as the table; or change nothing."""
        ...


class Sink(Protocol):
    """Writes one kind of output: `encode` in the workers, in parallel; `commit` in the parent,
    alone, with the parts in chunk order."""

    suffix: str

    def encode(self, table: pa.Table, path: Path, options: Mapping[str, Any]) -> int:
        """Write a part; the rows that the written file itself says it holds."""
        ...

    def decode(self, path: Path) -> pl.DataFrame:
        """The rows of a part, for the stage after this one."""
        ...

    def commit(self, parts: Sequence[Part], place: Place) -> Output:
        """Show the parts at the sink's place."""
        ...
