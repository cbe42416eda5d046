"""The house: imports point one way, the public API is what it says, errors travel."""

from __future__ import annotations

import ast
import importlib
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import stagepipe
from stagepipe import errors
from stagepipe.errors import Fault, Interrupted, PipelineError, StagepipeError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "stagepipe"
MAY_IMPORT = {
    "cli": {
        "amounts",
        "builtin",
        "contracts",
        "declare",
        "events",
        "hookspecs",
        "plan",
        "plugins",
        "record",
        "run",
    },
    "run": {
        "amounts",
        "contracts",
        "declare",
        "events",
        "median",
        "packing",
        "plan",
        "plugins",
        "record",
        "stopwatch",
    },
    "plan": {"record", "declare", "plugins", "contracts", "packing", "kinds"},
    "plugins": {"hookspecs", "contracts", "events"},
    "record": set(),
    "declare": {"unclosed"},
    "builtin": {
        "amounts",
        "contracts",
        "hookspecs",
        "events",
        "kinds",
        "median",
        "stopwatch",
        "unclosed",
    },
    "amounts": set(),
    "median": set(),
    "hookspecs": {"contracts", "events"},
    "contracts": set(),
    "events": set(),
    "packing": {"kinds"},
    "kinds": set(),
    "stopwatch": set(),
    "unclosed": set(),
    "model": set(),
    "errors": set(),
    "testing": {"contracts"},
    "__main__": {"cli"},
    "__init__": {"run", "plan", "declare", "contracts", "hookspecs", "stopwatch"},
}
"""Which rooms a room may import, beside itself, the model and the errors."""


def imported_rooms(tree: ast.AST) -> set[str]:
    """The rooms of stagepipe that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    rooms = {name.split(".")[1] for name in names if name.startswith("stagepipe.")}
    return {
        room for room in rooms if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()
    }


def without_type_checking(tree: ast.Module) -> ast.Module:
    """The module without what only a type checker reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return tree


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_point_one_way(path: Path) -> None:
    """cli, run, plan, record, model: each room imports only rooms that come after it."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    tree = without_type_checking(ast.parse(path.read_text()))
    allowed = MAY_IMPORT[room] | {room, "model", "errors"}
    if path.relative_to(PACKAGE) == Path("plan/resolve.py"):
        allowed |= {"builtin"}
    assert imported_rooms(tree) <= allowed


def test_the_contract_of_import_linter_holds() -> None:
    """What pyproject.toml says about imports is true, through every chain of them."""
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed")
    found = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


def test_all_is_what_is_exported() -> None:
    """Every public name can be imported, is listed by dir(), and nothing else is."""
    assert list(stagepipe.__all__) == sorted(stagepipe.__all__)
    for name in stagepipe.__all__:
        assert getattr(stagepipe, name) is not None
    assert set(dir(stagepipe)) == set(stagepipe.__all__)
    star: dict[str, object] = {}
    exec("from stagepipe import *", star)
    assert set(star) - {"__builtins__"} == set(stagepipe.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stagepipe.nothing


@pytest.mark.parametrize(
    "first", ["stagepipe.run.start", "stagepipe.plan.planner", "stagepipe.cli", "stagepipe"]
)
def test_run_and_plan_are_functions_whatever_is_imported_first(first: str) -> None:
    """The rooms of the same names do not take their place."""
    script = (
        f"import {first}, stagepipe; assert callable(stagepipe.run) and callable(stagepipe.plan)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("heavy", ["pydantic", "polars", "pyarrow", "rich"])
def test_importing_stagepipe_is_light(heavy: str) -> None:
    """A plugin that only needs `step` loads nothing that is slow to load."""
    script = f"import sys, stagepipe; stagepipe.step; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_module_imports() -> None:
    """No module is broken by itself."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "stagepipe."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def error_classes() -> list[type[StagepipeError]]:
    """Every class of the tree, those of other modules too."""
    test_every_module_imports()
    found: list[type[StagepipeError]] = []
    waiting: list[type[StagepipeError]] = [StagepipeError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return found


def made(kind: type[StagepipeError]) -> StagepipeError:
    if issubclass(kind, PipelineError):
        return kind([Fault("wrong", "p.toml", 1, 2), Fault("worse")])
    if issubclass(kind, Interrupted):
        return kind(15)
    return kind("what went wrong", "what to do")


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_pickles(kind: type[StagepipeError]) -> None:
    """An error that crosses a process border arrives with message, hint and exit code."""
    error = made(kind)
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (str(back), back.hint, back.exit_code) == (str(error), error.hint, error.exit_code)
    assert vars(back) == vars(error)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("StagepipeError", 1),
        ("UsageError", 2),
        ("PipelineError", 2),
        ("PluginError", 2),
        ("InputError", 2),
        ("OutputError", 2),
        ("RunError", 1),
        ("TaskError", 1),
        ("BudgetError", 1),
        ("DriftError", 1),
        ("BalanceError", 1),
        ("LockedError", 75),
        ("Interrupted", 143),
    ],
)
def test_the_tree_in_the_docstring_is_the_tree(name: str, code: int) -> None:
    """Each class has the exit code that the drawing gives it."""
    assert made(getattr(errors, name)).exit_code == code
    assert any(name in line and str(code) in line for line in (errors.__doc__ or "").splitlines())
