"""Files into one table without a pipeline file: guessed, declared, and run like any other.

The run is as careful as any other, and needs a state folder for it. That is a hidden one beside the
output, on its file system, and goes with the end of the run, however it ends; only a kill leaves it
behind, and then the next conversion to the same place takes what is finished there. What remains is
the output, and beside it the rejects when there are some.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from stagepipe.declare import Pipeline, Sink
from stagepipe.declare.guessed import column_name, conversion, dialect_of, to_toml
from stagepipe.declare.stages import FILE_ENDINGS
from stagepipe.errors import (
    BudgetError,
    Interrupted,
    LockedError,
    OutputError,
    StagepipeError,
    UsageError,
)
from stagepipe.model import printable
from stagepipe.plan.grouping import literal
from stagepipe.plan.guessing import TableGuess
from stagepipe.record import rejects
from stagepipe.record.manifest import manifest_path
from stagepipe.run.holding import signals_held_back
from stagepipe.run.result import RunResult

DEFAULT_FORMAT = "parquet"
REJECTS_SUFFIX = ".rejects.csv"
OF_A_RUN = ("ledger.sqlite*", "*.lock", "runs", "spool")
"""What lies in a state folder."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a conversion writes: `out` is absolute, `use` the kind of sink, `state` the state
    folder. `save` is where the pipeline file goes that stands for it."""

    out: Path
    use: str
    state: Path
    save: Path | None = None

    @classmethod
    def of(cls, out: str, use: str | None, save: str | None) -> Target:
        """The place that the user's words mean. Raises UsageError or OutputError where nothing
        may be written."""
        # Not resolved: a link in the path stays as the user knows it.
        place = Path(os.path.abspath(out))  # noqa: PTH100
        kind = FILE_ENDINGS.get(place.suffix.lower())
        if kind is not None and use not in (None, kind):
            raise UsageError(
                f"{printable(out)} ends like a file of {kind!r}, and --format is {use!r}",
                "leave --format out, or name OUT otherwise",
            )
        target = cls(
            place,
            kind or use or DEFAULT_FORMAT,
            _folder_above(place) / f".{place.name}.stagepipe",
            Path(os.path.abspath(save)) if save is not None else None,  # noqa: PTH100
        )
        target._check()
        return target

    @property
    def rejects(self) -> Path:
        """Where the rejected records go."""
        return self.out.with_name(self.out.name + REJECTS_SUFFIX)

    def _check(self) -> None:
        name = printable(str(self.out))
        if self.out.name.startswith("."):
            raise UsageError(f"{name} would be hidden", "name OUT without a '.' at its beginning")
        if name != str(self.out):
            raise UsageError(f"the path {name} is not UTF-8", "choose another OUT")
        if os.path.lexists(self.out):
            raise OutputError(
                f"{name} is there already, and convert replaces nothing",
                "move it away, or choose another OUT",
            )
        above = _folder_above(self.out)
        if not above.is_dir():
            raise OutputError(f"{above} is not a folder", "choose another OUT")
        if not os.access(above, os.W_OK | os.X_OK):
            raise OutputError(f"the folder {above} cannot be written", "see who owns it")
        if os.path.lexists(self.rejects) and not _is_of_rejects(self.rejects):
            raise OutputError(
                f"{self.rejects} is there already, and rejected records would go there",
                "move it away, or choose another OUT",
            )
        if self.state.is_symlink() or (self.state.exists() and not _is_state(self.state)):
            raise OutputError(
                f"{self.state} is there already, and is no state folder of stagepipe",
                "move it away, or choose another OUT",
            )
        if self.save is not None:
            self._check_save(self.save)

    def _check_save(self, save: Path) -> None:
        if os.path.lexists(save):
            raise UsageError(
                f"{save} is there already, and --save replaces nothing",
                "move it away, or save under another name",
            )
        if save in (self.out, self.rejects):
            raise UsageError("--save and OUT name the same place", "name two places")
        if not save.parent.is_dir():
            raise UsageError(f"the folder {save.parent} does not exist", "make it first")


def declare(guess: TableGuess, target: Target) -> Pipeline:
    """The pipeline of a conversion. Raises PipelineError for columns that no table can have."""
    return conversion(
        guess.columns,
        dialect_of(guess.dialect, guess.notation),
        [literal(file) for file in guess.files],
        _sink(target, "error"),
        folder=Path.cwd(),
        output=str(target.out.parent),
        state=str(target.state),
    )


def save(guess: TableGuess, target: Target, command: str) -> None:
    """Write the pipeline file that stands for a conversion; it replaces the table when it is run.

    Raises UsageError where it cannot be written.
    """
    assert target.save is not None
    folder = target.save.parent
    pipeline = conversion(
        guess.columns,
        dialect_of(guess.dialect, guess.notation),
        [literal(_path_from(folder, file)) for file in guess.files],
        _sink(target, "replace"),
        folder=folder,
        output=_path_from(folder, target.out.parent),
    )
    head = [f"What `{command}` stands for.", f"Types are guessed from {seen(guess)}."]
    notes = {column_name(each): each.because for each in guess.columns if each.because}
    try:
        text = to_toml(pipeline, head, notes)
        with target.save.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except UnicodeEncodeError as error:
        raise UsageError(
            "a pipeline file is UTF-8, and the path of a file to convert is not",
            "leave --save out, or rename the file",
        ) from error
    except OSError as error:
        raise UsageError(f"{target.save} cannot be written: {error.strerror}") from error


def seen(guess: TableGuess) -> str:
    """How much was looked at, in words."""
    number = f"{guess.records:,} record{'s' * (guess.records != 1)}"
    if guess.is_all:
        return f"all {number}"
    if guess.is_beginning:
        return f"the first {number}"
    return f"{number} at the beginning, in the middle and at the end"


def convert(pipeline: Pipeline, target: Target, run: Callable[[Pipeline], RunResult]) -> RunResult:
    """Run a conversion, keep its rejects, and clear its state away.

    Raises what `run` raises.
    """
    is_ours = True
    try:
        return _kept(run(pipeline), pipeline, target)
    except LockedError as error:
        is_ours = False
        raise LockedError(
            f"another conversion to {target.out} is at work", "wait for it, or choose another OUT"
        ) from error
    finally:
        if is_ours:
            with signals_held_back(is_last=True):
                shutil.rmtree(target.state, ignore_errors=True)
                if target.save is None:
                    manifest_path(target.out).unlink(missing_ok=True)


def _kept(result: RunResult, pipeline: Pipeline, target: Target) -> RunResult:
    """The result with the rejects beside the output, and with what to do now."""
    with signals_held_back():
        kept = None
        if result.rejects is None and result.error is None:
            target.rejects.unlink(missing_ok=True)  # of an earlier conversion: see Target
        elif result.rejects is not None:
            written = target.state / "rejects.csv"
            with written.open("w", encoding="utf-8", newline="") as stream:
                rejects.write_csv(rejects.read(pipeline.folder / result.rejects), stream)
            target.rejects.parent.mkdir(parents=True, exist_ok=True)
            written.replace(target.rejects)
            inside = target.rejects.is_relative_to(pipeline.folder)
            kept = str(target.rejects.relative_to(pipeline.folder) if inside else target.rejects)
    return replace(result, rejects=kept, error=_with_hint(result.error, kept))


def _with_hint(error: StagepipeError | None, rejected: str | None) -> StagepipeError | None:
    """The error with a hint for somebody who has no pipeline file, no ledger and no parts."""
    if isinstance(error, Interrupted):
        error.hint = "nothing was written: run the same command again"
    elif isinstance(error, BudgetError) and rejected is not None:
        return BudgetError(
            error.message,
            f"nothing was written; {rejected} has the bad records: mend them, or write the "
            "pipeline file with --save, change a type or max_rejected in it, and run that",
        )
    elif isinstance(error, BudgetError):
        return BudgetError(error.message, "nothing was written: mend the file, or leave it out")
    return error


def _sink(target: Target, on_existing: Literal["error", "replace"]) -> Sink:
    return Sink(use=target.use, path=target.out.name, on_existing=on_existing)


def _folder_above(path: Path) -> Path:
    """The nearest folder above that is there, or what stands in its place."""
    above = path.parent
    while not os.path.lexists(above):
        above = above.parent
    return above


def _is_of_rejects(path: Path) -> bool:
    """Whether a file holds the rejects of an earlier conversion."""
    with suppress(OSError, UnicodeDecodeError):
        if path.is_file() and not path.is_symlink():
            with path.open(encoding="utf-8") as file:
                return file.readline().rstrip("\n") == ",".join(rejects.COLUMNS)
    return False


def _is_state(folder: Path) -> bool:
    """Whether nothing but a run's state lies in a folder."""
    return folder.is_dir() and all(
        any(path.match(pattern) for pattern in (*OF_A_RUN, "rejects.csv"))
        for path in folder.iterdir()
    )


def _path_from(folder: Path, path: str | os.PathLike[str]) -> str:
    """The path of a file from a folder, right also where links lead to either; absolute where they
    have nothing in common."""
    base = folder.resolve()
    parent, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - the file may be a link
    target = str(Path(parent).resolve() / name)
    if os.path.commonpath([base, target]) == os.sep:
        return target
    return os.path.relpath(target, base)
