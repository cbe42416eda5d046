"""What a value of a unique column costs to compare: `python -m benchmarks.unique_values`.

Each case is a process of its own: parts of an inner barrier are written as a run writes them, and
compared; the peak of its memory above what it had before, and the time, are divided by the values.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = 40
CASES = [
    (kind, repeats, values)
    for values in (2_000_000, 10_000_000)
    for kind in ("int64", "36 letters")
    for repeats in ("none", "each value twice")
]


def main() -> None:
    """Print a line for each case."""
    print(f"{'values':>12}  {'type':<12}{'repeats':<18}{'bytes a value':>14}{'µs a value':>12}")
    for kind, repeats, values in CASES:
        command = [sys.executable, "-m", "benchmarks.unique_values", kind, repeats, str(values)]
        environment = {**os.environ, "POLARS_MAX_THREADS": "1"}  # as in a worker
        found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        size, seconds = map(float, found.stdout.split())
        print(
            f"{values:>12,}  {kind:<12}{repeats:<18}{size / values:>14.0f}"
            f"{1e6 * seconds / values:>12.2f}"
        )


def measure(kind: str, repeats: str, values: int) -> None:
    """One case; prints the bytes and the seconds."""
    import polars as pl

    from stagepipe.run import between
    from stagepipe.run.duplicates import duplicates

    each = values // FILES
    with tempfile.TemporaryDirectory() as name:
        paths = []
        for number in range(FILES):
            first = each * (number if repeats == "none" else number % (FILES // 2))
            numbers = pl.int_range(first, first + each, dtype=pl.Int64, eager=True)
            numbers = numbers * 2_654_435_761 % (2**61 - 1)  # in no order
            frame = pl.DataFrame({"0": numbers})
            if kind != "int64":
                frame = frame.select(pl.col("0").cast(pl.String).str.zfill(36))
            paths.append(Path(name) / f"{number}.arrow")
            between.write(frame.to_arrow(), paths[-1])
        parts = [between.scan([path]) for path in paths]
        del frame, numbers
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before, begin = _memory("VmRSS"), time.perf_counter()
        found = duplicates(parts, 1)
        seconds = time.perf_counter() - begin
        print(_memory("VmHWM") - before, seconds)
        assert sum(map(len, found)) == (0 if repeats == "none" else values // 2)


def _memory(key: str) -> int:
    """Bytes, from Linux's own account of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    if sys.argv[1:]:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
