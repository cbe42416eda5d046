"""The columns that files have beyond the schema, where they are kept: the union of all headers.

They stand behind the schema's columns, as texts, in the order in which they first appear: sources
as in the plan, in each the files in their order, in each header from left to right. A table that is
appended to has the columns that it began with. Of each file only the beginning is read. One whose
header cannot be read adds nothing: the run meets the same trouble, and a dead letter says so.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from stagepipe.contracts import ColumnSpec, DeadSegment, Reader, TableSpec
from stagepipe.model import InputFile
from stagepipe.packing import Unpacked, UnpackError, is_packed, unpacked
from stagepipe.plan.detecting import HEAD_BYTES, work_of_file
from stagepipe.plan.files import SourceFiles
from stagepipe.plan.work import SourceWork
from stagepipe.plugins import Plugins

FIRST_BYTES = 2**14
"""Enough for most headers; for a longer one more is read."""
GROWTH = 8
LONGEST_HEADER = 2**23


@dataclass(frozen=True, slots=True)
class Fixed:
    """A table that is appended to: it takes these extra columns, and no others."""

    table: str
    columns: tuple[str, ...]


def with_extras(
    spec: TableSpec,
    sources: Sequence[SourceFiles],
    how: Mapping[str, SourceWork],
    plugins: Plugins,
    folder: Path,
    fixed: Fixed | None,
) -> TableSpec:
    """The table with the columns that are kept beyond the schema, if any are to be. `how` says by
    name how to read each source."""
    if spec.extra_columns != "keep":
        return spec
    if fixed is not None:
        known = {*spec.taken_names, *(column.header for column in spec.columns)}
        names = [name for name in fixed.columns if name not in known]
        return replace(_widened(spec, names), fixed_by=fixed.table)
    found: dict[str, None] = {}
    for source in sources:
        reader: Reader = plugins.reader(how[source.name].reader)
        for header in _headers(source.files, spec, reader, how[source.name], folder):
            found.update(dict.fromkeys(header))
    return _widened(spec, found)


def _widened(spec: TableSpec, names: Iterable[str]) -> TableSpec:
    import pyarrow as pa

    extra = (ColumnSpec(name, name, pa.string(), is_extra=True) for name in names)
    return replace(spec, columns=(*spec.columns, *extra))


def _headers(
    files: Sequence[InputFile], spec: TableSpec, reader: Reader, how: SourceWork, folder: Path
) -> Iterator[Sequence[str]]:
    """The extra columns of each file whose header can be read, in their order."""
    for path, group in groupby(files, key=lambda file: file.on_disk):
        with ExitStack() as opened:
            raw: BinaryIO | zipfile.ZipFile | None = None
            for file in group:
                try:
                    if raw is None:
                        raw = _opened(folder / path, file, opened)
                    yield _header(raw, file, spec, reader, how)
                except (OSError, UnpackError, zipfile.BadZipFile, DeadSegment):
                    continue


def _opened(path: Path, file: InputFile, opened: ExitStack) -> BinaryIO | zipfile.ZipFile:
    """The file, or the zip that it is in, which is opened once for all that is in it."""
    raw = opened.enter_context(path.open("rb"))
    return opened.enter_context(zipfile.ZipFile(raw)) if file.member else raw


def _header(
    raw: BinaryIO | zipfile.ZipFile,
    file: InputFile,
    spec: TableSpec,
    reader: Reader,
    how: SourceWork,
) -> Sequence[str]:
    """The extra columns of one file. Raises DeadSegment, UnpackError or OSError."""
    with ExitStack() as opened:
        stream: BinaryIO | Unpacked
        if is_packed(file) or isinstance(raw, zipfile.ZipFile):
            stream = opened.enter_context(unpacked(raw, file, how.max_inflation))
        else:
            stream = raw
        head, size = b"", FIRST_BYTES
        while size <= LONGEST_HEADER:
            head += stream.read(size - len(head))
            is_whole = len(head) < size
            options = work_of_file(reader, head, how, spec).options
            is_enough = is_whole or size >= HEAD_BYTES
            try:
                names = reader.extra_columns(head, spec, options, is_whole=is_whole)
            except DeadSegment:
                if is_enough:
                    raise
            else:
                if names is not None and (is_enough or options is how.options):
                    return names
            size *= GROWTH
    return ()
