"""What holds for one call of the program: its words, its stdout, its signals, how loud it is."""

from __future__ import annotations

import time
from typing import Any

import click

from stagepipe.cli.results import Results
from stagepipe.cli.signals import Signals


class Session:
    """One call of the program, from its words to its exit code."""

    def __init__(self, words: list[str]) -> None:
        self.began = time.monotonic()
        self.words = words
        self.signals = Signals()
        self.quiet = False
        self.verbose = 0
        self.log_format = "text"
        self.command: str | None = None
        self.as_json: bool | None = None
        self.pipeline: str | None = None
        self.exit_code = 0
        self._results: Results | None = None

    @property
    def out(self) -> Results:
        """The real stdout. From the first use on, nothing else reaches it."""
        if self._results is None:
            self._results = Results()
        return self._results

    @property
    def is_log_json(self) -> bool:
        """Whether stderr carries JSON lines."""
        return self.log_format == "json"

    def tell(self, key: str, value: Any) -> None:
        """Take the value of one of the flags that stand before and after the command."""
        setattr(self, key, value)


def session() -> Session:
    """The session of the command that is running."""
    found = click.get_current_context().find_object(Session)
    assert found is not None
    return found
