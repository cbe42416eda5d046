"""What `guess` takes for no record and `convert` then leaves out: nothing in silence, and nothing
without good evidence. By the real program on real files; the rows are held against the text."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

ZIP_CODES = "".join(f"{n},{n:05d},t{n}\n" for n in range(1001, 1030))
PLAIN_CODES = "".join(f"{n},{n + 10_000},t{n}\n" for n in range(2, 30))


@pytest.fixture
def folder(project) -> Path:
    """The project's folder, without a pipeline and without files."""
    (project.folder / "pipeline.toml").unlink()
    (project.folder / "a.csv").unlink()
    return project.folder


def converted(project, folder: Path, text: str) -> tuple[str, list[str], dict[str, Any]]:
    """What convert says of a file, the lines that it makes of it, and the keys by which."""
    project.write("x.csv", text)
    done = project.run("convert", "x.csv", "-o", "o.csv", "--save", "p.toml")
    saved = tomllib.loads((folder / "p.toml").read_text())
    keys = {k: v for k, v in saved["source"][0]["csv"].items() if k != "delimiter"}
    return done.stderr, (folder / "o.csv").read_text().splitlines(), keys


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (",name,city\na,Ann,Bonn\nb,Bob,Kiel\nc,Cyd,Ulm\n", "column_1,name,city"),
        ('"","A","B"\n"x1","p","q"\n"x2","p","r"\n', "column_1,A,B"),
        ("name,tel,tel\nAnn,home,work\nBob,x,y\nCyd,q,z\n", "name,tel,tel_2"),
        ("key,,value\nx,lower,a\ny,upper,b\n", "key,column_2,value"),
        ("sku;name;;\nA1;Bolt;M4;\nA2;Nut;;x\nA3;Nail;;\n", "sku,name,column_3,column_4"),
        (",name,n\na,Ann,\nb,Bob,5\nc,Cyd,6\n", "column_1,name,n"),
        (",name,n\na,Ann,NA\nb,Bob,5\nc,Cyd,6\n", "column_1,name,n"),
        (",name,city\n0,Ann,Bonn\n1,Bob,Kiel\n", "column_1,name,city"),
        ("tel_2,tel,tel\nu,v,w\nx,y,z\n", "tel_2,tel,tel_3"),
        (",0,1,2\n0,5,6,7\n1,6,7,8\n", "column_1,0,1,2"),
        (",2019,2024\nBonn,5,6\nKiel,7,8\n", "column_1,2019,2024"),
    ],
)
def test_a_header_that_does_not_name_each_column(
    project, folder: Path, text: str, header: str
) -> None:
    """It is no header of two lines: the records below it stay, the columns are read by their order,
    and that is said."""
    said, (first, *rows), keys = converted(project, folder, text)
    assert (keys["skip_lines"], keys["header"]) == (1, False)
    assert first == header
    assert len(rows) == text.count("\n") - 1
    assert "warning: x.csv: the header does not name each column, once" in said


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,a,b\na,c,d\ne,f,g\n", 3),
        ("1,,x\n2,y,z\n3,y,z\n", 3),
        (",02019,02024\nBonn,02019,02030\nKiel,02021,02024\n", 3),
    ],
)
def test_a_first_record_like_those_below(project, folder: Path, text: str, rows: int) -> None:
    """Where it does not name each column once either, it is a record."""
    said, lines, keys = converted(project, folder, text)
    assert keys["header"] is False
    assert "skip_lines" not in keys
    assert len(lines) == rows + 1
    assert "looks like no header, so there is none" in said


def test_a_header_of_two_lines(project, folder: Path) -> None:
    """Where the second is unlike all records below it, it is one, and both are shown."""
    text = ",Sales,,Costs\nid,q1,q2,q1\n1,2,3,4\n5,6,7,8\n"
    said, (first, *rows), keys = converted(project, folder, text)
    assert keys == {"header": 2}
    assert first == "id,Sales q1,q2,Costs q1"
    assert rows == ["1,2,3,4", "5,6,7,8"]
    assert "x.csv: the header has 2 lines: ',Sales,,Costs', 'id,q1,q2,q1'" in said


def test_a_delimiter_at_the_end_of_each_line(project, folder: Path) -> None:
    """Behind it is no column."""
    said, lines, keys = converted(project, folder, "id;amount;\n1;2,50;\n2;3,75;\n")
    assert keys == {"decimal_comma": True}
    assert lines == ["id,amount", "1,2.50", "2,3.75"]
    assert "warning" not in said


def test_a_record_without_values_ends_no_table(project, folder: Path) -> None:
    """Where each line ends with a delimiter, those below it have as many as the others."""
    said, lines, keys = converted(project, folder, "word;n;\nx;1;\n;;\ny;2;\nz;3;\n")
    assert keys == {}
    assert lines == ["word,n", "x,1", ",", "y,2", "z,3"]
    assert "other tables" not in said


def test_files_of_columns_by_position(project, folder: Path) -> None:
    """They stand in the same order in all files, or are not read together."""
    project.write("1.csv", "name,tel,tel\nAnn,home,work\n")
    project.write("2.csv", "name,tel,tel\nBob,x,y\n")
    project.write("3.csv", "tel,tel,name\nx,y,Cyd\n")
    project.run("convert", "1.csv", "2.csv", "-o", "o.csv")
    assert (folder / "o.csv").read_text() == "name,tel,tel_2\nAnn,home,work\nBob,x,y\n"
    done = project.run("convert", "1.csv", "3.csv", "-o", "p.csv", code=2)
    assert "3.csv does not fit 1.csv: its columns stand in another order" in done.stderr


@pytest.mark.parametrize("before", ["", PLAIN_CODES])
def test_zip_codes_behind_a_quote_that_nothing_closes(project, folder: Path, before: str) -> None:
    """They are seen, as a run reads them, and keep their zeros."""
    text = f'id,zip,text\n{before}99,80331,"ok\n{ZIP_CODES}'
    project.write("x.csv", text)
    done = project.run("convert", "x.csv", "-o", "o.csv")
    lines = (folder / "o.csv").read_text().splitlines(keepends=True)
    assert "".join(lines[1:]) == before + ZIP_CODES
    assert f"all {text.count(chr(10)) - 1} records" in done.stderr
    line = before.count("\n") + 2
    assert f"a quote that nothing closes: it opens on line {line}, and reading goes" in done.stderr


def test_nothing_is_seen_behind_a_quote(project, folder: Path) -> None:
    """Where reading cannot go on, the rest of the file is one reject, and that is said."""
    rows = "".join(f"{n},w\n" for n in range(20))
    project.write("x.csv", f'id,word\n{rows}20,"x\n{"y" * 10}\nz\n')
    done = project.run("convert", "x.csv", "-o", "o.csv")
    assert "it opens on line 22, and the record goes on to the end" in done.stderr
    assert "unclosed_quote" in (folder / "o.csv.rejects.csv").read_text()


def test_hashtags_are_no_comments(project, folder: Path) -> None:
    """Lines that could be comments are records where one has as many fields as the header."""
    rows = "".join(f"#t{n},{n}\n" for n in range(5)) + "".join(f"p{n},{n}\n" for n in range(200))
    said, lines, keys = converted(project, folder, f"tag,n\n{rows}" + "#odd,1,2\n" * 10)
    assert keys == {}
    assert len(lines) == 206
    assert "comment" not in said


def test_comments_are_counted_and_shown(project, folder: Path) -> None:
    """They are left out, and that is said."""
    text = '# made by us\nid,word\n1,x\n# a word, to the third, from us\n2,"y\n# z"\n#\n'
    said, lines, keys = converted(project, folder, text)
    assert keys == {"comment": "#"}
    assert lines == ["id,word", "1,x", '2,"y', '# z"']
    shown = "'# made by us', '# a word, to the third, from us', '#'"
    assert f"warning: x.csv: lines left out as comments: 3 seen: {shown}" in said


@pytest.mark.parametrize(
    "text",
    [
        "ticker,isin\nBP,GB0007980591\nSHEL,GB00BP6MXD84\nTOTAL,FR0000120271\n",
        "company,v\nBP,5\nShell,6\nTotal SE,11\n",
        "company,v\nBP,5\nShell,7\nTotal War Ltd,11\n",
        "company,v,w\nBP,5,\nShell,6,\nTotal War Ltd,,\n",
        "company\nBP\nTOTAL\n",
    ],
)
def test_a_last_record_is_no_footer(project, folder: Path, text: str) -> None:
    """A name may be a word for a total: it stays, and is told of."""
    said, lines, keys = converted(project, folder, text)
    assert keys == {}
    assert "\n".join(lines).replace('"', "") + "\n" == text
    last = text.splitlines()[-1]
    assert f"looks like a total or a footer, and is kept: {last!r}" in said


@pytest.mark.parametrize(
    ("footer", "shown"),
    [
        ("Total;;16\n", "line looks like a footer: 'Total;;16'"),
        ("Summe;;3\n", "line looks like a footer: 'Summe;;3'"),
        ("Total;;\n", "line looks like a footer: 'Total;;'"),
        ("3 rows\n", "line looks like a footer: '3 rows'"),
        (
            "Total;;16\nRecords: 3\nEnd of file\nEOF\n",
            "4 lines look like a footer: 'Total;;16', 'Records: 3', 'End of file' and 1 more",
        ),
    ],
)
def test_a_footer_is_shown(project, folder: Path, footer: str, shown: str) -> None:
    """It says what it is, and looks it: all of its lines are shown, cut to a few."""
    rows = "BP;oil;5\nShell;gas;4\nAral;;7\n"
    said, lines, keys = converted(project, folder, f"company;what;v\n{rows}{footer}")
    assert keys == {"skip_footer": footer.count("\n")}
    assert len(lines) == 4
    assert f"warning: x.csv: its last {shown}" in said


@pytest.mark.parametrize(
    "text",
    [
        "text\nhello; world\nfoo; bar\nx; y\n",
        "text\nhello;world\nfoo;bar\nx;y\n",
        "text\nv; x\nfoo; 5\nbar; 6\n",
        "text\nBonn, at the Rhine, old\nKiel, at the sea, cold\nUlm, far, high\n",
    ],
)
def test_a_text_with_delimiters(project, folder: Path, text: str) -> None:
    """One column is as good a reading as several below a title."""
    said, lines, keys = converted(project, folder, text)
    assert keys == {}
    assert "\n".join(lines).replace('"', "") + "\n" == text
    assert "warning" not in said


def test_lines_above_the_header_are_shown(project, folder: Path) -> None:
    """convert leaves them out, and says which."""
    said, lines, keys = converted(project, folder, "Report 2024\n\nd;e\n1;2\n3;4\n")
    assert keys == {"skip_lines": 1}
    assert lines == ["d,e", "1,2", "3,4"]
    assert "warning: x.csv: lines above the header: 1: 'Report 2024'" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"id,v"\n"1,""a"""\n"2,""b"""\n', "lines have quotes around them as a whole"),
        ('"id,v\n1,a\n2,b\n', "the header has a quote that nothing closes"),
        ("id,n\n--,--\n1,2\n3,4\n", "looks like a line below the header, and is kept: '--,--'"),
        ("id,n\n---,----\n1,2\n3,4\n", "looks like a line below the header, and is kept"),
    ],
)
def test_what_is_read_as_it_stands(project, folder: Path, text: str, said: str) -> None:
    """Each line is a record, and what is odd about them is said."""
    told, lines, _ = converted(project, folder, text)
    assert said in told
    assert len(lines) == text.count("\n")


@pytest.mark.parametrize("delimiter", ["::", "||", "§", "¦"])
def test_delimiters_that_a_run_detects(project, folder: Path, delimiter: str) -> None:
    """They are guessed too."""
    text = "id,word,n\n1,a,2\n2,b,3\n".replace(",", delimiter)
    _, lines, _ = converted(project, folder, text)
    assert lines == ["id,word,n", "1,a,2", "2,b,3"]
