"""What a glob matches, as `glob` has it, but for links that lead in circles.

A folder with a link to a folder that it lies in has no end. `glob` goes round in it until the
system refuses, after forty links, and between two such links it chooses two to the power of forty
times. So `**` is walked here, with an eye on the folders on the way.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

DEEP = re.compile(r"(?P<above>(?:.*?/)?)\*\*(?:/+(?P<below>.*))?", re.DOTALL)
"""A glob, cut at its first `**`."""
SHOWN_NAMES = re.compile(r"(?!\.|\*\*$)[^/]*[*?[][^/]*", re.DOTALL)
"""A glob for names that are not hidden, and that are in hand where a folder was listed."""


class Globbing:
    """Looks what globs match in a folder. `circles` are the links that it has not followed, as
    they lead to folders that they lie in."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.circles: set[str] = set()

    def matches(self, pattern: str) -> Iterator[str]:
        """The paths that a glob matches, in any order, and twice where it has two `**`; no hidden
        ones."""
        return filter(None, self._matches("", pattern))

    def _matches(self, start: str, pattern: str) -> Iterator[str]:
        """What matches below `start`, which is nothing or ends in a slash."""
        cut = DEEP.fullmatch(pattern)
        if cut is None:
            yield from self._without_deep(start, pattern)
            return
        below = cut["below"]
        for above in self._without_deep(start, cut["above"]):
            if below is None:
                yield above
            for folder, names in self._walk(above):
                if below is None:
                    yield from (folder + name for name in names)
                elif SHOWN_NAMES.fullmatch(below):
                    yield from (folder + name for name in fnmatch.filter(names, below))
                else:
                    yield from self._matches(folder, below)

    def _without_deep(self, start: str, pattern: str) -> Iterator[str]:
        if not pattern:
            yield start
            return
        # Path.glob neither takes absolute patterns nor leaves hidden files out.
        for path in glob.iglob(pattern, root_dir=self._root / start):  # noqa: PTH207
            yield start + path

    def _walk(self, start: str) -> Iterator[tuple[str, list[str]]]:
        """A folder and all that are below it, with the names in them."""
        waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(start, frozenset())]
        while waiting:
            folder, above = waiting.pop()
            # As text and by os: there may be thousands.
            full = os.path.join(self._root, folder)  # noqa: PTH118
            try:
                status = os.stat(full)  # noqa: PTH116
                with os.scandir(full) as entries:
                    seen = [entry for entry in entries if not entry.name.startswith(".")]
            except OSError:  # whoever asks for the folders that cannot be listed hears of it
                yield folder, []
                continue
            identity = status.st_dev, status.st_ino
            if identity in above:
                self.circles.add(self._link_in(folder))
                continue
            yield folder, [entry.name for entry in seen]
            within = above | {identity}
            waiting += [(f"{folder}{each.name}/", within) for each in seen if _is_folder(each)]

    def _link_in(self, folder: str) -> str:
        """The last link on the way to a folder, or the folder itself where there is none."""
        path = Path(folder)
        ways = (path, *path.parents)
        return str(next((way for way in ways if (self._root / way).is_symlink()), path))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
