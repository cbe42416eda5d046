"""What of a source's options was left out, and what each of its files tells about it.

That is a pure function of the file's beginning, the schema and the options: a part's key holds all
of them, and plan, workers and preview come to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stagepipe.contracts import Reader, TableSpec
from stagepipe.model import InputFile, shown
from stagepipe.packing import UnpackError, is_packed, unpacked
from stagepipe.plan.work import SourceWork

if TYPE_CHECKING:
    from stagepipe.plan.files import SourceFiles
    from stagepipe.plan.planner import Checked

Found = tuple[str, Mapping[str, Any]]
HEAD_BYTES = 2**20
"""How much of a file's beginning tells."""


def work_of_file(reader: Reader, head: bytes, how: SourceWork, table: TableSpec) -> SourceWork:
    """How workers read one file of a source, by its first MiB or more, or by all of it."""
    detect = getattr(reader, "detect", None)  # a reader may lack it
    if detect is None:
        return how
    options = detect(head, table, how.options)
    return how if options is how.options else replace(how, options=options)


def found_in(options: Mapping[str, Any], how: SourceWork) -> dict[str, Any]:
    """What was detected: the options of a file that are unlike those of its source."""
    return {key: value for key, value in options.items() if value != how.options.get(key)}


def detected(
    folder: Path, files: Iterable[InputFile], reader: Reader, how: SourceWork, table: TableSpec
) -> Iterator[tuple[InputFile, dict[str, Any]]]:
    """The files of a source that are not read as it says, or as usual, and what was detected. Looks
    into each file; what cannot be read is left out."""
    for file in files:
        with suppress(OSError, UnpackError), (folder / file.on_disk).open("rb") as raw:
            head = _head(raw, file, how.max_inflation)
            if found := found_in(work_of_file(reader, head, how, table).options, how):
                yield file, found


def _head(raw: BinaryIO, file: InputFile, max_inflation: int) -> bytes:
    if not is_packed(file):
        return raw.read(HEAD_BYTES)
    with unpacked(raw, file, max_inflation) as stream:
        return bytes(stream.read(HEAD_BYTES))


def detected_in(checked: Checked, sources: Iterable[SourceFiles]) -> Iterator[Found]:
    """What was detected in the files of a plan's sources, by path. Looks into all of them."""
    for source in sources:
        reader = checked.plugins.reader(source.declared.use)
        how = checked.work.sources[source.name]
        found = detected(checked.pipeline.folder, source.files, reader, how, checked.work.table)
        yield from ((file.path, options) for file, options in found)


def detected_lines(found: Iterable[Found]) -> Iterator[str]:
    """What was detected in files, by path: `landing/x.csv: delimiter ';' (detected)`. Files in
    which it is the same share a line."""
    paths: dict[str, list[str]] = {}
    for path, options in found:
        words = ", ".join(f"{key} {value!r}" for key, value in options.items())
        paths.setdefault(words, []).append(path)
    for words, (first, *others) in paths.items():
        more = f" and {len(others):,} more" if others else ""
        yield shown(f"{first}{more}: {words} (detected)")
