"""Faults with their places: in the file, on the command line, or in a pipeline built in Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stagepipe.declare.models import Pipeline
from stagepipe.declare.places import document_message, python_path, readable
from stagepipe.declare.positions import Aim, Positions
from stagepipe.declare.words import Complaint, Path
from stagepipe.errors import Fault

Overrides = Sequence[tuple[Path, str]]


def place_all(
    complaints: Iterable[Complaint], text: str, file: str, overrides: Overrides = ()
) -> list[Fault]:
    """Turn complaints about a file's text into faults, in the order of the file.

    What an override brought in has no place in the file; it stands after the others.
    """
    complaints = list(dict.fromkeys(complaints))
    if not complaints:
        return []
    positions = Positions(text)
    placed = []
    for complaint in complaints:
        message = document_message(complaint)
        if override := _override_of(complaint.path, overrides):
            placed.append(Fault(f"--set {override}: {message}"))
            continue
        aim: Aim = "key" if complaint.kind in ("unknown", "key") else "value"
        path = complaint.path[:-1] if complaint.kind == "lacks" else complaint.path
        placed.append(Fault(message, file, *positions.find(path, aim)))
    return sorted(placed, key=lambda fault: (fault.line is None, fault.line, fault.column))


def fault_at(
    pipeline: Pipeline, path: tuple[str | int, ...], message: str, aim: Aim = "value"
) -> Fault:
    """Make a fault of something found wrong after loading, such as a step that nobody provides.

    `path` leads to it in the pipeline file, as in `("stage", 1, "steps", 0, "column")`. The fault
    has the file, line and column when the pipeline came from a file; else its message begins with
    the place in Python, as in `stages[1].steps[0].column`. `aim="key"` points at the key and not at
    its value, as befits a key that should not be there.
    """
    if override := _override_of(path, pipeline._overrides):
        return Fault(f"--set {override}: {message}")
    if pipeline.file is not None:
        try:
            # By the absolute folder: the process may have changed its own since.
            text = (pipeline.folder / pipeline.file.name).read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return Fault(message, str(pipeline.file))
        return Fault(message, str(pipeline.file), *Positions(text).find(path, aim))
    place = readable(python_path(path))
    return Fault(f"{place}: {message}" if place else message)


def _override_of(path: Path, overrides: Overrides) -> str | None:
    """Give the `--set` that a value is from; the last one that set it, or something around it."""
    for place, text in reversed(overrides):
        if path[: len(place)] == place:
            return text
    return None
