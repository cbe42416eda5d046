"""Text from outside, as people see it: nothing in it moves the cursor or ends a line."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from stagepipe.cli.wording import shortened, shown, table

HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
TITLE, TURNED = "\x1b]0;x\x07", "\u202egnp"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, é, 日本", "plain, é, 日本"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("a\r\n\tb\0", "a\\r\\n\\tb\\x00"),
        ("\u202e\u2066\u2069\u2028", "\\u202e\\u2066\\u2069\\u2028"),
        ("\udcff", "\\xff"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, expected: str) -> None:
    """One way for all text, for cells of tables and for what is cut short; and once is enough."""
    assert shown(text) == shown(shown(text)) == shortened(text, 99) == expected
    assert table([[text, "x"]]) == [f"{expected}  x"]


def test_commands_show_no_escapes_of_others(project) -> None:
    """What stands in a file and in its name is shown escaped, and is whole in JSON and CSV."""
    name, cell, raw = f"s{TITLE}/a\nb.csv", TITLE + TURNED, f"{TITLE}{TURNED},\x9b2J"
    project.write(name, f"id,word\n1,a\n2,b\n{raw}\n")
    text = (project.folder / "pipeline.toml").read_text().replace('name = "a"\n', "")
    project.write("pipeline.toml", text.replace('"a.csv"', '"{source}/*.csv"'))
    shown_name = "s\\x1b]0;x\\x07/a\\nb.csv"
    assert project.json("plan")["chunks"][0]["segments"][0]["file"] == name
    for words in (("plan", "-v"), ("run", "-v"), ("show",), ("rejects",)):
        done = project.run(*words)
        assert not HARMFUL.search(done.stdout + done.stderr), words
        assert words[0] == "run" or shown_name.partition("/")[0] in done.stdout
        assert words[0] in ("run", "show") or shown_name in done.stdout
    assert "\\u202egnp,\\x9b2J\n" in project.run("rejects").stdout
    (reject,) = project.json("rejects")
    assert (reject["file"], reject["value"], reject["raw"]) == (name, cell, raw)
    rows = list(csv.DictReader(io.StringIO(project.run("rejects", "--csv").stdout, newline="")))
    assert (rows[0]["file"], rows[0]["value"], rows[0]["raw"]) == (name, cell, raw)


def test_errors_show_no_escapes_of_others(project) -> None:
    """An error's message stands on one line, and several faults on a line each."""
    (project.folder / f"x{TITLE}\nerror: forged.csv").symlink_to("nothing")
    (project.folder / "y.csv").symlink_to("nothing")
    text = (project.folder / "pipeline.toml").read_text()
    project.write("pipeline.toml", text.replace('"a.csv"', '["x*.csv", "y.csv"]'))
    done = project.run("run", code=2)
    lines = done.stderr.splitlines()
    assert not HARMFUL.search(done.stderr)
    assert [line.partition("pipeline.toml:")[0] for line in lines] == ["error: ", ""]
    assert "x\\x1b]0;x\\x07\\nerror: forged.csv is a link to nothing" in lines[0]
    exact = json.loads(project.run("run", "--json", code=2).stdout)["error"]["message"]
    assert f"x{TITLE}\nerror: forged.csv is a link" in exact
    checked = project.run("check", code=2)
    assert [line[:13] for line in checked.stderr.splitlines()] == ["pipeline.toml"] * 2


def test_log_lines_show_no_escapes_of_others(project) -> None:
    """A warning of a plugin stands on one line of text, and is whole in JSON."""
    project.plugin(
        "import logging\nfrom stagepipe import step\n"
        f"logging.getLogger('stagepipe').warning({'odd: ' + TITLE + chr(10) + 'error: x'!r})\n"
        '@step\ndef same(frame):\n    """Nothing."""\n    return frame\n',
        "same",
    )
    told = project.run("plan").stderr
    assert "warning: odd: \\x1b]0;x\\x07\\nerror: x\n" in told
    assert not HARMFUL.search(told)
    line = project.run("plan", "--log-format", "json").stderr.splitlines()[0]
    assert json.loads(line)["message"] == f"odd: {TITLE}\nerror: x"


def test_wide_letters_take_two_places() -> None:
    """Columns stand below each other also where letters are wide, or bear marks."""
    assert table([["漢字", "1"], ["e\u0301", "2"], ["abcd", "3"]], right=(1,)) == [
        "漢字  1",
        "e\u0301     2",
        "abcd  3",
    ]
