"""The real scheduler at a scale beyond this machine: `python -m benchmarks.simulation`."""
