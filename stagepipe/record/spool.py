"""The spool: finished parts, their receipts and their rejects, by key.

For each finished task there lie `<key>.json` (the receipt), `<key>.<number>.<ending>` (the files of
its part) and, where records were rejected, `<key>.rejects`. The receipt is written last: where it
stands, the part is whole. Nothing here is fsynced; a part that a power cut damaged no longer
matches its receipt, and is made again. Temporary names begin with a dot and carry the attempt, so
that a worker that outlived its run for a moment cannot spoil a newer one's work.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from stagepipe.model import PartFile, Receipt, receipt_from_plain, to_plain

_OUR_NAME = re.compile(r"\.?[0-9a-f]{32}\..+")
REJECTS_SUFFIX = ".rejects"


class Spool:
    """One pipeline's parts. `folder` need not exist to look into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def receipts(self) -> dict[str, Receipt]:
        """All receipts that can be read, by key."""
        found = {}
        for path in self._entries("[!.]*.json"):
            try:
                receipt = receipt_from_plain(json.loads(unsealed(path.read_bytes())))
            except (ValueError, KeyError, TypeError, OSError):
                continue  # damaged: the part counts as not made
            if receipt.key == path.stem:
                found[receipt.key] = receipt
        return found

    def keys(self) -> set[str]:
        """The keys under which anything is kept, be it only what is left of a damaged part."""
        names = (path.name for path in self._entries("[!.]*"))
        return {name.partition(".")[0] for name in names if _OUR_NAME.fullmatch(name)}

    def path(self, file: PartFile) -> Path:
        """Where a file of a part lies, or lay."""
        return self.folder / file.name

    def is_sound(self, file: PartFile) -> bool:
        """Whether a file of a part is there, byte for byte."""
        try:
            return file_sha256(self.path(file)) == file.sha256
        except OSError:
            return False

    def rejects(self, key: str) -> Path:
        """Where the rejects of a task lie, if there are any."""
        return self.folder / f"{key}{REJECTS_SUFFIX}"

    def temporary(self, key: str, attempt: str, suffix: str) -> Path:
        """A name under which a worker writes before the file is whole."""
        return self.folder / f".{key}.{attempt}{suffix}"

    def keep(
        self, receipt: Receipt, written: Mapping[str, Path], rejects: Path | None, attempt: str
    ) -> None:
        """Give finished files their names, the receipt last. `written` says under which name each
        file of the part was written, by its final name."""
        if rejects is not None:
            rejects.rename(self.rejects(receipt.key))
        for name, path in written.items():
            path.rename(self.folder / name)
        temporary = self.temporary(receipt.key, attempt, ".json")
        temporary.write_bytes(sealed(json.dumps(to_plain(receipt)).encode()))
        temporary.rename(self.folder / f"{receipt.key}.json")

    def forget(self, keys: Iterable[str]) -> None:
        """Remove what is kept under these keys, the receipts first."""
        forgotten = set(keys)
        if not forgotten:
            return
        for key in forgotten:
            (self.folder / f"{key}.json").unlink(missing_ok=True)
        for path in self._entries("[!.]*"):
            if path.name.partition(".")[0] in forgotten:
                path.unlink(missing_ok=True)

    def discard(self, key: str, attempt: str) -> None:
        """Remove what an attempt that did not come to its end has written."""
        for path in self._entries(f".{key}.{attempt}.*"):
            path.unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove what dead runs left half-written. Only for who holds the pipeline's lock."""
        finished = {path.stem for path in self._entries("[!.]*.json")}
        for path in self._entries("*"):
            if _OUR_NAME.fullmatch(path.name) and path.name.partition(".")[0] not in finished:
                path.unlink(missing_ok=True)

    def _entries(self, pattern: str) -> Iterator[Path]:
        return self.folder.glob(pattern) if self.folder.is_dir() else iter(())


def sealed(plain: bytes) -> bytes:
    """A JSON object with its own checksum as its first key."""
    return b'{"sha256": "%s", %s' % (hashlib.sha256(plain).hexdigest().encode(), plain[1:])


def unsealed(sealed: bytes) -> bytes:
    """The object without the checksum. Raises ValueError where it is not that of the object."""
    head, _, rest = sealed.partition(b", ")
    plain = b"{" + rest
    if head != b'{"sha256": "%s"' % hashlib.sha256(plain).hexdigest().encode():
        raise ValueError("a receipt that was damaged")
    return plain


def file_sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync(path: Path) -> None:
    """Have a file or a folder on the disk before anything that follows. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # the system does not say of which file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)
