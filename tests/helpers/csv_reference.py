"""A slow and simple CSV reader, written from the rules and from nothing of stagepipe's reader.

It walks over the bytes one by one, and converts one text at a time. The real reader has to agree
with it on every row and on every field of every reject.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa

from stagepipe.contracts import ColumnSpec, TableSpec
from stagepipe.model import Reject

BOM = b"\xef\xbb\xbf"
ENDS = b"\r\n"


@dataclass(frozen=True)
class Written:
    """How the values of a file are written, as [source.csv] has it."""

    null_values: tuple[str, ...]
    decimal_comma: bool = False
    thousands: str | None = None
    true_values: tuple[str, ...] | None = None
    false_values: tuple[str, ...] | None = None
    trim: bool = False


@dataclass(frozen=True)
class Record:
    """`fields` is None when a quote is not closed."""

    start: int
    end: int
    fields: list[bytes] | None


@dataclass
class Result:
    rows: list[tuple[Any, ...]]
    rejects: list[Reject]
    records: int
    lines: int
    places: list[tuple[int, int]]
    """Of each row: the offset and the line at which its record begins."""


def records(data: bytes, start: int, delimiter: bytes, quote: bytes) -> Iterator[Record]:
    """The records from `start` on, by a machine of three states."""
    position = start
    while position < len(data):
        if data[position] in ENDS:
            position += 1
            continue
        begin, fields, field, state = position, [], bytearray(), "start"
        while position < len(data):
            byte = data[position : position + 1]
            if state == "quoted":
                if byte != quote:
                    field += byte
                elif data[position + 1 : position + 2] == quote:
                    field += quote
                    position += 1
                else:
                    state = "bare"
            elif byte in (b"\r", b"\n"):
                break
            elif byte == delimiter:
                fields.append(bytes(field))
                field, state = bytearray(), "start"
            elif state == "start" and quote and byte == quote:
                state = "quoted"
            else:
                field += byte
                state = "bare"
            position += 1
        if state == "quoted":
            end = len(data)
            if data.endswith(b"\r\n"):
                end -= 2
            elif data.endswith((b"\r", b"\n")):
                end -= 1
            yield Record(begin, end, None)
            return
        yield Record(begin, position, [*fields, bytes(field)])


def lines_before(data: bytes, stop: int) -> int:
    """How many physical lines end before an offset."""
    lines = 0
    for position in range(stop):
        if data[position] == 0x0A or (
            data[position] == 0x0D and data[position + 1 : position + 2] != b"\n"
        ):
            lines += 1
    return lines


def read(data: bytes, spec: TableSpec, *, delimiter: str, quote: str, **written: Any) -> Result:
    """A whole file."""
    how = Written(**written)
    start = len(BOM) if data.startswith(BOM) else 0
    header, *body = records(data, start, delimiter.encode(), quote.encode())
    assert header.fields is not None
    names = [trimmed(name.decode(), how) for name in header.fields]
    rows, rejects, places = [], [], []
    for record in body:
        line = lines_before(data, record.start) + 1
        row, faults = _row(record, names, spec, how)
        if not faults:
            rows.append(row)
            places.append((record.start, line))
            continue
        (column, value, reason), *others = faults
        rejects.append(
            Reject(
                source="",
                file=None,
                line=line,
                byte_offset=record.start,
                stage="",
                column=column,
                value=value,
                reason=reason,
                also=", ".join(f"{name}:{also}" for name, _, also in others) or None,
                raw=data[record.start : record.end],
            )
        )
    return Result(rows, rejects, len(body), lines_before(data, len(data)), places)


Fault = tuple[str | None, str | None, str]


def _row(
    record: Record, names: list[str], spec: TableSpec, how: Written
) -> tuple[tuple[Any, ...], list[Fault]]:
    if record.fields is None:
        return (), [(None, None, "unclosed_quote")]
    if len(record.fields) != len(names):
        reason = "too_many_fields" if len(record.fields) > len(names) else "too_few_fields"
        return (), [(None, str(len(record.fields)), reason)]
    row: list[Any] = []
    faults: list[Fault] = []
    for column in spec.columns:
        if column.header not in names:
            row.append(column.default)
            faults += _failed_checks(column, None, column.default)
            continue
        raw = record.fields[names.index(column.header)]
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            faults.append((column.name, raw.decode(errors="backslashreplace"), "encoding"))
            continue
        try:
            value = value_of(text, column, how)
        except ValueError:
            faults.append((column.name, text, "type"))
            continue
        row.append(value)
        faults += _failed_checks(column, text, value)
    return tuple(row), faults


def _failed_checks(column: ColumnSpec, text: str | None, value: Any) -> list[Fault]:
    if value is None:
        return [(column.name, text, "required")] if column.required else []
    return [
        (column.name, text, reason)
        for reason, bound in column.checks
        if not passes(reason, bound, value)
    ]


def passes(check: str, bound: Any, value: Any) -> bool:
    """Whether a value passes one check."""
    match check:
        case "min":
            return bool(value >= bound)
        case "max":
            return bool(value <= bound)
        case "one_of":
            return value in bound
        case "pattern":
            return re.fullmatch(bound, value) is not None
        case "min_length":
            return len(value) >= bound
        case "max_length":
            return len(value) <= bound
    raise AssertionError(check)


def trimmed(text: str, how: Written) -> str:
    """A field's text, or a name's, without blanks around it where these are left out."""
    return text.strip(" \t") if how.trim else text


def value_of(text: str, column: ColumnSpec, how: Written) -> Any:
    """A field's value. Raises ValueError when it does not fit."""
    text = trimmed(text, how)
    if text in how.null_values:
        return column.default
    if column.format is not None:
        return formatted(text, column.format, column.arrow_type)
    return parse(text, column.arrow_type, how)


def parse(text: str, kind: pa.DataType, how: Written) -> Any:
    """A text's value. Raises ValueError when it does not fit the type."""
    if pa.types.is_string(kind):
        return text
    if pa.types.is_boolean(kind):
        true = ("true", "True", "TRUE", "1") if how.true_values is None else how.true_values
        false = ("false", "False", "FALSE", "0") if how.false_values is None else how.false_values
        if text not in (*true, *false):
            raise ValueError(text)
        return text in true
    if pa.types.is_timestamp(kind):
        return _timestamp(text, kind)
    text = text.strip(" \t")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        text = _with_a_point(text, kind, how)
    if pa.types.is_integer(kind):
        return _integer(text, kind)
    if pa.types.is_floating(kind):
        return _float(text, kind)
    if pa.types.is_decimal(kind):
        return _decimal(text, kind)
    if pa.types.is_date(kind):
        _need(text, r"\d{4}-\d\d-\d\d")
        return date.fromisoformat(text)
    if pa.types.is_time(kind):
        _need(text, r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?")
        return time.fromisoformat(_six_digits(text))
    raise AssertionError(kind)


def _with_a_point(text: str, kind: pa.DataType, how: Written) -> str:
    """A number without signs between its thousands, and with a decimal point."""
    point = "," if how.decimal_comma else "."
    whole, *behind = text.split(point, 1)
    if how.thousands is not None and how.thousands in whole:
        unsigned = whole.lstrip("+-")
        first, *others = unsigned.split(how.thousands)
        if not re.fullmatch("[1-9][0-9]?[0-9]?", first):
            raise ValueError(text)
        if not all(re.fullmatch("[0-9]{3}", group) for group in others[:-1]):
            raise ValueError(text)
        # A power may stand behind the last group, where there is no decimal sign.
        if not re.fullmatch("[0-9]{3}" if behind else "[0-9]{3}([eE].*)?", others[-1]):
            raise ValueError(text)
        text = whole.replace(how.thousands, "") + "".join(point + rest for rest in behind)
    if how.decimal_comma and not pa.types.is_integer(kind):
        if "." in text:
            raise ValueError(text)
        text = text.replace(",", ".")
    if how.thousands is not None and how.thousands in text:
        raise ValueError(text)
    return text


def formatted(text: str, pattern: str, kind: pa.DataType) -> Any:
    """The value of a text that is as the pattern says. Raises ValueError when it is not."""
    tokens = re.findall("%.|[^%]", pattern)
    found = next(_matches(text, tokens, 0, {}), None)
    if found is None:
        raise ValueError(text)
    year = int(found.get("Y", 1))
    if "y" in found:
        year = int(found["y"]) + (1900 if int(found["y"]) >= 69 else 2000)
    month = int(found.get("m", 1))
    for letter, length in (("b", 3), ("B", 9)):
        if letter in found:
            names = [datetime(1, n, 1).strftime("%B").lower()[:length] for n in range(1, 13)]
            month = names.index(found[letter].lower()) + 1
    hour = int(found.get("H", 0))
    if "I" in found:
        if not 1 <= int(found["I"]) <= 12:
            raise ValueError(text)
        hour = int(found["I"]) % 12 + (12 if found["p"].lower() == "pm" else 0)
    rest = int(found.get("M", 0)), int(found.get("S", 0)), int(found.get("f", "0").ljust(6, "0"))
    if pa.types.is_time(kind):
        return time(hour, *rest)
    moment = datetime(year, month, int(found["d"]), hour, *rest)
    if "z" in found:
        moment = moment.replace(tzinfo=_offset(found["z"]))
    return moment.date() if pa.types.is_date(kind) else moment


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].strip(":") or "0")
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    return timezone(timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1))


LENGTHS = {"Y": (4, 4), "y": (2, 2), "f": (1, 6)} | dict.fromkeys("mdHIMS", (1, 2))
SHAPES = {
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "p": "[AaPp][Mm]",
    "z": "Z|[+-][0-9]{2}(:?[0-9]{2})?",
}


def _matches(
    text: str, tokens: list[str], at: int, found: dict[str, str]
) -> Iterator[dict[str, str]]:
    """What each directive stands for, in every way in which text and pattern go together."""
    if at == len(tokens):
        if not text:
            yield found
        return
    token = tokens[at]
    if len(token) == 1 or token == "%%":
        if text[:1] == token[-1]:
            yield from _matches(text[1:], tokens, at + 1, found)
        return
    letter = token[1]
    least, most = LENGTHS.get(letter, (1, 9))
    is_between = _is_number(tokens, at + 1) or (_is_number(tokens, at - 1) and letter != "f")
    for length in range(most if letter in LENGTHS and is_between else least, most + 1):
        part = text[:length]
        shape = SHAPES.get(letter, "[0-9]+")
        if len(part) == length and re.fullmatch(shape, part, re.ASCII):
            yield from _matches(text[length:], tokens, at + 1, {**found, letter: part})


def _is_number(tokens: list[str], at: int) -> bool:
    token = tokens[at] if 0 <= at < len(tokens) else ""
    return token[1:] in LENGTHS if len(token) == 2 else token.isdecimal()


def _need(text: str, pattern: str) -> None:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(text)


def _six_digits(text: str) -> str:
    whole, point, fraction = text.partition(".")
    return whole + point + fraction.ljust(6, "0") if point else whole


def _timestamp(text: str, kind: pa.DataType) -> datetime:
    if kind.tz is None:
        _need(text, r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?")
        return datetime.fromisoformat(_six_digits(text))
    _need(text, r".{10}[ T][^+Z-]*(Z|[+-]\d\d(:?\d\d)?)")
    offset = re.search(r"(Z|[+-]\d\d(:?\d\d)?)$", text)
    assert offset is not None
    moment = _timestamp(text[: offset.start()], pa.timestamp("us"))
    return moment.replace(tzinfo=_offset(offset[0]))


def _integer(text: str, kind: pa.DataType) -> int:
    is_signed = pa.types.is_signed_integer(kind)
    _need(text, r"-?\d+" if is_signed else r"\d+")
    value = int(text)
    low, high = (-1 << (kind.bit_width - 1), (1 << (kind.bit_width - 1)) - 1)
    if not is_signed:
        low, high = 0, (1 << kind.bit_width) - 1
    if not low <= value <= high:
        raise ValueError(text)
    return value


def _float(text: str, kind: pa.DataType) -> float:
    if re.fullmatch(r"[+-]?(inf|infinity|nan)", text, re.IGNORECASE | re.ASCII):
        return float(text)
    _need(text, r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
    value = float(text)
    if kind.bit_width == 32:
        try:
            (value,) = struct.unpack("f", struct.pack("f", value))
        except OverflowError as error:
            raise ValueError(text) from error
    if math.isinf(value):
        raise ValueError(text)
    return value


def _decimal(text: str, kind: pa.DataType) -> Decimal:
    _need(text, r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
    mantissa, _, power = re.sub("E", "e", text).lstrip("+-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = int(power or "0")
    zeros = max(exponent - len(fraction), 0)
    # Written digits count, also zeros at the end, but not those in front.
    if len(whole.lstrip("0")) + len(fraction) + zeros > kind.precision:
        raise ValueError(text)
    value = Decimal(text)
    if abs(value) >= Decimal(10) ** (kind.precision - kind.scale):
        raise ValueError(text)
    behind = len(fraction) - exponent - kind.scale
    if behind > 0 and any(digit != "0" for digit in (whole + fraction).zfill(behind)[-behind:]):
        raise ValueError(text)
    return value
