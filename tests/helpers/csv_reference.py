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
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from stagepipe.contracts import TableSpec
from stagepipe.model import Reject

BOM = b"\xef\xbb\xbf"
ENDS = b"\r\n"


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


def read(
    data: bytes, spec: TableSpec, *, delimiter: str, quote: str, null_values: tuple[str, ...]
) -> Result:
    """A whole file."""
    start = len(BOM) if data.startswith(BOM) else 0
    header, *body = records(data, start, delimiter.encode(), quote.encode())
    assert header.fields is not None
    names = [name.decode() for name in header.fields]
    rows, rejects, places = [], [], []
    for record in body:
        line = lines_before(data, record.start) + 1
        row, faults = _row(record, names, spec, null_values)
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
    record: Record, names: list[str], spec: TableSpec, null_values: tuple[str, ...]
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
            row.append(None)
            if column.required:
                faults.append((column.name, None, "required"))
            continue
        raw = record.fields[names.index(column.header)]
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            faults.append((column.name, raw.decode(errors="backslashreplace"), "encoding"))
            continue
        try:
            value = None if text in null_values else parse(text, column.arrow_type)
        except ValueError:
            faults.append((column.name, text, "type"))
            continue
        row.append(value)
        if value is None and column.required:
            faults.append((column.name, text, "required"))
        if value is not None:
            faults += [
                (column.name, text, reason)
                for reason, bound in column.checks
                if not passes(reason, bound, value)
            ]
    return tuple(row), faults


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


def parse(text: str, kind: pa.DataType) -> Any:
    """A text's value. Raises ValueError when it does not fit the type."""
    if pa.types.is_string(kind):
        return text
    if pa.types.is_boolean(kind):
        words = {"true": True, "True": True, "TRUE": True, "1": True}
        words |= {"false": False, "False": False, "FALSE": False, "0": False}
        if text not in words:
            raise ValueError(text)
        return words[text]
    if pa.types.is_timestamp(kind):
        return _timestamp(text)
    text = text.strip(" \t")
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


def _need(text: str, pattern: str) -> None:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(text)


def _six_digits(text: str) -> str:
    whole, point, fraction = text.partition(".")
    return whole + point + fraction.ljust(6, "0") if point else whole


def _timestamp(text: str) -> datetime:
    _need(text, r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?")
    return datetime.fromisoformat(_six_digits(text))


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
