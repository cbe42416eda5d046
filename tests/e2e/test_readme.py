"""The README's examples run, and show what they showed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def console() -> list[tuple[str, str]]:
    """Each command of the console blocks with what it printed."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command.partition(" #")[0].strip(), output.strip()))
    return found


def without_chance(text: str) -> str:
    """The text without what differs from run to run: ids, times and file sizes."""
    text = re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}", "RUN", text)
    text = re.sub(r"\b[\d.]+ (ms|s)\b", "TIME", text)
    return re.sub(r"[\d.]+ (bytes|kB|MB)\b", "SIZE", text)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the sample data with the README's pipeline beside it."""
    shutil.copytree(
        ROOT / "sample_data", tmp_path / "sample_data", ignore=shutil.ignore_patterns("out")
    )
    place = tmp_path / "sample_data"
    (place / "flights.toml").write_text(blocks("toml")[0])
    return place


def stagepipe(place: Path, command: str) -> str:
    """What a command of the README prints, on stdout and, for `check`, on stderr."""
    words = [sys.executable, "-m", "stagepipe", *command.split()[1:]]
    ended = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
    return (ended.stdout + (ended.stderr if "check" in command else "")).strip()


def test_the_examples_print_what_they_show(place: Path) -> None:
    """Every `stagepipe` command of the README prints what stands below it."""
    examples = [(c, output) for c, output in console() if c.startswith("stagepipe")]
    assert len(examples) >= 4
    for command, output in examples:
        if command.startswith("stagepipe check"):
            faulty = blocks("toml")[0].replace("max_concurrent", "max_concurent", 1)
            (place / "flights.toml").write_text(faulty)
            first = stagepipe(place, command)
            faulty = blocks("toml")[0].replace("dep_delay IS", "dep_dealy IS", 1)
            (place / "flights.toml").write_text(faulty)
            assert [first, stagepipe(place, command)] == output.splitlines()
            continue
        assert without_chance(stagepipe(place, command)) == without_chance(output)


def test_the_two_commands_are_targets() -> None:
    """The README's two commands are targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    targets = [command.split()[1] for command, _ in console() if command.startswith("make")]
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_plugin_example_runs(place: Path) -> None:
    """The README's plugin imports, is found, and does what it says."""
    (place / "plugins").mkdir()
    (place / "plugins" / "prices.py").write_text(blocks("python")[0])
    text = blocks("toml")[0]
    text = text.replace('name = "flights"\n', 'name = "flights"\nplugins = ["plugins/prices.py"]\n')
    text = text.replace(
        "steps = [", 'steps = [{ use = "to_eur", column = "distance", rate = 0.92 }, '
    )
    (place / "flights.toml").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "stagepipe", "run", "-q", "flights.toml"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
