"""What is wrong, in plain words: pydantic's errors, nearest names and values, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

Kind = Literal["unknown", "lacks", "key", "value", "said"]
Path = tuple[str | int, ...]

SHOWN_LENGTH = 60

# What may stand instead of a table.
SHORT_FORMS = {
    "Column": "must be a type in quotes, or a table",
    "Use": "must be the name of a step in quotes, or a table",
    "Sink": 'must be a table, like { path = "orders" }',
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong, before it is known how its place is called and where it stands.

    `kind` says how text and place make a sentence (see `places.sentence`), and where to point:
    `unknown` and `key` at the key, `lacks` at the table that lacks the key, `value` and `said` at
    the value. `text` is the nearest name for `unknown`, a predicate for `key` and `value`, and
    stands for itself in `said`.
    """

    path: Path
    text: str
    kind: Kind = "value"

    def to_pydantic(self) -> InitErrorDetails:
        """Wrap it so that pydantic carries it outwards and completes its path."""
        error = PydanticCustomError("stagepipe", "{text}", {"text": self.text, "kind": self.kind})
        return InitErrorDetails(type=error, loc=self.path, input=None)


def from_pydantic(error: ErrorDetails, known: Iterable[str]) -> Complaint:
    """Unwrap a complaint, or say in plain words what pydantic found; `known` are the right keys."""
    path = error["loc"]
    context = error.get("ctx", {})
    match error["type"]:
        case "stagepipe":
            return Complaint(path, context["text"], context["kind"])
        case "missing":
            return Complaint(path, "", "lacks")
        case "extra_forbidden":
            return Complaint(path, did_you_mean(str(path[-1]), known), "unknown")
        case "value_error":
            return Complaint(path, str(context["error"]), "said")
        case "literal_error":
            right = context["expected"]
            hint = did_you_mean(str(error["input"]), right.replace(" or ", ", ").split(", "))
            return Complaint(path, f"must be {right}, got {shown(error['input'])}{hint}")
        case "too_short" | "string_too_short":
            return Complaint(path, "must not be empty")
        case _:
            return Complaint(path, f"{_must(error, context)}, got {shown(error['input'])}")


def of_option(errors: Sequence[ErrorDetails], value: Any) -> tuple[Path, str]:
    """What is wrong with one option of a step or a sink, and where in its value that is. An option
    of several types has an error for each of them: those that came farthest tell what was meant."""
    found = [(_inner_path(error["loc"][1:], value), error) for error in errors]
    places = [path for path, _ in found]
    place = max(places, key=lambda path: (len(path), places.count(path)))
    here = [error for path, error in found if path == place]
    musts = dict.fromkeys(_must(error, error.get("ctx", {})) for error in here)
    wanted = [must.removeprefix("must be ") for must in musts if must.startswith("must be ")]
    if len(here) == 1 or not wanted:
        return place, from_pydantic(here[0], ()).text
    *most, last = wanted
    text = f"{', '.join(most)} or {last}" if most else last
    return place, f"must be {text}, got {shown(here[0]['input'])}"


def _inner_path(location: Path, value: Any) -> Path:
    """The part of pydantic's path that leads through a value; it has names of types as well."""
    path: list[str | int] = []
    for part in location:
        is_key = isinstance(value, Mapping) and part in value
        is_index = isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        if is_key or is_index:
            path.append(part)
            value = value[part]
    return tuple(path)


def _must(error: ErrorDetails, context: Mapping[str, Any]) -> str:
    """Say what a value should have been."""
    match error["type"]:
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "int_type" | "int_from_float" | "int_parsing" | "int_parsing_size":
            return "must be a whole number"
        case "string_type":
            return "must be a string"
        case "bool_type" | "bool_parsing":
            return "must be true or false"
        case "float_type" | "float_parsing":
            return "must be a number"
        case "date_type" | "date_parsing" | "date_from_datetime_parsing":
            return "must be a date"
        case "datetime_type" | "datetime_parsing" | "datetime_from_date_parsing":
            return "must be a datetime"
        case "time_type" | "time_parsing":
            return "must be a time"
        case "literal_error":
            return f"must be {context['expected']}"
        case "tuple_type" | "list_type" | "set_type":
            return "must be a list"
        case "dict_type" | "model_type" | "model_attributes_type":
            return SHORT_FORMS.get(context.get("class_name", ""), "must be a table")
        case "path_type":
            return "must be a path"
        case _:
            return f"is wrong: {error['msg']}"


def shown(value: Any) -> str:
    """Write a value into a message, as the pipeline file would have it, and not at length."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = repr(value) if isinstance(value, str) or value is None else str(value)
    except ValueError:  # Python refuses to write a whole number of thousands of digits.
        return "a number too long to show"
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """Name the nearest right name as the end of a sentence; nothing when none is near."""
    import difflib  # late: it is needed only when there is a fault

    names = {name.strip("'\"").lower(): name.strip("'\"") for name in right}
    near = difflib.get_close_matches(wrong.lower(), names, n=1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""
