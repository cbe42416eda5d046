"""Bad input through the real program: clear messages, right exit codes, nothing half-written."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import stagepipe

CSV = "id,word\n1,one\n2,two\n"
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


def without_powers() -> None:
    """Have a program that root starts keep to the permissions of files. Does nothing to others."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for power in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if libc.prctl(PR_CAPBSET_DROP, power, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


@pytest.fixture
def letters(project: Any) -> Any:
    """One good file, and a table from an earlier run."""
    project.write("landing/a.csv", CSV)
    project.declare()
    assert project.command().code == 0
    return project


def outputs(project: Any) -> dict[str, str]:
    return project.tree() if (project.root / "out").exists() else {}


def refused(project: Any, code: int, *words: str, **how: Any) -> Any:
    """Run, and see it fail with that code and these words, the output as it was."""
    before = outputs(project)
    ended = project.command(**how)
    assert ended.code == code, ended.out + ended.err
    plain = ended.json
    assert plain["status"] == ("refused" if code == 2 else "failed")
    for word in words:
        assert word in ended.message
    assert "Traceback" not in ended.err
    assert outputs(project) == before
    return plain


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["landing/b.csv: the file is empty", "max_dead is 0"]),
        (b"\n\n", ["landing/b.csv: ", "blank lines only"]),
        (b"id,wrod\n1,x\n", ["landing/b.csv: the header lacks column 'word'", "'wrod'"]),
        (b"id,word,more\n1,x,y\n", ["landing/b.csv: the header has column 'more'", "ignore"]),
        (b" id ; word\n1;x\n", ["but has ' id ': blanks count; set trim = true in [source.csv]"]),
        (b"id/word\n1/x\n", ["has no delimiter ','", "set 'delimiter' in [source.csv]"]),
        (b"\xff\xfei\x00d\x00", ["landing/b.csv: the header 'id' has no delimiter ','"]),
        (b"nr;text\n1;x\n", ["the header 'nr;text' has no", "in vain: UTF-16, other delimiters"]),
    ],
)
def test_a_file_of_which_nothing_can_be_made(
    letters: Any, content: bytes, words: list[str]
) -> None:
    """It is a dead letter with its reason; without a budget for it nothing is committed, and with
    one the other files are."""
    letters.write("landing/b.csv", content)
    plain = refused(letters, 1, *words)
    assert plain["files"]["dead"] == 1
    letters.declare(after="[errors]\nmax_dead = 1")
    ended = letters.command()
    assert ended.code == 0
    assert (ended.json["rows"]["read"], ended.json["rows"]["written"]) == (2, 2)
    assert ended.json["files"] == {"read": 1, "skipped": 0, "dead": 1}
    assert "dead letter: landing/b.csv" in ended.err


def test_a_file_with_only_a_header_is_a_file_without_rows(letters: Any) -> None:
    """A day without flights is no fault; alone it makes a table with columns and no row."""
    letters.write("landing/b.csv", "id,word\n")
    ended = letters.command()
    assert (ended.code, ended.json["rows"]["written"]) == (0, 2)
    (letters.root / "landing/a.csv").unlink()
    ended = letters.command()
    assert (ended.code, ended.json["rows"]["written"]) == (0, 0)
    assert ended.json["outputs"][0]["files"] == 1


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ('"landing/gone.csv"', ["pipeline.toml:7:", "'landing/gone.csv' does not exist"]),
        ('"landing/*.tsv"', ["pipeline.toml:7:", "no file matches 'landing/*.tsv'"]),
        ('"gone/*.csv"', ["no file matches 'gone/*.csv'", "gone does not exist"]),
        ('"landing"', ["landing is a folder where a file should be", "landing/*.csv"]),
        ('"*"', ["landing is a folder where a file should be"]),
    ],
)
def test_no_file_where_one_should_be(letters: Any, files: str, words: list[str]) -> None:
    """A missing file, no match and a folder end with 2, before anything is read."""
    text = (letters.root / "pipeline.toml").read_text()
    letters.write("pipeline.toml", text.replace('"landing/*.csv"', files))
    refused(letters, 2, *words)


def test_a_refused_first_run_writes_no_output(project: Any) -> None:
    """Where nothing can be read, not even an empty output folder is made."""
    project.declare()
    refused(project, 2, "no file matches")
    assert not (project.root / "out").exists()


def test_a_file_that_may_not_be_read(letters: Any) -> None:
    """It is a dead letter; when it may be read it is, although nothing else of it changed."""
    path = letters.write("landing/b.csv", "id,word\n3,three\n")
    path.chmod(0)
    words = ["landing/b.csv: cannot be read: Permission denied"]
    refused(letters, 1, *words, preexec_fn=without_powers)
    letters.declare(after="[errors]\nmax_dead = 1")
    ended = letters.command(preexec_fn=without_powers)
    assert (ended.code, ended.json["rows"]["written"]) == (0, 2)
    path.chmod(0o644)
    ended = letters.command(preexec_fn=without_powers)
    assert (ended.code, ended.json["rows"]["written"]) == (0, 3)


def test_a_folder_that_may_not_be_read(letters: Any) -> None:
    """A closed folder is refused, and not taken for an empty one."""
    text = (letters.root / "pipeline.toml").read_text()
    letters.write(
        "pipeline.toml", text.replace('"landing/*.csv"', '["landing/*.csv", "in/*/*.csv"]')
    )
    letters.write("in/open/b.csv", CSV)
    closed = letters.write("in/closed/c.csv", CSV).parent
    closed.chmod(0)
    try:
        refused(letters, 2, "folder in/closed/ cannot be listed", preexec_fn=without_powers)
    finally:
        closed.chmod(0o755)


def test_names_that_are_not_utf8(project: Any) -> None:
    """Files and sources with such names are read, and their rejects bear a name that can be shown,
    in JSON too."""
    project.declare(after='[errors]\nmax_rejected = "90%"')
    text = (project.root / "pipeline.toml").read_text()
    text = text.replace(
        'name = "acme"\nfiles = "landing/*.csv"', 'files = "landing/{source}/*.csv"'
    )
    project.write("pipeline.toml", text)
    project.write(b"landing/s\xff/f\xfe.csv", "id,word\n1,one\nx,two\n")
    ended = project.command()
    assert ended.code == 0, ended.err
    assert ended.json["rows"]["rejected"] == 1
    from stagepipe.record import rejects

    (reject,) = rejects.read(project.root / ended.json["rejects"])
    assert (reject.source, reject.file) == ("s\\xff", "landing/s\\xff/f\\xfe.csv")
    project.write(b"landing/s\xff/g\xfe.csv", "")
    refused(project, 1, "landing/s\\xff/g\\xfe.csv: the file is empty")


def test_a_name_that_is_not_utf8_and_is_refused(project: Any) -> None:
    """The message names it in a form that can be printed anywhere."""
    project.declare()
    (project.root / "landing").mkdir()
    (project.root / "landing" / os.fsdecode(b"d\xff.csv")).mkdir()
    refused(project, 2, "landing/d\\xff.csv is a folder")


# -- the pipeline file ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (
            {"first": '{ use = "select", columns = ["wrd"] }'},
            ["no column 'wrd'; did you mean 'word'?"],
        ),
        ({"first": '"strip_txt"'}, ["no step 'strip_txt'; did you mean 'strip_text'?"]),
        (
            {"settings": 'plugins = ["own.py"]'},
            ["own.py does not import: ZeroDivisionError", "(line 1)"],
        ),
        ({"settings": 'plugins = ["no.py"]'}, ["no.py does not exist"]),
        ({"stages": '[[stage]]\nname = "parse"'}, ["'parse', as in another stage"]),
        ({"settings": "max_concurent = 3"}, ["max_concurent"]),
        ({"columns": 'x = { type = "int65" }'}, ["int65"]),
    ],
)
def test_a_pipeline_file_that_is_wrong(
    letters: Any, declared: dict[str, str], words: list[str]
) -> None:
    """It ends with 2, and with the place of the fault."""
    letters.write("own.py", "1 / 0\n")
    letters.declare(**declared)
    refused(letters, 2, "pipeline.toml:", *words)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "stage"),
        ("not TOML", "this is not TOML"),
        (
            '[pipeline]\nname = "x"\n[[source]]\nname = "a"\nfiles = "landing/*.csv"\n'
            '[schema.columns]\nid = "int64"\n',
            "stage",
        ),
    ],
)
def test_a_pipeline_without_stages(letters: Any, text: str, word: str) -> None:
    """Nothing to do is a fault and no success."""
    letters.write("pipeline.toml", text)
    refused(letters, 2, word)


def test_what_plugins_print_stays_out_of_the_json(letters: Any) -> None:
    """Whatever a plugin prints, at import, at check or at work, by Python or to the file itself."""
    code = """\
        import os, sys
        from stagepipe import step

        print("importing")
        os.write(1, b"importing, raw\\n")

        @step
        def loud(frame):
            print("working")
            sys.stdout.write("more")
            os.write(1, b"working, raw\\n")
            os.system("echo from a shell")
            return frame
        """
    letters.write("own.py", "\n".join(line[8:] for line in code.splitlines()))
    letters.declare(settings='plugins = ["own.py"]', first='"loud"')
    ended = letters.command()
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["status"] == "succeeded"


# -- the output ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("file", "file is not a folder: move it away, or set another 'output'"),
        ("file/deeper", "file is not a folder"),
        ("closed", "closed cannot be written: see who owns it, or set another 'output'"),
        ("closed/deeper", "closed cannot be written"),
    ],
)
def test_an_output_folder_that_cannot_be_written(letters: Any, output: str, words: str) -> None:
    """It is refused before anything is read, with its place and a way out."""
    letters.write("file", "mine")
    (letters.root / "closed").mkdir(mode=0o555)
    text = (letters.root / "pipeline.toml").read_text()
    letters.write("pipeline.toml", text.replace("[pipeline]", f'[pipeline]\noutput = "{output}"'))
    refused(letters, 2, "pipeline.toml:", words, preexec_fn=without_powers)


@pytest.mark.parametrize("key", ["state", "spool"])
@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("file", "file is not a folder: move it away, or set another '{}'"),
        ("file/deeper", "file is not a folder"),
        ("nowhere", "nowhere is not a folder"),
        ("closed", "closed cannot be written: see who owns it, or set another '{}'"),
        ("closed/deeper", "closed cannot be written"),
    ],
)
def test_a_folder_of_its_own_that_cannot_be_written(
    letters: Any, key: str, folder: str, words: str
) -> None:
    """State and spool are refused with their place before anything is written, by plan too."""
    letters.write("file", "mine")
    (letters.root / "nowhere").symlink_to("not/there")
    (letters.root / "closed").mkdir(mode=0o555)
    text = (letters.root / "pipeline.toml").read_text()
    letters.write("pipeline.toml", text.replace("[pipeline]", f'[pipeline]\n{key} = "{folder}"'))
    before = letters.tree(".")
    refused(letters, 2, "pipeline.toml:2:", words.format(key), preexec_fn=without_powers)
    planned = letters.command("--dry-run", preexec_fn=without_powers)
    assert (planned.code, words.format(key) in planned.message) == (2, True)
    assert letters.tree(".") == before


@pytest.mark.parametrize("key", ["state", "spool"])
def test_a_folder_where_nobody_can_make_one(letters: Any, key: str) -> None:
    """What a look does not show is a refusal too: root is said to be allowed to write in /proc."""
    if not Path("/proc/self").exists():
        pytest.skip("there is no /proc here")
    text = (letters.root / "pipeline.toml").read_text()
    letters.write("pipeline.toml", text.replace("[pipeline]", f'[pipeline]\n{key} = "/proc/x"'))
    before = letters.tree(".")
    refused(letters, 2, "cannot be written", f"'{key}'")
    assert letters.tree(".") == before


def test_a_file_in_the_place_of_the_parts(letters: Any) -> None:
    """The spool that the pipeline file does not name is looked at as well."""
    shutil.rmtree(letters.root / ".stagepipe" / "spool")
    letters.write(".stagepipe/spool", "mine")
    refused(letters, 2, "pipeline.toml:1:", ".stagepipe/spool is not a folder", "another 'spool'")


def test_on_existing_error_lets_the_same_run_twice(project: Any) -> None:
    """The same input again is nothing new; other input is refused, and the table stands."""
    project.write("landing/a.csv", CSV)
    project.declare(stages='sink = { path = "letters", on_existing = "error" }')
    assert project.command().code == 0
    before = outputs(project)
    assert project.command().code == 0
    assert project.command("--fresh").code == 0
    assert outputs(project) == before
    project.write("landing/a.csv", CSV + "3,three\n")
    refused(project, 2, "letters is there already", "replace")


def test_replace_keeps_the_old_table_when_the_run_fails(letters: Any) -> None:
    """Until the last check has passed the old table stands."""
    letters.write("landing/a.csv", "id,word\nx,one\n2,two\n")
    plain = refused(letters, 1, "1 of 2 records of source 'acme' were rejected")
    assert plain["rejects"]
    assert plain["outputs"] == []


def test_a_stranger_that_comes_during_the_run_is_not_replaced(letters: Any) -> None:
    """What somebody puts into the table's folder while a run works stays there, and the old table
    with it; once it is away the next run takes the finished parts."""
    code = """\
        from pathlib import Path
        from stagepipe import step

        @step
        def own(frame):
            (Path(__file__).parent / "out/letters/mine.txt").write_text("mine")
            return frame
        """
    letters.write("own.py", "\n".join(line[8:] for line in code.splitlines()))
    letters.declare(settings='plugins = ["own.py"]', first='"own"')
    letters.write("landing/b.csv", "id,word\n3,three\n")
    before = outputs(letters)
    ended = letters.command()
    assert (ended.code, ended.json["status"]) == (1, "failed")
    assert "out/letters cannot be written: it holds 'mine.txt' now" in ended.message
    stranger = letters.root / "out/letters/mine.txt"
    assert stranger.read_text() == "mine"
    now = outputs(letters)
    assert {name: now[name] for name in before} == before
    stranger.unlink()
    ended = letters.command()
    assert (ended.code, ended.json["rows"]["written"]) == (0, 3), ended.err
    assert ended.json["stages"][0]["tasks"]["made"] == 0
    names = {path.name for path in (letters.root / "out").iterdir()}
    assert names == {"letters", ".letters.manifest.json"}


# -- budgets and policies ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "code"),
    [('"10%"', 1), ('"50%"', 0), ('"49.9%"', 1), ("0", 1), ("1", 1), ("2", 0)],
)
def test_the_budget_of_rejects(project: Any, budget: str, code: int) -> None:
    """Two of four records are bad: exactly the budget is still within it."""
    project.write("landing/a.csv", "id,word\n1,a\nx,b\n3,c\ny,d\n")
    project.declare(after=f"[errors]\nmax_rejected = {budget}")
    ended = project.command()
    assert ended.code == code, ended.err
    rows = ended.json["rows"]
    assert (rows["read"], rows["rejected"]) == (4, 2)
    assert bool(outputs(project)) is (code == 0)
    again = project.command()
    assert again.code == code
    assert again.json["stages"][0]["tasks"]["taken"] == 1
    assert again.json["rejects"]


def test_a_budget_holds_for_each_source(project: Any) -> None:
    """A good supplier does not pay for a bad one."""
    project.write("landing/a.csv", "id,word\n" + "1,a\n" * 99)
    project.write("other/b.csv", "id,word\nx,b\n")
    project.declare(
        after='[[source]]\nname = "other"\nfiles = "other/*.csv"\n[errors]\nmax_rejected = "10%"'
    )
    ended = project.command()
    assert ended.code == 1
    assert "1 of 1 records of source 'other' were rejected" in ended.message


def test_keep_going_commits_all_the_same(letters: Any) -> None:
    """Over budget with --keep-going the table is replaced, and the exit code is 1."""
    letters.write("landing/a.csv", "id,word\nx,one\n2,two\n")
    letters.write("landing/b.csv", "")
    ended = letters.command("--keep-going")
    assert ended.code == 1
    assert ended.json["status"] == "failed"
    assert ended.json["outputs"][0]["rows"] == 1
    assert ended.json["error"]


def test_fail_fast_stops_at_the_first(project: Any) -> None:
    """With --fail-fast a dead letter in front keeps the rest from starting."""
    for number in range(5):
        project.letters(f"{number}.csv", range(number * 100, number * 100 + 70))
    project.write("landing/0.csv", b"x" * 900)
    project.declare(after="[errors]\nmax_dead = 1")
    ended = project.command("--fail-fast", "-j", "1")
    assert ended.code == 1
    assert "landing/0.csv" in ended.message
    assert ended.json["stages"][0]["tasks"]["made"] < 5
    assert not outputs(project)
    assert project.command().code == 0


def test_a_step_that_fails_lets_the_others_finish(project: Any) -> None:
    """The run fails with stage, chunk and file; finished parts are kept and taken."""
    for number in range(3):
        project.letters(f"{number}.csv", range(number * 100, number * 100 + 70))
    code = "from stagepipe import step\n\n@step\ndef own(frame):\n    {}\n    return frame\n"
    project.write("own.py", code.format("assert not len(frame) or frame['id'][0] != 100, 'no'"))
    settings = 'chunk_size = "1kB"\nplugins = ["own.py"]'
    middle = '[[stage]]\nname = "middle"\nsteps = ["own"]\n' + (
        'sink = { path = "letters", on_existing = "replace" }'
    )
    project.declare(settings=settings, stages=middle)
    refused(
        project,
        1,
        "stage 'middle', chunk 1 (landing/1.csv): step 'own': AssertionError: no (own.py, line 5)",
    )
    project.write("own.py", code.format("pass"))
    ended = project.command()
    assert ended.code == 0
    assert [stage["tasks"]["taken"] for stage in ended.json["stages"]] == [3, 0]


@pytest.mark.parametrize("exit_code", [0, 3])
def test_a_step_does_not_end_the_run_as_it_likes(project: Any, exit_code: int) -> None:
    """sys.exit() in a step is a failure of its task."""
    project.letters("a.csv", range(3))
    code = "import sys\nfrom stagepipe import step\n\n@step\ndef own(frame):\n    sys.exit({})\n"
    project.write("own.py", code.format(exit_code))
    project.declare(settings='plugins = ["own.py"]', first='"own"')
    refused(project, 1, "step 'own'")


def test_a_damaged_part_is_made_anew(letters: Any) -> None:
    """A part that a power cut spoiled is noticed while planning, and made again."""
    spool = letters.root / ".stagepipe/spool/letters"
    (part,) = spool.glob("*.parquet")
    content = part.read_bytes()
    part.unlink()  # it is linked into the table
    part.write_bytes(bytes(len(content)))
    before = outputs(letters)
    shutil.rmtree(letters.root / "out")
    ended = letters.command()
    assert (ended.code, ended.json["stages"][0]["tasks"]["made"]) == (0, 1)
    assert outputs(letters) == before


def test_damaged_rejects_are_made_anew(project: Any) -> None:
    """So are the rejects that a task kept."""
    project.write("landing/a.csv", "id,word\n1,a\nx,b\n")
    project.declare(after='[errors]\nmax_rejected = "90%"')
    assert project.command().code == 0
    (kept,) = (project.root / ".stagepipe/spool/letters").glob("*.rejects")
    kept.write_bytes(b"")
    refused(project, 1, "were damaged on disk", "run again")
    ended = project.command()
    assert (ended.code, ended.json["rows"]["rejected"]) == (0, 1)


def test_spool_and_output_on_two_file_systems(letters: Any, tmp_path: Path) -> None:
    """The table has the same bytes, and nothing stays beside it."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no other file system than the temporary folder")
    before = outputs(letters)
    spool = memory / f"stagepipe-{os.getpid()}"
    text = (letters.root / "pipeline.toml").read_text()
    letters.write("pipeline.toml", text.replace("[pipeline]", f'[pipeline]\nspool = "{spool}"'))
    try:
        shutil.rmtree(letters.root / "out")
        assert letters.command().code == 0
        assert outputs(letters) == before
        letters.write("landing/b.csv", "id,word\n3,three\n")
        assert letters.command().code == 0
        names = {path.name for path in (letters.root / "out").iterdir()}
        assert names == {"letters", ".letters.manifest.json"}
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def test_a_folder_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    """What means something in a glob means nothing in the names of our own folders."""
    odd = tmp_path / "x=1" / "[a]*{source}"
    odd.mkdir(parents=True)
    (tmp_path / "a.csv").write_text("id,word\n1,one\n2,two\n")
    pl.DataFrame({"word": ["one", "two"], "more": [1, 2]}).write_parquet(odd / "more.parquet")
    toml = """
[pipeline]
name = "odd"
[[source]]
name = "s"
files = "../../a.csv"
[schema.columns]
id = "int64"
word = "string"
[[stage]]
name = "joined"
steps = [{ use = "join", file = "more.parquet", on = "word" }]
sink = { path = "table" }
[[stage]]
name = "sorted"
steps = [{ use = "sort", by = ["id"], descending = true }]
[[stage]]
name = "again"
steps = [{ use = "sort", by = ["word"] }]
sink = { use = "arrow", path = "all.arrow" }
"""
    (odd / "pipeline.toml").write_text(toml)
    result = stagepipe.run(stagepipe.load(odd / "pipeline.toml"), jobs=1)
    assert result.error is None
    with pa.OSFile(str(odd / "out/all.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.to_pydict() == {"id": [1, 2], "word": ["one", "two"], "more": [1, 2]}


def test_a_step_that_gives_other_columns_for_some_chunks(project: Any) -> None:
    """Stage, step, chunks and files are named, and nothing is committed."""
    project.write("landing/a.csv", "id,word\n1,a\n")
    project.write("landing/b.csv", "id,word\n2,b\n")
    project.write(
        "own.py",
        "import polars as pl\n"
        "from stagepipe import step\n"
        "@step\n"
        "def own(frame: pl.DataFrame) -> pl.DataFrame:\n"
        "    return frame.with_columns(more=1) if frame['id'][0] == 2 else frame\n",
    )
    settings = 'plugins = ["own.py"]\nchunk_size = "10B"'
    project.declare(settings=settings, first='"own", "strip_text"')
    refused(
        project,
        1,
        "stage 'parse', step 'own', made chunk 1 (landing/b.csv) with other columns than chunk 0 "
        "(landing/a.csv)",
        "more is int32 and was missing",
    )
