"""The values of unique columns that a table which is appended to holds, beside it.

No later run reads the records of before again, so what they hold is kept: a file for each
generation, in the folder `.<table>.unique`, named in the manifest. A file is there before the
manifest names it, and goes when no manifest does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.errors import RunError
from stagepipe.model import PartFile
from stagepipe.record.manifest import DataFile, Manifest, values_folder
from stagepipe.record.spool import file_sha256, fsync
from stagepipe.run.replacing import link_or_copy, remove

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


def keep(table: Path, file: PartFile, path: Path, generation: int) -> DataFile:
    """Have the values in the file at `path` beside the table. Raises OSError and RunError."""
    if file_sha256(path) != file.sha256:
        raise RunError(
            f"{path}, which holds values of unique columns, was damaged on disk",
            "run again with --fresh: it is made anew",
        )
    name = f"{generation:04}-{file.sha256[:8]}.arrow"
    folder = values_folder(table)
    folder.mkdir(exist_ok=True)
    target = folder / name
    remove(target)
    fsync(path)
    link_or_copy(path, target)
    fsync(folder)
    return DataFile(name, file.rows, file.bytes, file.sha256)


def forget_others(table: Path, manifest: Manifest | None) -> None:
    """Remove the values that a dead run left, and those of a table that is no more."""
    folder = values_folder(table)
    if not folder.is_dir():
        return
    known = {file.name for file in manifest.unique_files} if manifest else set()
    for path in folder.iterdir():
        if path.name not in known:
            path.unlink()
    if not known:
        folder.rmdir()


def values_that_stay(
    chunks: Iterable[tuple[pa.Table, pl.DataFrame]], names: Iterable[str]
) -> Iterator[pa.Table]:
    """The values of each chunk without its duplicates and without rows that hold none. `names` are
    those of the columns, which are numbered in the chunks."""
    import polars as pl

    names = list(names)
    for table, found in chunks:
        frame = pl.DataFrame(pl.from_arrow(table))
        holds = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
        stays = holds.scatter(found["row"], False) if len(found) else holds
        yield table.filter(stays.to_arrow()).rename_columns(names)
