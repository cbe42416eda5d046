"""Results go to stdout, and nothing else ever does.

Plugins are other people's code: they print at import, a library beneath them writes to descriptor
1, one closes stdout. So the real stdout is kept aside under another number, and descriptor 1 leads
to stderr from then on. Only this module knows the kept one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from io import TextIOWrapper
from typing import IO, Any, TextIO

from stagepipe.cli.wording import shown
from stagepipe.errors import StagepipeError
from stagepipe.model import printable

STDOUT, STDERR = 1, 2
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class OutputGoneError(Exception):
    """Whoever read our stdout has left, as `head` does. Not an error."""


class Results:
    """The real stdout, kept aside. Text is UTF-8 whatever the locale."""

    def __init__(self) -> None:
        if sys.stdout is not None:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
        for descriptor in (STDOUT, STDERR):
            if not _is_open(descriptor):
                # Else the next file that is opened would get the number, and the log lines.
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        if sys.stderr is None:
            sys.stderr = _text(STDERR)
        kept = os.dup(STDOUT)  # not inherited: a worker must not hold a reader's pipe open
        os.dup2(STDERR, STDOUT)
        # A plugin that closes sys.stdout closes this object, not the descriptor.
        sys.stdout = _text(STDOUT)
        self._kept = kept
        self._stream = TextIOWrapper(
            open(kept, "wb", closefd=False),  # noqa: SIM115
            encoding="utf-8",
            errors="backslashreplace",
            newline="\n",
            write_through=False,
        )

    @property
    def identity(self) -> tuple[int, int]:
        """The device and the inode of what is written to, which may be a file."""
        status = os.fstat(self._kept)
        return status.st_dev, status.st_ino

    @property
    def width(self) -> int | None:
        """The columns of the terminal that stdout is; None where it is none."""
        if not os.isatty(self._kept):
            return None
        try:
            return os.get_terminal_size(self._kept).columns or None
        except OSError:
            return None

    def lines(self, *lines: str) -> None:
        """Write lines of text, each of them on one line whatever stands in it."""
        with self.stream() as stream:
            for line in lines:
                stream.write(shown(line) + "\n")

    def json(self, value: Any) -> None:
        """Write one JSON object; text that is no UTF-8 stands as `\\xNN`."""
        text = json.dumps(_printable(value), ensure_ascii=False, indent=2, default=str)
        with self.stream() as stream:
            stream.write(text + "\n")

    def json_list(self, values: Iterable[Any]) -> None:
        """Write a JSON list, however long, an object at a time."""
        separator = "["
        with self.stream() as stream:
            for value in values:
                text = json.dumps(_printable(value), ensure_ascii=False, default=str)
                stream.write(f"{separator}\n  {text}")
                separator = ","
            stream.write("[]\n" if separator == "[" else "\n]\n")

    @contextlib.contextmanager
    def stream(self) -> Iterator[IO[str]]:
        """The stream itself, for what is long. Raises OutputGoneError when its reader has left."""
        try:
            yield self._stream
            self._stream.flush()
        except BrokenPipeError as error:
            self._give_up()
            raise OutputGoneError from error
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self._give_up()
            raise StagepipeError(
                f"the results cannot be written to stdout: {error.strerror}",
                "what was done is done: `stagepipe show` tells it again",
            ) from error

    def raw(self, pieces: Iterable[bytes]) -> None:
        """Write bytes as they are."""
        with self.stream() as stream:
            assert isinstance(stream, TextIOWrapper)
            for piece in pieces:
                stream.buffer.write(piece)

    def _give_up(self) -> None:
        # What is left in the buffers has nowhere to go; at exit it must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._kept)


def wants_colour(descriptor: int) -> bool:
    """Whether to colour what goes to a descriptor: NO_COLOR, then FORCE_COLOR, then terminals."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and os.isatty(descriptor)


def _text(descriptor: int) -> TextIO:
    return open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): _printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable(item) for item in value]
    return value
