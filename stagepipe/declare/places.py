"""How places are called in messages: `[[source]]` in a file, `sources[0]` in Python."""

from __future__ import annotations

from stagepipe.declare.words import Complaint, Path

# How the file's tables are called. `str` stands for any key and `int` for any index, and fill the
# braces; the longest pattern that fits the start of a path names the table in which it lies.
TABLES: dict[tuple[str | type, ...], str] = {
    (): "the pipeline file",
    ("pipeline",): "[pipeline]",
    ("source", int): "[[source]]",
    ("source", int, "csv"): "[source.csv]",
    ("limit", str): "[limit.{}]",
    ("schema",): "[schema]",
    ("schema", "columns"): "[schema.columns]",
    ("schema", "columns", str): "column {!r}",
    ("schema", "checks", int): "[[schema.checks]]",
    ("stage", int): "[[stage]]",
    ("stage", int, "steps", int): "the step",
    ("stage", int, "sink"): "the sink",
    ("stage", int, "errors"): "[stage.errors]",
    ("errors",): "[errors]",
}

# What the user must write where one of these is missing from the whole file.
TOP_LEVEL = {
    "pipeline": "[pipeline]",
    "source": "[[source]]",
    "schema": "[schema]",
    "stage": "[[stage]]",
}

# The words of the file that Python has in the plural, and the other way round.
PLURALS = {"source": "sources", "limit": "limits", "stage": "stages"}


def document_message(complaint: Complaint) -> str:
    """Say what is wrong in the words of the pipeline file."""
    path = complaint.path
    if complaint.kind == "lacks":
        key = TOP_LEVEL.get(str(path[-1]), str(path[-1])) if len(path) == 1 else repr(path[-1])
        return f"{_table(path[:-1])} lacks {key}"
    return _sentence(complaint, _subject(path), _table(path[:-1]))


def python_message(model: str, complaint: Complaint) -> str:
    """Say what is wrong in the words of Python, for a model built there."""
    path = complaint.path
    if complaint.kind == "lacks":
        return f"{readable(path[:-1]) or model} lacks {str(path[-1])!r}"
    if not path:
        return _sentence(complaint, model, model)
    key = max((n for n, part in enumerate(path) if isinstance(part, str)), default=0)
    table = readable(path[:key]) or model
    return _sentence(complaint, f"{readable(path[key:])} in {table}", table)


def _sentence(complaint: Complaint, subject: str, table: str) -> str:
    """Put subject and text together."""
    match complaint.kind:
        case "unknown":
            return f"unknown key {complaint.path[-1]!r} in {table}{complaint.text}"
        case "said":
            return f"{subject}: {complaint.text}"
        case _:
            return f"{subject} {complaint.text}"


def _subject(path: Path) -> str:
    """Call the thing at a path of the document by its name."""
    label, length = _nearest_table(path)
    if length == len(path):
        return label
    return f"{readable(path[length:])} in {label}"


def _table(path: Path) -> str:
    """Call the table in which a path of the document lies by its name."""
    return _nearest_table(path)[0]


def _nearest_table(path: Path) -> tuple[str, int]:
    """Find the longest start of a path that is a table: how it is called, and how long it is."""
    for length in range(len(path), -1, -1):
        for pattern, label in TABLES.items():
            if len(pattern) == length and all(map(_fits, path, pattern)):
                names = [part for part, wanted in zip(path, pattern, strict=False) if wanted is str]
                return label.format(*names), length
    raise AssertionError("the empty pattern fits every path")


def _fits(part: str | int, wanted: str | type) -> bool:
    """Say whether one part of a path is what a pattern wants there."""
    return isinstance(part, wanted) if isinstance(wanted, type) else part == wanted


def readable(path: Path) -> str:
    """Write a path as Python would: `stages[1].steps[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier():
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]" if text else part
    return text


def python_path(path: Path) -> Path:
    """Turn a path of the document into the path of the same thing in a `Pipeline`."""
    if path[:1] == ("pipeline",):
        return path[1:]
    return (PLURALS.get(str(path[0]), path[0]), *path[1:]) if path else path
