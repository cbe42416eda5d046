"""What a header told last time: most files of a source begin with the same one."""

from __future__ import annotations

from typing import Generic, TypeVar

Told = TypeVar("Told")


class LastHeader(Generic[Told]):
    """The last header, of UTF-8 as it stands in the file, and what it told of files that are read
    in one way. What a file begins with and is ended by LF tells the same of each file that begins
    with it, whatever follows."""

    def __init__(self) -> None:
        self._last: tuple[bytes, tuple[object, ...], Told] | None = None

    def told(self, head: bytes, *how: object) -> Told | None:
        """What is known of a file that begins like this and is read by the very same objects."""
        if self._last is None:
            return None
        header, known, told = self._last
        is_same = head.startswith(header) and all(a is b for a, b in zip(how, known, strict=True))
        return told if is_same else None

    def keep(self, header: bytes, told: Told, *how: object) -> None:
        """Note what a header told; one that is not ended tells nothing of other files."""
        if header.endswith(b"\n"):
            self._last = header, how, told
