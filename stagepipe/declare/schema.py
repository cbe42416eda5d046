"""The schema: the one table that all sources of a pipeline yield, and the checks on its columns."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    StrictBool,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from stagepipe.declare.declared import Declared
from stagepipe.declare.names import OnDrift, Word
from stagepipe.declare.types import ColumnType, TypeValue, parse_type
from stagepipe.declare.values import ORDERED, fit
from stagepipe.declare.words import Complaint, shown
from stagepipe.model import RECORD

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

# Checked by `Column.complaints`, because what fits depends on the type.
VALUE_SCHEMA = {"type": ["number", "string", "boolean"]}
Bound = Annotated[Any, WithJsonSchema(VALUE_SCHEMA)]
Text = Annotated[StrictStr, Field(min_length=1)]
Count = Annotated[int, Field(strict=True, ge=0)]


RESERVED_REASONS = frozenset(
    {
        *("too_many_fields", "too_few_fields", "unclosed_quote", "encoding", "type"),
        *("required", "unique", "one_of", "min", "max", "pattern", "min_length", "max_length"),
    }
)
"""Reasons of rejects that stagepipe gives itself."""


class Column(Declared):
    """One column: its type, its name in the file, and what its values must keep to.

    `min`, `max`, `one_of` and `default` are kept as values of the column's type: `Decimal` for
    decimal.
    """

    type: TypeValue = Field(description="The type of the column's values.")
    name: Text | None = Field(
        None, description="The column's name in the file's header, where it is another one."
    )
    required: StrictBool = Field(False, description="Whether a missing value is a reject.")
    unique: StrictBool = Field(
        False,
        description="Whether a value may stand only once in the run: the first record stays.",
    )
    min: Bound = Field(None, description="The smallest value, for numbers, dates and times.")
    max: Bound = Field(None, description="The largest value, for numbers, dates and times.")
    one_of: (
        Annotated[
            tuple[Any, ...],
            Field(min_length=1),
            WithJsonSchema({"type": "array", "items": VALUE_SCHEMA, "minItems": 1}),
        ]
        | None
    ) = Field(None, description="The only values that there may be.")
    pattern: StrictStr | None = Field(
        None, description="A regular expression (RE2) that the whole string must match."
    )
    min_length: Count | None = Field(None, description="The fewest characters of a string.")
    max_length: Count | None = Field(None, description="The most characters of a string.")
    format: Text | None = Field(
        None, description="How a date or a time is written in the file, like %d.%m.%Y."
    )
    default: Bound = Field(None, description="The value to take where the file has none.")

    _key: str = PrivateAttr("")

    @property
    def header(self) -> str:
        """The column's name in the file: `name`, or else its key in the schema that it is in."""
        return self.name or self._key

    @classmethod
    def long_form(cls, data: Any) -> Any:
        """Take a plain type, and turn values into values of the column's type."""
        if isinstance(data, str | ColumnType):
            data = {"type": data}
        if not isinstance(data, Mapping) or (column_type := _type_of(data)) is None:
            return data
        data = dict(data)
        for key in data.keys() & {"min", "max", "default"}:
            data[key] = _fitted(column_type, data[key])
        if isinstance(data.get("one_of"), list | tuple):
            data["one_of"] = tuple(_fitted(column_type, value) for value in data["one_of"])
        return data

    @classmethod
    def complaints(cls, data: Mapping[str, Any]) -> Iterable[Complaint]:
        """Check the keys against the column's type and against each other."""
        column_type = _type_of(data)
        if column_type is not None:
            yield from _bounds(column_type, data)
            yield from _choices(column_type, data)
            yield from _string_checks(column_type, data)
            yield from _format_and_default(column_type, data)
        yield from _pattern(data)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow the short form, just the type."""
        table = handler.resolve_ref_schema(handler(core_schema))
        return {"anyOf": [table["properties"]["type"], dict(table)]}


def _type_of(data: Mapping[str, Any]) -> ColumnType | None:
    """Give the type of a column that may be declared wrongly."""
    try:
        return parse_type(data.get("type"))
    except ValueError:
        return None


def _fitted(column_type: ColumnType, value: Any) -> Any:
    """Turn a value into one of the column's type; one that does not fit stays, to be reported."""
    try:
        return value if value is None else fit(column_type, value)
    except ValueError:
        return value


def _misfit(column_type: ColumnType, value: Any, path: tuple[str | int, ...]) -> Complaint | None:
    try:
        fit(column_type, value)
    except ValueError as error:
        return Complaint(path, str(error))
    return None


def _bounds(column_type: ColumnType, data: Mapping[str, Any]) -> Iterator[Complaint]:
    """Check `min` and `max`."""
    given = [key for key in ("min", "max") if data.get(key) is not None]
    wrong = False
    for key in given:
        if column_type.kind not in ORDERED:
            text = f"is only for numbers, dates and times, and the type is {column_type}"
            found: Complaint | None = Complaint((key,), text, "key")
        else:
            found = _misfit(column_type, data[key], (key,))
        if found:
            wrong = True
            yield found
    if len(given) == 2 and not wrong and data["min"] > data["max"]:
        yield Complaint(("min",), f"must not be above max: {data['min']} > {data['max']}")


def _choices(column_type: ColumnType, data: Mapping[str, Any]) -> Iterator[Complaint]:
    """Check `one_of`."""
    values = data.get("one_of")
    for index, value in enumerate(values if isinstance(values, list | tuple) else ()):
        if found := _misfit(column_type, value, ("one_of", index)):
            yield found


def _string_checks(column_type: ColumnType, data: Mapping[str, Any]) -> Iterator[Complaint]:
    """Check the keys that only strings have."""
    for key in ("pattern", "min_length", "max_length"):
        if data.get(key) is not None and column_type.kind != "string":
            yield Complaint((key,), f"is only for strings, and the type is {column_type}", "key")
    low, high = data.get("min_length"), data.get("max_length")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield Complaint(("min_length",), f"must not be above max_length: {low} > {high}")


def _format_and_default(column_type: ColumnType, data: Mapping[str, Any]) -> Iterator[Complaint]:
    """Check `format` and `default` against the type; what a format may hold, the reader knows."""
    if data.get("format") is not None and column_type.kind not in ("date", "time", "datetime"):
        text = f"is only for dates, times and datetimes, and the type is {column_type}"
        yield Complaint(("format",), text, "key")
    if data.get("default") is not None:
        found = _misfit(column_type, data["default"], ("default",))
        yield from [found] if found else []


def _pattern(data: Mapping[str, Any]) -> Iterator[Complaint]:
    """Check that the pattern is a regular expression; whether RE2 takes it is checked elsewhere."""
    if isinstance(data.get("pattern"), str):
        try:
            # What Python only warns of is for RE2 to judge.
            with warnings.catch_warnings(action="ignore"):
                re.compile(data["pattern"])
        except (re.error, RecursionError, OverflowError) as error:
            yield Complaint(("pattern",), f"is no regular expression: {error}")


class Check(Declared):
    """What has to be true of every record: one for which the expression is false is a reject."""

    name: Word = Field(description="A short word: the reason of the rejects.")
    expression: Text = Field(
        description="A polars SQL expression over the columns, like `shipped >= ordered`."
    )
    message: Text | None = Field(None, description="What to say of such a record.")


class Schema(Declared):
    """The columns that every source yields, in their order, and what to do about others."""

    columns: Annotated[dict[str, Column], Field(min_length=1)] = Field(
        description="The columns, in the order of the table: a type, or a table of checks."
    )
    extra_columns: Literal["refuse", "ignore", "keep"] = Field(
        "refuse", description="What to do about a file's columns that are not in the schema."
    )
    missing_columns: Literal["refuse", "null"] = Field(
        "refuse", description="What to do about columns that a file does not have."
    )
    on_drift: OnDrift = Field(
        "warn", description="What to do when new files are not like those of the run before."
    )
    provenance: tuple[Literal["source", "file", "line"], ...] = Field(
        (), description="Columns to add that say where a row is from."
    )
    checks: tuple[Check, ...] = Field(
        (), description="Checks over several columns, made after those of single columns."
    )

    @model_validator(mode="after")
    def _tell_keys(self) -> Self:
        """Let each column know its key; a copy, because one column may be used under two keys."""
        for key, column in self.columns.items():
            self.columns[key] = column.model_copy()
            self.columns[key]._key = key
        return self

    @classmethod
    def complaints(cls, data: Mapping[str, Any]) -> Iterable[Complaint]:
        """Check the columns' names, here and in the files."""
        columns, provenance = data.get("columns"), data.get("provenance")
        wanted = list(provenance) if isinstance(provenance, list | tuple) else []
        for position, word in enumerate(wanted):
            if word in wanted[:position]:
                yield Complaint(("provenance", position), f"names {shown(word)} a second time")
        yield from _same_checks(data.get("checks"))
        headers: dict[str, str] = {}
        for name, column in columns.items() if isinstance(columns, Mapping) else ():
            path = ("columns", name)
            if name in ("", RECORD):
                text = f'cannot be called {shown(name)}; give it another name, and name = "{name}"'
                text = text if name else "cannot be called ''; give it another name"
                yield Complaint(path, text, "key")
            elif name in [f"_{word}" for word in wanted]:
                text = f"cannot be called {shown(name)}, which provenance adds; give it another"
                yield Complaint(path, f'{text} name, and name = "{name}"', "key")
            given = column.get("name") if isinstance(column, Mapping) else None
            given = column.name if isinstance(column, Column) else given
            header = given if isinstance(given, str) else name
            if header in headers:
                text = f"reads {shown(header)} from the file, as column {headers[header]!r} does"
                yield Complaint(path, text, "key")
            headers[header] = name


def _same_checks(checks: Any) -> Iterator[Complaint]:
    """Find checks whose names are those of others, or of a column's checks."""
    seen: set[str] = set()
    for index, check in enumerate(checks if isinstance(checks, list | tuple) else ()):
        name = check.get("name") if isinstance(check, Mapping) else getattr(check, "name", None)
        if not isinstance(name, str):
            continue
        if name in RESERVED_REASONS:
            yield Complaint(("checks", index, "name"), f"is {shown(name)}, a reason that is taken")
        elif name in seen:
            text = f"is {shown(name)}, as that of another check"
            yield Complaint(("checks", index, "name"), text)
        seen.add(name)
