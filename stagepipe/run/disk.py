"""Whether there is room on the disk for what a run writes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from stagepipe.amounts import size
from stagepipe.declare import Pipeline
from stagepipe.errors import RunError
from stagepipe.model import Cause
from stagepipe.run.causes import cause_of

HINT = "make room and run again: finished parts are kept"


def is_full(error: OSError) -> bool:
    """Whether it says that there is no room left, on the disk or in a quota."""
    return cause_of(error) is Cause.DISK_FULL


class Room:
    """Looks at the file systems that a pipeline writes to, where it asks for free space."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._min_free = pipeline.min_free
        self._folders = list(_one_a_device(pipeline)) if self._min_free is not None else []

    def check(self) -> None:
        """Raise RunError when less than `min_free` is free somewhere."""
        for folder in self._folders:
            free = shutil.disk_usage(folder).free
            if self._min_free is not None and free < self._min_free:
                raise RunError(
                    f"only {size(free)} are free on the disk of {folder}, and min_free is "
                    f"{size(self._min_free)}",
                    HINT,
                )


def _one_a_device(pipeline: Pipeline) -> Iterator[Path]:
    """A folder on each file system that is written to, or the one that it will be made in."""
    seen = set()
    for folder in (pipeline.output_path, pipeline.state_path, pipeline.spool_path):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        device = os.stat(there).st_dev  # noqa: PTH116 - that of a link's target
        if device not in seen:
            seen.add(device)
            yield there
