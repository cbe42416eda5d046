"""Every hook, on one page. A plugin implements those it needs with `stagepipe.hookimpl`.

A plugin is a local file named in `plugins = [...]`, or an installed distribution with an entry
point in the group `stagepipe`. Its `@step` functions need no hook: they are found by their mark.
The same module is imported by the workers, so it must import without side effects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagepipe.contracts import ExecutorFactory, Reader, Sink
    from stagepipe.events import Event, Listener, Screen

GROUP = "stagepipe"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def stagepipe_steps() -> Mapping[str, Callable[..., Any]]:  # type: ignore[empty-body]
    """Steps beside those marked in the plugin's own module, by name. Parent and workers."""


@hookspec
def stagepipe_readers() -> Mapping[str, Reader]:  # type: ignore[empty-body]
    """Readers by the name that a source's `use` gives. Parent (cuts) and workers (read)."""


@hookspec
def stagepipe_sinks() -> Mapping[str, Sink]:  # type: ignore[empty-body]
    """Sinks by the name that a sink's `use` gives. Workers (encode, decode), parent (commit)."""


@hookspec
def stagepipe_executors() -> Mapping[str, ExecutorFactory]:  # type: ignore[empty-body]
    """Executor factories by the name that `executor` gives. Parent."""


@hookspec
def stagepipe_listeners(screen: Screen) -> Sequence[Listener]:  # type: ignore[empty-body]
    """Listeners for one run: each hears every event as `stagepipe_event` does, and its `close()`,
    where it has one, is called when the run ends, however that goes. Parent."""


@hookspec
def stagepipe_event(event: Event) -> None:
    """Something happened in a run; see `stagepipe.events`. Parent, between two decisions of the
    scheduler: return quickly. What it raises is logged and changes nothing."""
