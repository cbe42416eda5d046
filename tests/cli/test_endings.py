"""Exit codes, error messages, environment variables, and what a call imports."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from filelock import FileLock

HEAVY = ("pydantic", "polars", "pyarrow", "rich")


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("run", "--help"), ("-h",)])
def test_help_imports_little(words: tuple[str, ...]) -> None:
    """Help and version answer at once: nothing heavy is imported."""
    code = (
        "import sys\nfrom stagepipe.cli import main\n"
        f"try:\n    main({list(words)!r})\n"
        "except SystemExit as leaving:\n    assert leaving.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_completion_imports_little(project) -> None:
    """The shell's completion runs the program at each TAB."""
    done = project.run(
        _STAGEPIPE_COMPLETE="bash_complete", COMP_WORDS="stagepipe re", COMP_CWORD="1"
    )
    assert done.stdout == "plain,rejects\nplain,replay\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "nowhere.toml"), "nowhere.toml: no such file"),
        (("run", "--jbos", "3"), "--jbos"),
        (("run", "--set", "pipeline.jobs=-1"), "--set pipeline.jobs=-1"),
        (("run", "--set", "source.a.files=b.csv"), "b.csv"),
    ],
)
def test_run_refused(project, words: tuple[str, ...], message: str) -> None:
    """A refused run exits 2, says why on stderr, and still prints its one object."""
    done = project.run(*words, "--json", code=2)
    assert message in done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "refused"
    assert result["run"] is None
    assert message in result["error"]["message"]
    assert result["rows"] == {"read": 0, "added": 0, "written": 0, "rejected": 0, "dropped": 0}
    assert result["outputs"] == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("-q", "verify", "a.csv"), "verify"),
        (("verify",), "verify"),
        (("plugins", "new", "prices"), "plugins new"),
    ],
)
def test_what_comes_later_is_refused_as_such(project, words: tuple[str, ...], name: str) -> None:
    """A fixed name whose command is not there yet is not called unknown, and is in no help."""
    done = project.run(*words, code=2)
    assert done.stderr.splitlines()[0] == f"error: {name} is not available yet"
    message = project.json(*words, code=2)["error"]["message"]
    assert message == f"{name} is not available yet"
    assert name.split()[-1] not in project.run(*name.split()[:-1], "--help").stdout.split()


def test_run_that_fails(project) -> None:
    """A run over its budget exits 1, and says what to do next."""
    project.write("a.csv", "id,word\nx,1\ny,2\n3,3\n")
    done = project.run("run", code=1)
    assert "error: " in done.stderr
    assert "hint: " in done.stderr
    assert "next " in done.stdout
    assert "none: nothing was committed" in done.stdout
    result = project.json("run", "-q", code=1)
    assert result["status"] == "failed"
    assert "max_rejected" in result["error"]["message"]
    shown = project.run("show").stdout
    assert ": failed" in shown
    assert "max_rejected" in shown
    assert project.json("run", "-k", code=1)["outputs"][0]["rows"] == 1


def test_a_second_run_is_locked_out(project) -> None:
    """While another process holds the pipeline's lock, run exits 75."""
    (project.folder / ".stagepipe").mkdir()
    with FileLock(project.folder / ".stagepipe" / "letters.lock"):
        result = project.json("run", code=75)
    assert result["status"] == "refused"
    assert "another run" in result["error"]["message"]


def test_flag_beats_variable_beats_file(project) -> None:
    """jobs comes from the flag, else from STAGEPIPE_JOBS, else from the file."""
    jobs = []
    for words, variables in (((), {}), ((), {"STAGEPIPE_JOBS": "2"}), (("-j3",), {})):
        project.run("run", "-q", *words, **variables)
        jobs.append(project.json("show")["jobs"])
    assert jobs == [1, 2, 3]
    both = project.run("-q", "run", "-j", "4", STAGEPIPE_JOBS="2", STAGEPIPE_JSON="1")
    assert json.loads(both.stdout)["status"] == "succeeded"
    assert project.json("show")["jobs"] == 4


def test_loudness_flags_stand_before_and_after(project) -> None:
    """-q and --log-format work on both sides of the command, and by variable."""
    assert project.run("run", "--quiet").stderr == ""
    assert project.run("-q", "run").stderr == ""
    assert project.run("run", STAGEPIPE_QUIET="1").stderr == ""
    done = project.run("run", "--log-format", "json", STAGEPIPE_LOG_FORMAT="text")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["stage"] for line in lines} == {"parse", "words"}
    assert len({line["run"] for line in lines}) == 1


def test_errors_are_log_lines_too(project) -> None:
    """With --log-format json the error that ends a run is an object, with its hint."""
    done = project.run("--log-format=json", "show", code=2)
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["level"] == "ERROR"
    assert "run the pipeline first" in json.loads(line)["hint"]


def test_colour_is_for_terminals(project) -> None:
    """Off a terminal there is no colour, unless FORCE_COLOR asks; NO_COLOR has the last word."""
    assert "\x1b" not in project.run("show", code=2).stderr
    assert "\x1b[31merror" in project.run("show", code=2, FORCE_COLOR="1").stderr
    assert "\x1b" not in project.run("show", code=2, FORCE_COLOR="1", NO_COLOR="1").stderr


def test_display_on_a_terminal(project) -> None:
    """With a terminal for stderr, run draws there, keeps a line per stage, and stdout is clean."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "stagepipe", "run", "--json"],
        cwd=project.folder,
        env={**project.environment(), "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=child,
    ) as process:
        os.close(child)
        drawn = b""
        with contextlib.suppress(OSError):  # Linux reports the terminal's end as an error
            while piece := os.read(parent, 65536):
                drawn += piece
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["status"] == "succeeded"
    os.close(parent)
    assert b"stage 1 of 2" in drawn
    assert b": done in " in drawn
    assert b"\x1b[?25h" in drawn  # the cursor is back


def test_stdout_that_is_full_or_closed(project) -> None:
    """A full disk behind stdout is an error with its reason; no stdout at all is none."""
    project.run("run", "-q")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "stagepipe", "runs"],
            cwd=project.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the results cannot be written to stdout: No space")
    for closed in (">&-", "2>&-", ">&- 2>&- <&-"):
        words = f"exec {sys.executable} -m stagepipe run {closed}"
        assert subprocess.run(["sh", "-c", words], cwd=project.folder).returncode == 0


def test_a_defect_of_ours_is_told_as_such(project) -> None:
    """What nobody foresaw is an internal error: exit 1, one line, the object with run --json."""
    code = (
        "import stagepipe.declare\n"
        "def broken(*_):\n    raise ZeroDivisionError('boom')\n"
        "stagepipe.declare.load = broken\n"
        "from stagepipe.cli import main\nmain(['run', '--json', *__import__('sys').argv[1:]])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: internal error: ZeroDivisionError: boom\nhint: ")
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["status"] == "failed"
    loud = subprocess.run([sys.executable, "-c", code, "-vv"], capture_output=True, text=True)
    assert "Traceback" in loud.stderr


def test_no_command_shows_help(project) -> None:
    """stagepipe alone prints its help on stderr and exits 2; an unknown command is named."""
    assert "Usage: stagepipe" in project.run(code=2).stderr
    assert "No such command 'rnu'" in project.run("rnu", code=2).stderr
