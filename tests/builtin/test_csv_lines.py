"""Where lines begin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stagepipe.builtin.csv.lines import begins_of_lines, written_lines
from stagepipe.builtin.csv.records import records_by_count
from stagepipe.builtin.csv.structure import Structure

TEXTS = st.lists(st.integers(0, 700) | st.integers(0, 3), min_size=1, max_size=40)
STRUCTURE = Structure(b",", b'"')


@given(TEXTS, st.integers(0, 3), st.data())
def test_a_few_lines_are_found_without_the_others(
    lengths: list[int], skipped: int, drawn: st.DataObject
) -> None:
    """However long the lines are, and wherever the first begins."""
    data = b"".join(b"x" * length + b"\n" for length in lengths)
    start = sum(lengths[:skipped]) + min(skipped, len(lengths)) if skipped < len(lengths) else 0
    begins = [start]
    while (end := data.find(b"\n", begins[-1]) + 1) < len(data):
        begins.append(end)
    numbers = sorted(drawn.draw(st.sets(st.integers(0, len(begins) - 1))))
    assert begins_of_lines(data, start, numbers) == [begins[number] for number in numbers]


@given(st.lists(st.sampled_from(["a,1\n", '"b",2\n', '"c\n,",3\n', "\n", "d,4\r\n", "e,5"])))
def test_records_are_where_their_lines_are(texts: list[str]) -> None:
    """Also where lines in quotes and blank ones come to as many lines as records."""
    data = "".join(texts).encode()
    survey = STRUCTURE.survey(data)
    found = records_by_count(data, 0, STRUCTURE, survey)
    if found is None or not survey.is_even:
        return
    spans = list(STRUCTURE.spans(data))
    lines = written_lines(data)
    numbers = dict(zip(lines["offset"], lines["line"], strict=True))
    offsets = [span.start for span in spans]
    assert found.at(range(found.count)) == (offsets, [numbers[offset] for offset in offsets])
    assert found.places["offset"].to_list() == offsets
