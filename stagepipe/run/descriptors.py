"""The descriptors of stdin, stdout and stderr, which must not become those of other files.

A plugin that closes one of them leaves its number free, and the next file that is opened gets it:
then what anybody prints would be written into a table.
"""

from __future__ import annotations

import os

LOWEST = (0, 1, 2)


def hold_lowest(*_: object) -> None:
    """Have something open at these numbers, be it nothing at all. What it is given, as a listener
    is, it does not look at."""
    for number in LOWEST:
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            if null != number:  # another thread was faster, and holds it now
                os.close(null)
