"""Finding files: what matches, in which order, and what is refused."""

from __future__ import annotations

import os
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from stagepipe.declare import Pipeline, Schema, Sink, Source, Stage
from stagepipe.errors import InputError
from stagepipe.plan.files import SourceFiles, find_files


def pipeline(folder: Path, *sources: Source) -> Pipeline:
    return Pipeline(
        name="files",
        sources=sources,
        schema=Schema(columns={"id": "int64"}),
        stages=[Stage(name="parse")],
        folder=folder,
    )


def make(folder: Path, *names: str | bytes) -> None:
    for name in names:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(os.fsencode(name).decode("latin-1"))


def found(folder: Path, files: str | list[str], name: str | None = "acme") -> dict[str, list[str]]:
    """The paths that are found, by source."""
    sources = find_files(pipeline(folder, Source(name=name, files=files)))
    return {source.name: paths(source) for source in sources}


def paths(source: SourceFiles) -> list[str]:
    return [file.path for file in source.files]


def refusal(folder: Path, *sources: Source) -> str:
    with pytest.raises(InputError) as caught:
        find_files(pipeline(folder, *sources))
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv", "b c.csv", "é.csv"]),
        ("a.csv", ["a.csv"]),
        ("?.csv", ["a.csv", "é.csv"]),
        ("[!a].csv", ["é.csv"]),
        ("**/*.csv", ["a.csv", "b c.csv", "sub/d.csv", "sub/deep/e.csv", "é.csv"]),
        ("sub/*/*.csv", ["sub/deep/e.csv"]),
        ("with[[]brackets[]]/*.tsv", ["with[brackets]/f.tsv"]),
        (["b*.csv", "a.csv"], ["a.csv", "b c.csv"]),
        (["*.csv", "a.csv", "?.csv"], ["a.csv", "b c.csv", "é.csv"]),
    ],
)
def test_globs_find_files(tmp_path: Path, pattern: str | list[str], expected: list[str]) -> None:
    """Globs, lists of globs and plain names find their files once each, and no hidden ones."""
    make(tmp_path, "a.csv", "b c.csv", "é.csv", ".hidden.csv", "n.txt", "sub/d.csv")
    make(tmp_path, "sub/deep/e.csv", ".sub/g.csv", "with[brackets]/f.tsv")
    assert found(tmp_path, pattern) == {"acme": expected}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("in/{source}/*.csv", {"a": ["in/a/1.csv", "in/a/2.csv"], "b": ["in/b/1.csv"]}),
        ("in/{source}/{source}.csv", {"c": ["in/c/c.csv"]}),
        ("**/x-{source}.csv", {"y": ["deep/er/x-y.csv", "deep/x-y.csv"], "z": ["deep/x-z.csv"]}),
        ("odd/[[]{source}[]].csv", {"q": ["odd/[q].csv"]}),
        ("odd/{source}[!0-9].csv", {"s": ["odd/s].csv"], "[q": ["odd/[q].csv"]}),
    ],
)
def test_a_capture_makes_a_source_of_each_value(
    tmp_path: Path, pattern: str, expected: dict[str, list[str]]
) -> None:
    """What stands at {source} names the source; twice in one path it must be the same."""
    make(tmp_path, "in/b/1.csv", "in/a/2.csv", "in/a/1.csv", "deep/x-z.csv", "deep/x-y.csv")
    make(tmp_path, "in/.h/1.csv", "deep/er/x-y.csv", "odd/[q].csv", "odd/s].csv", "odd/s1.csv")
    if "{source}.csv" in pattern and pattern.startswith("in"):
        make(tmp_path, "in/c/c.csv")
    assert found(tmp_path, pattern, None) == expected


def test_the_order_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    """Files and sources come in the order of their names' bytes, however they were made."""
    names = [f"{source}/{day}.csv" for source in ("b", "Z", "é", "a") for day in ("10", "9", "-1")]
    seen: set[tuple[tuple[str, Sequence[str]], ...]] = set()
    for seed in range(4):
        folder = tmp_path / str(seed)
        random.Random(seed).shuffle(names)
        make(folder, *names)
        seen.add(tuple((k, tuple(v)) for k, v in found(folder, "{source}/*.csv", None).items()))
    (order,) = seen
    assert [source for source, _ in order] == ["Z", "a", "b", "é"]
    assert order[0][1] == ("Z/-1.csv", "Z/10.csv", "Z/9.csv")


def test_names_that_are_not_utf8_are_found(tmp_path: Path) -> None:
    """Undecodable bytes travel as surrogates, in file names and in captured sources."""
    make(tmp_path, b"in/\xff/\xfe.csv")
    assert found(tmp_path, "in/{source}/*.csv", None) == {"\udcff": ["in/\udcff/\udcfe.csv"]}


def test_a_file_is_known_by_size_time_and_inode(tmp_path: Path) -> None:
    """The plan notes what tells a file from a changed one."""
    make(tmp_path, "a.csv")
    (source,) = find_files(pipeline(tmp_path, Source(name="acme", files="a.csv")))
    status = (tmp_path / "a.csv").stat()
    (file,) = source.files
    assert (file.size, file.mtime_ns, file.inode) == (5, status.st_mtime_ns, status.st_ino)


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    """A link is followed: its target's size and inode count."""
    make(tmp_path, "real/a.csv")
    (tmp_path / "link.csv").symlink_to("real/a.csv")
    assert found(tmp_path, "*.csv") == {"acme": ["link.csv"]}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that was named and is not there is an error that says where it was looked for."""
    text = refusal(tmp_path, Source(name="acme", files="landing/a.csv"))
    assert "file 'landing/a.csv' does not exist" in text
    assert str(tmp_path) in text


def test_no_match_names_a_missing_folder(tmp_path: Path) -> None:
    """Where nothing matches because a folder is missing, that folder is named."""
    text = refusal(tmp_path, Source(name="acme", files="landing/old/*/*.csv"))
    assert "no file matches 'landing/old/*/*.csv'" in text
    assert f"the folder {tmp_path / 'landing/old'} does not exist" in text


def test_every_glob_must_match(tmp_path: Path) -> None:
    """One glob of a list that matches nothing is an error: a supplier may have sent nothing."""
    make(tmp_path, "a.csv")
    text = refusal(tmp_path, Source(name="acme", files=["a.csv", "*.tsv"]))
    assert "no file matches '*.tsv'" in text
    assert "files[1]" in text


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder that a glob matches is refused, with a way out."""
    make(tmp_path, "landing/a.csv")
    text = refusal(tmp_path, Source(name="acme", files="*"))
    assert "landing is a folder where a file should be" in text
    assert "landing/*.csv" in text


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    """A dangling link is an error, not a file that is silently left out."""
    make(tmp_path, "a.csv")
    (tmp_path / "b.csv").symlink_to("nothing")
    assert "b.csv is a link to nothing" in refusal(tmp_path, Source(name="acme", files="*.csv"))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """A FIFO is no regular file; opening it would wait forever."""
    os.mkfifo(tmp_path / "p.csv")
    assert "no regular file" in refusal(tmp_path, Source(name="acme", files="*.csv"))


def test_a_file_of_two_sources_is_refused(tmp_path: Path) -> None:
    """No file may be read by two sources: its rows would count twice."""
    make(tmp_path, "a.csv")
    text = refusal(tmp_path, Source(name="x", files="*.csv"), Source(name="y", files="a.csv"))
    assert "a.csv is matched by source 'x' and by source 'y'" in text


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_the_same_file_under_two_names_is_refused(tmp_path: Path, kind: str) -> None:
    """A hard or a soft link beside its file would count all rows twice."""
    make(tmp_path, "a.csv")
    link = tmp_path / "b.csv"
    link.hardlink_to(tmp_path / "a.csv") if kind == "hard" else link.symlink_to("a.csv")
    text = refusal(tmp_path, Source(name="acme", files="*.csv"))
    assert "b.csv is the same file as a.csv: its rows would count twice" in text


def test_equal_content_is_no_same_file(tmp_path: Path) -> None:
    """Two files with the same bytes are two files."""
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "b.csv").write_text("id\n1\n")
    assert found(tmp_path, "*.csv") == {"acme": ["a.csv", "b.csv"]}


def test_a_captured_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    """A folder that bears the name of a declared source is an error."""
    make(tmp_path, "a.csv", "in/acme/b.csv")
    sources = Source(name="acme", files="a.csv"), Source(files="in/{source}/*.csv")
    assert "another source named 'acme'" in refusal(tmp_path, *sources)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    """Each thing that is wrong has a line of its own."""
    make(tmp_path, "d.csv/x", "a.csv")
    os.mkfifo(tmp_path / "p.csv")
    text = refusal(tmp_path, Source(name="x", files="*.csv"), Source(name="y", files="no.csv"))
    assert len(text.splitlines()) == 3


def test_of_many_faults_of_one_glob_the_first_few_are_told(tmp_path: Path) -> None:
    """In the order of the paths, whatever that of the file system is."""
    for number in range(8):
        make(tmp_path, f"d/{number}.csv")
        (tmp_path / f"{number}.csv").symlink_to(f"d/{number}.csv")
    text = refusal(tmp_path, Source(name="acme", files="**/*.csv"))
    told = [line.partition(": ")[2] for line in text.splitlines()]
    same = [f"d/{n}.csv is the same file as {n}.csv: its rows would count twice" for n in range(5)]
    assert told == [*same, "and 3 more"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root can")
def test_a_folder_that_may_not_be_listed_is_refused(open_folder: Path) -> None:
    """A closed folder is not taken for one without files: its rows would be lost in silence."""
    make(open_folder, "in/a/1.csv", "in/b/1.csv")
    (open_folder / "in/b").chmod(0)
    os.seteuid(65534)
    try:
        text = refusal(open_folder, Source(files="in/{source}/*.csv"))
    finally:
        os.seteuid(0)
    assert "folder in/b/ cannot be listed" in text


def test_no_source_is_called_like_all_of_them(tmp_path: Path) -> None:
    make(tmp_path, "in/*/a.csv", "in/acme/a.csv")
    text = refusal(tmp_path, Source(files="in/{source}/*.csv"))
    assert "in/*/a.csv: no source can be called '*': rename the folder" in text


def test_the_members_of_a_zip_are_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in ("z.csv", "deep/a.csv", "../up.csv", "empty/", ".hidden", "__MACOSX/z.csv"):
            archive.writestr(name, "id\n1\n")
    make(tmp_path, "a.csv", "c.zip")
    names = ["a.csv", "b.zip/../up.csv", "b.zip/deep/a.csv", "b.zip/z.csv", "c.zip"]
    assert found(tmp_path, "*") == {"acme": names}
    (source,) = find_files(pipeline(tmp_path, Source(name="acme", files="b.zip")))
    assert {file.on_disk for file in source.files} == {"b.zip"}


OUTPUTS = {
    "file": Sink(use="csv", path="all.csv"),
    "folder": Sink(use="csv", path="tables/all"),
    "parts": Sink(use="parquet", path="by", partition_by=["id"]),
}


def writing(folder: Path, files: str, sink: str, output: str = "out") -> Pipeline:
    """A pipeline with a sink, and sources named by their folders where the files capture it."""
    return Pipeline(
        name="files",
        output=output,
        sources=[Source(name=None if "{source}" in files else "acme", files=files)],
        schema=Schema(columns={"id": "int64"}),
        stages=[Stage(name="load", sink=OUTPUTS[sink])],
        folder=folder,
    )


@pytest.mark.parametrize(
    ("files", "sink"),
    [
        ("{source}/*.csv", "file"),
        ("**/*.csv", "file"),
        ("./*/a*.csv", "file"),
        ("out/all.csv", "file"),
        ("**/*.csv", "folder"),
        ("out/*/all/*.csv", "folder"),
        ("out/tables/*", "folder"),
        ("out/{source}/all/*", "folder"),
        ("out/by/**", "parts"),
        ("*/by/*/*.parquet", "parts"),
    ],
)
def test_a_source_must_not_match_a_sink(tmp_path: Path, files: str, sink: str) -> None:
    """A glob that matches what the pipeline will write is refused before there is anything, else
    the rows of a run would be input of the next."""
    make(tmp_path, "acme/1.csv", "bolt/1.csv", "out/tables/all.csv", "out/by/x/y.parquet")
    for pattern in (files, str(tmp_path / files)):
        with pytest.raises(InputError, match=r"this pipeline writes itself \(it is the sink of"):
            find_files(writing(tmp_path, pattern, sink))


@pytest.mark.parametrize(
    ("files", "sink", "output"),
    [
        ("landing/*.csv", "file", "."),
        ("{source}/1.csv", "file", "out"),
        ("**/*.csv", "parts", "out"),
        ("**/*.csv", "file", ".out"),
        ("*.csv", "file", "out"),
        ("{source}/{source}.csv", "file", "out"),
    ],
)
def test_other_globs_may_stand_beside_sinks(
    tmp_path: Path, files: str, sink: str, output: str
) -> None:
    """What the pipeline does not write is input, also in its output folder."""
    make(tmp_path, "landing/landing.csv", "landing/1.csv", "1.csv")
    assert find_files(writing(tmp_path, files, sink, output))


def test_links_to_a_sink_or_to_the_state_are_no_input(tmp_path: Path) -> None:
    """A link to a file of ours, or to a folder of them, is seen through."""
    make(tmp_path, "in/1.csv", "out/all.csv", ".stagepipe/runs/1/rejects.parquet")
    make(tmp_path, ".stagepipe/spool/files/k.csv")
    assert find_files(writing(tmp_path, "in/**/*.*", "file"))
    for target, what in (
        ("out/all.csv", "is the sink of stage 'load'"),
        (".stagepipe/spool/files", "is its spool"),
        (".stagepipe/runs/1", "holds the rejects of its runs"),
    ):
        link = tmp_path / "in" / "other.csv"
        link.symlink_to(tmp_path / target)
        files = "in/*/*" if link.is_dir() else "in/*.*"
        with pytest.raises(InputError, match=f"matches in/other.*{what}"):
            find_files(writing(tmp_path, files, "file"))
        link.unlink()
