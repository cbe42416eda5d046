"""The one place where a call ends: every exception becomes a message, an exit code, and, where
JSON was asked for, an object.

Messages go to stderr as `error: what` and `hint: what to do`. Nothing is wrapped: a message must
be found by `grep`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import traceback
from typing import Any

import click

from stagepipe.cli.later import LATER
from stagepipe.cli.program import COMMANDS, program
from stagepipe.cli.results import OutputGoneError
from stagepipe.cli.session import Session
from stagepipe.errors import Interrupted, LockedError, PipelineError, StagepipeError, UsageError


class DefectError(StagepipeError):
    """Something that we did not foresee: a bug of ours."""


def conclude(words: list[str]) -> int:
    """Do what the words say, and give the exit code."""
    session = Session(words)
    try:
        session.signals.install()
        try:
            code = program.main(words, "stagepipe", standalone_mode=False, obj=session)
        except BaseException as found:  # noqa: BLE001 - this is the place where they all end
            code = _ended_by(session, found)
        session.signals.is_ending = True
        return code if isinstance(code, int) else 0
    except Interrupted as interruption:  # it came while another ending was being told
        return interruption.exit_code


def _ended_by(session: Session, found: BaseException) -> int:
    if isinstance(found, OutputGoneError):
        return session.exit_code
    if isinstance(found, click.exceptions.NoArgsIsHelpError):
        _to_stderr(*found.format_message().splitlines())
        return 2
    if isinstance(found, SystemExit) and session.command is None:  # the shell's completion
        return found.code if isinstance(found.code, int) else 0
    error = _as_ours(found)
    if session.signals.first is not None and not isinstance(error, Interrupted):
        # A signal that came in a plugin's import looks like a plugin that does not import.
        error = Interrupted(session.signals.first)
    session.signals.is_ending = True
    say(session, error)
    if isinstance(error, DefectError) and session.verbose > 1:
        _to_stderr(*"".join(traceback.format_exception(found)).splitlines())
    if _wants_json(session):
        with contextlib.suppress(OutputGoneError, OSError):
            session.out.json(_object(session, error))
    return error.exit_code


def _as_ours(found: BaseException) -> StagepipeError:
    """Whatever was raised, as one of the errors that know their exit code."""
    if isinstance(found, StagepipeError):
        return found
    if isinstance(found, (KeyboardInterrupt, click.Abort)):
        return Interrupted(signal.SIGINT)
    if isinstance(found, click.ClickException):
        context = getattr(found, "ctx", None)
        path = context.command_path if context is not None else "stagepipe"
        return UsageError(found.format_message(), f"see `{path} --help`")
    if isinstance(found, SystemExit):
        return UsageError(
            f"a plugin ended the program with sys.exit({found.code!r})",
            "a plugin must import without side effects: see `stagepipe plugins`",
        )
    return DefectError(
        f"internal error: {type(found).__name__}: {found}",
        "this is a defect of stagepipe: please report it, with the traceback that -v -v shows",
    )


def say(session: Session, error: StagepipeError) -> None:
    """Tell an error on stderr."""
    if session.is_log_json:
        extra = {"hint": error.hint} if error.hint else {}
        logging.getLogger("stagepipe").error("%s", error.message, extra=extra)
        return
    from stagepipe.cli.logs import coloured

    # A pipeline file's faults stand one a line, as compilers have it, so that editors find them.
    is_list = isinstance(error, PipelineError)
    lines = [str(fault) for fault in getattr(error, "faults", ())] or [error.message]
    _to_stderr(*lines, head="" if is_list else coloured("error", "red") + ": ")
    if error.hint:
        _to_stderr(error.hint, head=coloured("hint", "cyan") + ": ")


def _to_stderr(*lines: str, head: str = "") -> None:
    """Write lines; only `head` may colour."""
    from stagepipe.cli.wording import shown

    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(head + "".join(shown(line) + "\n" for line in lines))
        sys.stderr.flush()


def _wants_json(session: Session) -> bool:
    """Whether JSON was asked for, also when the words were not understood."""
    if session.as_json is not None:
        return session.as_json
    words = session.words[: session.words.index("--")] if "--" in session.words else session.words
    known = {*COMMANDS, *(command for command, *_ in LATER)}
    session.command = next((word for word in words if word in known), None)
    is_set = os.environ.get("STAGEPIPE_JSON", "").lower() in ("1", "true", "t", "yes", "y", "on")
    return session.command is not None and ("--json" in words or is_set)


def _object(session: Session, error: StagepipeError) -> dict[str, Any]:
    """What `--json` prints of an error."""
    if session.command in ("run", "convert"):
        return _run_object(session, error)
    if session.command == "check":
        return _check_object(error)
    return {"error": {"message": error.message, "hint": error.hint}}


def _run_object(session: Session, error: StagepipeError) -> dict[str, Any]:
    from stagepipe.run.result import RunResult

    status = "failed"
    if isinstance(error, Interrupted):
        status = "interrupted"
    elif error.exit_code in (UsageError.exit_code, LockedError.exit_code):
        status = "refused"
    return RunResult(run=None, pipeline=session.pipeline, status=status, error=error).to_plain()


def _check_object(error: StagepipeError) -> dict[str, Any]:
    names = ("file", "line", "column", "message")
    if isinstance(error, PipelineError):
        faults = [{name: getattr(fault, name) for name in names} for fault in error.faults]
    else:
        faults = [dict.fromkeys(names) | {"message": error.message}]
    return {"ok": False, "faults": faults}
