"""Packed files, told by the ends of their names: gz, bz2, xz, zst, and the members of a zip."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, BinaryIO

from stagepipe.kinds import other_kind
from stagepipe.model import InputFile

ENDINGS = {".gz": "gz", ".bz2": "bz2", ".xz": "xz", ".zst": "zst"}
ZIP = ".zip"
BLOCK_BYTES = 2**16
FEW_BYTES = 64
FREE_BYTES = 2**20
"""So much may come out of the smallest file."""
NO_FILES = ("__MACOSX/", "._")


class UnpackError(Exception):
    """A packed file cannot be unpacked; the message says why."""


def is_packed(file: InputFile) -> bool:
    """Whether the file has to be unpacked before it can be read."""
    return bool(file.member) or _ending(file.path) in (*ENDINGS, ZIP)


def members(path: str | os.PathLike[str]) -> list[str]:
    """The names of the files in a zip, sorted; none where it is no zip. Folders, hidden files and
    what other systems put beside files are left out."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {info.filename for info in archive.infolist() if not info.is_dir()}
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return []
    return sorted(name for name in names if not _is_beside(name))


def _is_beside(name: str) -> bool:
    return name.startswith(NO_FILES) or name.rpartition("/")[2].startswith(".")


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - no need of a Path for each file


@contextmanager
def unpacked(
    raw: BinaryIO | zipfile.ZipFile, file: InputFile, max_inflation: int
) -> Iterator[Unpacked]:
    """The file's content, to be read from its beginning on; `raw` is the file as it lies on the
    disk, or the zip that it is in. Raises UnpackError."""
    with ExitStack() as opened:
        with _trouble_told():
            if isinstance(raw, zipfile.ZipFile) or file.member or _ending(file.path) == ZIP:
                if not file.member:
                    raise UnpackError("it is no zip, or holds no file")
                archive = raw
                if not isinstance(archive, zipfile.ZipFile):
                    archive = opened.enter_context(zipfile.ZipFile(archive))
                _refuse_one_of_two(archive, file.member)
                size = archive.getinfo(file.member).compress_size
                _refuse_packed_twice(archive, file.member)
                stream = opened.enter_context(archive.open(file.member))
            else:
                from xopen import xopen

                size = file.size
                kind = ENDINGS[_ending(file.path)]
                stream = opened.enter_context(xopen(raw, "rb", threads=0, format=kind))
        yield Unpacked(stream, size * max_inflation)


def _refuse_one_of_two(archive: zipfile.ZipFile, member: str) -> None:
    """Raises UnpackError where a zip has several files of one name: only the last can be had."""
    if archive.namelist().count(member) > 1:
        raise UnpackError(
            "the zip holds several files of this name, of which only the last could be read: "
            "pack them under different names"
        )


def _refuse_packed_twice(archive: zipfile.ZipFile, member: str) -> None:
    """Raises UnpackError for a packed file in a zip."""
    if _ending(member) not in (*ENDINGS, ZIP):
        return
    with archive.open(member) as stream:
        if other_kind(stream.read(FEW_BYTES)):
            raise UnpackError(
                "it is packed twice, by itself and in the zip: unpack the zip, and name what was "
                "in it as files"
            )


@contextmanager
def _trouble_told(read: int = 0) -> Iterator[None]:
    """Have what goes wrong as an UnpackError; so many bytes came out before."""
    try:
        yield
    except UnpackError:
        raise
    except Exception as error:
        # Each library has errors of its own for data that are damaged.
        after = "; it was cut off or damaged, or something else stands behind it" if read else ""
        raise UnpackError(f"it cannot be unpacked: {error}{after}") from error


class Unpacked:
    """A stream of bytes that a packed file holds; no more than `limit` of them."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = max(limit, FREE_BYTES)
        self._read = 0

    def read(self, size: int) -> bytes:
        """As many bytes as were asked for; fewer only at the end. Raises UnpackError."""
        blocks = []
        while size > 0:
            with _trouble_told(self._read):
                block = self._stream.read(min(size, BLOCK_BYTES))
            if not block:
                break
            self._read += len(block)
            if self._read > self._limit:
                raise UnpackError(
                    f"it unpacks to more than {self._limit:,} bytes: raise max_inflation of its "
                    "source if that is right"
                )
            blocks.append(block)
            size -= len(block)
        return b"".join(blocks)
