"""pyarrow without pandas, as long as no plugin is there that may use both.

The first time that pyarrow is given a Python value it imports pandas, where that is installed, to
know its objects when it sees them: a third of a second and 70 MB for each process. The built-ins
never show it one. A plugin may, and `pyarrow.array` makes other values of a series that it does not
know to be one; so pandas is had back before a plugin is imported.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.abc import MetaPathFinder

_is_put_off = False


class _NoPandas(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def put_pandas_off() -> None:
    """Have pyarrow look for pandas now, and find none. What cannot do without, as `to_pandas`,
    looks again."""
    global _is_put_off
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    nowhere = _NoPandas()
    sys.meta_path.insert(0, nowhere)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(nowhere)
    _is_put_off = True


def have_pandas_back() -> None:
    """Have pyarrow know pandas, where that is installed, if it was put off."""
    global _is_put_off
    if _is_put_off:
        import pyarrow as pa

        with suppress(ImportError):
            pa.nulls(0).to_pandas()
        _is_put_off = False
