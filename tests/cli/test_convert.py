"""`stagepipe convert`, by the real program on real files."""

from __future__ import annotations

import os
import signal
import time
import tomllib
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from stagepipe.model import Reject

ORDERS = (
    "id;zip;amount;share;day;at;paid;note\n"
    "1;08123;1.50;0.5;2024-01-31;2024-01-31 08:00:00;true;a, b\n"
    '2;10115;22.25;3.0;2024-02-29;2024-02-29 23:59:59;false;"x;\ny"\n'
    "3;;;;;;;\n"
)
TYPES = {
    "id": pl.Int64(),
    "zip": pl.String(),
    "amount": pl.Decimal(18, 2),
    "share": pl.Float64(),
    "day": pl.Date(),
    "at": pl.Datetime("us"),
    "paid": pl.Boolean(),
    "note": pl.String(),
}


@pytest.fixture
def folder(project) -> Path:
    """The project's folder, with orders and without a pipeline."""
    (project.folder / "pipeline.toml").unlink()
    (project.folder / "a.csv").unlink()
    project.write("orders.csv", ORDERS)
    return project.folder


def refused(project, *words: str, said: str, hint: str = "") -> None:
    """The words are refused: exit 2, a message, an object as of `run`, and nothing is written."""
    before = project.files()
    done = project.run("convert", *words, code=2)
    assert said in done.stderr
    assert hint in done.stderr
    assert done.stdout == ""
    result = project.json("convert", *words, code=2)
    assert (result["status"], result["run"]) == ("refused", None)
    assert said in result["error"]["message"]
    assert project.files() == before


def test_one_file(project, folder: Path) -> None:
    """Types are guessed and said, a column a line; the summary is that of a run; nothing else is
    left behind."""
    done = project.run("convert", "orders.csv", "-o", "orders.parquet")
    frame = pl.read_parquet(folder / "orders.parquet")
    assert dict(frame.schema) == TYPES
    assert frame.row(0) == (
        1, "08123", Decimal("1.50"), 0.5, date(2024, 1, 31), datetime(2024, 1, 31, 8), True, "a, b",
    )  # fmt: skip
    assert frame.row(2) == (3, *[None] * 7)
    assert project.files() == {"orders.csv", "orders.parquet"}
    lines = done.stderr.splitlines()
    assert lines[0] == "orders.csv: 8 columns divided by ';', types guessed from all 3 records"
    assert lines[1] == "  id      int64"
    assert lines[2] == "  zip     string         '08123' would come back as 8123"
    assert done.stdout.startswith("orders: succeeded in ")
    assert "3 read, 0 added, 3 written, 0 rejected, 0 dropped" in done.stdout
    assert "outputs   orders.parquet  3 rows" in done.stdout
    assert "stagepipe" not in done.stdout


def test_by_json(project, folder: Path) -> None:
    """--json prints what run --json prints, and the guess still stands on stderr."""
    result = project.json("convert", "orders.csv", "-o", "out/orders.arrow")
    assert result["status"] == "succeeded"
    assert result["rows"] == {"read": 3, "added": 0, "written": 3, "rejected": 0, "dropped": 0}
    (output,) = result["outputs"]
    assert (output["stage"], output["path"], output["files"]) == ("convert", "out/orders.arrow", 1)
    assert (result["rejects"], result["error"]) == (None, None)
    assert dict(pl.read_ipc(folder / "out/orders.arrow").schema) == TYPES
    assert project.run("convert", "orders.csv", "-o", "b.csv", "-q").stderr == ""


@pytest.mark.parametrize(("words", "kind"), [((), "parquet"), (("--format", "csv"), "csv")])
def test_a_folder_of_several_files(project, folder: Path, words: tuple[str, ...], kind: str):
    """OUT without a known ending is a folder; the rows of all files stand in it."""
    for number in range(3):
        project.write(f"in/[{number}]*.csv", f"n,word\n{number},w{number}\n")
    files = [f"in/[{number}]*.csv" for number in (1, 2, 0)]
    done = project.run("convert", *files, "-o", "words", *words)
    assert "in/[1]*.csv and 2 others: 2 columns divided by ','" in done.stderr
    parts = list((folder / "words").iterdir())
    assert [part.suffix for part in parts] == [f".{kind}"]
    read = pl.read_parquet if kind == "parquet" else pl.read_csv
    assert read(parts[0]).rows() == [(0, "w0"), (1, "w1"), (2, "w2")]
    assert {name.partition("/")[0] for name in project.files()} == {"in", "orders.csv", "words"}


@pytest.mark.parametrize(
    ("text", "delimiter", "types"),
    [
        ("a,b\n1,2\n", ",", ["int64", "int64"]),
        ("a;b\n1,5;2,5\n", ";", ["float64", "float64"]),
        ("a;b\n1.234,50;ja\n2,50;nein\n", ";", ["decimal(18,2)", "bool"]),
        ("a;b\n1,234;31.12.2024\n2,345;1.2.2024\n", ";", ["string", "date"]),
        ("a\tb\r\n1\tx;y\r\n", "\\t", ["int64", "string"]),
        ("\ufeffa|b\r1|true\r", "|", ["int64", "bool"]),
        ('"a","b;c"\n"1","x;y"\n', ",", ["int64", "string"]),
        ("word\nhello, you\n", ";", ["string"]),
        ("only,names\n", ",", ["string", "string"]),
        ("a,b\n1.0,1\n2.5,2.50\n", ",", ["float64", "string"]),
        ("a,b\n-0,9223372036854775808\n", ",", ["string", "string"]),
        ("a,b\n1e5,+1\n", ",", ["string", "string"]),
        ("a,b\n2024-02-30,True\n", ",", ["string", "string"]),
        ("a,b\n1,2\nNA,3\n", ",", ["int64", "int64"]),
        ('a,b\n1,"2\n3"\n', ",", ["int64", "string"]),
    ],
)
def test_what_is_guessed(project, folder: Path, text: str, delimiter: str, types: list[str]):
    """The delimiter by the header and the records; types that lose nothing."""
    project.write("x.csv", text)
    done = project.run("convert", "x.csv", "-o", "x.parquet")
    columns = f"{len(types)} column{'s' * (len(types) > 1)}"
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"x.csv: {columns} divided by '{delimiter}', ")
    assert [line.split()[1] for line in lines[1 : 1 + len(types)]] == types
    assert " 0 rejected" in done.stdout


def test_what_comes_later_and_does_not_fit(project, folder: Path) -> None:
    """Of a big file pieces are looked at; what does not fit becomes rejects, kept beside the output
    and named; the next conversion to the same place replaces them."""
    lines = [f"{number},{'w' * 90}\n" for number in range(100_000)]
    lines.insert(70_000, "x\xff,late\n")
    project.write("big.csv", "n,word\n" + "".join(lines))
    done = project.run("convert", "big.csv", "-o", "big.parquet")
    assert "records at the beginning, in the middle and at the end" in done.stderr
    assert "100,001 read, 0 added, 100,000 written, 1 rejected" in done.stdout
    assert "rejects   big.parquet.rejects.csv" in done.stdout
    assert "stagepipe rejects" not in done.stdout
    head, row = (folder / "big.parquet.rejects.csv").read_text().splitlines()
    assert head == ",".join(Reject._fields)
    assert row.startswith("files,big.csv,70002,")
    assert project.files() == {"orders.csv", "big.csv", "big.parquet", "big.parquet.rejects.csv"}
    (folder / "big.parquet").unlink()
    (folder / "big.csv").write_text("n,word\n1,x\n")
    result = project.json("convert", "big.csv", "-o", "big.parquet")
    assert result["rejects"] is None
    assert project.files() == {"orders.csv", "big.csv", "big.parquet"}


def test_too_many_rejects(project, folder: Path) -> None:
    """Over budget nothing is written: exit 1, and the rejects say why."""
    project.write("bad.csv", "a,b\n1,2\n1,2,3\n4,5\n6,7\n")
    done = project.run("convert", "bad.csv", "-o", "out/bad.parquet", code=1)
    assert "error: " in done.stderr
    assert "nothing was written; out/bad.parquet.rejects.csv has the bad records" in done.stderr
    assert "stagepipe show" not in done.stderr
    assert "outputs   none" in done.stdout
    assert project.files() == {"orders.csv", "bad.csv", "out", "out/bad.parquet.rejects.csv"}
    result = project.json("convert", "bad.csv", "-o", "out/bad.parquet", code=1)
    assert (result["status"], result["rejects"]) == ("failed", "out/bad.parquet.rejects.csv")
    assert result["rows"]["rejected"] == 1


def test_the_saved_pipeline_stands_for_it(project, folder: Path) -> None:
    """--save writes a file that runs from where it lies, and gives the same table again."""
    odd = 'in/$${x} ${HOME} {source} "q".csv'
    project.write(odd, 'id,"sp ace","a.b","q""q",$${y}\n1,01,x,y,z\n')
    (folder / "deep").mkdir()
    words = ("--save", "deep/own.toml")
    project.run("convert", odd, "-o", "out/t.parquet", *words)
    saved = (folder / "deep/own.toml").read_text()
    assert str(folder) not in saved
    assert tomllib.loads(saved)["schema"]["columns"] == {
        "id": "int64", "sp ace": "string", "a.b": "string", 'q"q': "string", "$${y}": "string",
    }  # fmt: skip
    first = (folder / "out/t.parquet").read_bytes()
    assert project.run("check", "deep/own.toml").stdout.startswith("deep/own.toml: fine")
    result = project.json("run", "deep/own.toml")
    assert result["rows"]["written"] == 1
    assert (folder / "out/t.parquet").read_bytes() == first
    (folder / "out/t.parquet").unlink()
    project.run("run", "deep/own.toml")
    assert (folder / "out/t.parquet").read_bytes() == first
    refused(project, odd, "-o", "o.csv", *words, said="deep/own.toml is there already")
    refused(project, odd, "-o", "o.csv", "--save", "no/p.toml", said="does not exist")


def test_a_saved_pipeline_behind_links(project, folder: Path) -> None:
    """Paths are right also where the file, the input or the output lie behind links."""
    for name in ("one/two/three", "far/in"):
        (folder / name).mkdir(parents=True)
    (folder / "far/in/x.csv").write_text("a,b\n1,2\n")
    (folder / "here").symlink_to("one/two/three")
    (folder / "there").symlink_to("far/in")
    project.run("convert", "there/x.csv", "-o", "there/x.parquet", "--save", "here/p.toml")
    assert project.json("run", "here/p.toml")["rows"]["read"] == 1
    assert project.json("run", "one/two/three/p.toml")["rows"]["read"] == 1


def test_what_stands_there_is_kept(project, folder: Path) -> None:
    """Nothing is replaced: not the output of before, not a folder, not a link, not an input."""
    project.run("convert", "orders.csv", "-o", "o.parquet")
    hint = "move it away, or choose another OUT"
    refused(project, "orders.csv", "-o", "o.parquet", said="o.parquet is there already", hint=hint)
    refused(project, "orders.csv", "-o", "orders.csv", said="orders.csv is there already")
    (folder / "empty").mkdir()
    refused(project, "orders.csv", "-o", "empty", said="empty is there already")
    refused(project, "orders.csv", "-o", ".", said="is there already")
    (folder / "link").symlink_to("nowhere")
    refused(project, "orders.csv", "-o", "link", said="link is there already")
    project.write("n.csv.rejects.csv", "mine\n")
    refused(project, "orders.csv", "-o", "n.csv", said="rejected records would go there")
    project.write(".m.csv.stagepipe/mine", "")
    refused(project, "orders.csv", "-o", "m.csv", said="no state folder of stagepipe")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing argument 'FILES...'"),
        (("orders.csv",), "Missing option '-o'"),
        (("none.csv", "-o", "o"), "none.csv does not exist"),
        (("*.tsv", "-o", "o"), "*.tsv does not exist"),
        (("-", "-o", "o"), "- does not exist"),
        (("folder", "-o", "o"), "folder is a folder"),
        (("orders.csv", "./orders.csv", "-o", "o"), "./orders.csv is the same file as orders.csv"),
        (("orders.csv", "orders.csv", "-o", "o"), "orders.csv is named twice"),
        (("orders.csv", "-o", "o.csv", "--format", "parquet"), "ends like a file of 'csv'"),
        (("orders.csv", "-o", "o", "--format", "xlsx"), "'xlsx' is not one of"),
        (("orders.csv", "-o", ".o"), "would be hidden"),
        (("orders.csv", "-o", "orders.csv/o"), "orders.csv is not a folder"),
        (("orders.csv", "-o", "o.csv", "--save", "o.csv"), "name the same place"),
        (("empty.csv", "-o", "o"), "empty.csv has no header: it is empty"),
        (("blank.csv", "-o", "o"), "blank.csv has no header: it holds blank lines only"),
        (("packed.csv.gz", "-o", "o"), "packed.csv.gz: it cannot be unpacked"),
        (("packed.csv", "-o", "o"), "it begins as a gzip file does: its name has to end in .gz"),
        (
            ("book.xlsx", "-o", "o"),
            "book.xlsx is no CSV file: it begins as a zip does, or an Excel",
        ),
        (("book.zip", "-o", "o"), "book.zip: it is no zip, or holds no file"),
        (("nul.csv", "-o", "o"), "nul.csv is no text file"),
        (("page.csv", "-o", "o"), "page.csv is no CSV file: it begins as a web page does"),
        (("title.csv", "-o", "o"), "it cannot be told how title.csv is divided"),
        (("title-only.csv", "-o", "o"), "the first record of title-only.csv names 1 of 3 columns"),
        (("latin.csv", "-o", "o"), "the header of latin.csv is not UTF-8"),
        (("record.csv", "-o", "o"), "_record"),
        (("orders.csv", "twice.csv", "-o", "o"), "twice.csv does not fit orders.csv: it"),
    ],
)
def test_mistakes(project, folder: Path, words: tuple[str, ...], said: str) -> None:
    """Each is told with what to do, ends with 2, and writes nothing."""
    (folder / "folder").mkdir()
    for name, content in {
        "empty.csv": b"",
        "blank.csv": b"\n\r\n",
        "packed.csv.gz": b"\x1f\x8b\x08\0",
        "packed.csv": b"\x1f\x8b\x08\0",
        "book.xlsx": b"PK\x03\x04",
        "book.zip": b"PK\x03\x04",
        "nul.csv": b"a,b\0\n1,1\n",
        "page.csv": b"\n<!doctype html>\n<p>1,2</p>\n",
        "title.csv": b"Report, 2024\na;b\n1;2;3\n4\n",
        "twice.csv": b"a,b,a\n1,2,3\n",
        "title-only.csv": b"Anna,,\nb,x,y\nc,y,z\n",
        "latin.csv": b"caf\x81\xe9,b\n1,2\n",
        "record.csv": b"_record,b\n1,2\n",
    }.items():
        (folder / name).write_bytes(content)
    refused(project, *words, said=said)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("id,word", "b.csv does not fit a.csv: it lacks 'more'"),
        ("id,word,less", "b.csv does not fit a.csv: it lacks 'more' and also has 'less'"),
        ("id,id,word,more", "b.csv does not fit a.csv: it names a column more than once"),
        ("id;word;more", "its fields are divided by ';', not by ','"),
    ],
)
def test_headers_that_differ(project, folder: Path, header: str, said: str) -> None:
    """The two files are named, and how they differ."""
    project.write("a.csv", "id,word,more\n1,x,y\n")
    project.write("b.csv", header + "\n")
    refused(project, "a.csv", "b.csv", "-o", "o", said=said)


def test_columns_in_another_order_and_nul_bytes(project, folder: Path) -> None:
    """Are read as a run reads them: by name, and as they stand."""
    project.write("a.csv", "id,word\n1,x\n")
    project.write("b.csv", "word,id\ny\0z,2\n")
    done = project.run("convert", "a.csv", "b.csv", "-o", "o.csv")
    assert (folder / "o.csv").read_bytes() == b"id,word\n1,x\n2,y\0z\n"
    assert "b.csv: it has NUL bytes in its values (1 seen): they are kept" in done.stderr


def test_what_is_odd_is_said(project, folder: Path) -> None:
    """A header that looks like a record, bytes that are no UTF-8, and other tables are warned
    of."""
    project.write("data.csv", "1,2024-01-31\n2,2024-01-31\n")
    done = project.run("convert", "data.csv", "-o", "o.csv")
    assert "warning: data.csv: the first record looks like no header" in done.stderr
    rows = "".join(f"{number},x\n" for number in range(20)).encode()
    (folder / "latin.csv").write_bytes(b"n,word\n" + rows + b"20,caf\xe9\n")
    done = project.run("convert", "latin.csv", "-o", "l.csv")
    assert "warning: latin.csv: not UTF-8; cp1252 is likely, by 'café'" in done.stderr
    assert (folder / "l.csv").read_text().endswith("20,café\n")
    project.write("two.csv", "n,word\n1,x\n2,y\n\nword,share\nx,0.5\ny,0.5\n")
    done = project.run("convert", "two.csv", "-o", "t.csv")
    assert "warning: two.csv: other tables follow: each is one reject" in done.stderr
    assert (folder / "t.csv").read_text() == "n,word\n1,x\n2,y\n"
    assert "another_table" in (folder / "t.csv.rejects.csv").read_text()


def test_control_characters_do_not_reach_the_terminal(project, folder: Path) -> None:
    """Names of columns and values come from outside."""
    project.write("x.csv", "a\x1b[31m,b\n1,\x1b]0;x\x07\n2,0\x1b1\n")
    done = project.run("convert", "x.csv", "-o", "x.parquet", "--save", "p.toml")
    assert "\x1b" not in done.stderr + done.stdout
    assert tomllib.loads((folder / "p.toml").read_text())["schema"]["columns"]
    assert project.json("run", "p.toml")["rows"]["written"] == 2


def test_it_can_be_interrupted(project, folder: Path) -> None:
    """Ctrl-C leaves nothing behind."""
    with (folder / "big.csv").open("w") as file:
        file.write("n,word\n")
        for start in range(0, 6_000_000, 100_000):
            file.write("".join(f"{n},word{n}\n" for n in range(start, start + 100_000)))
    before = project.files()
    with project.start("convert", "big.csv", "-o", "big.parquet") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(b"convert: begins"):
                break
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)
        rest = process.stderr.read().decode()
        assert process.stdout is not None
        process.stdout.read()
    assert process.returncode == 130
    assert "nothing was written: run the same command again" in rest
    assert project.files() == before


def test_two_at_once(project, folder: Path) -> None:
    """The second to the same place is told so, and does not disturb the first."""
    from filelock import FileLock

    state = folder / ".o.parquet.stagepipe"
    state.mkdir()
    with FileLock(state / "o.lock"):
        done = project.run("convert", "orders.csv", "-o", "o.parquet", code=75)
    assert "another conversion to" in done.stderr
    assert state.is_dir()
    project.run("convert", "orders.csv", "-o", "o.parquet")
    assert project.files() == {"orders.csv", "o.parquet"}


@pytest.mark.parametrize(("out", "is_told"), [("x.txt", True), ("x", False), ("x.csv", False)])
def test_a_folder_whose_name_looks_like_a_file_is_told_of(project, folder, out, is_told) -> None:
    """Only .parquet, .csv and .arrow make one file."""
    done = project.run("convert", "orders.csv", "-o", out)
    line = "x.txt will be a folder of parquet files: one file ends in .parquet, .csv or .arrow\n"
    assert (line in done.stderr) == is_told
    assert (folder / out).is_dir() == (out != "x.csv")
