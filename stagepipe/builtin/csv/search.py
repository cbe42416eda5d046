"""Looking for a pattern in the bytes of a whole segment, fast.

RE2 by way of pyarrow reads them in one pass, several times as fast as Python's `re`, and at once
where a pattern begins with a rare byte.
"""

from __future__ import annotations


def is_found(pattern: str, data: bytes) -> bool:
    """Whether the pattern, in RE2's words for bytes, is somewhere in the data."""
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets = pa.array([0, len(data)], pa.int64()).buffers()[1]
    whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])
    return bool(pc.match_substring_regex(whole, pattern)[0].as_py())
