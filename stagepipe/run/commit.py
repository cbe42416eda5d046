"""A stage's commit: its parts, in chunk order, to its sink's place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from stagepipe.contracts import Sink
from stagepipe.declare import Pipeline
from stagepipe.errors import RunError
from stagepipe.model import Output, Part, PartFile, Receipt, SegmentCount
from stagepipe.plan.kept_values import unique_columns
from stagepipe.plan.planner import StagePlan
from stagepipe.plugins import Plugins
from stagepipe.record.spool import Spool
from stagepipe.run.barrier import changed
from stagepipe.run.flush import STILL_STANDS, Appending, TablePlace

log = logging.getLogger("stagepipe")


class Commit:
    """The commit of one stage with a sink. `read` are the segments that the run read, `values` what
    a table that is appended to will hold in unique columns, `extra` the columns that the run kept
    beyond the schema's."""

    def __init__(
        self,
        pipeline: Pipeline,
        stage: StagePlan,
        receipts: Sequence[Receipt],
        read: Sequence[SegmentCount],
        spool: Spool,
        values: PartFile | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self._stage = stage
        self._parts = [part_of(receipt, spool) for receipt in receipts]
        sink = stage.declared.sink
        appending = None
        if sink is not None and sink.on_existing == "append":
            files = dict.fromkeys(segment.file for segment in read if segment.dead is None)
            inputs = tuple((file.path, file.size, file.mtime_ns) for file in files)
            columns = receipts[0].columns if receipts else {}
            appending = Appending(inputs, columns, tuple(extra))
            if values is not None:
                unique, path = unique_columns(pipeline), spool.path(values)
                appending = Appending(inputs, columns, tuple(extra), unique, values, path)
        self._place = place_of(pipeline, stage.name, appending)
        self._folder = pipeline.folder
        is_first = any(receipt.segments for receipt in receipts)
        self._moved = () if is_first else tuple(dict.fromkeys(segment.file for segment in read))

    def do(self, plugins: Plugins) -> Output:
        """Show the parts, which are on the disk. Raises RunError; then the old table stands.

        A later stage goes on with what the first one read, also when its files are others by now:
        the tables of one run belong together, and the next run reads the files as they are then.
        """
        assert self._stage.sink is not None
        for what in changed(self._folder, self._moved):
            log.warning(
                "%s: the tables of this run hold what was read; run again for what is new", what
            )
        sink: Sink = plugins.sink(self._stage.sink.use)
        try:
            return sink.commit(self._parts, self._place, self._stage.work.sink_options)
        except ValueError as error:
            raise RunError(
                f"stage {self._stage.name!r}: sink {self._stage.sink.use!r}: {error}", STILL_STANDS
            ) from error

    def current(self) -> Output | None:
        """What the place shows now, if stagepipe knows it."""
        return self._place.current()

    def output_if_done(self) -> Output | None:
        """The output, if the place shows it: a commit may be interrupted when that is so."""
        with suppress(OSError):
            self._place.prepare()
            if self._place.shows(self._parts):
                return self._place.current()
        return None


def part_of(receipt: Receipt, spool: Spool) -> Part:
    """A finished task's files for the sink."""
    return Part(
        chunk=receipt.chunk,
        key=receipt.key,
        files=receipt.files,
        paths=tuple(str(spool.path(file)) for file in receipt.files),
    )


def place_of(pipeline: Pipeline, name: str, appending: Appending | None = None) -> TablePlace:
    """The place of a stage's sink."""
    stage = next(stage for stage in pipeline.stages if stage.name == name)
    assert stage.sink is not None
    return TablePlace(
        pipeline.output_path / stage.sink.path,
        pipeline.name,
        stage.name,
        pipeline.folder,
        is_file=stage.sink.is_file,
        appending=appending,
    )
