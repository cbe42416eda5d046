"""Lines and columns of what stands in a TOML text."""

from __future__ import annotations

import pytest

from stagepipe.declare.positions import locate

TEXT = '''title = "ä"  # a comment
[pipeline]
name = "x"

[[source]]
  files = ["ä", 'b']
csv.delimiter = ";"

[[source]]
files = [ # with a comment
  "c",
]
[source.csv]
delimiter = ","

[schema.columns]
"ä b" = { type = "int64", "mi n" = 3 }
'a.b' = "string"
text = """
several
lines"""
after = 1
c.type = "date"

[[stage]]
name = "one"
[[stage]]
name = "two"
steps = ["ä", { use = "join", on = { left = "a" } }]
[stage.errors]
max_dead = 1
[[stage.more]]
x = 1
[[stage.more]]
x = 2
'''


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("title",), (1, 9), (1, 1)),
        (("pipeline",), (2, 1), (2, 1)),
        (("pipeline", "name"), (3, 8), (3, 1)),
        (("source",), (5, 1), (5, 1)),
        (("source", 0), (5, 1), (5, 1)),
        (("source", 0, "files"), (6, 11), (6, 3)),
        (("source", 0, "files", 1), (6, 17), (6, 17)),
        (("source", 0, "csv"), (7, 1), (7, 1)),
        (("source", 0, "csv", "delimiter"), (7, 17), (7, 5)),
        (("source", 1), (9, 1), (9, 1)),
        (("source", 1, "files", 0), (11, 3), (11, 3)),
        (("source", 1, "csv"), (13, 1), (13, 1)),
        (("source", 1, "csv", "delimiter"), (14, 13), (14, 1)),
        (("schema",), (16, 1), (16, 1)),
        (("schema", "columns", "ä b"), (17, 9), (17, 1)),
        (("schema", "columns", "ä b", "type"), (17, 11), (17, 11)),
        (("schema", "columns", "ä b", "mi n"), (17, 27), (17, 27)),
        (("schema", "columns", "a.b"), (18, 9), (18, 1)),
        (("schema", "columns", "after"), (22, 9), (22, 1)),
        (("schema", "columns", "c", "type"), (23, 10), (23, 3)),
        (("stage", 1, "steps", 0), (29, 10), (29, 10)),
        (("stage", 1, "steps", 1), (29, 15), (29, 15)),
        (("stage", 1, "steps", 1, "use"), (29, 17), (29, 17)),
        (("stage", 1, "steps", 1, "on", "left"), (29, 38), (29, 38)),
        (("stage", 1, "errors", "max_dead"), (31, 12), (31, 1)),
        (("stage", 1, "more", 1, "x"), (35, 5), (35, 1)),
        # What is not there has the place of what is around it.
        (("source", 0, "nothing"), (5, 1), (5, 1)),
        (("stage", 1, "steps", 0, "use"), (29, 10), (29, 10)),
        (("schema", "columns", "d"), (16, 1), (16, 1)),
        (("nothing",), (1, 1), (1, 1)),
        ((), (1, 1), (1, 1)),
    ],
)
def test_positions(path, value, key):
    """Each key and value is found where an editor shows it."""
    assert locate(TEXT, path) == value
    assert locate(TEXT, path, "key") == key


def test_text_that_is_not_toml():
    """A text with mistakes in it gives what can be found, and never an error."""
    assert locate("[a\nb = = 3\n[[", ("a", "b")) >= (1, 1)
