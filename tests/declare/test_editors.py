"""The JSON Schema of the pipeline file."""

from __future__ import annotations

import re
import tomllib
from datetime import date

import pytest

from stagepipe.declare import json_schema
from stagepipe.declare.later import LATER, OPTIONS

SCHEMA = json_schema()
TYPES = {
    "object": dict,
    "array": list,
    "string": (str, date),
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
DOCUMENT = """
[pipeline]
name = "orders"
chunk_size = "32MB"
[[source]]
name = "acme"
files = ["a", "b"]
start_delay = "200ms"
[limit.nas]
max_concurrent = 4
[schema.columns]
id = { type = "decimal(12,2)", min = 0, one_of = [1, 2] }
day = { type = "date", min = 2024-01-01 }
at = "datetime(Europe/Berlin)"
[[stage]]
name = "parse"
steps = ["strip_text", { use = "join", file = "c.csv" }]
sink = { path = "orders", on_existing = "replace" }
[stage.errors]
max_rejected = "10%"
[errors]
max_rejected = 3
"""


def fits(value, schema):
    """Say whether a value fits a schema, as far as ours uses JSON Schema."""
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "anyOf" in schema and not any(fits(value, each) for each in schema["anyOf"]):
        return False
    wanted = schema.get("type", list(TYPES))
    kinds = [TYPES[name] for name in ([wanted] if isinstance(wanted, str) else wanted)]
    if not any(isinstance(value, kind) for kind in kinds):
        return False
    if isinstance(value, dict):
        return fits_object(value, schema)
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(
            fits(item, schema.get("items", {})) for item in value
        )
    if isinstance(value, str):
        return (
            re.search(schema.get("pattern", ""), value) is not None
            and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
            and value in schema.get("enum", [value])
        )
    return not isinstance(value, int) or value >= schema.get("minimum", value)


def fits_object(value, schema):
    """Say whether a table fits."""
    if not set(schema.get("required", ())) <= value.keys():
        return False
    known = schema.get("properties", {})
    other = schema.get("additionalProperties", True)
    return all(
        fits(item, known[key]) if key in known else other is True or (other and fits(item, other))
        for key, item in value.items()
    )


def test_dialect():
    """The schema names its dialect, which editors ask for."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["required"] == ["pipeline", "source", "schema", "stage"]


def test_right_document_fits():
    """What loads fits the schema, units and short forms included."""
    assert fits(tomllib.loads(DOCUMENT), SCHEMA)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("32MB", "32XB"),
        ("200ms", "200"),
        ("chunk_size", "chunksize"),
        ("max_rejected = 3", "max_rejectd = 3"),
        ("[limit.nas]", "[limits.nas]"),
        ("max_concurrent = 4", "max_concurrent = 0"),
        ("decimal(12,2)", "decimal"),
        ("datetime(Europe/Berlin)", "datetme"),
        ("min = 0", "mini = 0"),
        ('"strip_text"', "3"),
        ('use = "join"', 'uses = "join"'),
        ('path = "orders", ', ""),
        ("replace", "replac"),
        ('"10%"', '"10"'),
        ('name = "parse"', 'name = "a b"'),
        ('["a", "b"]', "[]"),
    ],
)
def test_wrong_document_does_not_fit(right, wrong):
    """A wrong key or value does not fit the schema."""
    assert right in DOCUMENT
    assert not fits(tomllib.loads(DOCUMENT.replace(right, wrong)), SCHEMA)


def tables(schema):
    """List all descriptions of tables in the schema."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from tables(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from tables(value)


def test_every_key_is_described():
    """Every key has a description, and no key that TOML cannot have is in it."""
    for table in tables(SCHEMA):
        for key, entry in table["properties"].items():
            assert entry.get("description"), key
            assert "title" not in entry
            assert entry.get("default", "") is not None
    assert "null" not in str(SCHEMA).replace("'null'", "", 1).replace("null_values", "")


def test_later_keys_say_so():
    """A key that is not available yet is in the schema, and its description says so."""
    texts = [
        entry["description"]
        for table in tables(SCHEMA)
        for entry in table["properties"].values()
        if "available yet" in entry["description"]
    ]
    assert len(texts) == sum(len(entries.keys() - {OPTIONS}) for entries in LATER.values())
