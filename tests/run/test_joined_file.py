"""The flush of one file: the old file or the new one, wherever it is stopped."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from killed import is_killed

from stagepipe.builtin.sinks.delimited import _join
from stagepipe.errors import BalanceError, RunError
from stagepipe.model import Output, Part, PartFile
from stagepipe.record.manifest import manifest_path, shown
from stagepipe.run.flush import TablePlace

HEAD = "letter\n"
OLD = ("aaa", "bb")
NEW = ("aaa", "cccc", "")
SAME = ("aaacccc",)
MANIFEST = ".t.csv.manifest.json"


def parts(spool: Path, texts: Sequence[str]) -> list[Part]:
    """Files as workers leave them; a header, and one row for each character."""
    spool.mkdir(parents=True, exist_ok=True)
    found = []
    for chunk, text in enumerate(texts):
        path = spool / f"{chunk}.csv"
        data = "".join([HEAD, *(f"{letter}\n" for letter in text)]).encode()
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        file = PartFile(path.name, len(text), len(data), sha256, head=len(HEAD))
        found.append(Part(chunk, f"key-{chunk}-{text}", (file,), (str(path),)))
    return found


def joined(texts: Sequence[str]) -> str:
    return "".join([HEAD, *(f"{letter}\n" for letter in "".join(texts))])


def place(root: Path) -> TablePlace:
    return TablePlace(root / "out/t.csv", "pipeline", "stage", root, is_file=True)


def publish(root: Path, found: Sequence[Part]) -> Output:
    place(root).prepare()
    return place(root).publish_joined(found, _join)


def read(root: Path) -> str | None:
    file = root / "out/t.csv"
    return file.read_text() if file.exists() else None


def identity(root: Path) -> tuple[int, int]:
    status = (root / "out/t.csv").stat()
    return status.st_ino, status.st_mtime_ns


def is_clean(root: Path) -> bool:
    return {path.name for path in (root / "out").iterdir()} == {"t.csv", MANIFEST}


def test_parts_become_one_file(tmp_path: Path) -> None:
    """In order, with one header, also where the first part has no row."""
    output = publish(tmp_path, parts(tmp_path / "spool", ("", *NEW)))
    assert read(tmp_path) == joined(NEW)
    assert (output.path, output.rows, output.files) == ("out/t.csv", 7, 1)
    assert output.bytes == len(joined(NEW))
    assert output.changed
    assert is_clean(tmp_path)


def test_a_replaced_file_is_wholly_another(tmp_path: Path) -> None:
    publish(tmp_path, parts(tmp_path / "spool", NEW))
    assert publish(tmp_path, parts(tmp_path / "spool", OLD)).changed
    assert read(tmp_path) == joined(OLD)
    assert is_clean(tmp_path)


def test_a_reader_keeps_the_file_that_it_opened(tmp_path: Path) -> None:
    """The old bytes are not written over: the new file takes the name."""
    publish(tmp_path, parts(tmp_path / "spool", OLD))
    with (tmp_path / "out/t.csv").open() as file:
        publish(tmp_path, parts(tmp_path / "spool", NEW))
        assert file.read() == joined(OLD)


@pytest.mark.parametrize("texts", [NEW, SAME], ids=["the same parts", "other parts"])
def test_the_same_bytes_change_nothing(tmp_path: Path, texts: Sequence[str]) -> None:
    """Whatever parts they come from, the file stays; its manifest knows the new keys."""
    publish(tmp_path, parts(tmp_path / "spool", NEW))
    before = identity(tmp_path)
    found = [replace(part, key=f"new-{part.key}") for part in parts(tmp_path / "spool", texts)]
    assert not publish(tmp_path, found).changed
    assert identity(tmp_path) == before
    assert is_clean(tmp_path)
    manifest = shown(tmp_path / "out/t.csv")
    assert manifest is not None
    assert manifest.keys == tuple(part.key for part in found)


def test_a_file_damaged_in_place_is_made_anew(tmp_path: Path) -> None:
    """Its size and inode are as they were; what it holds is looked at before it is kept."""
    found = parts(tmp_path / "spool", OLD)
    publish(tmp_path, found)
    file = tmp_path / "out/t.csv"
    with file.open("r+") as out:
        out.write("L")
    assert publish(tmp_path, found).changed
    assert read(tmp_path) == joined(OLD)


@pytest.mark.parametrize("kind", ["another file", "a link", "a folder"])
def test_what_came_since_the_plan_is_not_replaced(tmp_path: Path, kind: str) -> None:
    """It is not ours, and stands as it stood."""
    publish(tmp_path, parts(tmp_path / "spool", OLD))
    place(tmp_path).prepare()
    file, mine = tmp_path / "out/t.csv", tmp_path / "mine"
    file.unlink()
    if kind == "another file":
        file.write_text("mine")
    elif kind == "a link":
        mine.write_text("mine")
        file.symlink_to(mine)
    else:
        file.mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        place(tmp_path).publish_joined(parts(tmp_path / "spool", NEW), _join)
    assert file.is_dir() if kind == "a folder" else file.read_text() == "mine"
    assert file.is_symlink() == (kind == "a link")
    place(tmp_path).prepare()
    assert not (tmp_path / "out/.t.csv.new").exists()


def test_a_copied_file_is_still_ours(tmp_path: Path) -> None:
    """A project that was moved by copying has other inodes; the content tells."""
    publish(tmp_path, parts(tmp_path / "spool", OLD))
    shutil.copytree(tmp_path / "out", tmp_path / "copy/out")
    assert shown(tmp_path / "copy/out/t.csv") is None
    publish(tmp_path / "copy", parts(tmp_path / "spool", NEW))
    assert read(tmp_path / "copy") == joined(NEW)


def test_a_file_that_lacks_rows_is_not_shown(tmp_path: Path) -> None:
    publish(tmp_path, parts(tmp_path / "spool", OLD))

    def join(parts: Sequence[Part], target: Path) -> int:
        return _join(parts[1:], target)

    with pytest.raises(BalanceError, match=r"7 rows were to be written to .* has 4"):
        place(tmp_path).publish_joined(parts(tmp_path / "spool", NEW), join)
    assert read(tmp_path) == joined(OLD)
    assert is_clean(tmp_path)


@pytest.mark.parametrize("trouble", ["gone", "cut"])
def test_a_lost_part_leaves_the_old_file(tmp_path: Path, trouble: str) -> None:
    """When a part cannot be had, or not whole, the old file stands."""
    publish(tmp_path, parts(tmp_path / "spool", OLD))
    found = parts(tmp_path / "spool", NEW)
    path = Path(found[1].paths[0])
    path.unlink() if trouble == "gone" else path.write_text(HEAD)
    with pytest.raises(RunError, match="cannot be written"):
        publish(tmp_path, found)
    assert read(tmp_path) == joined(OLD)
    place(tmp_path).prepare()
    assert is_clean(tmp_path)
    current = place(tmp_path).current()
    assert current is not None
    assert current.rows == 5


# -- killed between any two operations -----------------------------------------------------------


@pytest.mark.parametrize(
    "before", [None, OLD, NEW, SAME], ids=["new", "replace", "unchanged", "same bytes"]
)
def test_a_kill_anywhere_leaves_a_whole_file(tmp_path: Path, before: Sequence[str] | None) -> None:
    """Killed before any of its operations, `publish_joined` leaves the old file or the new one,
    known to a manifest; so does `prepare` killed after it; and a second try ends with the new one
    and nothing beside it."""
    root, left = tmp_path / "root", tmp_path / "left"
    old = None if before is None else joined(before)
    seen, states = set(), set()
    for kill_at in range(200):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        if before is not None:
            publish(root, parts(tmp_path / "spool/old", before))
        place(root).prepare()
        found = parts(tmp_path / "spool/new", NEW)
        was_killed = is_killed(kill_at, place(root).publish_joined, found, _join)
        seen.add(read(root))
        state = (tuple(sorted(path.name for path in (root / "out").iterdir())), read(root))
        if state not in states and was_killed:
            states.add(state)
            _kill_while_clearing_up(root, left, (old, joined(NEW)))
        place(root).prepare()
        assert read(root) in (old, joined(NEW))
        assert shown(root / "out/t.csv") is not None or read(root) is None
        publish(root, found)
        assert read(root) == joined(NEW)
        assert is_clean(root)
        assert shown(root / "out/t.csv") is not None
        if not was_killed:
            break
    else:
        raise AssertionError("it never came to its end")
    assert kill_at > (3 if before == NEW else 8)
    assert seen == {old, joined(NEW)}
    assert manifest_path(root / "out/t.csv").name == MANIFEST


def _kill_while_clearing_up(root: Path, left: Path, allowed: Sequence[str | None]) -> None:
    """Kill `prepare` at each of its operations, from the state that lies in `root`; the state is
    there again after that."""
    shutil.rmtree(left, ignore_errors=True)
    root.rename(left)
    for kill_at in range(100):
        shutil.rmtree(root, ignore_errors=True)
        # Hard links keep the inodes, which a copy would not.
        shutil.copytree(left, root, copy_function=lambda a, b: Path(b).hardlink_to(a))
        again = is_killed(kill_at, place(root).prepare)
        assert read(root) in allowed
        assert shown(root / "out/t.csv") is not None or read(root) is None
        if not again:
            break
    shutil.rmtree(root)
    left.rename(root)
