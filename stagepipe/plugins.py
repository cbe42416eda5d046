"""The one place where plugins are found: built-ins, local files, installed distributions.

Installed plugins are listed by name without importing them; one is imported only when a pipeline
asks for a word that nothing nearer knows, so that a broken plugin harms only who uses it.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import pluggy

from stagepipe import hookspecs
from stagepipe.contracts import MARK, StepMark
from stagepipe.errors import Interrupted, PluginError
from stagepipe.hookspecs import GROUP

if TYPE_CHECKING:
    from stagepipe.contracts import Sink
    from stagepipe.events import Event, Listener, Screen

BUILT_IN = "built-in"
REJECT = "reject"
"""The argument by which a step is given the function that rejects rows."""
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class StepName:
    """Where a worker finds a step: names only, so that nothing is pickled that cannot be."""

    name: str
    module: str
    function: str
    folder: str | None


@dataclass(frozen=True)
class Step:
    """A step that a pipeline may use."""

    where: StepName
    function: Callable[..., Any]
    mark: StepMark
    origin: str

    @property
    def summary(self) -> str:
        """The first line of the step's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def takes_reject(self) -> bool:
        """Whether the step rejects rows."""
        return REJECT in inspect.signature(self.function).parameters

    @property
    def digest(self) -> str:
        """A digest of the code: the file in which the step stands, the version of its
        distribution, and the modules that a local plugin imported from its own folder."""
        source = inspect.getsourcefile(self.function)
        files = {source} if source else set()
        digest = hashlib.sha256()
        if self.where.folder is None:
            digest.update(self.origin.encode())
        else:
            files |= _modules_below(Path(self.where.folder))
        for path in sorted(files):
            digest.update(Path(path).read_bytes())
        return digest.hexdigest()[:32]

    @cached_property
    def options_model(self) -> Any:
        """A pydantic model of the keyword-only arguments."""
        defaults = {
            p.name: ... if p.default is p.empty else p.default for p in _options(self.function)
        }
        return _options_model(f"step {self.where.name!r} ({self.origin})", self.function, defaults)


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
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self._waiting = {point.name: point for point in entry_points(group=GROUP)}
        self._built_in = importlib.import_module("stagepipe.builtin")
        self._hook_up(self._built_in, BUILT_IN)

    def add_file(self, path: Path) -> None:
        """Load a local plugin file. Raises PluginError when it does not import, or is wrong."""
        self._take_built_in_steps()
        self._register(_import_file(path), path.name, str(path), str(path.parent))

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
            raise PluginError(f"stagepipe_listeners of a plugin fails: {_said(error)}") from error
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
        return self._find("step", name, lambda: self._steps)

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

    def _take_built_in_steps(self) -> None:
        """Load the built-in steps, once. They bring polars with them: a plan for a pipeline without
        steps does not wait for that."""
        if not self._steps:
            self._take_words(self._built_in, BUILT_IN, BUILT_IN, None)

    def _load_installed(self, name: str) -> None:
        self._take_built_in_steps()
        point = self._waiting.pop(name)
        try:
            self._register(_loaded(point), name, _origin(point), None)
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

    def _add_step(self, function: Any, origin: str, folder: str | None) -> str:
        mark: StepMark = getattr(function, MARK)
        where = StepName(mark.name, function.__module__, function.__qualname__, folder)
        if mark.name in self._steps:
            raise PluginError(
                f"step {mark.name!r} is in {self._steps[mark.name].origin} and in {origin}: "
                "rename one with @step(name=...)"
            )
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters or parameters[0].kind is parameters[0].KEYWORD_ONLY:
            raise PluginError(f"step {mark.name!r} ({origin}) takes no frame")
        beside = [
            p.name for p in parameters[1:] if p.kind is not p.KEYWORD_ONLY and p.name != REJECT
        ]
        if beside:
            raise PluginError(
                f"step {mark.name!r} ({origin}): {', '.join(beside)} must be keyword-only; "
                "put a * before the options"
            )
        if mark.scope == "all" and any(p.name == REJECT for p in parameters):
            raise PluginError(
                f"step {mark.name!r} ({origin}) takes reject and has scope='all', which knows no "
                "records: reject rows in a step before it"
            )
        self._steps[mark.name] = Step(where, function, mark, origin)
        return mark.name


def sink_options_model(name: str, sink: Sink) -> Any:
    """A pydantic model of a sink's own options."""
    defaults = {
        each.name: ... if each.default is MISSING else each.default for each in fields(sink.options)
    }
    return _options_model(f"sink {name!r}", sink.options, defaults)


def _options_model(owner: str, annotated: Any, defaults: Mapping[str, Any]) -> Any:
    from pydantic import ConfigDict, Field, create_model

    try:
        hints = get_type_hints(annotated)
    except Exception as error:  # an annotation is the plugin's code: anything may happen
        raise PluginError(f"the annotations of {owner} fail: {error}") from error
    # The alias keeps pydantic's own words free for options.
    found: dict[str, Any] = {
        f"option_{name}": (hints.get(name, Any), Field(default, alias=name))
        for name, default in defaults.items()
    }
    config = ConfigDict(extra="forbid", strict=False, arbitrary_types_allowed=True)
    return create_model(f"options of {owner}", __config__=config, **found)


def load_step(where: StepName) -> Callable[..., Any]:
    """The step's function, imported by its real name. For workers."""
    if where.folder is not None and where.folder not in sys.path:
        sys.path.insert(0, where.folder)
    with _without_bytecode():
        found: Any = importlib.import_module(where.module)
    for part in where.function.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _modules_below(folder: Path) -> set[str]:
    """The files of all loaded modules in a folder, those of installed packages aside."""
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(folder) and "site-packages" not in file:
            found.add(file)
    return found


@contextmanager
def _without_bytecode() -> Iterator[None]:
    """Import plugins without writing beside them: a compiled file that is as long and as old as a
    mended source would be taken for it."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _nothing_to_close() -> None:
    pass


def _options(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != REJECT]


def _merged(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # pluggy gives the last registered first; the nearer one is to win.
    merged: dict[str, Any] = {}
    for result in reversed(results):
        merged.update(result)
    return merged


def _import_file(path: Path) -> ModuleType:
    """A local plugin file, imported by its real name, as the workers will."""
    name = path.stem
    if not path.is_file():
        raise PluginError(f"plugin file {path} does not exist")
    if path.suffix != ".py" or not name.isidentifier():
        raise PluginError(f"plugin file {path.name} must be named like a module: letters.py")
    present = sys.modules.get(name)
    is_other = present is not None and getattr(present, "__file__", None) != str(path)
    if name in sys.stdlib_module_names or is_other:
        raise PluginError(f"plugin file {path.name} has the name of another module: rename it")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    importlib.invalidate_caches()
    try:
        with _without_bytecode():
            module = importlib.import_module(name)
    except Interrupted:  # a signal is no fault of the plugin
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"plugin file {path.name} does not import: {_said(error)}{_line_in(error, path)}"
        ) from error
    if getattr(module, "__file__", None) != str(path):
        raise PluginError(
            f"plugin file {path.name} is hidden by {getattr(module, '__file__', name)}: rename it"
        )
    return module


def _loaded(point: EntryPoint) -> ModuleType:
    try:
        module = point.load()
    except Interrupted:  # a signal is no fault of the plugin
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"does not import: {_said(error)}") from error
    if not isinstance(module, ModuleType):
        raise PluginError(f"its entry point {point.value!r} is not a module")
    return module


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _line_in(error: BaseException, path: Path) -> str:
    """Where in the file the import failed."""
    if isinstance(error, SyntaxError):
        return ""
    lines = []
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""
