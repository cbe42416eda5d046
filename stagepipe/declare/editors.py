"""The JSON Schema of the pipeline file, by which editors complete and check it."""

from __future__ import annotations

from typing import Any

from stagepipe.declare.later import LATER, OPTIONS
from stagepipe.declare.models import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NULL = {"type": "null"}


def json_schema() -> dict[str, Any]:
    """Make the JSON Schema (draft 2020-12) of the pipeline file from the models.

    What is not available yet is in it, and its description says so: an editor then explains what
    the program refuses.
    """
    schema = _tidy(Document.model_json_schema())
    for model, entries in LATER.items():
        table = _table(schema["$defs"][model])
        if OPTIONS in entries:
            table["additionalProperties"] = False
        for key in entries.keys() - {OPTIONS}:
            entry = table["properties"][key]
            some = "Some values are not" if entries[key] else "Not"
            entry["description"] = f"{entry['description']} {some} available yet."
    return {
        "$schema": DIALECT,
        "title": "stagepipe pipeline file",
        **schema,
    }


def _table(definition: dict[str, Any]) -> dict[str, Any]:
    """Give the long form of a definition that may have a short one."""
    forms = definition.get("anyOf", [definition])
    return next(form for form in forms if "properties" in form)


def _tidy(schema: Any) -> Any:
    """Leave out what TOML does not have, null, and the titles that only repeat the keys.

    Of a description the first paragraph stays; what follows is for Python.
    """
    if isinstance(schema, list):
        return [_tidy(item) for item in schema if item != NULL]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _tidy(value) for key, value in schema.items() if not _is_noise(key, value)}
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split("\n\n")[0].split())
    forms = kept.get("anyOf")
    if isinstance(forms, list) and len(forms) == 1:
        return {**kept.pop("anyOf")[0], **kept}
    return kept


def _is_noise(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)
