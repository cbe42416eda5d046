"""Importing what others wrote: it may fail in any way, and that is told in words."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

from stagepipe.errors import Interrupted, PluginError
from stagepipe.plugins.no_pandas import have_pandas_back


def modules_below(folder: Path) -> set[str]:
    """The files of all loaded modules in a folder, those of installed packages aside."""
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(folder) and "site-packages" not in file:
            found.add(file)
    return found


@contextmanager
def without_bytecode() -> Iterator[None]:
    """Import plugins without writing beside them: a compiled file that is as long and as old as a
    mended source would be taken for it."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def import_file(path: Path) -> ModuleType:
    """A local plugin file, imported by its real name, as the workers will. Raises PluginError."""
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
    have_pandas_back()
    try:
        with without_bytecode():
            module = importlib.import_module(name)
    except (Interrupted, KeyboardInterrupt, PluginError):
        # A signal is no fault of the plugin, and @step has told its own.
        raise
    except BaseException as error:  # a panic of polars and sys.exit() are no Exceptions
        raise PluginError(
            f"plugin file {path.name} does not import: {in_words(error)}{_line_in(error, path)}"
        ) from error
    if getattr(module, "__file__", None) != str(path):
        raise PluginError(
            f"plugin file {path.name} is hidden by {getattr(module, '__file__', name)}: rename it"
        )
    return module


def import_installed(point: EntryPoint) -> ModuleType:
    """An installed plugin. Raises PluginError."""
    have_pandas_back()
    try:
        module = point.load()
    except (Interrupted, KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:
        raise PluginError(f"does not import: {in_words(error)}") from error
    if not isinstance(module, ModuleType):
        raise PluginError(f"its entry point {point.value!r} is not a module")
    return module


def in_words(error: BaseException) -> str:
    """What failed, by its class and its message."""
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
