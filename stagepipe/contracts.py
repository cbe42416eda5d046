"""What a plugin may build on: the `step` decorator, and what a reader, a sink and a listener are.

The built-ins use this page and nothing deeper, as any third party does. Sinks and executors count
as experimental until faults and databases have been through them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, overload

from stagepipe.errors import PluginError
from stagepipe.model import RECORD, Cell, Output, Part, Reject, Segment

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


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column that a reader yields: its name in the table, its name in the file (`header`), its
    Arrow type, whether it may be null, and the checks that a value has to pass, by name, in the
    order in which they are made. `format` says how a date or a time is written in the file,
    `default` is the value where the file has none. `is_extra` says that the schema does not name
    the column: some file has it, and it is null in those that do not."""

    name: str
    header: str
    arrow_type: pa.DataType
    required: bool = False
    checks: tuple[tuple[str, Cell | tuple[Cell, ...]], ...] = ()
    format: str | None = None
    default: Cell | None = None
    is_extra: bool = False


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check over several columns: a record for which `expression` (polars SQL) is false is a
    reject of reason `name`, with `message` as its value."""

    name: str
    expression: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class TableSpec:
    """The table that every source yields, what to do with other columns, and the checks that are
    made after those of the columns. `provenance` names what the engine adds to what readers give:
    `source`, `file`, `line`; `unique` the columns in which it looks for repeated values. With
    `extra_columns` as `"keep"`, `columns` end with those that were found while planning; `fixed_by`
    is the table that has no room for others, if there is one."""

    columns: tuple[ColumnSpec, ...]
    extra_columns: Literal["refuse", "ignore", "keep"] = "refuse"
    missing_columns: Literal["refuse", "null"] = "refuse"
    provenance: tuple[str, ...] = ()
    checks: tuple[CheckSpec, ...] = ()
    unique: tuple[str, ...] = ()
    fixed_by: str | None = None

    @property
    def taken_names(self) -> frozenset[str]:
        """What no column beyond the schema can be called."""
        added = (f"_{name}" for name in self.provenance)
        declared = (column.name for column in self.columns if not column.is_extra)
        return frozenset({RECORD, *added, *declared})


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """What a reader makes of one segment.

    `table` has the columns of the TableSpec. `records` is counted from the bytes, apart from the
    parse. `rejects` have lines that count from the segment's first line (1); their `file` and
    `source` are filled in by the caller. `lines` is how many physical lines the segment holds.
    `places`, where it was asked for, says of each row of the table, in its order, where its record
    begins: `offset` (int64), in bytes from the segment's beginning, and `line` (int64), the
    physical line, from 1 at the segment's first. `header` has the names of the file's columns,
    where these have any, so that a run can say what is new. `other_tables` says how many of the
    rejects stand for a whole table that is not wanted, with the reason ANOTHER_TABLE: no budget
    counts these, and they do not come back.
    """

    table: pa.Table
    records: int
    lines: int
    rejects: Sequence[Reject]
    places: pa.Table | None = None
    header: tuple[str, ...] | None = None
    other_tables: int = 0


@dataclass(frozen=True, slots=True)
class SegmentBytes:
    """A segment with what `Reader.read` is given of it."""

    data: bytes
    head: bytes
    segment: Segment
    options: Mapping[str, Any]
    is_last: bool = True


class DeadSegment(Exception):  # noqa: N818 - the word of the field and of our users
    """A reader cannot make anything of a file: the message says why, and what to do."""


class Reader(Protocol):
    """Reads one kind of file. `options` are the source's, already checked; of a reader that has
    `detect` they are, but for that one, what it made of them for the file in question."""

    def faults(self, spec: TableSpec) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """What of the table's declaration this reader cannot do: where it stands in `[schema]`, as
        in `("columns", "id", "pattern")`, and why. Called at `check`, in the parent."""
        ...

    def extra_columns(
        self, head: bytes, spec: TableSpec, options: Mapping[str, Any], *, is_whole: bool
    ) -> Sequence[str] | None:
        """The names of a file's columns that the spec does not name, in the file's order, from the
        bytes that it begins with; `is_whole` says that it has no others. None where these are too
        few to tell. Called while planning, in the parent, for each file of a table that keeps such
        columns. Raises DeadSegment where `read` would, for the header's sake."""
        ...

    def detect(self, head: bytes, spec: TableSpec, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options for one file: those that were left out (None) replaced by what the file's
        beginning tells, where that is not the usual. A reader may lack this method: then every
        file has the source's options. `head` is at least the first MiB of the file, unpacked, or
        all of it; what comes after the first MiB must change nothing, nor may anything else that
        is not among the arguments, since parts are kept by them. Called in a worker, for each
        segment, and in the parent while planning."""
        ...

    def cuts(self, path: Path, size: int, chunk_size: int, options: Mapping[str, Any]) -> list[int]:
        """Offsets at which a file larger than `chunk_size` may be cut. Called while planning, in
        the parent. Each is a record boundary, ascending, without 0 and `size`."""
        ...

    def boundary(
        self,
        data: bytes,
        head: bytes,
        options: Mapping[str, Any],
        *,
        is_first: bool,
        is_long: bool = False,
    ) -> int:
        """The last record boundary in some bytes of a file that cannot be cut while planning, after
        their beginning, which is one; 0 when there is none. Where `is_first`, they are the file's
        first, and its header stays with the first record. What may turn out to be the file's footer
        stays behind the boundary. `head` is the file's beginning, as in `read`. `is_long` says that
        no record is as long as the bytes: one that seems to be so has to end somewhere, or the file
        is dead. Called in a worker. Raises DeadSegment."""
        ...

    def read(
        self,
        data: bytes,
        head: bytes,
        segment: Segment,
        spec: TableSpec,
        options: Mapping[str, Any],
        *,
        with_places: bool = False,
        is_last: bool = True,
    ) -> SegmentResult:
        """The table in a segment's bytes. `head` is the beginning of the file, a MiB of it or the
        whole segment where that starts the file; `with_places` asks for the result's `places`,
        `is_last` says that the file ends with these bytes. Called in a worker. Raises
        DeadSegment."""
        ...

    def read_all(
        self, given: Sequence[SegmentBytes], spec: TableSpec, *, with_places: bool = False
    ) -> Sequence[SegmentResult | DeadSegment]:
        """What `read` makes of each of some segments of one source, or why that is dead; it must
        not depend on the others. A reader may lack this method: it is for those that read many
        small files faster than each by itself. Called in a worker."""
        ...

    def first_lines(self, path: Path, cuts: Sequence[int]) -> list[int]:
        """For each of a file's cuts, ascending, the physical line (from 1) that begins there.
        Reads the file once, in blocks."""
        ...

    def count_lines(self, data: bytes, head: bytes, options: Mapping[str, Any]) -> int:
        """How many physical lines end in a segment's bytes; `head` is as in `read`."""
        ...

    def records_at(
        self, data: bytes, head: bytes, offsets: Sequence[int], options: Mapping[str, Any]
    ) -> Sequence[tuple[int, bytes]]:
        """The records that begin at these offsets in a segment's bytes, in any order; `head` is as
        in `read`. The line of each, from 1 at the segment's first, and its raw bytes without its
        end. One with an unclosed quote goes on to the end of the data. Raises ValueError where no
        record can begin."""
        ...

    def texts(
        self, records: Sequence[bytes], head: bytes, spec: TableSpec, options: Mapping[str, Any]
    ) -> Sequence[Sequence[str | None]]:
        """For each of these records, as `records_at` gives them, what stands in it for each of the
        spec's columns, as a reject's `value` has it; None where the file lacks the column. `head`
        is as in `read`."""
        ...

    def records_in(
        self, data: bytes, head: bytes, options: Mapping[str, Any]
    ) -> Sequence[tuple[bytes, bool]]:
        """The records in some bytes that stand where a record of the file could, each without its
        end, and whether each of its quotes is closed; `head` is as in `read`. Raises DeadSegment
        where that cannot be told."""
        ...

    def copy_with(
        self, head: bytes, records: Sequence[bytes], options: Mapping[str, Any]
    ) -> tuple[bytes, Sequence[int]]:
        """A file that begins as `head` does, which is the beginning of another, and has these
        records after that, and where in it each of them begins. It goes on behind the last one,
        so that no segment of it up to there ends the file. Raises DeadSegment."""
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


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file that a sink's `encode` wrote, with the rows that the file itself says it holds.
    `folder` is where it belongs within the sink's folder, `head` how many bytes at its beginning
    are left out when it is joined to others before it."""

    path: Path
    rows: int
    folder: str = ""
    head: int = 0


class Place(Protocol):
    """Where a sink's rows go, with the all-or-nothing rules built in."""

    is_file: bool
    """Whether all rows go to one file, not to a folder of files."""

    def publish(self, parts: Sequence[Part]) -> Output:
        """Show exactly these parts' files, in this order, as a folder; or change nothing."""
        ...

    def publish_joined(
        self, parts: Sequence[Part], join: Callable[[Sequence[Part], Path], int]
    ) -> Output:
        """Show what `join` makes of these parts as one file, of which it returns how many rows it
        holds; or change nothing."""
        ...


class Sink(Protocol):
    """Writes one kind of output: `encode` in the workers, in parallel; `commit` in the parent,
    alone, with the parts in chunk order. `suffix` is the ending of its files; `options` is a
    dataclass whose fields are the sink's own options: their annotations check the pipeline file,
    and its docstring is its help."""

    @property
    def suffix(self) -> str: ...  # noqa: D102 - see above
    @property
    def options(self) -> type: ...  # noqa: D102 - see above

    def faults(
        self,
        options: Mapping[str, Any],
        *,
        is_file: bool,
        columns: Mapping[str, pa.DataType] | None = None,
    ) -> Iterable[tuple[str, str]]:
        """What the options, each of its type, cannot be, as (key, message). Called at `check`, and
        again with the columns and their types where these are known before the run."""
        ...

    def keeps_rows(self, options: Mapping[str, Any]) -> bool:
        """Whether the stage after this one can read the sink's files instead of a copy in the
        spool: `decode` gives just what `encode` took, in the same order and types."""
        ...

    def encode(
        self, table: pa.Table, options: Mapping[str, Any], new_file: Callable[[], Path]
    ) -> Sequence[Encoded]:
        """Write the table to one file or to several, each under a path that `new_file` gives."""
        ...

    def decode(self, path: Path) -> pl.DataFrame:
        """The rows of a file, for the stage after this one."""
        ...

    def scan(self, paths: Sequence[Path]) -> pl.LazyFrame:
        """The rows of files, in this order, for a step over all rows."""
        ...

    def commit(self, parts: Sequence[Part], place: Place, options: Mapping[str, Any]) -> Output:
        """Show the parts at the sink's place. Raises ValueError when they cannot be shown there."""
        ...
