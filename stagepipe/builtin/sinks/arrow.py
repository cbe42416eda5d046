"""The Arrow sink: IPC files (Feather, version 2), for who reads them on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stagepipe.contracts import Encoded, Place
from stagepipe.model import Output, Part

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ArrowOptions:
    """Arrow IPC files (Feather, version 2), which keep every type.

    Args:
        compression: how the columns are compressed.
    """

    compression: Literal["zstd", "lz4", "none"] = "zstd"


class ArrowSink:
    """Writes Arrow IPC files."""

    suffix = ".arrow"
    options = ArrowOptions

    def faults(
        self,
        options: Mapping[str, Any],
        *,
        is_file: bool,
        columns: Mapping[str, pa.DataType] | None = None,
    ) -> Iterable[tuple[str, str]]:
        """Nothing beyond the options' types."""
        del options, is_file, columns
        return ()

    def keeps_rows(self, options: Mapping[str, Any]) -> bool:
        """All of them, with their types."""
        del options
        return True

    def encode(
        self, table: pa.Table, options: Mapping[str, Any], new_file: Callable[[], Path]
    ) -> Sequence[Encoded]:
        """Write the table as one file; its rows are read off its batches' headers."""
        path = new_file()
        with _writer(path, table.schema, ArrowOptions(**options)) as writer:
            writer.write_table(table.combine_chunks())
        return [Encoded(path, _count(path))]

    def decode(self, path: Path) -> pl.DataFrame:
        """The rows of a file."""
        import polars as pl

        return pl.DataFrame(pl.from_arrow(_read(path)))

    def scan(self, paths: Sequence[Path]) -> pl.LazyFrame:
        """The rows of files, in this order."""
        import polars as pl

        return pl.scan_ipc(list(paths), glob=False, hive_partitioning=False)

    def commit(self, parts: Sequence[Part], place: Place, options: Mapping[str, Any]) -> Output:
        """Show the parts as one file, or as a folder of files."""
        import pyarrow as pa

        def join(parts: Sequence[Part], target: Path) -> int:
            paths = [Path(path) for part in parts for path in part.paths]
            with _writer(target, _read(paths[0]).schema, ArrowOptions(**options)) as writer:
                for path in paths:
                    try:
                        writer.write_table(_read(path))
                    except pa.ArrowInvalid as error:
                        raise ValueError(
                            "a column has other categories in each chunk, and one Arrow file has "
                            "one list of them: write a folder, or cast the column to string"
                        ) from error
            return _count(target)

        return place.publish_joined(parts, join) if place.is_file else place.publish(parts)


def _writer(path: Path, schema: pa.Schema, options: ArrowOptions) -> pa.ipc.RecordBatchFileWriter:
    import pyarrow as pa

    codec = None if options.compression == "none" else options.compression
    return pa.ipc.new_file(path, schema, options=pa.ipc.IpcWriteOptions(compression=codec))


def _count(path: Path) -> int:
    import polars as pl

    return int(pl.scan_ipc(path, glob=False).select(pl.len()).collect().item())


def _read(path: Path) -> pa.Table:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()
