"""The one place where plugins are found: built-ins, local files, installed distributions.

Installed plugins are listed by name without importing them; one is imported only when a pipeline
asks for a word that nothing nearer knows, so that a broken plugin harms only who uses it.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from stagepipe import hookspecs
from stagepipe.contracts import MARK
from stagepipe.errors import Interrupted, PluginError
from stagepipe.hookspecs import GROUP
from stagepipe.plugins.importing import import_file, import_installed, in_words
from stagepipe.plugins.steps import Step, step_of

if TYPE_CHECKING:
    from stagepipe.events import Event, Listener, Screen

BUILT_IN = "built-in"
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class PluginNote:
    """One plugin as `stagepipe plugins` lists it; `error` says why it is broken."""

    name: str
    origin: str
    steps: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    error: str | None = None


class Plugins:
    """The plugins of one pipeline: the built-ins, what `add_file` adds, and what is installed."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}
        self._notes: list[PluginNote] = []
        self._files: list[ModuleType] = []
        self._one_at_a_time = RLock()  # threads of an io_bound stage share them
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self._waiting = {point.name: point for point in entry_points(group=GROUP)}
        self._built_in = importlib.import_module("stagepipe.builtin")
        self._hook_up(self._built_in, BUILT_IN)

    def add_file(self, path: Path) -> None:
        """Load a local plugin file. Raises PluginError when it does not import, or is wrong."""
        self._take_built_in_steps()
        module = import_file(path)
        self._register(module, path.name, str(path), str(path.parent))
        self._files.append(module)

    @property
    def hook(self) -> Any:
        """The hooks of all that is loaded, to call."""
        return self.manager.hook

    @contextmanager
    def listeners(self, screen: Screen) -> Iterator[Sequence[Listener]]:
        """The plugins' listeners for one run, closed when it ends. Raises PluginError."""
        try:
            found = [
                each for given in self.hook.stagepipe_listeners(screen=screen) for each in given
            ]
        except Interrupted:
            raise
        except Exception as error:  # a plugin's code: anything may happen
            raise PluginError(
                f"stagepipe_listeners of a plugin fails: {in_words(error)}"
            ) from error
        with ExitStack() as stack:
            for listener in found:
                stack.callback(getattr(listener, "close", _nothing_to_close))
            yield found

    def tell(self, event: Event) -> None:
        """Tell every plugin that listens."""
        self.hook.stagepipe_event(event=event)

    def step(self, name: str) -> Step:
        """The step of that name. Raises PluginError."""
        self._take_built_in_steps()
        try:
            return self._find("step", name, lambda: self._steps)
        except PluginError as error:
            if (why := self._why_no_step(name)) is None:
                raise
            raise PluginError(f"there is no step {name!r}: {why}") from error

    def reader(self, name: str) -> Any:
        """The reader of that name. Raises PluginError."""
        return self._find("reader", name, lambda: _merged(self.hook.stagepipe_readers()))

    def sink(self, name: str) -> Any:
        """The sink of that name. Raises PluginError."""
        return self._find("sink", name, lambda: _merged(self.hook.stagepipe_sinks()))

    def executor(self, name: str) -> Any:
        """The executor factory of that name. Raises PluginError."""
        return self._find("executor", name, lambda: _merged(self.hook.stagepipe_executors()))

    def all_steps(self) -> Iterator[Step]:
        """Every step that is loaded, by name."""
        self._take_built_in_steps()
        yield from (self._steps[name] for name in sorted(self._steps))

    def notes(self) -> list[PluginNote]:
        """What there is, broken ones included: every installed plugin is imported for this."""
        self._take_built_in_steps()
        for name in list(self._waiting):
            self._load_installed(name)
        return self._notes

    def _find(self, kind: str, name: str, known: Callable[[], Mapping[str, Found]]) -> Found:
        with self._one_at_a_time:
            if name not in known():
                for plugin in list(self._waiting):
                    self._load_installed(plugin)
                    if name in known():
                        break
            if name in known():
                return known()[name]
        near = difflib.get_close_matches(name, known(), 1)
        broken = [note.name for note in self._notes if note.error]
        hint = f"; did you mean {near[0]!r}?" if near else ""
        if broken:
            hint += f" (broken plugins: {', '.join(broken)}; see `stagepipe plugins`)"
        raise PluginError(
            f"there is no {kind} {name!r}{hint}",
            f"there are: {', '.join(sorted(known()))}; a plugin file must stand in 'plugins'",
        )

    def _why_no_step(self, name: str) -> str | None:
        """Why a function of that name in a local file is no step, where there is one."""
        for module in self._files:
            found, file = vars(module).get(name), f"{module.__name__}.py"
            if not inspect.isfunction(found):
                continue
            if mark := getattr(found, MARK, None):
                if found.__module__ == module.__name__:
                    return f"the function in {file} is marked as step {mark.name!r}"
                return f"{file} imports it from {found.__module__}: name that file in 'plugins' too"
            return f"{file} has a function of that name, which is not marked with @step"
        return None

    def _take_built_in_steps(self) -> None:
        """Load the built-in steps, once. They bring polars with them: a plan for a pipeline without
        steps does not wait for that."""
        with self._one_at_a_time:
            if not self._steps:
                self._take_words(self._built_in, BUILT_IN, BUILT_IN, None)

    def _load_installed(self, name: str) -> None:
        self._take_built_in_steps()
        point = self._waiting.pop(name)
        try:
            self._register(import_installed(point), name, _origin(point), None)
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - a broken plugin harms only who uses it
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            self._notes.append(PluginNote(name, _origin(point), error=str(error)))

    def _register(self, module: ModuleType, name: str, origin: str, folder: str | None) -> None:
        self._hook_up(module, name)
        self._take_words(module, name, origin, folder)

    def _hook_up(self, module: ModuleType, name: str) -> None:
        if self.manager.is_registered(module) or self.manager.has_plugin(name):
            raise PluginError(f"plugin {name} is named twice: name it once")
        self.manager.register(module, name)
        try:
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"plugin {name}: {error}") from error

    def _take_words(self, module: ModuleType, name: str, origin: str, folder: str | None) -> None:
        """Take a plugin's steps, and note what else it brings."""
        functions = {
            function.__name__: function
            for function in vars(module).values()
            if hasattr(function, MARK) and function.__module__ == module.__name__
        }
        if hasattr(module, "stagepipe_steps"):
            functions.update(module.stagepipe_steps())
        added = [self._add_step(function, origin, folder) for function in functions.values()]
        others = [
            f"{hook.removeprefix('stagepipe_').removesuffix('s')} {word}"
            for hook in ("stagepipe_readers", "stagepipe_sinks", "stagepipe_executors")
            if hasattr(module, hook)
            for word in getattr(module, hook)()
        ]
        self._notes.append(PluginNote(name, origin, tuple(sorted(added)), tuple(others)))

    def _add_step(self, function: Callable[..., Any], origin: str, folder: str | None) -> str:
        step = step_of(function, origin, folder)
        name = step.where.name
        if name in self._steps:
            raise PluginError(
                f"step {name!r} is in {self._steps[name].origin} and in {origin}: "
                "rename one with @step(name=...)"
            )
        self._steps[name] = step
        return name


def _nothing_to_close() -> None:
    pass


def _merged(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # pluggy gives the last registered first; the nearer one is to win.
    merged: dict[str, Any] = {}
    for result in reversed(results):
        merged.update(result)
    return merged


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
