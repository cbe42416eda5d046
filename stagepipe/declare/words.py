"""What is wrong, in plain words: pydantic's errors, nearest names and values, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def _must(error: ErrorDetails, context: Mapping[str, Any]) -> str:
    """Say what a value should have been."""
    match error["type"]:
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "int_type" | "int_from_float" | "int_parsing" | "int_parsing_size":
            return "must be a whole number"
        case "string_type":
            return "must be a string"
        case "bool_type":
            return "must be true or false"
        case "tuple_type":
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
