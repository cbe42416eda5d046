"""A slow and simple CSV reader, written from the rules and from nothing of stagepipe's reader.

It walks over the bytes one by one, and converts one text at a time. The real reader has to agree
with it on every row and on every field of every reject.
"""

from __future__ import annotations

import codecs
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import pyarrow as pa

from stagepipe.contracts import ColumnSpec, TableSpec
from stagepipe.model import Reject

BOM = b"\xef\xbb\xbf"
ENDS = "\r\n"


@dataclass(frozen=True, kw_only=True)
class Written:
    """How the values of a file are written, by the words of `[source.csv]`."""

    null_values: tuple[str, ...]
    decimal_comma: bool = False
    thousands: str | None = None
    true_values: tuple[str, ...] | None = None
    false_values: tuple[str, ...] | None = None
    trim: bool = False


@dataclass(frozen=True, kw_only=True)
class Rules(Written):
    """How a file is written, by the words of `[source.csv]`."""

    delimiter: str
    quote: str
    escape: str | None = None
    comment: str | None = None
    encoding: str = "utf-8"
    skip_lines: int = 0
    header: bool | int = True
    skip_footer: int = 0
    tables: str = "one"


@dataclass(frozen=True)
class Text:
    """A file's characters, and the offset of each one's bytes; one more is the file's size. A byte
    that is part of no character is the surrogate U+DC00 plus its value."""

    characters: str
    offsets: list[int]

    def lines_before(self, stop: int) -> int:
        """How many physical lines end before a character."""
        text = self.characters
        return sum(
            text[n] == "\n" or (text[n] == "\r" and text[n + 1 : n + 2] != "\n")
            for n in range(stop)
        )


@dataclass(frozen=True)
class Record:
    """`fields` is None when a quote is not closed, and `opening` where that stands. `is_torn` when
    it seems to be made of two."""

    start: int
    end: int
    fields: list[str] | None
    opening: int = 0
    is_torn: bool = False


@dataclass
class Result:
    rows: list[tuple[Any, ...]]
    rejects: list[Reject]
    records: int
    lines: int
    places: list[tuple[int, int]]
    """Of each row: the offset and the line at which its record begins."""


def _keep(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(0xDC00 + b) for b in error.object[error.start : error.end]), error.end


codecs.register_error("reference-bytes", _keep)
MARKS = {"utf-16": (b"\xff\xfe", b"\xfe\xff"), "utf-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff")}


def text_of(data: bytes, encoding: str) -> Text:
    """Decode byte by byte."""
    start = 0
    for family, (little, big) in MARKS.items():
        if encoding.startswith(family):
            start = len(little) if data.startswith((little, big)) else 0
            is_big = data.startswith(big) or encoding.endswith("be")
            encoding = f"{family}-{'be' if is_big else 'le'}"
    decoder = codecs.getincrementaldecoder(encoding)("reference-bytes")
    characters, offsets, since = "", [], start
    for position in range(start, len(data)):
        found = decoder.decode(data[position : position + 1], position == len(data) - 1)
        if not found:
            continue
        size = position + 1 - since
        # So many characters as bytes: one each. Else it is one character, or a pair that belongs
        # together.
        offsets += [since + n if len(found) == size else since for n in range(len(found))]
        if found[-1] in ENDS and not encoding.startswith("utf-"):
            offsets[-1] = position  # what shifts the meaning of bytes belongs to the line before
        characters += found
        since = position + 1
    return Text(characters, [*offsets, len(data)])


def records(text: str, start: int, stop: int, rules: Rules, width: int = 0) -> Iterator[Record]:
    """The records from `start` on, by a machine of three states. `width` is how many fields they
    should have."""
    position = start
    while position < stop:
        if text[position] in ENDS:
            position += 1
            continue
        if rules.comment and text.startswith(rules.comment, position, stop):
            while position < stop and text[position] not in ENDS:
                position += 1
            continue
        record = _record(text, position, stop, rules)
        if record.fields is not None:
            yield record
            position = record.end
            continue
        position = _goes_on_at(text, record.opening, stop, rules, width)
        yield replace(record, end=_before_end(text, position))


def _goes_on_at(text: str, opening: int, stop: int, rules: Rules, width: int) -> int:
    """The first line behind an open quote from which on ten look right, or all, with six
    delimiters or more."""
    lines = [m for m in re.finditer(r"[^\r\n]+", text[:stop]) if m.start() > opening]
    if rules.comment:
        lines = [line for line in lines if not line[0].startswith(rules.comment)]
    is_right = []
    for line in lines:
        record = _record(text, line.start(), stop, rules)
        is_right.append(len(record.fields or ()) == width and record.end == line.end())
    for number, line in enumerate(lines):
        ten = is_right[number : number + 10]
        if width > 1 and all(ten) and (len(ten) == 10 or len(ten) * (width - 1) >= 6):
            return line.start()
    return stop


def _record(text: str, begin: int, stop: int, rules: Rules) -> Record:
    fields, field, state = [], "", "start"
    escape = "" if rules.escape == rules.quote else rules.escape
    position = opening = begin
    closed_at: list[tuple[int, int]] = []  # of each field in quotes: where it opens, and closes
    bounds = [begin]
    while position < stop:
        character = text[position]
        if escape and character == escape and position + 1 < stop:
            length = 2 if text.startswith("\r\n", position + 1, stop) else 1
            field += text[position + 1 : position + 1 + length]
            position += length
            state = "bare" if state == "start" else state
        elif state == "quoted":
            if character != rules.quote:
                field += character
            elif text[position + 1 : min(position + 2, stop)] == rules.quote:
                field += character
                position += 1
            else:
                state = "bare"
                closed_at.append((opening, position))
        elif character in ENDS:
            break
        elif text.startswith(rules.delimiter, position, stop):
            fields.append(field)
            field, state = "", "start"
            bounds += [position, position + len(rules.delimiter)]
            position += len(rules.delimiter) - 1
        elif state == "start" and character == rules.quote:
            state, opening = "quoted", position
        else:
            field += character
            state = "bare"
        position += 1
    if state == "quoted":
        return Record(begin, stop, None, opening)
    bounds.append(position)
    texts = [text[bounds[n] : bounds[n + 1]].rstrip(" \t") for n in range(0, len(bounds), 2)]
    is_torn = any(
        _is_torn(text, opening, closing, dict(zip(bounds[::2], texts, strict=True)), rules)
        for opening, closing in closed_at
    )
    return Record(begin, position, [*fields, field], is_torn=is_torn)


def _is_torn(text: str, opening: int, closing: int, fields: dict[int, str], rules: Rules) -> bool:
    """Whether the quote that closes a field was meant to open one of another record. `fields` has
    each field's text by where it begins, without blanks behind it."""
    inside = text[opening + 1 : closing]
    if not any(end in inside for end in ENDS):
        return False
    if len(fields[opening]) > closing + 1 - opening:
        return True
    stands_like_opening = inside.endswith((rules.delimiter, *ENDS))
    later = [field for begin, field in fields.items() if begin > opening]
    return stands_like_opening and any(
        field.endswith(rules.quote) and not field.startswith(rules.quote) for field in later
    )


def _before_end(text: str, stop: int) -> int:
    if text.endswith("\r\n", 0, stop):
        return stop - 2
    return stop - text.endswith(("\r", "\n"), 0, stop)


def read(data: bytes, spec: TableSpec, **options: Any) -> Result:
    """A whole file."""
    rules = Rules(**options)
    text = text_of(data, rules.encoding)
    start, body_stop = body(text.characters, rules)
    header_records = int(rules.header)
    all_records = list(records(text.characters, start, len(text.characters), rules))
    names: list[str] | None = None
    if header_records:
        headers = [
            [trimmed(name, rules) for name in record.fields or []]
            for record in all_records[:header_records]
        ]
        names = [" ".join(filter(None, parts)) for parts in zip_longest(*headers, fillvalue="")]
        start = all_records[header_records - 1].end
    first = all_records[0].fields if all_records else None
    width = len(names or first or ())
    file = File(text, names, width, spec, rules)
    # A footer that begins in the header leaves the header alone.
    stop = whole_stop = max(body_stop, start)
    if rules.tables == "first":
        stop = table_end(text.characters, start, whole_stop, rules, width)
    found = list(records(text.characters, start, stop, rules, width))
    rows, rejects, places = [], [], []
    for record in found:
        line, offset = text.lines_before(record.start) + 1, text.offsets[record.start]
        row, faults = file.row(record)
        if not faults:
            rows.append(row)
            places.append((offset, line))
            continue
        (column, value, reason), *others = faults
        rejects.append(
            Reject(
                source="",
                file=None,
                line=line,
                byte_offset=offset,
                stage="",
                column=column,
                value=value,
                reason=reason,
                also=", ".join(f"{name}:{also}" for name, _, also in others) or None,
                raw=data[offset : text.offsets[record.end]],
            )
        )
    blocks = list(other_tables(text.characters[:whole_stop], stop, rules))
    for begin, end, lines in blocks:
        line, offset = text.lines_before(begin) + 1, text.offsets[begin]
        raw = data[offset : text.offsets[end]]
        reason = "another_table"
        rejects.append(Reject("", None, line, offset, "", None, str(lines), reason, None, raw))
    lines = text.lines_before(len(text.characters))
    return Result(rows, rejects, len(found) + len(blocks), lines, places)


def table_end(text: str, start: int, stop: int, rules: Rules, width: int) -> int:
    """Where the first void line after the first record begins that no record goes over."""
    found = list(records(text, start, stop, rules, width))
    at = found[0].start if found else stop
    while (at := _next_line(text, at, stop)) < stop:
        after = _next_line(text, at, stop)
        is_ended = text[after - 1] in ENDS
        is_in_record = any(record.start < at <= record.end for record in found)
        if is_ended and is_void(text[at:after], rules) and not is_in_record:
            return at
    return stop


def is_ambiguous(data: bytes, **options: Any) -> bool:
    """Whether a void line stands below the header of the first of several tables, and more below
    that: then the file is dead."""
    rules = Rules(**options)
    if rules.tables != "first" or not rules.header:
        return False
    text = text_of(data, rules.encoding).characters
    start, stop = body(text, rules)
    headers = list(records(text, start, len(text), rules))[: int(rules.header)]
    at = _next_line(text, headers[-1].end, len(text))
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text[at : max(stop, at)])
    lines = [line for line in lines if not (rules.comment and line.startswith(rules.comment))]
    is_first_void = bool(lines) and lines[0][-1] in ENDS and is_void(lines[0], rules)
    return is_first_void and not all(is_void(line, rules) for line in lines)


def other_tables(text: str, start: int, rules: Rules) -> Iterator[tuple[int, int, int]]:
    """Begin, end and number of lines of each block of lines that are not void; of comments only it
    is none."""
    blocks: list[list[tuple[int, str]]] = [[]]
    while start < len(text):
        after = _next_line(text, start, len(text))
        line = text[start:after].rstrip(ENDS)
        if is_void(line, rules):
            blocks.append([])
        else:
            blocks[-1].append((start, line))
        start = after
    for block in blocks:
        if any(not (rules.comment and line.startswith(rules.comment)) for _, line in block):
            begin, (last, line) = block[0][0], block[-1]
            yield begin, last + len(line), len(block)


def is_void(line: str, rules: Rules) -> bool:
    """Whether nothing but delimiters and blanks stands in a line: blanks of a delimiter first."""
    line = line.rstrip(ENDS)
    while line:
        if line[0] in " \t":
            line = line[1:]
        elif line.startswith(rules.delimiter):
            line = line[len(rules.delimiter) :]
        else:
            return False
    return True


def _next_line(text: str, at: int, stop: int) -> int:
    while at < stop and text[at] not in ENDS:
        at += 1
    return min(at + (2 if text.startswith("\r\n", at) else 1), stop)


def body(text: str, rules: Rules) -> tuple[int, int]:
    """Where the header begins, and where the footer does."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    start = len("".join(lines[: rules.skip_lines]))
    if rules.skip_lines == 0 and rules.encoding == "utf-8" and text.startswith("\ufeff"):
        start = 1
    stop, left = len(text), rules.skip_footer
    for line in reversed(lines):
        if not left:
            break
        stop -= len(line)
        left -= bool(line.strip(ENDS))
    return start, stop if rules.skip_footer else len(text)


Fault = tuple[str | None, str | None, str]


@dataclass(frozen=True)
class File:
    """What is known of a file when its records are read; `width` is that of header or first
    record."""

    text: Text
    names: list[str] | None
    width: int
    spec: TableSpec
    rules: Rules

    def positions(self) -> tuple[dict[str, int], int, bool]:
        """Where the columns stand, by name; how many fields a record has; whether the last of
        these has to be empty."""
        wanted = [column.header for column in self.spec.columns]
        if self.names is None:
            width = len(wanted)
            if self.width > width and self.spec.extra_columns == "ignore":
                width = self.width
            if 0 < self.width < width and self.spec.missing_columns == "null":
                width = self.width
            return {name: n for n, name in enumerate(wanted) if n < width}, width, False
        is_void = len(self.names) > 1 and not self.names[-1] and "" not in wanted
        is_void = is_void and self.spec.extra_columns == "refuse"
        there = {name: self.names.index(name) for name in wanted if name in self.names}
        return there, len(self.names), is_void

    def row(self, record: Record) -> tuple[tuple[Any, ...], list[Fault]]:
        """The values of a record, or what is wrong with it."""
        there, width, is_void = self.positions()
        if record.fields is None or record.is_torn:
            return (), [(None, None, "unclosed_quote")]
        is_long = is_void and trimmed(record.fields[-1], self.rules) not in (
            "",
            *self.rules.null_values,
        )
        if len(record.fields) != width or is_long:
            reason = "too_few_fields" if len(record.fields) < width else "too_many_fields"
            return (), [(None, str(len(record.fields)), reason)]
        row: list[Any] = []
        faults: list[Fault] = []
        for column in self.spec.columns:
            if column.header not in there:
                row.append(column.default)
                faults += _failed_checks(column, None, column.default)
                continue
            value, found = _value(record.fields[there[column.header]], column, self.rules)
            row.append(value)
            faults += found
        return tuple(row), faults


def _value(text: str, column: ColumnSpec, rules: Rules) -> tuple[Any, list[Fault]]:
    if bad := re.findall("[\udc00-\udcff]", text):
        for byte in bad:
            text = text.replace(byte, f"\\x{ord(byte) - 0xDC00:02x}")
        return None, [(column.name, text, "encoding")]
    try:
        value = value_of(text, column, rules)
    except ValueError:
        return None, [(column.name, text, "type")]
    return value, _failed_checks(column, text, value)


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
    if how.thousands is not None and how.thousands in text:
        raise ValueError(text)
    if how.decimal_comma and not pa.types.is_integer(kind):
        if "." in text:
            raise ValueError(text)
        text = text.replace(",", ".")
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
