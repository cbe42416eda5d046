"""Commands and flags that are not available yet: the one place that says so.

Their names are fixed, so they are known and refused, not mistaken for a slip of the fingers. Who
brings one deletes its entry here. They stand in no list and in no help.
"""

from __future__ import annotations

from collections.abc import Sequence

from stagepipe.errors import UsageError

LATER = (
    ("verify",),
    ("plugins", "new"),
)


def refuse_what_is_later(words: Sequence[str]) -> None:
    """Raises UsageError for a command's words, its name first, that mean something in the table."""
    flags = {(words[0], word) for word in words if word.startswith("-")}
    for later in LATER:
        if later in flags or later == tuple(words[: len(later)]):
            help_of = "stagepipe" if len(later) == 1 else f"stagepipe {words[0]}"
            raise UsageError(
                f"{' '.join(later)} is not available yet",
                f"`{help_of} --help` says what there is",
            )
