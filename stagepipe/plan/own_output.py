"""What a pipeline writes itself, and that none of its sources may read.

A file in the output folder that a source matches would be an input of the next run, and its rows
would come out once more with every run. So a glob that matches a sink's place is refused before
there is anything in it; files that lead there through links are found when they are there.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stagepipe.declare import Pipeline, Sink
from stagepipe.declare.sources import CAPTURE
from stagepipe.model import printable
from stagepipe.plan.places import spool_of

A_DATA_FILE = "0001-000000-00000000"
A_PARTITION = "column=value"


@dataclass(frozen=True, slots=True)
class OwnOutput:
    """A file that a pipeline writes, or a folder of files; `what` says which, for a message."""

    path: Path
    what: str
    examples: tuple[Path, ...] = ()


def own_outputs(pipeline: Pipeline) -> tuple[OwnOutput, ...]:
    """All that a pipeline writes: its sinks' places, and what lies in its state folder."""
    sinks = [
        OwnOutput(
            table, f"is the sink of stage {stage.name!r}", tuple(_examples(table, stage.sink))
        )
        for stage in pipeline.stages
        if stage.sink is not None
        for table in (pipeline.output_path / stage.sink.path,)
    ]
    state = pipeline.state_path
    return (
        *sinks,
        OwnOutput(state / "ledger.sqlite", "is its ledger"),
        OwnOutput(state / "runs", "holds the rejects of its runs"),
        OwnOutput(spool_of(pipeline).folder, "is its spool"),
    )


def _examples(table: Path, sink: Sink) -> Iterator[Path]:
    """Paths that will be there when the sink has written."""
    yield table
    if not sink.is_file:
        name = f"{A_DATA_FILE}.{sink.use}"
        yield from (table / name, table / A_PARTITION / name)


class Guard:
    """Looks whether a pipeline's sources match what it writes itself."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._folder = str(pipeline.folder)
        self._outputs = own_outputs(pipeline)
        self._resolved = [(str(output.path.resolve()), output) for output in self._outputs]
        self._folders: dict[str, _Above] = {}

    def refusals(self, pattern: str, paths: Sequence[str]) -> Iterator[str]:
        """What is to be said of a pattern, and of the `paths` that it matches now."""
        coming = self._of_pattern(pattern)
        if coming is not None:
            yield _refusal(pattern, os.path.relpath(coming.path, self._folder), coming)
        told = {coming}
        for path in paths:
            output = self._of_file(path)
            if output is not None and output not in told:
                told.add(output)
                yield _refusal(pattern, path, output)

    def _of_pattern(self, pattern: str) -> OwnOutput | None:
        """What a pattern will match once it is written."""
        if pattern.count(CAPTURE) > 1:  # which must be the same: seen when there is a file
            return None
        parts = os.path.normpath(pattern.replace(CAPTURE, "*")).split("/")
        for output in self._outputs:
            for example in output.examples:
                path = os.path.relpath(example, self._folder)
                if Path(pattern).is_absolute():
                    path = os.path.normpath(example)
                if _matches(parts, path.split("/")):
                    return output
        return None

    def _of_file(self, path: str) -> OwnOutput | None:
        """What a file that is there belongs to, whatever links lead to it."""
        # There may be ten thousand files: what can be is asked of their folders.
        above, _, name = path.rpartition("/")
        if above not in self._folders:
            self._folders[above] = self._look_into(path.removesuffix(name))
        folder = self._folders[above]
        if folder.may_have_link(name):
            return self._holder(os.path.realpath(os.path.join(self._folder, path)))  # noqa: PTH118
        return folder.within or folder.outputs.get(name)

    def _look_into(self, above: str) -> _Above:
        full = os.path.join(self._folder, above)  # noqa: PTH118 - as text, as `glob` gives it
        real = os.path.realpath(full)
        try:
            with os.scandir(full) as entries:
                links = {entry.name for entry in entries if entry.is_symlink()}
        except OSError:  # it may not be listed, and a file in it may be named all the same
            links = None
        places = ((os.path.split(place), output) for place, output in self._resolved)
        outputs = {name: output for (folder, name), output in places if folder == real}
        return _Above(links, self._holder(real), outputs)

    def _holder(self, real: str) -> OwnOutput | None:
        """What a place without links belongs to."""
        for place, output in self._resolved:
            if real == place or real.startswith(place + "/"):
                return output
        return None


@dataclass(frozen=True, slots=True)
class _Above:
    """A folder with files that match: which names in it are links (None where nobody knows), the
    output that it is part of, and those that lie right in it."""

    links: Collection[str] | None
    within: OwnOutput | None
    outputs: Mapping[str, OwnOutput]

    def may_have_link(self, name: str) -> bool:
        return self.links is None or name in self.links


def _refusal(pattern: str, path: str, output: OwnOutput) -> str:
    return (
        f"{printable(pattern)!r} matches {printable(path)}, which this pipeline writes itself (it "
        f"{output.what}), and every run would read what the one before wrote: narrow 'files', or "
        "set an 'output' and a 'state' that it does not match"
    )


def _matches(pattern: Sequence[str], path: Sequence[str]) -> bool:
    """Whether a glob matches a path, part by part, as `glob` has it: `*` takes no hidden name, `**`
    any number of folders."""
    if not pattern or not path:
        return not path and set(pattern) <= {"**"}
    first, is_hidden = pattern[0], path[0].startswith(".")
    if first == "**":
        return _matches(pattern[1:], path) or (not is_hidden and _matches(pattern, path[1:]))
    if is_hidden and not first.startswith("."):
        return False
    return fnmatch.fnmatchcase(path[0], first) and _matches(pattern[1:], path[1:])
