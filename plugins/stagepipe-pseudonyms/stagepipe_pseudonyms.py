"""Replace personal data by keyed pseudonyms: HMAC-SHA-256 (RFC 2104) in hexadecimal."""

from __future__ import annotations

import hmac

import polars as pl

from stagepipe import step

SHORTEST_KEY = 16


@step
def pseudonymize(
    frame: pl.DataFrame, *, columns: list[str], key: str, length: int = 32
) -> pl.DataFrame:
    """Replace texts by pseudonyms that only the holder of the key can make.

    Args:
        columns: the text columns whose values are replaced; a missing value stays missing.
        key: the secret, at least 16 characters; take it from the environment: "${NAME}".
        length: hexadecimal digits of a pseudonym, 8 to 64.
    """
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"the key has fewer than {SHORTEST_KEY} characters")
    if not 8 <= length <= 64:
        raise ValueError(f"length is {length}, and must be 8 to 64")
    secret = key.encode()

    def pseudonyms(texts: pl.Series) -> pl.Series:
        if texts.dtype != pl.String:
            raise ValueError(f"column {texts.name!r} is {texts.dtype}, not text")
        known = texts.unique().drop_nulls()
        names = [hmac.digest(secret, text.encode(), "sha256").hex()[:length] for text in known]
        return texts.replace_strict(known, names, default=None, return_dtype=pl.String)

    return frame.with_columns(pseudonyms(frame.get_column(name)) for name in columns)
