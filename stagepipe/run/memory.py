"""How much memory a process has, where the system tells."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")
IS_KNOWN = (PROC / "self/statm").exists()
"""Whether this system tells; macOS does not without help."""


def resident_bytes(pid: int) -> int:
    """The memory that a process has in RAM, shared pages too; 0 when it is gone."""
    try:
        fields = (PROC / str(pid) / "statm").read_text().split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
