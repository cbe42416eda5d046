"""Logs on stderr: text for people, or one JSON object a line for machines."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any

import click

from stagepipe.cli.results import STDERR, wants_colour
from stagepipe.cli.session import Session
from stagepipe.cli.wording import shown
from stagepipe.events import Event, RunStarted, StageStarted
from stagepipe.model import printable

log = logging.getLogger("stagepipe")
PLACES = ("run", "stage", "chunk", "source", "file")
COLOURS = {"error": "red", "critical": "red", "warning": "yellow"}


def begin(session: Session) -> None:
    """Have log lines written as the session wants them."""
    handler = StderrHandler()
    if session.is_log_json:
        handler.setFormatter(_json_formatter())
    else:
        handler.setFormatter(TextFormatter())
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    log.setLevel(_level(session))


def _level(session: Session) -> int:
    if session.quiet:
        return logging.ERROR
    # Progress goes through the log when that is JSON, so what people see as lines is there too.
    quiet_end = logging.INFO if session.is_log_json else logging.WARNING
    return {0: quiet_end, 1: logging.INFO}.get(session.verbose, logging.DEBUG)


class StderrHandler(logging.StreamHandler[Any]):
    """Writes to what stderr is now: a live display puts something else in its place."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line. Nobody reading stderr is no reason to fail."""
        with contextlib.suppress(OSError, ValueError):
            self.stream = sys.stderr
            self.stream.write(self.format(record) + "\n")
            self.stream.flush()


class TextFormatter(logging.Formatter):
    """`warning: message`, the level in its colour on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        level = record.levelname.lower()
        text = shown(record.getMessage())
        if record.exc_info:
            lines = self.formatException(record.exc_info).splitlines()
            text = "\n".join([text, *map(shown, lines)])
        if traceback := getattr(record, "traceback", None):
            text = "\n".join([text, *map(shown, str(traceback).splitlines())])
        return f"{coloured(level, COLOURS.get(level))}: {text}"


def coloured(text: str, colour: str | None) -> str:
    """Text in a colour, where stderr shows colours."""
    return click.style(text, fg=colour) if colour and wants_colour(STDERR) else text


def _json_formatter() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    class Formatter(JsonFormatter):
        """One line of JSON, with text that any reader takes."""

        def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
            """Mend text that is no UTF-8."""
            return {key: printable(v) if isinstance(v, str) else v for key, v in log_data.items()}

    return Formatter(
        ["asctime", "levelname", "name", "message"],
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        json_ensure_ascii=False,
    )


class Whereabouts:
    """Puts the run and the stage into each log record. A listener of runs and a log filter."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Hear where the run is."""
        if isinstance(event, RunStarted):
            self._places["run"] = event.run
        elif isinstance(event, StageStarted):
            self._places["stage"] = event.stage

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what the record does not say itself."""
        for name, value in self._places.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True

    def attach(self) -> None:
        """Have all our records pass here."""
        for handler in logging.getLogger().handlers:
            handler.addFilter(self)
