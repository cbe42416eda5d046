"""A plugin whose step stands still until a test lets it go on."""

from __future__ import annotations

WAITING = """
from stagepipe import step

@step
def wait(frame):
    if len(frame):  # a check tries each step on a table without rows
        with open({never!r}) as never:
            never.read()
    return frame
"""
"""Waits for a word that never comes. Who opens the other end of the FIFO `never` knows that the
step waits."""
