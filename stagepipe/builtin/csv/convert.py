"""Text to typed columns, by pyarrow's CSV converters and nothing else.

The converters are lenient in places where a wrong value would come out in silence; these are
closed here, for whole segments (`is_trustworthy`) and for single values (`unfit`) alike:

- `0x1A` is 26 to an integer converter,
- `1e400` is infinite to a float converter, and `nan(12)` is a number,
- year 0000 is a date to Arrow, and to hardly anybody else,
- a decimal's digits are counted before it is scaled, so `12345678901` passes for decimal(12,2),
- scaled up beyond 128 bits, a decimal wraps around: those of which precision and scale are more
  than 38 together are read as text and cast with room to spare,
- scaled down by more than 38 digits, as in `5e-41`, a decimal becomes 0,
- what looks like a BOM is dropped wherever a segment starts,
- the LF of a CRLF in quotes is dropped where a block of the parser's ends between the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from stagepipe.builtin.csv.search import as_value, is_found

TRUE_WORDS = ["true", "True", "TRUE", "1"]
FALSE_WORDS = ["false", "False", "FALSE", "0"]
BLOCK_BYTES = 2**20
LARGEST_BLOCK = 2**31 - 1
CR, LF = b"\r\n"
FIRST_DAY = date.min.toordinal() - date(1970, 1, 1).toordinal()
PER_DAY = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
_LONGEST_WIDE_DECIMAL = len("-.e-38") + 38
_TINY = "[eE]-0*(39|[4-9][0-9]|[0-9]{3,})"
_WORDS_FOR_NON_FINITE = re.compile(r"[ \t]*[+-]?(inf|infinity|nan)[ \t]*", re.IGNORECASE)

# By kind of type: a pattern that every text matches which the converter takes, and few others do.
_SHAPES = tuple(
    (is_kind, re.compile(pattern, re.DOTALL | re.IGNORECASE))
    for is_kind, pattern in (
        (pa.types.is_integer, r"[ \t]*-?[0-9]+[ \t]*"),
        (pa.types.is_floating, r"[ \t]*[+-]?([0-9.]+(e[+-]?[0-9]+)?|inf.*|nan.*)[ \t]*"),
        (pa.types.is_decimal, r"[ \t]*[+-]?[0-9.]+(e[+-]?[0-9]+)?[ \t]*"),
        (pa.types.is_boolean, "|".join(TRUE_WORDS + FALSE_WORDS)),
        (pa.types.is_date, r"[ \t]*[0-9]{4}-[01][0-9]-[0-3][0-9][ \t]*"),
        (pa.types.is_timestamp, r"[0-9]{4}-[01][0-9]-[0-3][0-9].*"),
        (pa.types.is_time, r"[ \t]*[0-2][0-9]:[0-5][0-9].*"),
    )
)


def parse(
    data: bytes,
    column_types: Sequence[pa.DataType | None],
    *,
    delimiter: str,
    quote: str,
    null_values: Sequence[str],
    start: int = 0,
    odd_rows: dict[int, str] | None = None,
) -> pa.Table:
    """The records in `data` from `start` on as a table with columns named by their position; those
    without a type are left out. Raises `pyarrow.ArrowInvalid` when a record does not fit. Given
    `odd_rows`, records of another number of fields are left out, too, and noted there: the text of
    each by its number (from 0)."""
    names = [str(position) for position in range(len(column_types))]
    wanted = {n: t for n, t in zip(names, column_types, strict=True) if t is not None}
    if start == len(data):
        return pa.table({name: pa.array([], kind) for name, kind in wanted.items()})
    if data.startswith(b"\xef", start):
        data, start = b"\n" + data[start:], 0
    wide = {name: kind for name, kind in wanted.items() if _is_wide(kind)}
    parse_options = csv.ParseOptions(
        delimiter=delimiter,
        quote_char=quote or False,
        newlines_in_values=bool(quote),
        invalid_row_handler=None if odd_rows is None else _noting(odd_rows),
    )
    convert_options = csv.ConvertOptions(
        column_types=wanted | dict.fromkeys(wide, pa.string()),
        include_columns=list(wanted),
        null_values=list(null_values),
        strings_can_be_null=True,
        true_values=TRUE_WORDS,
        false_values=FALSE_WORDS,
        check_utf8=not data.isascii(),  # which takes a hundredth of the time of looking for UTF-8
    )
    body = pa.py_buffer(data).slice(start)
    table = _read(body, names, parse_options, convert_options)
    for name, kind in wide.items():
        position = table.schema.get_field_index(name)
        table = table.set_column(position, name, _wide_decimal(table.column(name), kind))
    return table


def _noting(odd_rows: dict[int, str]) -> Callable[[csv.InvalidRow], str]:
    """A handler that leaves records out, and knows their numbers, since one thread parses."""

    def leave_out(row: csv.InvalidRow) -> str:
        odd_rows[row.number - 1] = row.text
        return "skip"

    return leave_out


def _read(
    data: pa.Buffer, names: list[str], parse: csv.ParseOptions, convert: csv.ConvertOptions
) -> pa.Table:
    options = csv.ReadOptions(use_threads=False, column_names=names, block_size=_block_size(data))
    try:
        return csv.read_csv(pa.BufferReader(data), options, parse, convert)
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
    # A record lies across three blocks: all is one block then.
    options.block_size = min(data.size + 1, LARGEST_BLOCK)
    return csv.read_csv(pa.BufferReader(data), options, parse, convert)


def _block_size(buffer: pa.Buffer) -> int:
    """A size of blocks none of which ends within a CRLF: pyarrow drops the LF of such a one, also
    in a quoted field, where it belongs to the value."""
    for size in range(BLOCK_BYTES, BLOCK_BYTES // 2, -1):
        ends = range(size, buffer.size, size)
        if not any(buffer[end - 1] == CR and buffer[end] == LF for end in ends):
            return size
    return int(min(buffer.size + 1, LARGEST_BLOCK))


def _is_wide(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(kind) and kind.precision + kind.scale > 38)


def _wide_decimal(texts: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Decimals from text, by way of 256 bits. What these could not hold is kept from them."""
    texts = pc.utf8_trim(texts, characters=" \t")
    limit = 1.1 * 10.0 ** (kind.precision - kind.scale)
    for is_fit in (
        pc.less(pc.abs(texts.cast(pa.float64())), limit),
        pc.less_equal(pc.binary_length(texts), _LONGEST_WIDE_DECIMAL),
        pc.invert(pc.match_substring_regex(texts, _TINY)),
    ):
        if not pc.all(is_fit, min_count=0).as_py():
            raise pa.ArrowInvalid(f"a value does not fit {kind}")
    return texts.cast(pa.decimal256(76, kind.scale)).cast(kind)


def is_trustworthy(
    table: pa.Table, data: bytes, *, delimiter: str, quote: str, start: int = 0
) -> bool:
    """Whether no value of a parsed segment comes from the lenient side of a converter."""
    kinds = [field.type for field in table.schema]
    quotes = _escaped(quote)
    maybe = f"[{quotes}]?" if quote else ""  # a field may go on after its closing quote
    marks, lenient = [], []  # what is to be found in a number, and how that may look
    if any(map(pa.types.is_integer, kinds)) and _has_letter(b"xX", data, start):
        marks += ["0[xX]", f"0{quotes}[xX]"]
        lenient.append(f"-?0{maybe}[xX][0-9A-Fa-f{quotes}]{{1,18}}")
    if any(map(pa.types.is_decimal, kinds)) and _has_letter(b"eE", data, start):
        marks += [f"[eE]-{maybe}[0-9]", f"[eE]{quotes}-"]
        lenient.append(f"[+-]?[0-9.{quotes}]+[eE]{maybe}-[0-9{quotes}]+")
    if marks and _may_be_found(marks, data, start):
        ends = _escaped(delimiter + "\r\n")
        blanks = _escaped(quote + " \t")
        number = "|".join(lenient)
        fields = f"(?:^|[{ends}{blanks}])(?:{number})[{blanks}]*(?:[{ends}]|$)"
        if is_found(fields, data, start):
            return False
    return all(_is_sound(column) for column in table.columns)


def _has_letter(either: bytes, data: bytes, start: int) -> bool:
    return any(data.find(letter, start) >= 0 for letter in either)


def _may_be_found(marks: Sequence[str], data: bytes, start: int) -> bool:
    """Whether any of a few short patterns is in the data; True also where they are no UTF-8. With
    two or three letters known of each, polars looks for all at once by vector instructions."""
    import polars as pl  # for workers only: the parent reads no data

    try:
        text = pl.Series("text", pl.from_arrow(as_value(data, start))).cast(pl.String)
    except pl.exceptions.ComputeError:
        return True
    return text.str.contains("|".join(marks)).any()


def _escaped(characters: str) -> str:
    return "".join(f"\\x{ord(character):02x}" for character in characters)


def _is_sound(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if pa.types.is_floating(kind):
        return pc.all(pc.is_finite(column), min_count=0).as_py() is True
    if (pa.types.is_date(kind) or pa.types.is_timestamp(kind)) and column.null_count < len(column):
        per_day = 1 if pa.types.is_date(kind) else PER_DAY[kind.unit]
        return bool(pc.min_max(column)["min"].value >= FIRST_DAY * per_day)
    if pa.types.is_decimal(kind) and column.null_count < len(column):
        limit = 10 ** (kind.precision - kind.scale)
        extremes = pc.min_max(column)
        return bool(-limit < extremes["min"].as_py() and extremes["max"].as_py() < limit)
    return True


def unfit(values: Sequence[str], kind: pa.DataType) -> set[int]:
    """Which of the values (by position) do not fit the type. There is no null among them.

    What has not even the type's shape is sorted out first; that is most of what is ever wrong.
    The converter judges the others: all at once, then halves, so that a few bad ones among many
    are found with few conversions.
    """
    shape = next((shape for is_kind, shape in _SHAPES if is_kind(kind)), None)
    if shape is None:
        return set()
    different = dict.fromkeys(values)
    shapely = [value for value in different if shape.fullmatch(value)]
    if pa.types.is_date(kind):
        shapely = [value for value in shapely if _is_day(value)]
    bad = different.keys() - set(shapely)
    ranges = [(0, len(shapely))]
    while ranges:
        start, end = ranges.pop()
        if start == end or _fit(shapely[start:end], kind):
            continue
        if end - start == 1:
            bad.add(shapely[start])
            continue
        middle = (start + end) // 2
        ranges += [(start, middle), (middle, end)]
    return {row for row, value in enumerate(values) if value in bad}


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text.strip(" \t"))
    except ValueError:
        return False
    return True


def _fit(values: Sequence[str], kind: pa.DataType) -> bool:
    quoted = '"' + '"\n"'.join(value.replace('"', '""') for value in values) + '"\n'
    data = quoted.encode()
    try:
        table = parse(data, [kind], delimiter=",", quote='"', null_values=[])
    except pa.ArrowInvalid:
        return False
    if is_trustworthy(table, data, delimiter=",", quote='"'):
        return True
    if pa.types.is_decimal(kind):
        return _is_sound(table.column(0)) and all(_is_exact(v, kind.scale) for v in values)
    if not pa.types.is_floating(kind):
        return False
    return all(
        _WORDS_FOR_NON_FINITE.fullmatch(values[row])
        for row, is_finite in enumerate(pc.is_finite(table.column(0)).to_pylist())
        if not is_finite
    )


def _is_exact(text: str, scale: int) -> bool:
    """Whether a number has no digits but zeros behind what the scale holds."""
    _, digits, exponent = Decimal(text.strip(" \t")).as_tuple()
    assert isinstance(exponent, int)
    behind = -exponent - scale
    return behind <= 0 or not any(digits[-behind:])


def typed(values: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    """The values, which all fit, as one typed array; None stays null."""
    present = [value for value in values if value is not None]
    quoted = "".join('"' + value.replace('"', '""') + '"\n' for value in present)
    column = parse(quoted.encode(), [kind], delimiter=",", quote='"', null_values=[]).column(0)
    positions, position = [], 0
    for value in values:
        positions.append(None if value is None else position)
        position += value is not None
    return column.combine_chunks().take(pa.array(positions, pa.int64()))
