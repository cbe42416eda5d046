"""In which encoding a form came back: editors do not always save one as they found it.

A form's own lines are UTF-8, and its records have the bytes of their files. Both are as they were
where an editor leaves bytes alone. `LETTERS` stand in the form's second line, and what became of
them tells what an editor did: opened as Windows-1252 they are others, saved as that they have
other bytes. UTF-16 is told by its byte order mark; with the letters the bytes before it are known.
"""

from __future__ import annotations

import codecs

from stagepipe.errors import UsageError

LETTERS = "é€"
WINDOWS = "cp1252"
_MISREAD = LETTERS.encode().decode(WINDOWS)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
HINT = (
    "mend the form as `stagepipe rejects --return` wrote it, in an editor that leaves bytes as "
    "they are: open it and save it in one and the same encoding"
)


def as_written(name: str, content: bytes) -> bytes:
    """The form's bytes as they would be, had no editor saved it in another encoding. Raises
    UsageError where they cannot be told."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _from_utf16(name, content)
    content = content.removeprefix(codecs.BOM_UTF8)
    head = b"\n".join(content.split(b"\n", 2)[:2])
    if b'"letters": "' not in head or LETTERS.encode() in head:
        return content  # a form of an older version has none
    if LETTERS.encode(WINDOWS) in head:
        raise _refused(name, "it was saved as Windows-1252, and was UTF-8")
    if _MISREAD.encode() in head:
        raise _refused(name, "it was opened as Windows-1252 and saved as UTF-8")
    raise _refused(name, f"it was saved in another encoding: {LETTERS!r} in line 2 is changed")


def _from_utf16(name: str, content: bytes) -> bytes:
    try:
        text = content.decode("utf-16")
        if LETTERS in text or text.isascii():
            return text.encode()
        if _MISREAD in text:
            return text.encode(WINDOWS)
    except UnicodeError:
        pass
    raise _refused(name, "it was saved as UTF-16, and what its bytes were cannot be told")


def _refused(name: str, why: str) -> UsageError:
    return UsageError(f"{name}: {why}, so that its records may not be what was meant", HINT)
