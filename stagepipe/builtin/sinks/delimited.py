"""The CSV sink, by polars' writer: UTF-8, a header in each file, quotes where they are needed.

A missing value is an empty field, an empty text is `""`. Times are ISO 8601.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.builtin.sinks.kinds import without_text
from stagepipe.contracts import Encoded, Place
from stagepipe.model import Output, Part

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


FORMULA = re.compile("^[=+\\-@\\t\\r\\n\\x00\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet may run (OWASP, CSV Injection, and ASVS 5.0, 1.2.10); the
last four are the wide forms of the first."""


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """Delimited text in UTF-8, with quotes where they are needed. Times are ISO 8601.

    Args:
        delimiter: what stands between two fields, one ASCII character.
        null_value: what stands for a missing value. An empty text is written as `""`.
        header: whether the first line has the columns' names, in each file of a folder.
        escape_formulas: whether texts that a spreadsheet would take for formulas, because they
            begin with `=`, `+`, `-`, `@`, a tab, a line end or NUL, get a `'` in front.
    """

    delimiter: str = ","
    null_value: str = ""
    header: bool = True
    escape_formulas: bool = False


class CsvSink:
    """Writes delimited text."""

    suffix = ".csv"
    options = CsvOptions

    def faults(
        self,
        options: Mapping[str, Any],
        *,
        is_file: bool,
        columns: Mapping[str, pa.DataType] | None = None,
    ) -> Iterable[tuple[str, str]]:
        """Options that no file could be read back with, and columns that text cannot hold."""
        del is_file
        given = CsvOptions(**options)
        if len(given.delimiter) != 1 or given.delimiter in '"\r\n' or not given.delimiter.isascii():
            yield "delimiter", f"delimiter is {given.delimiter!r}: it must be one ASCII character"
        if any(letter in given.null_value for letter in ('"', "\r", "\n", given.delimiter)):
            yield "null_value", "null_value must hold no quote, no line end and no delimiter"
        if columns is not None and (wrong := _unfit(columns)):
            yield "use", wrong

    def keeps_rows(self, options: Mapping[str, Any]) -> bool:
        """Text has lost the types."""
        del options
        return False

    def encode(
        self, table: pa.Table, options: Mapping[str, Any], new_file: Callable[[], Path]
    ) -> Sequence[Encoded]:
        """Write the table; the records that the bytes hold are counted in them. Raises
        ValueError for a column that text cannot hold."""
        import polars as pl

        from stagepipe.builtin.csv.margins import behind
        from stagepipe.builtin.csv.structure import Structure

        given = CsvOptions(**options)
        if wrong := _unfit(dict(zip(table.column_names, table.schema.types, strict=True))):
            raise ValueError(wrong)
        frame = pl.DataFrame(pl.from_arrow(table))
        if given.escape_formulas:
            frame = _without_formulas(frame)
        # A line without a byte would be no record.
        is_bare = frame.width == 1 and not given.null_value
        if is_bare and (frame.to_series().cast(pl.String) == "").any():
            raise ValueError(
                f"column {frame.columns[0]!r} is the only one and has an empty text, which would "
                'look like a missing value: set null_value, as in null_value = "NULL"'
            )
        data = frame.write_csv(
            separator=given.delimiter,
            null_value=given.null_value,
            include_header=given.header,
            time_format="%H:%M:%S%.6f",  # polars' own nine digits are more than a `time` has
            quote_style="always" if is_bare else "necessary",
        ).encode()
        structure = Structure(given.delimiter.encode(), b'"')
        header = next(structure.spans(data), None) if given.header else None
        head = behind(data, header) if header else 0
        path = new_file()
        path.write_bytes(data)
        return [Encoded(path, structure.survey(data, head).records, head=head)]

    def decode(self, path: Path) -> pl.DataFrame:
        """Never asked for: see `keeps_rows`."""
        raise NotImplementedError(path)

    def scan(self, paths: Sequence[Path]) -> pl.LazyFrame:
        """Never asked for: see `keeps_rows`."""
        raise NotImplementedError(paths)

    def commit(self, parts: Sequence[Part], place: Place, options: Mapping[str, Any]) -> Output:
        """Show the parts as one file with one header, or as a folder of files."""
        del options
        return place.publish_joined(parts, _join) if place.is_file else place.publish(parts)


def _without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a `'` before each text, and each column's name, that looks like a formula.
    Numbers stay numbers."""
    import polars as pl

    made: dict[str, pl.Series] = {}
    for column in frame:
        name = column.name
        while FORMULA.match(name) or name in made:
            name = f"'{name}"
        if column.dtype in (pl.String, pl.Categorical, pl.Enum):
            texts = column.cast(pl.String)
            looks_so = texts.str.contains(FORMULA.pattern).fill_null(value=False)
            column = (pl.Series(["'"]) + texts).zip_with(looks_so, texts)
        made[name] = column.alias(name)
    return pl.DataFrame(list(made.values()))


def _unfit(columns: Mapping[str, pa.DataType]) -> str | None:
    """Why these columns cannot be written as text, if they cannot."""
    for name, kind in columns.items():
        if word := without_text(kind):
            return (
                f"column {name!r} is of type {word}, which CSV cannot hold: make text of it in a "
                'step, drop it, or write use = "parquet" or "arrow"'
            )
    return None


def _join(parts: Sequence[Part], target: Path) -> int:
    """Put the files' bytes together; their rows, which were counted in these bytes."""
    rows = size = 0
    with target.open("wb") as out:
        for part in parts:
            for file, path in zip(part.files, part.paths, strict=True):
                start = file.head if size else 0
                with Path(path).open("rb") as text:
                    text.seek(start)
                    shutil.copyfileobj(text, out, 2**20)
                size += file.bytes - start
                rows += file.rows
        if out.tell() != size:
            raise OSError(errno.EIO, "a finished part was damaged on disk", str(target))
    return rows
