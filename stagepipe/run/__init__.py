"""Doing it: limits, fan-out, workers, flush, and the loop that reads like the picture."""
