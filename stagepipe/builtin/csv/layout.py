"""Where the table's columns stand in a file, by its header or by their order."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.encoding import UTF_8
from stagepipe.builtin.csv.explain import Layout
from stagepipe.builtin.csv.margins import Top, top
from stagepipe.contracts import DeadSegment, TableSpec

MOST_KEPT = 10_000
"""Columns of one file beyond the schema: each costs each chunk of all the other files, too."""
LONGEST_SHOWN = 60
_WAY_OUT = 'mend the header, or set extra_columns = "ignore"'
_OTHERS = {
    "encoding": "UTF-16",
    "delimiter": "other delimiters",
    "quote": "another quote",
    "skip_lines": "the lines below",
}


def layout_of(head: bytes, beginning: Top, spec: TableSpec, dialect: Dialect) -> Layout:
    """Where the spec's columns stand in a file that begins like this. Raises DeadSegment where
    they do not."""
    if dialect.margins.header_records == 0:
        if beginning.width == 1 and _is_undivided(spec, dialect):
            delimiter = dialect.structure.delimiter.decode()
            raise DeadSegment(
                f"its first record has no delimiter {delimiter!r}, and without a header nothing "
                "tells whether it has another: set 'delimiter' in [source.csv]"
            )
        layout = _by_order(beginning.width, spec)
    else:
        layout = _by_name(names_of(head, beginning, dialect), spec, dialect)
    return replace(layout, usual=beginning.width)


def extra_columns(
    head: bytes, spec: TableSpec, dialect: Dialect, *, is_whole: bool
) -> list[str] | None:
    """The names that a file which begins like this has beyond those of the spec; None where the
    header goes on behind these bytes, perhaps. Raises DeadSegment."""
    if dialect.margins.header_records == 0:
        return []
    try:
        beginning = top(head, dialect.structure, dialect.margins)
    except DeadSegment:
        if is_whole:
            raise
        return None
    if not is_whole and beginning.settled >= len(head):
        return None
    return _extra(names_of(head, beginning, dialect), spec, dialect)


def read_names(head: bytes, dialect: Dialect) -> list[str]:
    """The names of the columns of a file that begins like this. Raises DeadSegment."""
    return names_of(head, top(head, dialect.structure, dialect.margins), dialect)


def names_of(head: bytes, beginning: Top, dialect: Dialect) -> list[str]:
    """The names in the header of a file that begins like this. Raises DeadSegment."""
    lines = []
    for span in beginning.header:
        fields = dialect.structure.split(head[span.start : span.end])
        try:
            lines.append([dialect.notation.trimmed(field.decode()) for field in fields])
        except UnicodeDecodeError as error:
            name = "UTF-8" if dialect.codec == UTF_8 else dialect.codec
            raise DeadSegment(
                f"the header is not {name}: set 'encoding' in [source.csv] to what the file is"
            ) from error
    return [" ".join(filter(None, parts)) for parts in zip_longest(*lines, fillvalue="")]


def _is_undivided(spec: TableSpec, dialect: Dialect) -> bool:
    """Whether a record of one field would be taken for one that lacks other columns, by a delimiter
    that nobody named."""
    columns = sum(not column.is_extra for column in spec.columns)
    is_short = columns > 1 and spec.missing_columns == "null"
    return is_short and "delimiter" in dialect.undeclared


def _by_order(width: int, spec: TableSpec) -> Layout:
    """The columns in the schema's order. Where other numbers of columns are allowed, a file has as
    many as its first record. Columns without names cannot be kept."""
    columns = sum(not column.is_extra for column in spec.columns)
    is_longer = width > columns and spec.extra_columns == "ignore"
    is_shorter = 0 < width < columns and spec.missing_columns == "null"
    width = width if is_longer or is_shorter else columns
    positions = tuple(n if n < min(width, columns) else None for n in range(len(spec.columns)))
    return Layout(spec, positions, width)


def _by_name(header: Sequence[str], spec: TableSpec, dialect: Dialect) -> Layout:
    extra = _extra(header, spec, dialect)
    if extra and spec.extra_columns == "keep":
        raise DeadSegment(f"the header has {_listed(extra)}, which {_no_room(spec)}")
    places: dict[str, int] = {}
    for position, name in enumerate(header):
        places.setdefault(name, position)
    positions = tuple(places.get(column.header) for column in spec.columns)
    void = dialect.notation.is_void if _is_last_void(header, spec) else None
    return Layout(spec, positions, len(header), void, header=tuple(header))


def _extra(header: Sequence[str], spec: TableSpec, dialect: Dialect) -> list[str]:
    """The names in the header that the spec does not have. Raises DeadSegment where the header does
    not do, whatever else there may be room for."""
    times = Counter(header)
    declared = {column.header for column in spec.columns if not column.is_extra}
    named = header[:-1] if _is_last_void(header, spec) else header
    beyond = [name for name in named if name not in declared]
    if twice := sorted(name for name in declared if times[name] > 1):
        raise DeadSegment(f"the header names {_listed(twice)} more than once")
    missing = [c.header for c in spec.columns if not c.is_extra and c.header not in times]
    refused = missing if spec.missing_columns == "refuse" else []
    tried = _tried(dialect, len(declared.intersection(times)), len(declared)) if refused else ""
    refuses_extra = bool(beyond) and spec.extra_columns == "refuse"
    if refused or refuses_extra or not declared.intersection(times):
        _refuse_other_case(missing, beyond)
        _refuse_blanks(missing, beyond)
    if refused and len(header) == 1 and len(declared) > 1:
        delimiter = dialect.structure.delimiter.decode()
        raise DeadSegment(
            f"the header {_short(header[0])} has no delimiter {delimiter!r}: "
            f"set 'delimiter' in [source.csv]{tried}"
        )
    if refused:
        near = difflib.get_close_matches(refused[0], beyond, 1)
        hint = f"; did the supplier rename it to {_short(near[0])}?" if near else ""
        raise DeadSegment(f"the header lacks {_listed(refused)}{hint}{tried}")
    if declared and not declared.intersection(times):
        raise DeadSegment(
            f"the header has none of the columns of [schema.columns], but {_listed(header)}: look "
            "at 'delimiter', 'skip_lines' and 'header' in [source.csv]"
        )
    if refuses_extra:
        raise DeadSegment(
            f"the header has {_listed(beyond)}, which [schema.columns] does not name: add it, "
            'or set extra_columns = "ignore"'
        )
    if spec.extra_columns == "keep":
        _check_names(named, beyond, times, spec)
    found = {column.header for column in spec.columns if column.is_extra}
    return [name for name in beyond if name not in found]


def _is_last_void(header: Sequence[str], spec: TableSpec) -> bool:
    """Whether the header ends with a delimiter, and so does each record."""
    is_read = any(column.header == "" for column in spec.columns)
    return spec.extra_columns != "ignore" and len(header) > 1 and not header[-1] and not is_read


def _check_names(
    named: Sequence[str], beyond: Sequence[str], times: Mapping[str, int], spec: TableSpec
) -> None:
    """Columns that are kept have names, each one of its own. Raises DeadSegment."""
    if len(beyond) > MOST_KEPT:
        raise DeadSegment(
            f"the header has {len(beyond):,} columns beyond the schema, and no more than "
            f'{MOST_KEPT:,} of a file are kept: look at it, or set extra_columns = "ignore"'
        )
    if "" in beyond:
        raise DeadSegment(
            f"column {named.index('') + 1} of the header has no name, under which it could be "
            f"kept: {_WAY_OUT}"
        )
    if twice := sorted({name for name in beyond if times[name] > 1}):
        raise DeadSegment(f"the header names {_listed(twice)} more than once: {_WAY_OUT}")
    taken = spec.taken_names
    if clashing := [name for name in beyond if name in taken]:
        raise DeadSegment(
            f"the header has {_listed(clashing)}, and another column of the table is called so: "
            f'name it in [schema.columns], as in other_name = {{ type = "string", name = '
            f'{_short(clashing[0])} }}, or set extra_columns = "ignore"'
        )


def _no_room(spec: TableSpec) -> str:
    if spec.fixed_by is None:
        return "it had not when the run was planned: run again when it rests"
    return (
        f"{spec.fixed_by} does not have, to which its rows are to be appended: move that table "
        f"away to make it anew, or {_WAY_OUT}"
    )


def _short(name: str) -> str:
    """A name as a message has it; one of a file that is no CSV may be as long as the file."""
    kept = name[: LONGEST_SHOWN + 1]
    while len(repr(kept)) > LONGEST_SHOWN + 2:
        kept = f"{kept.removesuffix('…')[:-1]}…"
    return repr(kept)


def is_most_of(found: int, wanted: int) -> bool:
    """Whether a header that names so many of the wanted columns is likely to be theirs."""
    return found > 1 and 2 * found > wanted


def _refuse_other_case(missing: Sequence[str], beyond: Sequence[str]) -> None:
    """Raises DeadSegment where the header has a missing name in other letter case; also where it
    is one text, as by no delimiter that is tried it has any of the names."""
    there = _perhaps_divided(beyond)
    by_case = {name.strip(' \t"').casefold(): name.strip(' \t"') for name in there}
    for name in missing:
        found = by_case.get(name.casefold(), name)
        if found != name:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise DeadSegment(
                f"the header lacks column {_short(name)}{more}, but has {_short(found)}: letter "
                "case counts; say in the schema how the file has it, as in "
                f'{name} = {{ type = …, name = "{found}" }}'
            )


def _refuse_blanks(missing: Sequence[str], beyond: Sequence[str]) -> None:
    """Raises DeadSegment where the header has a missing name with blanks around it."""
    there = _perhaps_divided(beyond)
    by_name = {name.strip(" \t"): name for name in there if name != name.strip(" \t")}
    if name := next((name for name in missing if name in by_name), None):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DeadSegment(
            f"the header lacks column {_short(name)}{more}, but has {_short(by_name[name])}: "
            "blanks count; set trim = true in [source.csv]"
        )


def _perhaps_divided(names: Sequence[str]) -> Sequence[str]:
    """The names in a header, and where it is one text, also what stands between delimiters."""
    return names if len(names) != 1 else [*names, *re.split(r"[,;\t|]", names[0])]


def _tried(dialect: Dialect, found: int, wanted: int) -> str:
    """What was tried in vain to find more of the wanted columns."""
    if wanted < 2 or is_most_of(found, wanted) or not dialect.undeclared:
        return ""
    return f" (tried too, in vain: {', '.join(_OTHERS[key] for key in dialect.undeclared)})"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(_short(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{'columns' if len(names) > 1 else 'column'} {shown}{more}"
