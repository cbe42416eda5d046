"""What a file is that was taken for CSV, by how it begins: a person then knows what to do.

The reader says so of a file that has no right header, and whoever guesses takes no such file.
"""

from __future__ import annotations

import re

_BEGINNINGS = (
    (b"PK\x03\x04", "a zip does, or an Excel file: save it as CSV, or call the zip .zip"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file does: save it as CSV"),
    (b"\x1f\x8b", "a gzip file does: its name has to end in .gz"),
    (b"BZh[1-9]1AY&SY", "a bzip2 file does: its name has to end in .bz2"),
    (b"\xfd7zXZ\0", "an xz file does: its name has to end in .xz"),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard file does: its name has to end in .zst"),
    (b"\x89PNG", "a picture (PNG) does"),
    (b"\xff\xd8\xff", "a picture (JPEG) does"),
    (b"GIF8[79]a", "a picture (GIF) does"),
    (b"%PDF-", "a PDF does: ask for the data as CSV"),
    (b"PAR1[\0-\x1f]", "a Parquet file does"),
    (b"ARROW1\0", "an Arrow file does"),
    (b"SQLite format 3\0", "an SQLite database does"),
    (rb"\s*<\?xml", "XML does"),
    (rb"\s*<(?i:!doctype|html)\b", "a web page does: perhaps the error of a server was saved"),
)
"""Patterns from the specifications of the formats; most are in the lists of file(1) too. No header
of a table looks like one of them."""
_BOM = b"\xef\xbb\xbf"


def other_kind(head: bytes) -> str | None:
    """What begins like a file that is no CSV, if anything that is known does."""
    head = head.removeprefix(_BOM)
    return next((words for pattern, words in _BEGINNINGS if re.match(pattern, head)), None)
