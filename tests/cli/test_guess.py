"""`stagepipe guess`, by the real program on real files: what it prints loads and runs."""

from __future__ import annotations

import gzip
import tomllib
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

GERMAN = (
    "Nr;Tag;Betrag;bezahlt;PLZ;Notiz\n"
    "1;31.12.2024;1.234,50;ja;08123;a\n"
    "2;01.02.2024;0,75;nein;10115;b\n"
    "3;;12.345.678,00;ja;10115;NA\n"
    "4;29.02.2024;NA;nein;;c\n"
)


@pytest.fixture
def folder(project) -> Path:
    """The project's folder, without a pipeline and without files."""
    (project.folder / "pipeline.toml").unlink()
    (project.folder / "a.csv").unlink()
    return project.folder


def guessed(project, *words: str) -> tuple[str, dict[str, Any]]:
    """The printed file, which has to load, and its content; a second time it is the same."""
    text = project.run("guess", *words).stdout
    assert project.run("guess", *words).stdout == text
    project.write("pipeline.toml", text)
    assert project.run("check").stdout.startswith("pipeline.toml: fine")
    (project.folder / "pipeline.toml").unlink()
    return text, tomllib.loads(text)


def ran(project, text: str) -> pl.DataFrame:
    """The table that the printed file makes, without a reject."""
    project.write("pipeline.toml", text)
    result = project.json("run")
    assert result["rows"]["rejected"] == 0
    path = project.folder / result["outputs"][0]["path"]
    frame = pl.concat([pl.read_parquet(part) for part in sorted(path.iterdir())])
    (project.folder / "pipeline.toml").unlink()
    return frame


def comments(text: str) -> str:
    return "\n".join(line.partition("#")[2].strip() for line in text.splitlines())


def test_a_german_file(project, folder: Path) -> None:
    """Signs, words, dates and a null word are found; what each rests on is said."""
    project.write("landing/a.csv", GERMAN)
    text, declared = guessed(project, "landing/a.csv")
    (source,) = declared["source"]
    assert source == {
        "name": "landing",
        "files": "landing/a.csv",
        "csv": {
            "delimiter": ";",
            "null_values": ["", "NA"],
            "decimal_comma": True,
            "thousands": ".",
            "true_values": ["ja"],
            "false_values": ["nein"],
        },
    }
    assert declared["schema"]["columns"] == {
        "Nr": "int64",
        "Tag": {"type": "date", "format": "%d.%m.%Y"},
        "Betrag": "decimal(18,2)",
        "bezahlt": "bool",
        "PLZ": "string",
        "Notiz": "string",
    }
    said = comments(text)
    assert "Looked at all 4 records of 1 file." in said
    assert "all 3 values seen; missing: 1 'NA'" in said
    assert "'08123' would come back as 8123" in said
    assert "'NA' becomes a missing value in column 'Notiz' too (fields: 1)" in said
    frame = ran(project, text)
    assert frame.row(0) == (1, date(2024, 12, 31), Decimal("1234.50"), True, "08123", "a")
    assert frame["Betrag"].to_list()[2:] == [Decimal("12345678.00"), None]


def test_convert_guesses_the_same(project, folder: Path) -> None:
    """convert reads the file by the same guess, and says it."""
    project.write("a.csv", GERMAN)
    done = project.run("convert", "a.csv", "-o", "a.parquet", "--save", "p.toml")
    assert "decimal_comma = true, thousands = '.'" in done.stderr
    saved = tomllib.loads((folder / "p.toml").read_text())
    _, declared = guessed(project, "a.csv")
    assert saved["schema"] == declared["schema"]
    assert saved["source"][0]["csv"] == declared["source"][0]["csv"]
    assert pl.read_parquet(folder / "a.parquet")["Betrag"][0] == Decimal("1234.50")


def test_folders_are_sources(project, folder: Path) -> None:
    """Folders that differ in one component are told apart by {source}; hidden files do not count,
    and neither does the file that is being written."""
    for name in ("acme", "bolt"):
        for day in (1, 2):
            project.write(f"landing/{name}/2024/{day}.csv", f"id,word\n{day},{name}\n")
    project.write("landing/.hidden/x.csv", "no\n")
    project.write("landing/acme/2024/.x.csv", "no\n")
    text, declared = guessed(project, "landing")
    assert declared["source"] == [
        {"files": "landing/{source}/2024/*.csv", "csv": {"delimiter": ","}}
    ]
    assert ran(project, text)["word"].to_list() == ["acme", "acme", "bolt", "bolt"]
    with (folder / "landing/new.toml").open("w") as stdout:
        import subprocess
        import sys

        command = [sys.executable, "-m", "stagepipe", "guess", "landing"]
        subprocess.run(command, cwd=folder, stdout=stdout, check=True, env=project.environment())
    assert "new.toml" not in (folder / "landing/new.toml").read_text()


def test_packed_files(project, folder: Path) -> None:
    """They are looked into."""
    (folder / "in").mkdir()
    for number in (1, 2):
        (folder / f"in/{number}.csv.gz").write_bytes(gzip.compress(b"a;b\n1;2,5\n"))
    text, declared = guessed(project, "in")
    assert declared["source"][0]["files"] == "in/*.csv.gz"
    assert ran(project, text)["b"].to_list() == [2.5, 2.5]


def test_files_that_differ(project, folder: Path) -> None:
    """Most files are the source; those of another dialect are one of their own, those of other
    columns are left out by name."""
    for day in range(3):
        project.write(f"in/{day}.csv", f"id;amount\n{day};1,50\n7;2,25\n")
    project.write("in/comma.csv", "id,amount\n8,1.50\n")
    project.write("in/point.csv", "id;amount\n9;3.75\n10;4.50\n")
    project.write("in/other.csv", "id;total\n1;2\n")
    project.write("in/empty.csv", "")
    project.write("in/picture.csv", "\0\1")
    text, declared = guessed(project, "in")
    first, *others = declared["source"]
    assert first["files"] == ["in/0.csv", "in/1.csv", "in/2.csv"]
    assert first["csv"] == {"delimiter": ";", "decimal_comma": True}
    assert {source["files"]: source["csv"]["delimiter"] for source in others} == {
        "in/comma.csv": ",",
        "in/point.csv": ";",
    }
    said = comments(text)
    assert "in/other.csv: it lacks 'amount' and also has 'total'" in said
    assert "in/empty.csv has no header: it is empty" in said
    assert "in/picture.csv is no text file" in said
    assert "unlike most files here: fields are divided by ','" in said
    assert "unlike most files here: another decimal sign" in said
    assert sorted(ran(project, text)["id"].to_list()) == [0, 1, 2, 7, 7, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("text", "types", "said"),
    [
        ("d\n01/02/2024\n03/04/2024\n", "string", "may be %d/%m/%Y or %m/%d/%Y"),
        ("d\n01/02/2024\n31/04/2024\n", "string", "like the others"),
        ("d\n01/02/2024\n31/03/2024\n", ("date", "%d/%m/%Y"), "all 2 values"),
        ("d\n01/31/24\n", ("date", "%m/%d/%y"), ""),
        ("d\n20240131\n20241231\n", ("date", "%Y%m%d"), "but int64 would fit too"),
        ("d\n20241331\n", "int64", ""),
        ("d\n1/Feb/2024\n", "string", ""),
        ("d\n1-Feb-2024\n28-May-2024\n", ("date", "%d-%b-%Y"), ""),
        ("d\n05 May 2024\n", ("date", "%d %b %Y"), ""),
        ("d\n1.2.2024\n01.02.2024\n", "string", "like the others"),
        ("d\n1.2.10\n", "string", ""),
        ("d\n8:05\n12:30\n", ("time", "%H:%M"), ""),
        ("d\n08:05:00\n", "time", ""),
        ("d\n2024-01-31 08:05\n", "datetime", ""),
        ("d\n31.01.2024 8:05\n", ("datetime", "%d.%m.%Y %H:%M"), ""),
        ("d;e\n1,234;1\n2,345;2\n", "string", "may be decimal signs, or stand in thousands"),
        ("d;e\n1,234;1,5\n2,345;2,5\n", "float64", ""),
        ("d;e\n1,234;1,234.5\n2,345;2.5\n", "int64", "',' might be a decimal sign"),
        ("d;e\n1.234;1\n2.345;2\n", "float64", "'.' might stand in thousands"),
        ("d;e\n1.234,5;x\n1234,5;y\n", "string", ""),
        ("d\nY\nN\n", "bool", "all 2 values"),
        ("d\nY\nY\n", "string", ""),
        ("d;e\nEU;1\nNA;NA\n", "string", "has codes that look the same"),
        ("d\nNA\n", "string", "no value but 'NA'"),
        ("d;e\n 1 ;x\n 2 ;y\n", "int64", ""),
        ("'d';'e'\n'1;5';'x'\n'2';'it''s'\n", "string", ""),
        ('"d";"e"\n' + '1;"x"\n' * 30 + '2;"x;"y"\n3;"x"\n', "int64", ""),
        ("y;z\n2019;2020\n1;2\n", "int64", ""),
        ("d,1;e,2\nx,a;y,b\n", "string", "divided by ';' the records are even too"),
        ("d^e^f\n1^2^3\n", "int64", ""),
        ("d\n", "string", "no value seen"),
    ],
)
def test_what_is_odd(project, folder: Path, text: str, types: Any, said: str) -> None:
    """What two readings fit is text, and what speaks against a guess is said."""
    project.write("x.csv", text)
    printed, declared = guessed(project, "x.csv")
    column = next(iter(declared["schema"]["columns"].values()))
    wanted = types if isinstance(types, str) else {"type": types[0], "format": types[1]}
    assert column == wanted
    assert said in comments(printed)
    assert ran(project, printed).height == text.count("\n") - 1


BANK = (
    "From;1.1.2024\nTo;31.1.2024\nAccount;12345\n\nDay;Amount;Text\n1.1.2024;5;a\n2.1.2024;7;b\n"
    + "3.1.2024;9;c\n" * 3
)
SEVERAL = "id;word\n1;a\n2;b\n{between}{other}"


@pytest.mark.parametrize(
    ("text", "keys", "said", "rows"),
    [
        ("Report 2024\n\nd;e\n1;2\n3;4\n", {"skip_lines": 1}, "lines above the header: 1", 2),
        (BANK, {"skip_lines": 3}, "lines above the header: 3", 5),
        ("d;e\n1;2\nTotal;2\n", {"skip_footer": 1}, "looks like a footer: 'Total;2'", 1),
        ("d;e\n" + "1;2\n" * 30 + "Sum\n30 rows\n", {"skip_footer": 2}, "2 lines look like", 30),
        ("1;2024-01-31\n2;2024-01-31\n", {"header": False}, "so there is none, and names are", 2),
        ("2024;2025\n1;2\n", {}, "looks like no header, and is taken for one", 1),
        ("Amount;;Day\nEUR;USD;\n1;2;x\n", {"header": 2}, "the header has 2 lines", 1),
        ("# by us\nd;e\n1;2\n#, no: 1\n3;4\n", {"comment": "#"}, "", 2),
        ("Report\n# by us\nd;e\n1;2\n3;4\n", {"comment": "#", "skip_lines": 1}, "", 2),
        ('d;e\n1;"a \\"b\\"; c"\n2;"\\""\n3;"x;y"\n', {"escape": "\\"}, "", 3),
        ('d;e\n1;"C:\\"\n2;"D:\\"\n', {}, "", 2),
        (SEVERAL.format(between="\n", other="x;y;z\n1;2;3\n"), {"tables": "first"}, "each is", 2),
        (SEVERAL.format(between=" \n\n", other="id;word\n1;a\n"), {"tables": "first"}, "", 2),
        (SEVERAL.format(between=";\n;\n", other="no;name\n7;c\n"), {"tables": "first"}, "", 2),
        (
            SEVERAL.format(between="\n", other="x;y;z\n" + "1;2;3\n" * 50),
            {"tables": "first"},
            "",
            2,
        ),
        (SEVERAL.format(between="\n", other="3;c\n4;d\n"), {}, "", 4),
        ('id;word\n1;"a\n\nx;y;z\n1;2;3\n"\n2;b\n', {}, "", 2),
    ],
)
def test_what_stands_around_the_records(
    project, folder: Path, text: str, keys: dict[str, Any], said: str, rows: int
) -> None:
    """It is written as keys, by which the file runs as it is; convert reads it by the same."""
    project.write("x.csv", text)
    printed, declared = guessed(project, "x.csv")
    assert declared["source"][0]["csv"] == {"delimiter": ";", **keys}
    assert said in comments(printed)
    project.write("pipeline.toml", printed)
    result = project.json("run")
    assert result["rows"]["written"] == rows
    assert result["rows"]["rejected"] == (1 if "tables" in keys else 0)
    project.run("convert", "x.csv", "-o", "x.parquet", "--save", "p.toml")
    saved = tomllib.loads((folder / "p.toml").read_text())
    assert saved["source"][0]["csv"] == declared["source"][0]["csv"]
    assert pl.read_parquet(folder / "x.parquet").height == rows


@pytest.mark.parametrize(
    ("page", "encoding", "word"),
    [
        ("cp1252", "cp1252", "Käse für Jörg"),
        ("cp850", "cp850", "Käse für Jörg"),
        ("shift_jis", "shift_jis", "日本語テスト"),
        ("utf-16", "utf-16", "Käse"),
        ("utf-16-le", "utf-16-le", "Käse"),
        ("utf-16-be", "utf-16-be", "Käse"),
        ("utf-32", "utf-32", "日本語"),
        ("utf-8-sig", None, "Käse"),
    ],
)
def test_encodings(project, folder: Path, page: str, encoding: str | None, word: str) -> None:
    """By a mark, by zero bytes, or by the likely code page, of which a word is shown; texts come
    back as they were, and beside a file that is ASCII only."""
    rows = "".join(f"{number};x\n" for number in range(20))
    (folder / "in").mkdir()
    (folder / "in/a.csv").write_bytes(f"n;word\n{rows}21;{word}\n".encode(page))
    if not page.startswith("utf-"):
        project.write("in/b.csv", "n;word\n22;x\n")
    printed, declared = guessed(project, "in")
    (source,) = declared["source"]
    assert source["csv"].get("encoding") == encoding
    assert word in ran(project, printed)["word"].to_list()
    if not page.startswith("utf-"):
        assert f"not UTF-8; {page} is likely, by '{word[:4]}" in comments(printed)


def test_some_bytes_that_are_no_utf8(project, folder: Path) -> None:
    """Where the rest is UTF-8, such bytes are faults of records and no other encoding."""
    (folder / "a.csv").write_bytes("n;word\n1;Käse für Jörg\n2;".encode() + b"caf\xe9\n")
    printed, declared = guessed(project, "a.csv")
    assert declared["source"][0]["csv"] == {"delimiter": ";"}
    assert "not all UTF-8: such records become rejects" in comments(printed)


def test_a_footer_is_left_out_where_all_files_have_one(project, folder: Path) -> None:
    """Else the last record of others would be lost in silence: it stays, and is a reject."""
    project.write("in/1.csv", "d;e\n1;2\nTotal;2\n")
    project.write("in/2.csv", "d;e\n3;4\nTotal;4\n")
    text, declared = guessed(project, "in")
    assert declared["source"][0]["csv"] == {"delimiter": ";", "skip_footer": 1}
    assert ran(project, text).height == 2
    project.write("in/3.csv", "d;e\n5;6\n")
    text, declared = guessed(project, "in")
    assert declared["source"][0]["csv"] == {"delimiter": ";"}
    assert "skip_footer = 1 may be right, but not all files" in comments(text)
    assert declared["schema"]["columns"] == {"d": "int64", "e": "int64"}


def test_a_big_file(project, folder: Path) -> None:
    """Its middle and its end are looked at too; where a record begins there is not taken for
    granted."""
    lines = [f'{number},"a\n{number},b,c\n\n"\n' for number in range(400_000)]
    (folder / "q.csv").write_text("n,word\n" + "".join(lines))
    said = comments(guessed(project, "q.csv")[0])
    assert "where a record begins in its middle is not sure: not looked at" in said
    lines = [f"{number},{'w' * 90}\n" for number in range(110_000)] + ["x,y\n"]
    (folder / "q.csv").write_text("n,word\n" + "".join(lines))
    text, declared = guessed(project, "q.csv")
    assert declared["schema"]["columns"]["n"] == "string"
    assert "'x' is no int64 like the others" in comments(text)
    assert "(beginning, middle and end of big ones)" in comments(text)


def test_names_from_outside(project, folder: Path) -> None:
    """They are quoted as TOML and as globs have it, and no control character is printed."""
    odd = 'in [1]*/$${x} ${HOME} "q".csv'
    project.write(odd, 'id,"sp ace","q""q",e\x1b[31m\n1,01,x,"a\x1b[1m"\n')
    text, declared = guessed(project, odd)
    assert "\x1b" not in text
    assert list(declared["schema"]["columns"]) == ["id", "sp ace", 'q"q', "e\x1b[31m"]
    assert ran(project, text).height == 1


def test_json(project, folder: Path) -> None:
    """The same facts as an object, with the file itself."""
    project.write("a.csv", GERMAN)
    found = project.json("guess", "a.csv")
    assert found["sources"][0]["csv"]["decimal_comma"] is True
    assert found["columns"][2]["null_words"] == {"NA": 1}
    assert (found["columns"][1]["type"], found["columns"][1]["format"]) == ("date", "%d.%m.%Y")
    assert found["left_out"] == []
    assert tomllib.loads(found["toml"])["pipeline"]["name"] == "files"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing argument 'FILES...'"),
        (("none.csv",), "none.csv does not exist"),
        (("bare",), "no file lies in the folder bare"),
        (("empty.csv",), "empty.csv has no header: it is empty"),
        (("picture.png",), "picture.png is no text file"),
        (("good.csv", "./good.csv"), "good.csv is named twice"),
        (("record.csv",), "_record"),
        (("title.csv",), "names 1 of 3 columns: 'Anna;;'"),
    ],
)
def test_mistakes(project, folder: Path, words: tuple[str, ...], said: str) -> None:
    """Each is told, ends with 2, and prints no pipeline file."""
    (folder / "bare").mkdir()
    project.write("empty.csv", "")
    project.write("picture.png", "\x89PNG\0")
    project.write("good.csv", "a,b\n1,2\n")
    project.write("record.csv", "_record,b\n1,2\n")
    project.write("title.csv", "Anna;;\nb;x;y\nc;y;z\n")
    done = project.run("guess", *words, code=2)
    assert said in done.stderr
    assert done.stdout == ""
    assert said in project.json("guess", *words, code=2)["error"]["message"]


def test_a_datetime_comes_back(project, folder: Path) -> None:
    """A format is read as it was guessed."""
    project.write("a.csv", "at\n12/31/2024 11:05 PM\n1/2/2024 9:00 AM\n")
    text, _ = guessed(project, "a.csv")
    assert ran(project, text)["at"].to_list() == [
        datetime(2024, 12, 31, 23, 5),
        datetime(2024, 1, 2, 9),
    ]


def test_sources_that_differ(project, folder: Path) -> None:
    """Folders of other dialects are sources of their own; a column that is no one type in all of
    them is text."""
    project.write("in/acme/a.csv", "id,amount,day\n1,1.50,2024-01-31\n2,2.25,2024-02-01\n")
    project.write("in/bolt/b.csv", "id;amount;day\n3;3,75;31.12.2024\n4;4,50;30.12.2024\n")
    text, declared = guessed(project, "in")
    assert [source["name"] for source in declared["source"]] == ["acme", "bolt"]
    columns = declared["schema"]["columns"]
    assert (columns["amount"], columns["day"]) == ("decimal(18,2)", "string")
    assert "the sources differ: date, date %d.%m.%Y" in comments(text)
    assert ran(project, text)["amount"].to_list() == [
        Decimal(number) for number in ("1.50", "2.25", "3.75", "4.50")
    ]
