"""What stands behind a quote that nothing closes is seen as the reader sees it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stagepipe.builtin.csv.structure import Structure
from stagepipe.declare.guess.records import Marks, read

FIELDS = st.sampled_from(["a", "1", "", '"', '"x', 'x"', '"x"', '"x,y"', '"x\ny"', "z,"])
LINES = st.lists(st.lists(FIELDS, min_size=1, max_size=3).map(",".join), max_size=30)
EVEN = st.lists(st.just("1,2,3"), max_size=12)


@pytest.mark.parametrize("comment", ["", "#"])
@given(LINES, EVEN, LINES, st.sampled_from(["\n", "\r\n"]))
@example(['1,"a'], ["1,2,3"] * 3, [], "\n")
@example(['1,"a'], ["1,2,3"] * 2, [], "\n")
@example(['1,"a\n#,2,3'], ["1,2,3"] * 10, ["x"], "\n")
def test_it_is_the_rule_of_the_reader(
    comment: str, first: list[str], even: list[str], last: list[str], end: str
) -> None:
    """The same records begin on the same lines, and the same ones are not closed."""
    text = end.join(["a,b,c", *first, *even, *last])
    data = text.encode()
    structure = Structure(b",", b'"', b"", comment.encode())
    found = [
        (data.count(b"\n", 0, span.end) + 1, span.is_closed)
        for span in structure.spans(data, 0, width=3)
    ]
    assert found == [
        (_last_line(text, record.lines), record.opened is None)
        for record in read(text, Marks(",", comment=comment), width=3)
        if record.fields
    ]


def _last_line(text: str, lines: int) -> int:
    """The line on which a record ends that goes up to so many lines: the last end is no part of
    it."""
    return min(lines, text.count("\n") + 1)
