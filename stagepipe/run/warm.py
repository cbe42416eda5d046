"""What a worker has imported before its first task: itself, and what most pipelines use.

Imports make many objects and no garbage. To look for some takes a quarter of their time, so it is
put off; and what is here then is never looked at again, and stays shared with the fork server.
"""

from __future__ import annotations

import gc
from importlib import import_module

MODULES = (
    "stagepipe.run.worker",
    "stagepipe.builtin.csv.reader",
    "stagepipe.builtin.csv.records",
    "stagepipe.builtin.csv.doubts",
    "stagepipe.builtin.sinks.parquet",
    "pyarrow.csv",
    "pyarrow.parquet",
    "polars",
)

gc.disable()
try:
    for module in MODULES:
        import_module(module)
finally:
    gc.enable()
gc.freeze()
