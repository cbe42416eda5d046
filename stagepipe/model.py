"""The frozen values that travel between the rooms: what is to be done, and what was done.

Nothing here knows a file format, a process or a database. Byte offsets count from 0, physical
lines from 1, durations are seconds, sizes are bytes. Paths of inputs are text relative to the
pipeline's folder (undecodable bytes as surrogates, as `os.fsdecode` gives them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

EVERYTHING = "*"
"""Stands for the source of a chunk that holds rows of all of them. No source is called so."""

RECORD = "_record"
"""The column that says of each row which record of the chunk's files it is, where a step rejects
rows. No other column may be called so."""

Cell = bool | int | float | Decimal | date | time | str
"""A value that a check compares with. A `datetime` is a `date` to Python."""


def printable(text: str) -> str:
    """`text` as it can be shown anywhere: bytes that are no UTF-8 become `\\xNN`."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, from a plugin's message perhaps
        return text.encode("utf-8", "backslashreplace").decode()


_CONTROLS = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x2028, 0x202F),  # ends of lines and of paragraphs, and what sets a direction
    *range(0x2066, 0x206A),
)
_ESCAPES = {code: chr(code).encode("unicode_escape").decode() for code in _CONTROLS}


def shown(text: str) -> str:
    """Text that a person may see, on one line: what would end the line, move the cursor, ring or
    turn the letters around stands escaped, as in `\\n`, `\\x1b` or `\\u202e`. It may come from a
    supplier's file, and must neither hide nor forge what we say."""
    text = printable(text)
    return text if text.isprintable() else text.translate(_ESCAPES)


def shown_source(name: str) -> str:
    """A source's name that a person may see; `all sources` for rows of all of them."""
    return "all sources" if name == EVERYTHING else shown(name)


class Travelling:
    """What goes between processes, thousands of times a run: it is pickled by the values of its
    fields. What dataclasses with slots do by themselves takes half as long again."""

    __slots__: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), tuple([getattr(self, name) for name in self.__slots__])


@dataclass(frozen=True, slots=True)
class Rows(Travelling):
    """Row counts of a file, task, stage or run: `read + added = written + rejected + dropped`."""

    read: int = 0
    added: int = 0
    written: int = 0
    rejected: int = 0
    dropped: int = 0

    def __add__(self, other: Rows) -> Rows:
        return Rows(
            self.read + other.read,
            self.added + other.added,
            self.written + other.written,
            self.rejected + other.rejected,
            self.dropped + other.dropped,
        )

    @property
    def difference(self) -> int:
        """0 when the sum comes out, else how many rows appeared (positive) or vanished."""
        return self.written + self.rejected + self.dropped - self.read - self.added


@dataclass(frozen=True, slots=True)
class InputFile(Travelling):
    """One input file as the plan saw it. A file that looks otherwise later is another file.
    `member` is the name of a file within a zip; it stands at the end of `path`, too. `is_mended`
    says that it is none of a supplier's, but holds records that came back mended."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    member: str = ""
    is_mended: bool = False

    @property
    def on_disk(self) -> str:
        """The path of the file, or of the zip that it is in."""
        return self.path.removesuffix(f"/{self.member}") if self.member else self.path


@dataclass(frozen=True, slots=True)
class Segment(Travelling):
    """The bytes `start` to `end` of one file. Both stand at record boundaries; the first segment
    of a file starts at 0 and holds its header. `first_line` is the line of the file on which it
    begins, 0 where nobody asked for that."""

    file: InputFile
    start: int
    end: int
    first_line: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Chunk(Travelling):
    """What one worker gets at a time: segments of one source. `index` orders the output."""

    index: int
    source: str
    segments: tuple[Segment, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(segment.size for segment in self.segments)


class Decision(StrEnum):
    """What the plan decided for a task."""

    MADE = "made"
    TAKEN = "taken"
    OPEN = "open"
    """Not known before other tasks have run; only where a plan is shown."""


KEYS = -1
"""The number that stands for the values of unique columns beside a task's rows."""


class Piece(NamedTuple):
    """One of the pieces into which the rows of a task are cut for the stage after it, by the key of
    that task; without a number all of them."""

    key: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Task(Travelling):
    """One chunk in one stage. `key` names the part by what it is made of; `ingredients` are the
    digests that the key is made from, kept so that a plan can say what changed. `inputs` are what
    it reads of the stage before; none in the first stage."""

    stage: int
    chunk: Chunk
    key: str
    ingredients: Mapping[str, str]
    decision: Decision
    reason: str
    inputs: tuple[Piece, ...] = ()


ANOTHER_TABLE = "another_table"
"""The reason of a reject that is a whole table of a file of which another one is wanted."""


class Reject(NamedTuple):
    """One bad record, with the fixed columns of rejects. `raw` has no record end."""

    source: str
    file: str | None
    line: int | None
    byte_offset: int | None
    stage: str
    column: str | None
    value: str | None
    reason: str
    also: str | None
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class SegmentCount(Travelling):
    """What became of one segment. `records` is counted from the bytes, `rows` and `rejected` by
    the reader, independently; `other_tables` of the rejects are whole tables that are not wanted. A
    dead segment counts nothing and says why.

    `nulls` says for each column of the reader's table, in its order, how many rows have no value;
    `unfit` how many rejects a column has whose value did not fit its type. `header` is the place of
    the file's header among those of the receipt, None where the file has none."""

    file: InputFile
    start: int
    end: int
    records: int = 0
    rows: int = 0
    rejected: int = 0
    lines: int = 0
    sha256: str = ""
    dead: str | None = None
    nulls: tuple[int, ...] = ()
    unfit: Mapping[str, int] = field(default_factory=dict)
    header: int | None = None
    other_tables: int = 0


@dataclass(frozen=True, slots=True)
class PartFile(Travelling):
    """One file in the spool. `folder` is where it lies within a sink's folder, `head` how many
    bytes at its beginning only the first of joined files keeps."""

    name: str
    rows: int
    bytes: int
    sha256: str
    folder: str = ""
    head: int = 0


@dataclass(frozen=True, slots=True)
class Receipt(Travelling):
    """What a worker returns for a task: counts, checksums, timings and names, never the data.

    `pieces` are the files that the stage after this one reads, each of them a chunk's; `files` are
    those for the stage's sink. One file may be both. `dropped`, `added` and `rejected_by` say how
    many rows each step took away, brought or rejected, by the step's name; `duplicates` how many
    were rejected for a value that has to be unique. `columns` is the schema
    of the part, as text, so that parts can be compared. `ingredients` are the task's, so that a
    later plan can say what changed. `input_sha256` is that of what the task read of the stage
    before. `headers` are those of the files that it read, each once. `rejects_sha256` is that of
    the file of its rejects, if there are any.
    """

    key: str
    stage: str
    chunk: int
    source: str
    pieces: tuple[PartFile, ...]
    files: tuple[PartFile, ...]
    columns: Mapping[str, str]
    rows: Rows
    dropped: Mapping[str, int] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)
    rejected_by: Mapping[str, int] = field(default_factory=dict)
    segments: tuple[SegmentCount, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    input_bytes: int = 0
    ingredients: Mapping[str, str] = field(default_factory=dict)
    input_sha256: str = ""
    duplicates: int = 0
    headers: tuple[tuple[str, ...], ...] = ()
    rejects_sha256: str = ""

    @property
    def all_files(self) -> tuple[PartFile, ...]:
        """Every file of the part, each once."""
        return tuple(dict.fromkeys((*self.pieces, *self.files)))

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return sum(file.bytes for file in self.all_files)

    @property
    def is_whole(self) -> bool:
        """Whether no segment of the chunk is dead: only such a part may be taken again."""
        return all(segment.dead is None for segment in self.segments)


class Cause(StrEnum):
    """Why an attempt failed, as far as it matters for what is done next."""

    ERROR = "error"
    """The same rows would give it again."""
    PASSING = "passing"
    """It may be gone the next time: an error of the system, or one that nobody knows."""
    DEATH = "death"
    """Its worker died, and nothing else ran that could have killed it."""
    COMPANY = "company"
    """Its worker died, perhaps because of another attempt that ran at the same time."""
    NEIGHBOUR = "neighbour"
    """It was ended because the worker of another attempt died."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    HANDLES = "handles"
    """Its worker can open no more files. It may pass in another one."""
    DISK_FULL = "disk full"


@dataclass(frozen=True, slots=True)
class Failure:
    """What comes back of an attempt that failed. Plain text, so that it always unpickles. `why` is
    the message without the stage, the chunk and the files that it begins with."""

    key: str
    stage: str
    chunk: int
    source: str
    message: str
    hint: str | None = None
    traceback: str = ""
    cause: Cause = Cause.ERROR
    why: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A finished task's files on their way to a sink, in chunk order; `paths` are where they lie,
    in the order of `files`."""

    chunk: int
    key: str
    files: tuple[PartFile, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """What a sink shows after its commit. `path` is relative to the pipeline's folder where it
    lies inside it. `changed` is false when the place held just this already; `appended` is how many
    of the rows this run added to others, None where it made all of them."""

    stage: str
    path: str
    rows: int
    files: int
    bytes: int
    changed: bool
    appended: int | None = None


_SCALARS = frozenset({str, int, float, bool, type(None)})


def to_plain(value: Any) -> Any:
    """A model value as dicts, lists and scalars, fit for JSON."""
    if type(value) in _SCALARS:  # nearly all of a receipt of thousands of files
        return value
    if hasattr(value, "__dataclass_fields__"):
        return {name: to_plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def receipt_from_plain(plain: Mapping[str, Any]) -> Receipt:
    """A receipt from what `to_plain` made of it. Raises KeyError or TypeError on anything else."""
    fields = dict(plain)
    fields["rows"] = Rows(**fields["rows"])
    for name in ("pieces", "files"):
        fields[name] = tuple(PartFile(**file) for file in fields[name])
    fields["segments"] = tuple(
        SegmentCount(
            **{
                **segment,
                "file": InputFile(**segment["file"]),
                "nulls": tuple(segment.get("nulls", ())),
            }
        )
        for segment in fields["segments"]
    )
    fields["headers"] = tuple(map(tuple, fields.get("headers", ())))
    return Receipt(**fields)
