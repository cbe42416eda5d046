"""How amounts are said to people: counts, sizes and times, short."""

from __future__ import annotations


def short(number: float) -> str:
    """`812`, `12.3 k`, `1.2 M`."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if number >= limit:
            value = number / (1e3 if unit == " k" else limit)
            return f"{value:.1f}{unit}" if value < 100 else f"{value:.0f}{unit}"
    return f"{number:.0f}"


def size(number: float) -> str:
    """`812 bytes`, `12.3 kB`, `1.2 GB`; the units are powers of 1,000."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= limit:
            value = number / limit
            return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
    return f"{number:.0f} byte" + "s" * (round(number) != 1)


def ticking(seconds: float) -> str:
    """A time that goes on, in whole seconds: `4 s`, `3 min 20 s`."""
    return f"{int(seconds)} s" if seconds < 60 else duration(int(seconds))


def roughly(seconds: float) -> str:
    """A time to come, no more exact than it is known: `5 s`, `40 s`, `3 min`, `2 h 10 min`."""
    for limit, step in ((10, 1), (60, 5), (600, 30), (3600, 60)):
        if seconds < limit:
            seconds = max(round(seconds / step), 1) * step
            break
    else:
        seconds = round(seconds / 600) * 600
    if seconds < 60:
        return f"{seconds:.0f} s"
    return duration(seconds).removesuffix(" 00 s")


def duration(seconds: float) -> str:
    """`40 ms`, `0.4 s`, `12 s`, `3 min 20 s`, `1 h 05 min`."""
    if 0 < seconds < 0.0995:
        return f"{max(seconds * 1000, 1):.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02} min" if hours else f"{minutes} min {rest:02} s"
