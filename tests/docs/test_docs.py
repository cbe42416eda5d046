"""The documentation says what the code has: names, keys and codes; and its examples work."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import warm

import stagepipe
from stagepipe import errors
from stagepipe.model import ANOTHER_TABLE, Reject
from stagepipe.record.ledger import Ledger

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))

# What differs from one run of a page to the next.
RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\b\d+(\.\d+)? (s|ms)\b")
SIZE = re.compile(r"\b[\d.]+ (bytes|kB|MB)\b")
PROGRESS = re.compile(r"^\w+: (begins|done|\d)")


class Block(NamedTuple):
    """A block of code in a page: its language, its options, its text."""

    language: str
    caption: str
    is_fragment: bool
    text: str


def _blocks(page: Path) -> Iterator[Block]:
    for head, body in re.findall(r"^```([^\n`]+)\n(.*?)^```$", page.read_text(), re.M | re.S):
        lines = body.splitlines()
        options = dict.fromkeys(("caption", "class"), "")
        while lines and (match := re.match(r":(\w+): (.*)", lines[0])):
            options[match[1]] = match[2]
            lines.pop(0)
        language = head.removeprefix("{code-block}").strip()
        is_fragment = options["class"] == "fragment"
        yield Block(language, options["caption"], is_fragment, "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The extension that makes the references."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "_ext" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages as text, built without a warning."""
    folder = tmp_path_factory.mktemp("docs")
    source = folder / "docs"
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("_build", "_generated"))
    (folder / "stagepipe").symlink_to(DOCS.parent / "stagepipe")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "text", "docs", "text"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "text"


def test_every_command_is_on_the_page_of_commands(built: Path) -> None:
    from stagepipe.cli.program import COMMANDS

    text = (built / "commands.txt").read_text()
    for name in COMMANDS:
        assert re.search(rf"^stagepipe {name} |^   stagepipe {name} ", text, re.M), name


def test_every_hook_is_on_the_page_of_hooks(built: Path, reference: ModuleType) -> None:
    text = (built / "hooks.txt").read_text()
    found = reference.hooks()
    assert "stagepipe_steps" in found
    for name, function in found.items():
        assert f"{name}(" in text
        assert function.__doc__, f"{name} has no docstring"


def test_every_built_in_step_is_on_the_page_of_steps(built: Path) -> None:
    from stagepipe.builtin import stagepipe_steps

    text = (built / "steps.txt").read_text()
    for name in stagepipe_steps():
        assert f'"{name}"\n---' in text, name


def test_steps_over_all_rows_are_marked(reference: ModuleType) -> None:
    from stagepipe.builtin.table_steps import TABLE_STEPS

    parts = reference.steps_page().split("### `")[1:]
    marked = {part.partition("`")[0] for part in parts if "**Needs all rows" in part}
    assert marked == TABLE_STEPS.keys()


def test_every_built_in_sink_is_on_the_page_of_sinks(built: Path) -> None:
    from stagepipe.builtin import stagepipe_sinks

    text = (built / "sinks.txt").read_text()
    for name, sink in stagepipe_sinks().items():
        part = text.split(f'"{name}"\n---')[1]
        for option in sink.options.__dataclass_fields__:
            assert f'"{option}"' in part, f"{option} of {name}"


@pytest.mark.parametrize("page", ["steps", "sinks"])
def test_every_option_has_help(reference: ModuleType, page: str) -> None:
    text = getattr(reference, f"{page}_page")()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if row.endswith("|  |")]


def test_every_key_is_on_the_page_of_the_pipeline_file(built: Path, reference: ModuleType) -> None:
    text = (built / "pipeline-file.txt").read_text()
    generated = reference.keys_page()
    for table, key in reference.key_names():
        part = generated.split(f"### `{table}`\n")[1].split("\n### ")[0]
        assert f"| `{key}` |" in part, f"{key} in {table}"
        assert f'"{key}"' in text, key


def test_no_table_of_the_pipeline_file_is_left_out(reference: ModuleType) -> None:
    definitions = set(stagepipe_json_schema()["$defs"])
    assert {model for _, model, _ in reference.TABLES} == definitions


def test_what_is_not_available_is_said(reference: ModuleType) -> None:
    from stagepipe.declare.later import LATER, OPTIONS

    definitions = stagepipe_json_schema()["$defs"]
    for model, entries in LATER.items():
        forms = (definitions[model], *definitions[model].get("anyOf", ()))
        properties: Any = next(form for form in forms if "properties" in form)["properties"]
        for key in entries.keys() - {OPTIONS}:
            said = reference.availability(model, key, properties[key])
            assert "not available yet" in said.lower(), f"{key} of {model}"


def stagepipe_json_schema() -> dict[str, Any]:
    from stagepipe.declare import json_schema

    return json_schema()


def test_every_public_name_is_on_the_page_of_python(built: Path) -> None:
    text = (built / "python-api.txt").read_text()
    for name in stagepipe.__all__:
        assert f"stagepipe.{name}" in text, name


def test_every_column_type_is_in_the_table_of_types() -> None:
    from stagepipe.declare.types import KINDS

    text = (DOCS / "pipeline-file.md").read_text().split("## Column types")[1]
    rows = "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    for kind in KINDS:
        assert f"`{kind}" in rows, kind


def test_every_reason_and_every_column_of_rejects_is_named() -> None:
    from stagepipe.builtin.checks import _CHECKS

    text = (DOCS / "records.md").read_text()
    structural = ("too_many_fields", "too_few_fields", "unclosed_quote", "encoding", "type")
    structural += ("unique", ANOTHER_TABLE)
    for word in (*structural, "required", *_CHECKS, *Reject._fields):
        assert f"`{word}`" in text, word


def test_every_exit_code_is_in_the_table() -> None:
    text = (DOCS / "records.md").read_text()
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    codes = {
        each.exit_code
        for each in classes
        if issubclass(each, errors.StagepipeError) and each is not errors.Interrupted
    }
    for code in codes | {0, 130, 143}:
        assert f"\n| {code} | " in text, code


def test_every_table_of_the_ledger_is_named(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite"):
        pass
    database = sqlite3.connect(tmp_path / "ledger.sqlite")
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    names = [name for (name,) in database.execute(query)]
    database.close()
    text = (DOCS / "how-it-works.md").read_text()
    assert names
    for name in names:
        assert f"\n| `{name}` | " in text, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_pipeline_files_load(page: Path, tmp_path: Path) -> None:
    for block in _blocks(page):
        if block.language != "toml":
            continue
        tomllib.loads(block.text)
        if not block.is_fragment:
            file = tmp_path / "pipeline.toml"
            file.write_text(block.text)
            stagepipe.load(file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_python_compile(page: Path) -> None:
    for block in _blocks(page):
        if block.language == "python":
            compile(block.text, page.name, "exec")


def test_the_pages_name_no_place_of_one_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/(home|root|work|Users)/", page.read_text()), page.name


@pytest.mark.parametrize(
    "page", ["tutorial", "pipeline-file", "guessing", "kinds-of-steps", "sinks", "way-back"]
)
def test_what_a_page_shows_is_what_happens(page: str, tmp_path: Path) -> None:
    """From top to bottom: files are written, and every command prints what stands below it."""
    root = tmp_path / "orders"
    for block in _blocks(DOCS / f"{page}.md"):
        if block.language == "console":
            command, *expected = block.text.splitlines()
            assert _said(command.removeprefix("$ "), root) == _plain(expected), command
        elif block.caption:
            name, _, is_added = block.caption.partition(" ")
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            before = file.read_text() + "\n" if is_added else ""
            file.write_text(before + block.text)


def _said(command: str, root: Path) -> list[str]:
    """What a command prints, without its progress."""
    if re.fullmatch(r"stagepipe [^|&;<>*$`]+", command):
        ran = warm.run(shlex.split(command)[1:], root, os.environ, timeout=100)
        return _told(ran.stdout.decode(), ran.stderr.decode(), root)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=root,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    return _told(done.stdout, done.stderr, root)


def _told(out: str, err: str, root: Path) -> list[str]:
    told = [
        line for line in err.splitlines() if line.startswith("error") or not PROGRESS.match(line)
    ]
    lines = told + out.splitlines()
    return _plain([line.replace(str(root), "/srv/orders") for line in lines])


def _plain(lines: list[str]) -> list[str]:
    text = RUN_ID.sub("RUN", "\n".join(lines))
    text = SIZE.sub("SIZE", TIME.sub("TIME", text))
    return [" ".join(line.split()) for line in text.splitlines()]
