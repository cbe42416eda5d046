"""Regular expressions for records and fields, made from the bytes that give a file its structure.

None of them goes back over what it has matched (`*+`, `(?>…)`), so that their time grows with the
bytes and no faster.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Patterns(NamedTuple):
    """`record` matches one whole record, `strict` one with quotes around whole fields only, `field`
    one field with its three texts (in quotes, behind these, without any), `fields_before` all
    fields of a record that others follow, `gap` what may stand between records. `sound` matches
    many records of which none looks torn (see `Structure.is_torn`), for marks of one byte."""

    record: re.Pattern[bytes]
    strict: re.Pattern[bytes]
    field: re.Pattern[bytes]
    fields_before: re.Pattern[bytes]
    gap: re.Pattern[bytes]
    sound: re.Pattern[bytes]


def patterns(delimiter: bytes, quote: bytes, escape: bytes, comment: bytes) -> Patterns:
    """The patterns of a structure."""
    bare, inner = _bare(delimiter, escape), _inner(quote, escape)
    between, mark = re.escape(delimiter), re.escape(quote)
    if quote:
        field = rb"(?>%b%b%b%b|(?!%b)%b)" % (mark, inner, mark, bare, mark, bare)
        texts = rb"%b(%b)%b(%b)|(?!%b)(%b)" % (mark, inner, mark, bare, mark, bare)
        whole = rb"(?>%b%b%b|(?:(?!%b|%b)[^\r\n])*+)" % (mark, inner, mark, mark, between)
        one_line = rb"%b[^%b\r\n]*+(?:%b%b[^%b\r\n]*+)*+%b%b" % (*[mark] * 6, bare)
        lines = rb"%b%b(?<![\r\n%b])%b(?=[\r\n%b]|\Z)" % (mark, inner, between, mark, between)
        sound = rb"(?>%b|%b|(?!%b)%b)" % (one_line, lines, mark, bare)
    else:
        field, texts, whole = bare, rb"()()(%b)" % bare, bare
        sound = bare
    gap = rb"[\r\n]*+"
    if comment:
        gap = rb"(?:[\r\n]++|%b[^\r\n]*+)*+" % re.escape(comment)
    return Patterns(
        record=_compiled(rb"%b(?:%b%b)*+(?=[\r\n]|\Z)" % (field, between, field)),
        strict=_compiled(rb"%b(?:%b%b)*+" % (whole, between, whole)),
        field=_compiled(texts),
        fields_before=_compiled(rb"(?:%b%b)*+" % (field, between)),
        gap=_compiled(gap),
        sound=_compiled(rb"(?:%b(?:%b%b)*+(?:[\r\n]++|\Z))*+" % (sound, between, sound)),
    )


def escaped(escape: bytes) -> bytes:
    """An escape and the character that it makes an ordinary one; CRLF is one."""
    return rb"%b(?:\r\n|.)" % re.escape(escape)


def unescaped(text: bytes, quote: bytes, escape: bytes) -> bytes:
    """A text without the escapes, and the quotes before a `quote`, that only say how the next one
    is to be taken. An escape at the very end is itself."""
    if not escape or escape not in text:
        return text.replace(quote * 2, quote) if quote else text
    pattern = rb"%b(\r\n|.)" % re.escape(escape)
    if quote:
        pattern += rb"|%b(%b)" % (re.escape(quote), re.escape(quote))
    return re.sub(pattern, lambda pair: pair[pair.lastindex or 0], text, flags=re.DOTALL)


def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


def _bare(delimiter: bytes, escape: bytes) -> bytes:
    """A field without quotes, or what follows its closing quote."""
    first, special = re.escape(delimiter[:1]), []
    if len(delimiter) > 1:
        special.append(rb"(?!%b)%b" % (re.escape(delimiter), first))
    if escape:
        special.append(rb"%b|%b\Z" % (escaped(escape), re.escape(escape)))
    return _run(rb"[^%b%b\r\n]" % (first, re.escape(escape)), special)


def _inner(quote: bytes, escape: bytes) -> bytes:
    """What stands between the quotes of a field."""
    mark, first = re.escape(quote), re.escape(quote[:1])
    special = [mark * 2]
    if len(quote) > 1:
        special.append(rb"(?!%b)%b" % (mark, first))
    if escape:
        special.append(escaped(escape))
    return _run(rb"[^%b%b]" % (first, re.escape(escape)), special)


def _run(plain: bytes, special: Sequence[bytes]) -> bytes:
    """Bytes of a class, and others only as they stand in one of these patterns."""
    if not special:
        return plain + b"*+"
    return rb"%b*+(?:(?:%b)%b*+)*+" % (plain, b"|".join(special), plain)
