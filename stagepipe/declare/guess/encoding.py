"""Which encoding bytes are of: what a mark says, UTF-16 by its zero bytes, UTF-8 where it is that,
or else the code page by which the bytes are most likely letters."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

UTF_8 = "utf-8"
MARKS = (
    (codecs.BOM_UTF8, UTF_8),
    *((mark, "utf-32") for mark in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),
    *((mark, "utf-16") for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
)
"""Byte order marks; that of UTF-32 begins like one of UTF-16."""
SINGLE = ("cp1252", "cp850", "cp1250", "cp1251")
LETTERS = {
    "cp1252": "äöüßÄÖÜéèêëàâçîïôùûñáíóúãõåæøœÉÈÀÇÑÁÅØÆ€„“”§°",
    "cp850": "äöüßÄÖÜéèêëàâçîïôùûñáíóúãõåæøÉÇÑÅØÆ§°",
    "cp1250": "ąćęłńóśźżáčďéěíňřšťúůýžőűăâîșțĄĆĘŁŃŚŹŻČŘŠŽäöüß",
    "cp1251": "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЭЮЯ",
}
_RUN = re.compile(rb"[\x80-\xff]+[\x40-\x7e]?")
_UTF_8 = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class EncodingGuess:
    """The `name` of an encoding; `doubt` speaks against it, or says what it rests on."""

    name: str = UTF_8
    doubt: str | None = None


def guess_encoding(pieces: Sequence[bytes]) -> EncodingGuess:
    """The encoding of a file of which these are the beginning, and perhaps other pieces that do not
    begin or end within a character of UTF-8."""
    head = pieces[0]
    for mark, name in MARKS:
        if head.startswith(mark):
            return EncodingGuess(name)
    if wide := _by_zeros(head):
        return EncodingGuess(wide)
    bad = b"\n".join(piece for piece in pieces if not _is_utf_8(piece))
    if not bad:
        return EncodingGuess()
    if len(_UTF_8.findall(bad)) > len(_without_utf_8(bad)):
        return EncodingGuess(doubt="not all UTF-8: such records become rejects")
    name = likely_encoding(bad)
    try:
        for piece in pieces:
            piece.decode(name)
    except UnicodeDecodeError:
        return EncodingGuess(doubt=f"not all UTF-8, nor all {name}: such records become rejects")
    return EncodingGuess(name, f"not UTF-8; {name} is likely, by {_example(bad, name)!r}")


def _by_zeros(head: bytes) -> str | None:
    """UTF-16 without a mark that has mostly ASCII in it, and no characters that control things:
    then every second byte is zero."""
    first, second = head[::2], head[1::2]
    for zeros, others, name in ((second, first, "utf-16-le"), (first, second, "utf-16-be")):
        if 2 * zeros.count(0) > len(zeros) and 0 not in others:
            text = head.decode(name, "replace")
            return None if re.search("[\0-\x08\x0e-\x1b]", text) else name
    return None


def _is_utf_8(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_utf_8(data: bytes) -> bytes:
    """The bytes beyond ASCII that are part of no character of UTF-8."""
    return bytes(byte for byte in _UTF_8.sub(b"", data) if byte > 0x7F)


def _example(data: bytes, name: str) -> str:
    """A word that shows by its letters whether the guess is right."""
    found = re.search(rb"[^\s,;|\"']*[\x80-\xff][^\s,;|\"']*", data)
    return found[0].decode(name, "replace")[:20] if found else ""


def likely_encoding(data: bytes) -> str:
    """The code page by which the bytes beyond ASCII become letters; that of western Europe where
    several do."""
    found = b" ".join(_RUN.findall(data[: 2**20]))
    if _is_japanese(found):
        return "shift_jis"
    return max(SINGLE, key=lambda name: _letters(found, name))


def _letters(data: bytes, name: str) -> int:
    text = data.decode(name, "replace")
    return sum(text.count(letter) for letter in LETTERS[name])


def _is_japanese(data: bytes) -> bool:
    try:
        text = data.decode("shift_jis")
    except UnicodeDecodeError:
        return False
    found = re.findall("[\u3040-\u30ff\u4e00-\u9fff]", text)
    others = re.findall("[^\x00-\x7f\u3040-\u30ff\u4e00-\u9fff]", text)
    return len(found) > 3 * len(others)
