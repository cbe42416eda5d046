"""The form of `rejects --return`: whatever the records' bytes are, they come back as they were."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagepipe.errors import UsageError
from stagepipe.model import Reject
from stagepipe.record.mended import Origin
from stagepipe.record.rejects import Noted
from stagepipe.record.returning import form, parse

NASTY = st.lists(
    st.one_of(
        st.sampled_from([b"#~ ", b"#~", b"#~2 ", b"#~3 end", b"{", b'"', b"\0"]),
        st.sampled_from([b"\n", b"\r", b"\r\n"]),
        st.sampled_from(["#~ ä;1", "end\n"]).map(lambda text: text.encode("utf-16")),
        st.binary(max_size=4),
    ),
    max_size=6,
).map(b"".join)


def noted(number: int, raw: bytes | None, mended: str | None = None) -> Noted:
    value = None if raw is None else raw.decode("utf-8", "backslashreplace")
    reject = Reject("a\n#~ b", "f\n.csv", number, number, "parse", "id", value, "type", None, raw)
    return Noted(reject, mended, by_step=False)


@given(st.lists(NASTY, max_size=4), st.sampled_from(["as it is", "no end", "crlf"]))
def test_records_come_back_byte_for_byte(raws: list[bytes], saved: str) -> None:
    """Marks, line ends, NUL and UTF-16 in them; also without the last line end, and as far as can
    be told from an editor that ends all lines with CRLF."""
    found = [noted(number, raw) for number, raw in enumerate(raws)]
    content = b"".join(form(lambda: found, "p", "r1"))
    if saved == "no end":
        content = content.removesuffix(b"\n")
    if saved == "crlf":
        if any(b"\r" in raw for raw in raws):
            return
        content = b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")
    back = parse("form", content)
    assert (back.pipeline, back.run) == ("p", "r1")
    assert [each.text_like(raw) for each, raw in zip(back.records, raws, strict=True)] == raws
    assert [each.origin for each in back.records] == [
        Origin("a\n#~ b", "f\n.csv", number) for number in range(len(raws))
    ]


@given(NASTY)
def test_a_form_that_was_spoiled_is_refused_or_has_other_records(spoiled: bytes) -> None:
    """Never anything but a UsageError."""
    content = b"".join(form(lambda: [noted(1, b"x"), noted(2, b"y")], "p", "r1"))
    for place in range(0, len(content), 7):
        for text in (content[:place] + spoiled, content[:place] + spoiled + content[place:]):
            with suppress(UsageError):
                parse("form", text)


def test_records_of_which_nobody_knows_anything_are_left_out() -> None:
    content = b"".join(form(lambda: [noted(1, None), noted(2, b"y")], "p", "r1"))
    assert [each.text for each in parse("form", content).records] == [b"y"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#~ end\n", "", "form: it does not end with the line"),
        ("#~ stage", "stage", "form: this is not what"),
        ('#~ {"source"', '#~ x{"source"', "form:4: it should hold"),
        ('"byte_offset": 1,', "", "form:4: it does not say which record"),
        ('"byte_offset": 2,', '"byte_offset": 1,', "form:7: line 4 is about the same record"),
        ("\nx\n", "\n#~ x\n", "form:5: it begins with the mark"),
        ("#~ record", "##", "form:4: it begins with the mark"),
        ('"run"', '"ran"', "form:2: it does not say which run"),
        ("#~ record", "z\n#~ record", "form:2: what stands below it is part of no record"),
        ('#~ {"source"', 'z\n#~ {"source"', "form:3: what stands below it is part of no record"),
        ("#~ end\n", "#~ end\nz\n", "form:9: what stands below it is part of no record"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(old: str, new: str, message: str) -> None:
    content = b"".join(form(lambda: [noted(1, b"x"), noted(2, b"y")], "p", "r1")).decode()
    with pytest.raises(UsageError) as caught:
        parse("form", content.replace(old, new, 1).encode())
    assert caught.value.message.startswith(message)


def as_saved(raw: bytes, opened: str, saved: str) -> bytes:
    """A form with one record as an editor saves it that takes its bytes for this encoding."""
    content = b"".join(form(lambda: [noted(1, raw)], "p", "r1"))
    return content.decode(opened, "replace").encode(saved, "replace")


@pytest.mark.parametrize(
    ("raw", "opened", "saved"),
    [
        ("Köln €".encode(), "utf-8", "utf-8-sig"),
        ("Köln €".encode(), "utf-8", "utf-16"),
        ("Köln".encode("cp1252"), "cp1252", "cp1252"),
        ("Köln".encode("cp1252"), "cp1252", "utf-16"),
        ("Köln 東京".encode(), "cp437", "cp437"),
    ],
)
def test_an_editor_may_save_a_form_where_its_bytes_can_be_told(
    raw: bytes, opened: str, saved: str
) -> None:
    """UTF-16, byte order marks, and the very encoding in which it was opened."""
    (back,) = parse("form", as_saved(raw, opened, saved)).records
    assert back.text == raw


@pytest.mark.parametrize(
    ("opened", "saved", "message"),
    [
        ("utf-8", "cp1252", "form: it was saved as Windows-1252, and was UTF-8"),
        ("cp1252", "utf-8", "form: it was opened as Windows-1252 and saved as UTF-8"),
        ("utf-8", "ascii", "form: it was saved in another encoding: 'é€' in line 2 is changed"),
        ("cp437", "utf-8", "form: it was saved in another encoding"),
        ("cp437", "utf-16", "form: it was saved as UTF-16, and what its bytes were cannot be told"),
        ("ascii", "utf-16", "form: it was saved as UTF-16"),
    ],
)
def test_a_form_that_was_saved_in_another_encoding_is_refused(
    opened: str, saved: str, message: str
) -> None:
    """Its records would be others, and nobody would notice: also where these are plain letters,
    as nobody knows what will be mended."""
    with pytest.raises(UsageError, match=message) as caught:
        parse("form", as_saved(b"Koeln", opened, saved))
    assert "open it and save it in one and the same encoding" in (caught.value.hint or "")


def test_a_form_of_an_older_version_has_no_letters() -> None:
    content = b"".join(form(lambda: [noted(1, b"\xff")], "p", "r1"))
    content = content.replace(', "letters": "é€"'.encode(), b"")
    assert [each.text for each in parse("form", content).records] == [b"\xff"]
