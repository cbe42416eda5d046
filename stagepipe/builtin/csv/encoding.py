"""Bytes in any encoding as UTF-8, in which all else is done, and the way back to the file's bytes.

A byte that is part of no character stands in the UTF-8 as the surrogate U+DC00 plus its value,
which no parser takes for text, so that its record becomes a reject. No two such bytes can be taken
for a character of UTF-8, as they could when they went through as they are.

A file may be cut before it is decoded only where each byte that gives it its structure is always a
character by itself. That was tried for all codecs of Python: it holds for the code pages of one
byte that keep ASCII, and below `@` for those of `_MIXED`. EUC and GB18030 are not among these:
behind half a character their decoders may swallow a line end that is the last byte of a piece.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

from stagepipe.contracts import DeadSegment

BYTES = "stagepipe-bytes"
"""The name of the error handler by which bytes become surrogates."""
UTF_8 = "utf-8"
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF8, UTF_8, "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_MIXED = frozenset(
    {"big5", "big5hkscs", "cp932", "cp949", "cp950", "gb2312", "gbk"}
    | {"shift_jis", "shift_jis_2004", "shift_jisx0213"}
)
_WIDE = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}
"""How many bytes the units of these have: one of them is a line end, or none is."""
_SURROGATE = re.compile("[\udc00-\udcff]")
_ENDS_AND_BETWEEN = re.compile(rb"[\r\n]|[^\r\n]+")


def _as_surrogates(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in lost), error.end


codecs.register_error(BYTES, _as_surrogates)


@dataclass(frozen=True, slots=True)
class Transcoded:
    """Bytes of a file as UTF-8. `codec` is None where they are so in the file itself; `bom` is the
    length of a byte order mark that was left out."""

    text: bytes
    raw: bytes
    codec: str | None = None
    bom: int = 0

    def places_in_file(self, offsets: Iterable[int]) -> dict[int, int]:
        """Of offsets into the UTF-8, each at the beginning or end of a line or of all, where they
        are in the file's bytes. Raises DeadSegment where bad bytes leave that open."""
        wanted = sorted(set(offsets))
        if self.codec is None:
            return {offset: offset for offset in wanted}
        if self._is_even:
            sizes = self._sizes_in_file(wanted)
            return dict(zip(wanted, sizes, strict=True))
        known = {there: here for here, there in self._boundaries(wanted[-1:], 1)}
        if not known.keys() >= set(wanted):
            raise DeadSegment(
                f"it is not {self.codec} throughout, and where its bad records are cannot be told: "
                "convert it to UTF-8"
            )
        return {offset: known[offset] for offset in wanted}

    def places_in_text(self, offsets: Iterable[int]) -> dict[int, int]:
        """The same, from the file's bytes to the UTF-8. Raises KeyError where no line begins."""
        wanted = sorted(set(offsets))
        if self.codec is None:
            return {offset: offset for offset in wanted}
        if self._is_even:
            edges = [self.bom, *wanted]
            pieces = (_to_utf_8(self.raw[a:b], self.codec) for a, b in pairwise(edges))
            return dict(zip(wanted, accumulate(map(len, pieces)), strict=True))
        known = dict(self._boundaries(wanted[-1:], 0))
        return {offset: known[offset] for offset in wanted}

    def cut_in_file(self, offset: int) -> int:
        """Where in the file's bytes the line begins that begins at an offset of the UTF-8, if what
        is before and what follows are the same when each is decoded by itself; else 0."""
        if self.codec is None or self._is_even:
            return self.places_in_file([offset])[offset]
        here = next((here for here, there in self._boundaries([offset], 1) if there == offset), 0)
        decoder = codecs.getincrementaldecoder(self.codec)(BYTES)
        fresh = decoder.getstate()
        decoder.decode(self.raw[self.bom : here])
        return here if decoder.getstate() == fresh else 0

    @property
    def _is_even(self) -> bool:
        """Whether a character has one size, wherever and beside whatever it stands."""
        assert self.codec is not None
        return self.codec in _WIDE or single_byte_table(self.codec) is not None

    def _sizes_in_file(self, offsets: Iterable[int]) -> Iterator[int]:
        before, size = 0, self.bom
        for offset in offsets:
            text = self.text[before:offset].decode(UTF_8, "surrogatepass")
            before = offset
            size += self._size_in_file(text)
            yield size

    def _size_in_file(self, text: str) -> int:
        if self.codec not in _WIDE:
            return len(text)
        kept = _SURROGATE.sub("", text)
        return len(text) - len(kept) + len(kept.encode(self.codec))

    def _boundaries(self, until: list[int], side: int) -> Iterator[tuple[int, int]]:
        """Where lines and what is between them begin: in the file, and in the UTF-8. Ends after
        the given place, which is one in the file (0) or in the UTF-8 (1)."""
        assert self.codec is not None
        decoder = codecs.getincrementaldecoder(self.codec)(BYTES)
        here, there = self.bom, 0
        yield here, there
        for piece in _ENDS_AND_BETWEEN.finditer(self.raw, self.bom):
            is_last = piece.end() == len(self.raw)
            text = decoder.decode(piece[0], final=is_last)
            if len(text) > 1 and text[-1] in "\r\n":  # half a character stood before it
                yield piece.start(), there + len(text[:-1].encode(UTF_8, "surrogatepass"))
            there += len(text.encode(UTF_8, "surrogatepass"))
            if decoder.getstate()[0]:
                continue  # half a character: it is no place between two
            here = piece.end()
            yield here, there
            if until and (here, there)[side] >= until[0]:
                return


def transcoded(raw: bytes, codec: str, *, is_start: bool = True) -> Transcoded:
    """A file's bytes, or a part of them from a line's beginning, as UTF-8. `is_start` says that
    they begin the file. Raises DeadSegment where a byte order mark contradicts the encoding."""
    bom = 0
    if is_start:
        codec, bom = _by_mark(raw, codec)
    if codec == UTF_8:
        return Transcoded(raw, raw)
    body = raw[bom:] if bom else raw
    return Transcoded(_to_utf_8(body, codec), raw, codec, bom)


def whole_units(data: bytes, codec: str) -> bytes:
    """The bytes from a file's beginning or a line's on, without the half of what is not there as a
    whole yet: a CR before half an LF would look like a line end by itself."""
    return data[: len(data) - len(data) % _WIDE.get(codec, 1)]


def codec_of(head: bytes, codec: str) -> str:
    """The encoding of a file that begins like this, with the order of its bytes. Raises DeadSegment
    where a byte order mark contradicts it."""
    return _by_mark(head, codec)[0]


def marked_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark at the beginning of a file says, by its general name."""
    return next((name.lower() for mark, _, name in _BOMS if head.startswith(mark)), None)


def may_be_cut(codec: str, marks: str) -> bool:
    """Whether a file can be cut between lines before it is decoded, `marks` being what gives it
    its structure besides line ends."""
    if codec == UTF_8:
        return True
    table = single_byte_table(codec)
    if table is None:
        return codec in _MIXED and all(mark < "@" for mark in marks)
    return table[:128] == "".join(map(chr, range(128)))


@lru_cache(maxsize=64)
def single_byte_table(codec: str) -> str | None:
    """The characters of all bytes, where each byte is one whatever stands beside it."""
    every = [bytes([byte]).decode(codec, BYTES) for byte in range(256)]
    if codec in _WIDE or codec in _MIXED or any(len(character) != 1 for character in every):
        return None
    pairs = [(a, b) for a in range(256) for b in range(256)]
    together = b"".join(map(bytes, pairs)).decode(codec, BYTES)
    if together != "".join(every[a] + every[b] for a, b in pairs):
        return None
    return "".join(every)


def _to_utf_8(data: bytes, codec: str) -> bytes:
    table = single_byte_table(codec)
    if table is None:
        text = data.decode(codec, BYTES)
    else:
        text = codecs.charmap_decode(data, "strict", table)[0]
    return text.encode(UTF_8, "surrogatepass")


def _by_mark(raw: bytes, codec: str) -> tuple[str, int]:
    """The codec and the length of the byte order mark at the beginning of a file."""
    for mark, marked, name in _BOMS:
        if not raw.startswith(mark):
            continue
        if mark == codecs.BOM_UTF32_LE and codec.startswith("utf-16"):
            continue  # UTF-16 whose first character is NUL
        if marked == codec or marked.startswith(f"{codec}-"):
            return marked, 0 if codec == UTF_8 else len(mark)
        raise DeadSegment(
            f"the file begins with the byte order mark of {name} ({mark.hex(' ')}), and "
            f'[source.csv] says {codec!r}: set encoding = "{name.lower()}" for such files'
        )
    return (f"{codec}-le" if codec in ("utf-16", "utf-32") else codec), 0
