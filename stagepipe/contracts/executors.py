"""What makes the executor of the workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Executor


class ExecutorFactory(Protocol):
    """Makes the `concurrent.futures.Executor` that runs the workers."""

    def prepare(self, modules: Sequence[str]) -> None:
        """A run is about to be planned, and its workers will import these modules: begin whatever
        takes time and does no harm if unused."""
        ...

    def __call__(
        self, *, max_workers: int, initializer: Callable[..., None], initargs: tuple[Any, ...]
    ) -> Executor:
        """An executor of so many workers, each of which has called the initializer."""
        ...
