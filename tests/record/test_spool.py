"""The spool: what is whole is found, and what is damaged counts as not made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from stagepipe.model import InputFile, PartFile, Receipt, Rows, SegmentCount
from stagepipe.record.spool import Spool, sealed, unsealed

CONTENT = b"the part"


def keep(spool: Spool, key: str, *, with_rejects: bool = False) -> Receipt:
    """Keep a part as a worker does."""
    spool.folder.mkdir(parents=True, exist_ok=True)
    part = spool.temporary(key, "x1", ".arrow")
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    file = PartFile(f"{key}.arrow", 3, len(CONTENT), sha256)
    part.write_bytes(CONTENT)
    rejects = None
    if with_rejects:
        rejects = spool.temporary(key, "x1", ".rejects")
        rejects.touch()
    receipt = Receipt(
        key=key,
        stage="parse",
        chunk=1,
        source="\udcff",
        pieces=(file,),
        files=(),
        columns={"id": "int64"},
        rows=Rows(1, 2, 3, 0, 0),
        dropped={"cut": 1},
        segments=(SegmentCount(InputFile("\udcfe.csv", 1, 2, 3), 0, 1, dead="gone"),),
        seconds={"read": 0.5},
        ingredients={"inputs": "a"},
    )
    spool.keep(receipt, {file.name: part}, rejects, "x1")
    return receipt


def names(spool: Spool) -> set[str]:
    return {path.name for path in spool.folder.iterdir()}


def test_a_receipt_comes_back_as_it_was(tmp_path: Path) -> None:
    """Counts, segments and names that are no UTF-8 survive the file."""
    spool = Spool(tmp_path / "spool")
    receipt = keep(spool, "aa")
    assert spool.receipts() == {"aa": receipt}
    assert not receipt.is_whole
    assert spool.is_sound(receipt.pieces[0])
    assert names(spool) == {"aa.json", "aa.arrow"}


def test_a_spool_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Looking into a folder that nobody made makes none."""
    spool = Spool(tmp_path / "spool")
    assert spool.receipts() == {}
    spool.clean()
    spool.forget(["aa"])
    assert not spool.folder.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        lambda text: '"text"',
        lambda text: text.replace('"key"', '"yek"'),
        lambda text: text.replace('"rows": {', '"rows": {"new": 1, '),
        lambda text: text.replace('"rows": {', '"rows": [{').replace(
            '}, "dropped"', '}], "dropped"'
        ),
        lambda text: text.replace('"segments": [', '"segments": [5, '),
        lambda text: text.replace('"aa"', '"bb"'),
        lambda text: "\0" * len(text),
        lambda text: text.replace('"lines": ', '"lines": 1'),
    ],
)
def test_a_damaged_receipt_is_no_receipt(tmp_path: Path, damage: Any) -> None:
    """A receipt that a power cut or a hand spoiled makes its part count as not made."""
    spool = Spool(tmp_path)
    keep(spool, "aa")
    keep(spool, "cc")
    path = tmp_path / "aa.json"
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    assert set(spool.receipts()) == {"cc"}


def test_a_receipt_of_another_format_is_no_receipt(tmp_path: Path) -> None:
    """A field that is missing, as in a receipt of an older version, is no crash."""
    spool = Spool(tmp_path)
    keep(spool, "aa")
    path = tmp_path / "aa.json"
    plain = json.loads(unsealed(path.read_bytes()))
    del plain["rows"]
    path.write_bytes(sealed(json.dumps(plain).encode()))
    assert spool.receipts() == {}


@pytest.mark.parametrize(
    ("content", "is_sound"),
    [
        (CONTENT, True),
        (CONTENT[:-1], False),
        (b"THE PART", False),
        (None, False),
    ],
)
def test_a_damaged_part_is_noticed(tmp_path: Path, content: bytes | None, is_sound: bool) -> None:
    """A part that is gone, too short, or has a wrong byte is not sound."""
    spool = Spool(tmp_path)
    receipt = keep(spool, "aa")
    path = spool.path(receipt.pieces[0])
    path.unlink() if content is None else path.write_bytes(content)
    assert spool.is_sound(receipt.pieces[0]) is is_sound


def test_forget_takes_all_of_a_key_and_nothing_else(tmp_path: Path) -> None:
    """Part, rejects and receipt go together; keys that begin alike stay."""
    spool = Spool(tmp_path)
    for key in ("aa", "aab", "b"):
        keep(spool, key, with_rejects=True)
    spool.forget(["aa", "gone"])
    expected = {f"{key}.{what}" for key in ("aab", "b") for what in ("json", "arrow", "rejects")}
    assert names(spool) == expected


def test_clean_removes_what_dead_runs_left(tmp_path: Path) -> None:
    """Temporary files go, and parts whose receipt was never written; files of others stay."""
    spool = Spool(tmp_path)
    whole, half = "a" * 32, "b" * 32
    keep(spool, whole, with_rejects=True)
    spool.temporary(whole, "x2", ".arrow").write_bytes(b"half")
    spool.temporary(half, "x1", ".json").write_bytes(b"half")
    (tmp_path / f"{half}.arrow").write_bytes(CONTENT)
    (tmp_path / f"{half}.rejects").write_bytes(b"")
    (tmp_path / "orders.csv").write_bytes(b"a supplier's")
    spool.clean()
    kept = {f"{whole}.json", f"{whole}.arrow", f"{whole}.rejects", "orders.csv"}
    assert names(spool) == kept


def test_attempts_do_not_share_a_temporary_name(tmp_path: Path) -> None:
    """A worker that outlived its run for a moment cannot spoil the next one's work."""
    spool = Spool(tmp_path)
    one, other = (spool.temporary("aa", attempt, ".arrow") for attempt in ("x1", "x2"))
    assert one != other
    assert one.name.startswith(".")


def test_what_is_left_of_damaged_parts_has_a_key(tmp_path: Path) -> None:
    """A receipt that cannot be read any more does not keep its part from being removed."""
    key = "0" * 32
    for name in (f"{key}.json", f"{key}.0.parquet", "of somebody else.json"):
        (tmp_path / name).write_text("{")
    spool = Spool(tmp_path)
    assert spool.keys() == {key}
    spool.forget(spool.keys())
    assert [path.name for path in tmp_path.iterdir()] == ["of somebody else.json"]
