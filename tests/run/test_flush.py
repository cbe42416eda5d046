"""The flush: a table is shown whole or not at all, wherever it is stopped."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killed import is_killed

from stagepipe.errors import OutputError, RunError
from stagepipe.model import Part, PartFile
from stagepipe.record.manifest import manifest_path, shown
from stagepipe.run import flush, replacing
from stagepipe.run.flush import Appending, TablePlace

OLD = {"a": "aaa", "b": "bb"}
NEW = {"a": "aaa", "c": "cccc", "empty": ""}


def parts(spool: Path, contents: dict[str, str]) -> list[Part]:
    """Files as workers leave them; one row for each character."""
    spool.mkdir(parents=True, exist_ok=True)
    found = []
    for chunk, (name, text) in enumerate(contents.items()):
        path = spool / f"{name}.txt"
        path.write_text(text)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        file = PartFile(path.name, len(text), len(text), sha256)
        found.append(Part(chunk, f"key-{name}", (file,), (str(path),)))
    return found


def place(root: Path) -> TablePlace:
    return TablePlace(root / "out/table", "pipeline", "stage", root)


def read(root: Path) -> list[str] | None:
    """The table's contents, in the order of its files; None where there is no table."""
    table = root / "out/table"
    if not table.exists():
        return None
    return [path.read_text() for path in sorted(table.iterdir())]


def contents(of: dict[str, str]) -> list[str]:
    return [text for text in of.values() if text]


def is_clean(root: Path) -> bool:
    """Whether nothing but the table and its manifest is there."""
    return {path.name for path in (root / "out").iterdir()} == {"table", ".table.manifest.json"}


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than pytest's."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no other file system than the temporary folder")
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def test_a_new_table_holds_its_parts_in_order(tmp_path: Path) -> None:
    """Names sort in chunk order and say generation, chunk and content; empty parts are left out."""
    found = parts(tmp_path / "spool", NEW)
    output = publish(tmp_path, found)
    names = sorted(path.name for path in (tmp_path / "out/table").iterdir())
    assert names == [f"0001-{n:06}-{found[n].files[0].sha256[:8]}.txt" for n in (0, 1)]
    assert read(tmp_path) == ["aaa", "cccc"]
    assert (output.path, output.rows, output.files, output.bytes) == ("out/table", 7, 2, 7)
    assert output.changed
    assert is_clean(tmp_path)


def test_the_files_of_parts_of_several_keep_their_order(tmp_path: Path) -> None:
    """Also when two chunks have the same content: no name stands for two files."""
    one = parts(tmp_path / "one", {"a": "aaa", "b": "bb"})
    other = parts(tmp_path / "other", {"a": "bb", "b": "aaa"})
    again = parts(tmp_path / "again", {"a": "aaa", "b": "bb"})
    several = [
        Part(
            chunk,
            f"key-{chunk}",
            (*found[0].files, *found[1].files),
            (*found[0].paths, *found[1].paths),
        )
        for chunk, found in enumerate((one, other, again))
    ]
    output = publish(tmp_path, several)
    assert read(tmp_path) == ["aaa", "bb", "bb", "aaa", "aaa", "bb"]
    assert output.rows == 15


def publish(root: Path, found: Sequence[Part]) -> Any:
    """What a run does at a place, from its beginning to its end."""
    place(root).prepare()
    output = place(root).publish(found)
    place(root).clear_old()
    return output


def test_a_replaced_table_is_wholly_another(tmp_path: Path) -> None:
    """Nothing of the old table stays beside the new one."""
    publish(tmp_path, parts(tmp_path / "spool", OLD))
    assert publish(tmp_path, parts(tmp_path / "spool", NEW)).changed
    assert read(tmp_path) == contents(NEW)
    assert is_clean(tmp_path)


def test_who_begins_to_list_a_table_may_end_after_another_took_its_place(tmp_path: Path) -> None:
    """An empty folder would be read as a table without rows."""
    publish(tmp_path, parts(tmp_path / "spool", OLD))
    names = {path.name for path in (tmp_path / "out/table").iterdir()}
    opened = os.open(tmp_path / "out/table", os.O_RDONLY)
    try:
        place(tmp_path).publish(parts(tmp_path / "spool", NEW))
        with os.scandir(opened) as found:
            assert {entry.name for entry in found} == names
    finally:
        os.close(opened)


def test_the_same_parts_change_nothing(tmp_path: Path) -> None:
    """A table that shows just these parts keeps its files, their inodes and their times."""
    found = parts(tmp_path / "spool", OLD)
    publish(tmp_path, found)
    before = [
        (p.name, p.stat().st_ino, p.stat().st_mtime_ns) for p in (tmp_path / "out/table").iterdir()
    ]
    output = publish(tmp_path, found)
    after = [
        (p.name, p.stat().st_ino, p.stat().st_mtime_ns) for p in (tmp_path / "out/table").iterdir()
    ]
    assert before == after
    assert not output.changed


def test_the_same_rows_under_other_keys_are_noted(tmp_path: Path) -> None:
    """Where other keys made the same rows, the table stays and its manifest knows the new keys."""
    found = parts(tmp_path / "spool", OLD)
    publish(tmp_path, found)
    renamed = [replace(part, key=f"new-{part.key}") for part in found]
    assert not publish(tmp_path, renamed).changed
    manifest = shown(tmp_path / "out/table")
    assert manifest is not None
    assert manifest.keys == ("new-key-a", "new-key-b")


def test_a_table_without_rows_has_one_file(tmp_path: Path) -> None:
    """So that a reader finds at least the columns."""
    output = publish(tmp_path, parts(tmp_path / "spool", {"x": "", "y": ""}))
    assert (output.rows, output.files) == (0, 1)
    assert read(tmp_path) == [""]
    manifest = shown(tmp_path / "out/table")
    assert manifest is not None
    assert manifest.keys == ("key-x", "key-y")


def test_on_one_file_system_parts_are_linked(tmp_path: Path) -> None:
    """No byte is copied where a hard link does."""
    found = parts(tmp_path / "spool", {"a": "aaa"})
    publish(tmp_path, found)
    (file,) = (tmp_path / "out/table").iterdir()
    assert file.stat().st_ino == Path(found[0].paths[0]).stat().st_ino


def test_across_file_systems_parts_are_copied(tmp_path: Path, other_disk: Path) -> None:
    """The swap stays on the sink's own file system, and is as whole as ever."""
    publish(tmp_path, parts(other_disk / "spool", OLD))
    publish(tmp_path, parts(other_disk / "spool", NEW))
    assert read(tmp_path) == contents(NEW)
    assert is_clean(tmp_path)


def test_without_an_exchange_the_table_is_renamed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that cannot swap two folders in one instant still ends with the right one."""
    monkeypatch.setattr(replacing, "exchange", lambda one, other: False)
    publish(tmp_path, parts(tmp_path / "spool", OLD))
    publish(tmp_path, parts(tmp_path / "spool", NEW))
    assert read(tmp_path) == contents(NEW)
    assert is_clean(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """There is nothing to mend."""
    publish(tmp_path, parts(tmp_path / "spool", OLD))

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(flush, "link_or_copy", full)
    with pytest.raises(RunError, match="cannot be written") as caught:
        publish(tmp_path, parts(tmp_path / "spool", NEW))
    hint = "what stood there still stands: make room and run again: finished parts are kept"
    assert caught.value.hint == hint
    assert read(tmp_path) == contents(OLD)


def test_a_lost_part_leaves_the_old_table(tmp_path: Path) -> None:
    """When a part cannot be had, the old table stands, and the next run clears up."""
    publish(tmp_path, parts(tmp_path / "spool", OLD))
    found = parts(tmp_path / "spool", NEW)
    Path(found[1].paths[0]).unlink()
    with pytest.raises(RunError, match="cannot be written"):
        publish(tmp_path, found)
    assert read(tmp_path) == contents(OLD)
    place(tmp_path).prepare()
    assert is_clean(tmp_path)
    current = place(tmp_path).current()
    assert current is not None
    assert current.rows == 5


@pytest.mark.parametrize("where", ["out", "."])
def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path, where: str) -> None:
    """An output folder that cannot be made is a clear error before the run."""
    if where == "out":
        (tmp_path / "out").write_text("mine")
        root = tmp_path
    else:
        (tmp_path / "root").write_text("mine")
        root = tmp_path / "root"
    with pytest.raises(OutputError, match=r"output folder .* cannot be written"):
        place(root).prepare()


def test_a_place_that_nobody_wrote_has_no_output(tmp_path: Path) -> None:
    """What stagepipe does not know it does not report."""
    assert place(tmp_path).current() is None
    (tmp_path / "out/table").mkdir(parents=True)
    (tmp_path / "out/table/x").touch()
    assert place(tmp_path).current() is None


# -- killed between any two operations -----------------------------------------------------------


def start(root: Path, spool: Path, before: dict[str, str] | None) -> list[Part]:
    """A place with an old table or without, and the parts of a new one."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    if before is not None:
        publish(root, parts(spool / "old", before))
    place(root).prepare()
    return parts(spool / "new", NEW)


@pytest.mark.parametrize(
    ("before", "has_exchange"),
    [(None, True), (OLD, True), (NEW, True), (OLD, False)],
    ids=["new", "replace", "unchanged", "fallback"],
)
def test_a_kill_anywhere_leaves_a_whole_table(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, str] | None,
    has_exchange: bool,
) -> None:
    """Killed before any of its operations, `publish` leaves the old table or the new one, and a
    second try ends with the new one and nothing beside it."""
    if not has_exchange:
        monkeypatch.setattr(replacing, "exchange", lambda one, other: False)
    root = tmp_path / "root"
    seen = set()
    for kill_at in range(200):
        found = start(root, tmp_path / "spool", before)
        was_killed = is_killed(kill_at, place(root).publish, found)
        now = read(root)
        seen.add("new" if now == contents(NEW) else "old")
        allowed: list[list[str] | None] = [contents(NEW)]
        allowed.append(None if before is None else contents(before))
        if not has_exchange:
            allowed.append(None)  # between the two renames there is no table, and none in part
        assert now in allowed
        place(root).prepare()
        assert read(root) in (allowed[:2])
        assert shown(root / "out/table") is not None or read(root) is None
        publish(root, found)
        assert read(root) == contents(NEW)
        assert is_clean(root)
        if not was_killed:
            break
    else:
        raise AssertionError("it never came to its end")
    assert kill_at > 5
    assert seen == ({"new"} if before == NEW else {"old", "new"})


COLUMNS = {"letter": "string"}
FIRST = Appending((("a.csv", 3, 1), ("b.csv", 2, 1)), COLUMNS)
SECOND = Appending((("c.csv", 4, 2),), COLUMNS)
ADDED = {"c": "cccc", "d": "d", "empty": ""}


def appending_place(root: Path, appending: Appending) -> TablePlace:
    return TablePlace(root / "out/table", "pipeline", "stage", root, appending=appending)


def begin(root: Path, spool: Path) -> list[Part]:
    """A place with a table that was appended to once, and the parts of what comes next."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    first = appending_place(root, FIRST)
    first.prepare()
    first.publish(parts(spool / "old", OLD))
    return parts(spool / "new", ADDED)


def inodes(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (root / "out/table").iterdir()}


def test_appending_keeps_what_is_there(tmp_path: Path) -> None:
    """Old files keep name and inode; the new ones are a generation of their own; the manifest
    holds the files of both, and the columns."""
    found = begin(tmp_path / "root", tmp_path / "spool")
    root, before = tmp_path / "root", inodes(tmp_path / "root")
    output = appending_place(root, SECOND).publish(found)
    assert (output.rows, output.files, output.appended, output.changed) == (10, 4, 5, True)
    assert read(root) == [*contents(OLD), *contents(ADDED)]
    after = inodes(root)
    assert {name: after[name] for name in before} == before
    assert [name[:11] for name in sorted(after)] == [
        *("0001-000000", "0001-000001"),
        *("0002-000000", "0002-000001"),
    ]
    manifest = shown(root / "out/table")
    assert manifest is not None
    assert manifest.generation == 2
    assert manifest.inputs == (*FIRST.inputs, *SECOND.inputs)
    assert manifest.columns == COLUMNS
    place(root).clear_old()
    assert is_clean(root)


def test_appending_no_row_changes_no_file(tmp_path: Path) -> None:
    """Only the manifest learns which files were read; the generation stays."""
    begin(tmp_path / "root", tmp_path / "spool")
    root, before = tmp_path / "root", inodes(tmp_path / "root")
    output = appending_place(root, SECOND).publish(parts(tmp_path / "spool", {"empty": ""}))
    assert (output.rows, output.appended, output.changed) == (5, 0, False)
    assert inodes(root) == before
    manifest = shown(root / "out/table")
    assert manifest is not None
    assert manifest.generation == 1
    assert manifest.inputs == (*FIRST.inputs, *SECOND.inputs)


def test_other_columns_are_not_appended(tmp_path: Path) -> None:
    """Names, types and their order count; the message has both lists."""
    found = begin(tmp_path / "root", tmp_path / "spool")
    other = replace(SECOND, columns={"letter": "int64"})
    with pytest.raises(RunError, match=r"columns letter string, .* has letter int64"):
        appending_place(tmp_path / "root", other).publish(found)
    assert read(tmp_path / "root") == contents(OLD)
    assert is_clean(tmp_path / "root")


def test_columns_in_another_order_are_not_appended(tmp_path: Path) -> None:
    """A reader of the folder takes the columns of its first file for those of all."""
    root = tmp_path / "root"
    root.mkdir()
    two = replace(FIRST, columns={"letter": "string", "n": "int64"})
    appending_place(root, two).prepare()
    appending_place(root, two).publish(parts(tmp_path / "spool", OLD))
    other = replace(SECOND, columns={"n": "int64", "letter": "string"})
    with pytest.raises(
        RunError, match=r"columns letter string, n int64, .* n int64, letter string"
    ):
        appending_place(root, other).publish(parts(tmp_path / "spool", ADDED))


@pytest.mark.parametrize("has_exchange", [True, False], ids=["exchange", "fallback"])
def test_a_kill_while_appending_adds_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_exchange: bool
) -> None:
    """Killed before any of its operations, appending leaves the old table or the whole new one,
    with the manifest that belongs to it: a next run that adds what the manifest lacks ends with
    everything once."""
    if not has_exchange:
        monkeypatch.setattr(replacing, "exchange", lambda one, other: False)
    root, seen = tmp_path / "root", set()
    old, new = contents(OLD), [*contents(OLD), *contents(ADDED)]
    for kill_at in range(200):
        found = begin(root, tmp_path / "spool")
        before = inodes(root)
        was_killed = is_killed(kill_at, appending_place(root, SECOND).publish, found)
        assert read(root) in ((old, new) if has_exchange else (old, new, None))
        place = appending_place(root, SECOND)
        place.prepare()
        assert read(root) in (old, new)
        manifest = shown(root / "out/table")
        assert manifest is not None
        is_added = SECOND.inputs[0] in manifest.inputs
        assert is_added == (read(root) == new)
        seen.add(is_added)
        if not is_added:
            assert place.publish(found).appended == 5
        assert read(root) == new
        assert inodes(root).items() >= before.items()
        place.clear_old()
        assert is_clean(root)
        if not was_killed:
            break
    else:
        raise AssertionError("it never came to its end")
    assert kill_at > 10
    assert seen == {False, True}


@pytest.mark.parametrize("has_exchange", [True, False], ids=["exchange", "fallback"])
def test_a_kill_while_clearing_up_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_exchange: bool
) -> None:
    """After each state that a killed `publish` leaves, `prepare` may be killed anywhere too: the
    table is still whole, and still known."""
    if not has_exchange:
        monkeypatch.setattr(replacing, "exchange", lambda one, other: False)
    root, left = tmp_path / "root", tmp_path / "left"
    states = set()
    for kill_at in range(200):
        found = start(root, tmp_path / "spool", OLD)
        was_killed = is_killed(kill_at, place(root).publish, found)
        new = sum(1 for _ in (root / "out/.table.new").glob("*"))
        state = (
            tuple(sorted(path.name for path in (root / "out").iterdir())),
            repr(read(root)),
            bool(new),
        )
        is_known = state in states
        # Without an exchange only what lies between the two renames is different.
        is_plain = not has_exchange and not (root / "out/.table.old").exists()
        if was_killed and (is_known or is_plain):
            continue
        states.add(state)
        shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(root, left, symlinks=True)
        for second in range(100):
            shutil.rmtree(root)
            shutil.copytree(left, root, symlinks=True)
            again = is_killed(second, place(root).prepare)
            if read(root) is not None or has_exchange:
                assert read(root) in (contents(OLD), contents(NEW))
                assert shown(root / "out/table") is not None
            place(root).prepare()
            assert read(root) in (contents(OLD), contents(NEW))
            assert shown(root / "out/table") is not None
            assert is_clean(root)
            if not again:
                break
        if not was_killed:
            break
    assert len(states) > (5 if has_exchange else 1)


def test_the_manifest_lies_beside_the_table(tmp_path: Path) -> None:
    """Readers take all that they find in a table's folder: the manifest is not among it."""
    publish(tmp_path, parts(tmp_path / "spool", OLD))
    path = manifest_path(tmp_path / "out/table")
    assert path.parent == tmp_path / "out"
    assert path.name.startswith(".")
    assert os.access(path, os.R_OK)
