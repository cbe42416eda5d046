"""Which files a user's words mean, and which of them belong to one source: those of one folder, and
those of folders that lie side by side, which `{source}` tells apart."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stagepipe.declare.sources import CAPTURE
from stagepipe.errors import InputError
from stagepipe.model import EVERYTHING, InputFile, printable
from stagepipe.packing import ENDINGS, ZIP
from stagepipe.plan.sampling import checked

HINT = "name files, or folders of them"
Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Group:
    """Files that are likely to be written in one way. `pattern` is the glob that matches them and
    nothing else, None where there is none; with `{source}` in it, each folder is a source."""

    name: str
    files: tuple[InputFile, ...]
    pattern: str | None

    @property
    def captures(self) -> bool:
        """Whether the folders name the sources."""
        return self.pattern is not None and CAPTURE in self.pattern

    @property
    def globs(self) -> tuple[str, ...]:
        """What to declare as `files`."""
        return (self.pattern,) if self.pattern else tuple(map(literal, self.paths))

    @property
    def paths(self) -> tuple[str, ...]:
        """The files' paths."""
        return tuple(file.path for file in self.files)


def literal(path: str) -> str:
    """The glob that matches just this path."""
    return glob.escape(path).replace(CAPTURE, "[{]source}")


def find(words: Sequence[str], leave_out: Collection[Identity] = ()) -> list[InputFile]:
    """The files that the words name, those in folders too, in the order of their paths' bytes.
    Hidden files in folders, and those to leave out, do not count. Raises InputError."""
    paths = [path for word in words for path in _inside(word, leave_out)]
    return sorted(checked(paths, HINT), key=lambda file: os.fsencode(file.path))


def _inside(word: str, leave_out: Collection[Identity]) -> Iterator[str]:
    if not Path(word).is_dir():
        yield os.path.normpath(word) if word else word
        return
    found = list(_walked(word, leave_out))
    if not found:
        raise InputError(f"no file lies in the folder {printable(word)}", HINT)
    yield from found


def _walked(folder: str, leave_out: Collection[Identity]) -> Iterator[str]:
    for above, folders, names in os.walk(folder, onerror=_closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(above, name)
            if name.startswith(".") or not path.is_file():
                continue
            status = path.stat()
            if (status.st_dev, status.st_ino) not in leave_out:
                yield str(path)


def _closed(error: OSError) -> None:
    name = printable(str(error.filename))
    raise InputError(f"folder {name} cannot be listed: {error.strerror}", HINT) from error


def grouped(files: Sequence[InputFile]) -> list[Group]:
    """The files by their folders: one group where all lie in folders that differ in one component,
    else one for each folder."""
    by_folder = folders_of(files)
    if pattern := _capturing(by_folder):
        return [Group(_name(os.path.commonpath(list(by_folder))), tuple(files), pattern)]
    return [folder_group(folder, inside) for folder, inside in by_folder.items()]


def folders_of(files: Sequence[InputFile]) -> dict[str, list[InputFile]]:
    """The files of each folder."""
    found: dict[str, list[InputFile]] = {}
    for file in files:
        found.setdefault(os.path.dirname(file.path), []).append(file)  # noqa: PTH120
    return found


def folder_group(folder: str, files: Sequence[InputFile]) -> Group:
    """The files of one folder."""
    start = f"{literal(folder)}/" if folder not in ("", "/") else folder
    pattern = literal(files[0].path) if len(files) == 1 else f"{start}*{_ending(files)}"
    return Group(_name(folder), tuple(files), _if_exact(pattern, files))


def _name(folder: str) -> str:
    return os.path.basename(folder) or "files"  # noqa: PTH119


def _capturing(by_folder: dict[str, list[InputFile]]) -> str | None:
    """The pattern with `{source}` for files of folders that differ in one component."""
    parts = [folder.split("/") for folder in by_folder]
    if len(parts) < 2 or len({len(each) for each in parts}) > 1:
        return None
    differing = [place for place, names in enumerate(zip(*parts, strict=True)) if len({*names}) > 1]
    if len(differing) != 1 or EVERYTHING in (each[differing[0]] for each in parts):
        return None
    pieces = [literal(part) for part in parts[0]]
    pieces[differing[0]] = CAPTURE
    files = [file for inside in by_folder.values() for file in inside]
    return _if_exact("/".join([*pieces, f"*{_ending(files)}"]), files)


def _if_exact(pattern: str, files: Sequence[InputFile]) -> str | None:
    """The pattern, if it matches these files and no other."""
    matched = set(glob.glob(pattern.replace(CAPTURE, "*")))  # noqa: PTH207 - as a run finds files
    return pattern if matched == {file.path for file in files} else None


def _ending(files: Sequence[InputFile]) -> str:
    """The ending that all names have, that of a packed file with the one before it."""
    endings = {_ending_of(os.path.basename(file.path)) for file in files}  # noqa: PTH119
    return glob.escape(endings.pop()) if len(endings) == 1 else ""


def _ending_of(name: str) -> str:
    stem, ending = os.path.splitext(name)  # noqa: PTH122
    is_packed = ending.lower() in (*ENDINGS, ZIP)
    return (os.path.splitext(stem)[1] if is_packed else "") + ending  # noqa: PTH122
