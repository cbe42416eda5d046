"""Doing it: limits, fan-out, workers, flush, and the loop that reads like the picture."""

WORKER_MODULES = ("stagepipe.run.warm",)
"""What a worker imports before its first task."""
