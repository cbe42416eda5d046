"""The table that the sources of a pipeline yield, as readers and checks are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stagepipe.model import RECORD, Cell

if TYPE_CHECKING:
    import pyarrow as pa


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
