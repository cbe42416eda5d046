"""The names of encodings: what Python's codecs know, as far as files of text are written in it."""

from __future__ import annotations

import codecs
from typing import Any

from stagepipe.declare.words import did_you_mean, shown

NOT_OF_FILES = {
    "idna": "names of hosts",
    "punycode": "names of hosts",
    "raw-unicode-escape": "Python's source",
    "unicode-escape": "Python's source",
    "utf-7": "mail",
    "undefined": "nothing",
    "charmap": "nothing",
}
OFTEN_MEANT = (
    *("utf-8", "utf-16", "utf-32", "cp1252", "windows-1252", "latin-1", "cp437", "cp850"),
    *("iso-8859-1", "iso-8859-15", "mac-roman", "shift_jis", "euc-jp", "gb18030", "big5"),
)


def check_encoding(text: str) -> str:
    """The encoding's one name, whichever of its names is written. Raises ValueError."""
    try:
        found = codecs.lookup(text)
    except (LookupError, ValueError):
        raise ValueError(f"{shown(text)} is no encoding{_nearest(text)}") from None
    name = found.name.replace("_", "-")
    if name in NOT_OF_FILES:
        raise ValueError(f"{shown(text)} is for {NOT_OF_FILES[name]}, not for files")
    if not getattr(found, "_is_text_encoding", True):
        raise ValueError(f"{shown(text)} is no encoding of text")
    return "utf-8" if name == "utf-8-sig" else found.name


def can_write(text: str, encoding: Any) -> bool:
    """Whether a text can be written in an encoding. Of one that is none, others complain."""
    try:
        text.encode(check_encoding(encoding))
    except UnicodeEncodeError:
        return False
    except (TypeError, ValueError):
        return True
    return True


def _nearest(text: str) -> str:
    from encodings.aliases import aliases

    return did_you_mean(text, (*aliases, *aliases.values(), *OFTEN_MEANT))
