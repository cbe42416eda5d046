"""Nothing but results reaches stdout, whatever a plugin does."""

from __future__ import annotations

import json

NOISY = """
import os, sys
from stagepipe import hookimpl, step

print("noise at import")
os.write(1, b"noise on the descriptor\\n")
os.system("echo noise from a child")
CLOSE = None

@step
def loud(frame):
    print("noise in a step")
    os.write(1, b"noise on the worker's descriptor\\n")
    return frame

@hookimpl
def stagepipe_event(event):
    print("noise in a hook", file=sys.__stdout__)
    os.write(1, b"noise in a hook\\n")
"""


def test_a_noisy_plugin_does_not_spoil_json(project) -> None:
    """A plugin that prints in all ways it can still leaves one JSON object on stdout."""
    project.plugin(NOISY, "loud")
    for words in (("run",), ("plan",), ("check",), ("plugins",)):
        done = project.run(*words, "--json")
        json.loads(done.stdout)
        assert "noise at import" in done.stderr
        assert "noise on the descriptor" in done.stderr
        assert "noise from a child" in done.stderr
    assert "noise" not in project.run("run").stdout


def test_a_plugin_that_closes_stdout(project) -> None:
    """A plugin that closes stdout, by object and by number, does not take the results with it."""
    project.plugin(
        "import os, sys\nsys.stdout.close()\nos.close(1)\n"
        "from stagepipe import step\n@step\ndef mute(frame):\n    return frame\n",
        "mute",
    )
    assert project.json("run")["status"] == "succeeded"
    assert project.run("run").stdout.startswith("letters: succeeded")


def test_a_plugin_that_exits(project) -> None:
    """sys.exit at a plugin's import is an error of the plugin, not a success."""
    project.plugin("import sys\nsys.exit(0)\n")
    result = project.json("run", code=2)
    assert result["status"] == "refused"
    assert "SystemExit" in result["error"]["message"]
