"""What became of a run: the values that `run()` returns and `run --json` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stagepipe.errors import StagepipeError
from stagepipe.model import Output, Rows, printable, to_plain

if TYPE_CHECKING:
    from stagepipe.run.drifting import Noted
    from stagepipe.run.profile import ProfileResult

NO_ROWS = Rows()


@dataclass(frozen=True, slots=True)
class StageResult:
    """What became of a stage. `status` is `succeeded`, `failed` or `not started`."""

    name: str
    status: str
    rows: Rows = NO_ROWS
    made: int = 0
    taken: int = 0
    dead: int = 0
    retried: int = 0
    seconds: float = 0.0

    def to_plain(self) -> dict[str, Any]:
        """The stage as `run --json` prints it."""
        tasks = {name: getattr(self, name) for name in ("made", "taken", "dead", "retried")}
        return {
            "name": self.name,
            "status": self.status,
            "rows": to_plain(self.rows),
            "tasks": tasks,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of a run. `error` is what ended it, None when it succeeded; `rejects` is the
    path of the rejected records, relative to the pipeline's folder; `unsettled` are the files that
    were left alone; `drift` is what was new about the files, but for what is accepted; `profile`
    says where the time went, where that was asked for."""

    run: str | None
    pipeline: str | None
    status: str
    rows: Rows = NO_ROWS
    files_read: int = 0
    files_skipped: int = 0
    files_dead: int = 0
    stages: tuple[StageResult, ...] = ()
    outputs: tuple[Output, ...] = ()
    rejects: str | None = None
    unsettled: tuple[str, ...] = ()
    drift: tuple[Noted, ...] = ()
    seconds: float = 0.0
    error: StagepipeError | None = None
    profile: ProfileResult | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of `stagepipe run`."""
        return self.error.exit_code if self.error else 0

    def to_plain(self) -> dict[str, Any]:
        """The object that `run --json` prints."""
        files = {name: getattr(self, f"files_{name}") for name in ("read", "skipped", "dead")}
        outputs = [
            {"stage": o.stage, "path": o.path, "rows": o.rows, "files": o.files, "bytes": o.bytes}
            for o in self.outputs
        ]
        error = self.error and {"message": self.error.message, "hint": self.error.hint}
        return {
            "run": self.run,
            "pipeline": self.pipeline,
            "status": self.status,
            "rows": to_plain(self.rows),
            "files": files,
            "stages": [stage.to_plain() for stage in self.stages],
            "outputs": outputs,
            "rejects": self.rejects,
            "unsettled": [printable(path) for path in self.unsettled],
            "drift": [
                {
                    **to_plain(noted.change),
                    "message": noted.change.message,
                    "on_drift": noted.on_drift,
                }
                for noted in self.drift
            ],
            "seconds": self.seconds,
            "profile": self.profile and self.profile.to_plain(),
            "error": error,
        }
