"""The README's examples run, and show what they showed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


PIPELINE_FILE = "flights.toml"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [text for found, text in BLOCK.findall(README) if found == language]


def commands(block: str) -> list[tuple[str, str]]:
    """Each command of a console block with what it printed."""
    found = []
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
    """A copy of the sample data."""
    place = tmp_path / "sample_data"
    shutil.copytree(ROOT / "sample_data", place, ignore=shutil.ignore_patterns("out"))
    return place


def stagepipe(place: Path, command: str) -> str:
    """What a command of the README prints, on stdout and, for `check`, on stderr."""
    words = [sys.executable, "-m", "stagepipe", *command.split()[1:]]
    ended = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
    return (ended.stdout + (ended.stderr if "check" in command else "")).strip()


def faults(place: Path, command: str) -> str:
    """What `check` says of the README's pipeline file with each of two slips of the fingers."""
    found = []
    for right, wrong in (("max_concurrent", "max_concurent"), ("dep_delay IS", "dep_dealy IS")):
        (place / PIPELINE_FILE).write_text(blocks("toml")[0].replace(right, wrong, 1))
        found.append(stagepipe(place, command))
    return "\n".join(found)


def changed(text: str, lines: str) -> str:
    """A pipeline file with these lines: each takes the place of the one with its key, or stands
    behind the pipeline's name where there is none."""
    for line in lines.splitlines():
        key = line.partition(" =")[0]
        text, count = re.subn(rf"^{key} = .*$", lambda _, new=line: new, text, flags=re.MULTILINE)
        if not count:
            text = re.sub(r"^name = .*$", rf"\g<0>\n{line}", text, count=1, flags=re.MULTILINE)
    return text


def test_the_examples_print_what_they_show(place: Path) -> None:
    """From top to bottom, as a reader would: files are written, lines are changed, and every
    `stagepipe` command prints what stands below it."""
    file = place / PIPELINE_FILE
    ran = 0
    for language, text in BLOCK.findall(README):
        if language == "python":
            module = place / text.splitlines()[0].removeprefix("# ")
            module.parent.mkdir()
            module.write_text(text)
        elif language == "toml":
            file.write_text(text if "[pipeline]" in text else changed(file.read_text(), text))
        for command, output in commands(text) if language == "console" else ():
            if command.startswith("stagepipe"):
                say = faults if command.startswith("stagepipe check") else stagepipe
                assert without_chance(say(place, command)) == without_chance(output), command
                ran += 1
    assert ran >= 5


def test_the_step_changes_two_lines_and_does_what_it_says(place: Path) -> None:
    """The README's step takes two lines in the pipeline file, and its kilometres are in the
    table."""
    whole, lines = blocks("toml")
    assert len(lines.splitlines()) == 2
    (place / "plugins").mkdir()
    (place / "plugins" / "units.py").write_text(blocks("python")[0])
    (place / PIPELINE_FILE).write_text(changed(whole, lines))
    stagepipe(place, f"stagepipe run -q {PIPELINE_FILE}")
    table = pl.read_parquet(place / "out/departed")
    assert table["distance"][0] == pytest.approx(760 * 1.609344)  # 9E 3856, from JFK to ATL


def test_the_two_commands_are_targets() -> None:
    """The README's two commands are targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    said = [command for block in blocks("console") for command, _ in commands(block)]
    targets = [command.split()[1] for command in said if command.startswith("make")]
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
