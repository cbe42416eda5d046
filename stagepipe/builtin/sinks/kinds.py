"""Types of columns whose values have no form as text that readers agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def without_text(kind: pa.DataType) -> str | None:
    """What values of such a type are, in a word; None where they can be written as text."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return "struct"
    if pa.types.is_nested(kind):
        return "list"
    if pa.types.is_duration(kind):
        return "duration"
    is_binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return "binary" if is_binary or pa.types.is_fixed_size_binary(kind) else None
