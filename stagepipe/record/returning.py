"""The form in which rejected records go to whoever can mend them, and come back.

    #~ stagepipe rejects: mend the records below, and leave the lines that begin with #~ as they are
    #~ {"pipeline": "orders", "run": "20260801T093000-4f1c9a", "letters": "é€"}
    #~ record of acme, landing/acme/1.csv line 7: type in column 'amount': '12,x'
    #~ {"source": "acme", "file": "landing/acme/1.csv", "line": 7, "byte_offset": 132, …}
    7;12,x;EUR
    #~ end

Between the second line that is about a record and the next line that begins with the mark stand the
record's own bytes and one line end, which is not part of it. The mark is the first line's first
word; `rejected` records in which it stands get another one, `#~2`, and so on: so whatever the bytes
are, it is known where they begin and end. By the `letters` it is seen in which encoding an editor
saved the form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from stagepipe.errors import UsageError
from stagepipe.model import ANOTHER_TABLE, Reject, shown
from stagepipe.record.form_encoding import LETTERS, as_written
from stagepipe.record.mended import Origin
from stagepipe.record.rejects import Noted, read_noted

_MARKS = re.compile(rb"#~(\d*) ")
HINT = "take the file as `stagepipe rejects --return` wrote it, and change nothing but the records"


class Status(StrEnum):
    """What became of a reject since: nothing, or a mended text of it went through, or was rejected
    in its turn and stands among the run's rejects itself."""

    OPEN = "open"
    SETTLED = "settled"
    REPLACED = "replaced"


def with_status(
    path: Path, settled: Mapping[tuple[str, str, int], int], number: int, source: str | None = None
) -> Iterator[tuple[Noted, Status]]:
    """The rejects of run `number`, each with what became of it. `settled` says up to which run's
    rejects a record is settled. Bounded memory, but for those that were mended."""
    came_back = {origin_of(noted.reject) for noted in read_noted(path) if noted.mended}
    for noted in read_noted(path, source):
        origin = origin_of(noted.reject)
        if origin is not None and settled.get(origin, 0) >= number:
            yield noted, Status.SETTLED
        elif noted.mended is None and origin is not None and origin in came_back:
            yield noted, Status.REPLACED
        else:
            yield noted, Status.OPEN


def origin_of(reject: Reject) -> Origin | None:
    """The record that was rejected; None where the way back is lost."""
    if reject.file is None or reject.byte_offset is None or reject.raw is None:
        return None
    return Origin(reject.source, reject.file, reject.byte_offset)


def is_table(noted: Noted) -> bool:
    """Whether it is no record, but a whole table that is not wanted."""
    return noted.reject.reason == ANOTHER_TABLE and not noted.by_step


def form(found: Callable[[], Iterable[Noted]], pipeline: str, run: str) -> Iterator[bytes]:
    """The form for some rejects of a run, piece by piece. They are gone through twice. Those of
    which there is no record are left out, and so are whole tables: other columns are in these."""
    used = {mark for noted in found() for mark in _MARKS.findall(noted.reject.raw or b"")}
    number = next(n for n in range(len(used) + 2) if n != 1 and str(n or "").encode() not in used)
    mark = f"#~{number or ''}"

    def line(text: str) -> bytes:
        return f"{mark} {text}\n".encode()

    yield line(
        "stagepipe rejects: mend the records below, and leave the lines that begin with "
        f"{mark} as they are"
    )
    about_run = json.dumps({"pipeline": pipeline, "run": run})
    yield line(f'{about_run[:-1]}, "letters": "{LETTERS}"}}')
    for noted in found():
        reject = noted.reject
        if origin_of(reject) is None or is_table(noted):
            continue
        place = f"{reject.file}" + (f" line {reject.line}" if reject.line is not None else "")
        yield line(f"record of {shown(reject.source)}, {shown(place)}: {shown(_why(reject))}")
        about = {
            "source": reject.source,
            "file": reject.file,
            "line": reject.line,
            "byte_offset": reject.byte_offset,
            "mended": noted.mended,
        }
        yield line(json.dumps(about))
        yield (reject.raw or b"") + b"\n"
    yield line("end")


def _why(reject: Reject) -> str:
    column = f" in column {reject.column!r}" if reject.column is not None else ""
    value = f": {reject.value!r}" if reject.value is not None else ""
    return f"{reject.reason}{column}{value}" + (f" (also {reject.also})" if reject.also else "")


@dataclass(frozen=True, slots=True)
class Returned:
    """A record that came back: whose place it takes, in which mended file that came back before,
    and its text. `form_line` is where in the form it stands; `has_crlf` says that the form's own
    lines end with CRLF now, as if an editor had changed all line ends."""

    origin: Origin
    mended: str | None
    text: bytes
    form_line: int
    has_crlf: bool = False

    def text_like(self, raw: bytes) -> bytes:
        """The text, without the carriage returns that an editor put where `raw` had none."""
        if self.has_crlf and b"\r" not in raw:
            return self.text.replace(b"\r\n", b"\n")
        return self.text


@dataclass(frozen=True, slots=True)
class Form:
    """A form that came back."""

    pipeline: str
    run: str
    records: tuple[Returned, ...]


def parse(name: str, content: bytes) -> Form:
    """The form of a file of this name. Raises UsageError, naming the line that is wrong."""
    content = as_written(name, content)
    first = _MARKS.match(content)
    if first is None or not content.startswith(b"stagepipe rejects", first.end()):
        raise UsageError(f"{name}: this is not what `rejects --return` writes", HINT)
    lines = list(_marked_lines(content, first[0]))
    if len(lines) < 2 or lines[-1].text != b"end":
        raise UsageError(f"{name}: it does not end with the line {_shown(first[0] + b'end')}", HINT)
    head = _about(name, lines[1])
    records: dict[tuple[Origin, str | None], Returned] = {}
    awaited: _Line | None = None
    for line, following in pairwise(lines[2:]):
        if line.text.startswith(b"record "):
            if awaited is not None:
                raise _wrong(name, awaited, "no line of {…} follows it")
            _refuse_text(name, content, line, following)
            awaited = line
            continue
        if awaited is None:
            raise _wrong(name, line, "it begins with the mark, but is no line of the form")
        awaited = None
        about = _about(name, line)
        try:
            origin = Origin(str(about["source"]), str(about["file"]), int(about["byte_offset"]))
            mended = about["mended"]
        except (KeyError, TypeError, ValueError):
            raise _wrong(name, line, "it does not say which record follows") from None
        text = content[line.end : following.start]
        text = text.removesuffix(b"\r\n" if line.has_crlf else b"\n")
        found = Returned(origin, mended, text, line.number, line.has_crlf)
        if other := records.get((origin, mended)):
            raise _wrong(name, line, f"line {other.form_line} is about the same record")
        records[origin, mended] = found
    if awaited is not None:
        raise _wrong(name, awaited, "no line of {…} follows it")
    for above, below in (*pairwise(lines[:3]), (lines[-1], None)):
        _refuse_text(name, content, above, below)
    try:
        return Form(str(head["pipeline"]), str(head["run"]), tuple(records.values()))
    except KeyError:
        raise _wrong(name, lines[1], "it does not say which run this is of") from None


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that begins with the mark: what follows that, and where it stands."""

    text: bytes
    start: int
    end: int
    number: int
    has_crlf: bool


def _marked_lines(content: bytes, mark: bytes) -> Iterator[_Line]:
    number, counted = 1, 0
    for found in re.finditer(rb"(?m)^%b([^\n]*)(?:\n|\Z)" % re.escape(mark), content):
        number += content.count(b"\n", counted, found.start())
        counted = found.start()
        text = found[1]
        yield _Line(
            text.removesuffix(b"\r"), found.start(), found.end(), number, text.endswith(b"\r")
        )


def _refuse_text(name: str, content: bytes, line: _Line, following: _Line | None) -> None:
    """Raises UsageError where something stands below a line that no record follows."""
    if content[line.end : following.start if following else len(content)].strip():
        raise _wrong(
            name, line, "what stands below it is part of no record: records cannot be added"
        )


def _about(name: str, line: _Line) -> dict[str, Any]:
    try:
        about = json.loads(line.text)
    except ValueError:
        about = None
    if not isinstance(about, dict):
        raise _wrong(name, line, "it should hold {…} as it was written")
    return about


def _wrong(name: str, line: _Line, why: str) -> UsageError:
    return UsageError(f"{name}:{line.number}: {why}", HINT)


def _shown(text: bytes) -> str:
    return repr(text.decode())
