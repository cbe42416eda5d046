"""What a sink is: `encode` in the workers, `commit` in the parent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from stagepipe.model import Output, Part

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


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
