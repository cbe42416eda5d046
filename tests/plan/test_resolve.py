"""What is checked before a file is opened: steps, options, columns, patterns, plugins."""

from __future__ import annotations

from typing import Any

import pytest

from stagepipe.errors import PipelineError
from stagepipe.plan.planner import check


def faults(project: Any) -> list[str]:
    with pytest.raises(PipelineError) as caught:
        check(project.load())
    found = [str(fault).removeprefix(f"{project.root}/") for fault in caught.value.faults]
    assert found
    return found


def fault(project: Any, first: str, **declared: Any) -> str:
    """The one fault of a pipeline with these steps."""
    project.declare(first=first, **declared)
    (found,) = faults(project)
    return found


def at(project: Any, text: str) -> str:
    """The place of some text in the pipeline file."""
    lines = (project.root / "pipeline.toml").read_text().split("\n")
    for number, line in enumerate(lines, 1):
        if text in line:
            return f"pipeline.toml:{number}:{line.index(text) + 1}: "
    raise AssertionError(text)


def test_a_step_that_does_not_exist_has_a_place_and_a_near_name(project: Any) -> None:
    """A misspelt step is named with line and column and the nearest right name."""
    text = fault(project, '"strip_txt"')
    assert text.startswith(at(project, '"strip_txt"'))
    assert "there is no step 'strip_txt'; did you mean 'strip_text'?" in text


@pytest.mark.parametrize(
    ("step", "place", "message"),
    [
        (
            '{ use = "select", columns = ["id"], colums = ["id"] }',
            "colums",
            "step 'select' has no option 'colums'; did you mean 'columns'?",
        ),
        ('{ use = "select" }', '{ use = "select" }', "step 'select' lacks its option 'columns'"),
        ('{ use = "select", columns = 5 }', "columns = 5", "columns of step 'select'"),
        (
            '{ use = "join", file = "no.csv", on = "id" }',
            'file = "no.csv"',
            "no.csv cannot be read: No such file or directory",
        ),
        (
            '{ use = "join", file = "ref.csv", on = "id", how = "lft" }',
            'how = "lft"',
            "how of step 'join'",
        ),
        (
            '{ use = "join", file = "ref.csv", on = "no" }',
            '{ use = "join"',
            "step 'join': ",
        ),
        (
            '{ use = "join", file = "ref.csv", on = "id", columns = ["nme"] }',
            '{ use = "join"',
            "ref.csv has no column 'nme'; it has id, name",
        ),
        (
            '{ use = "select", columns = ["wrd"] }',
            '{ use = "select"',
            "step 'select': there is no column 'wrd'; did you mean 'word'?",
        ),
        (
            '{ use = "filter", expression = "wrd = 1" }',
            '{ use = "filter"',
            "step 'filter': there is no column 'wrd'; did you mean 'word'?",
        ),
        (
            '{ use = "derive", column = "x", expression = "idd + 1" }',
            '{ use = "derive"',
            "step 'derive': there is no column 'idd'; did you mean 'id'?",
        ),
        (
            '{ use = "rename", columns = { xyz = "b" } }',
            '{ use = "rename"',
            "step 'rename': there is no column 'xyz'; there are: id, word",
        ),
        ('{ use = "filter", expression = "id >" }', '{ use = "filter"', "step 'filter': "),
        ('{ use = "derive", column = "x", expression = "NOFUN(id)" }', '{ use = "derive"', "nofun"),
        ('{ use = "strip_text", columns = ["id"] }', '{ use = "strip_text"', "step 'strip_text': "),
    ],
)
def test_a_faulty_step_is_found_at_check(project: Any, step: str, place: str, message: str) -> None:
    """Wrong options, columns and expressions are found without any data, each with its place."""
    project.write("ref.csv", "id,name\n1,a\n")
    text = fault(project, step)
    assert text.startswith(at(project, place))
    assert message.lower() in text.lower()
    assert "\n" not in text


def test_a_column_that_an_earlier_step_took_is_missed(project: Any) -> None:
    """Columns are followed from step to step and from stage to stage."""
    later = '[[stage]]\nname = "later"\nsteps = [{ use = "select", columns = ["word"] }]'
    text = fault(project, '{ use = "rename", columns = { word = "text" } }', stages=later)
    assert "there is no column 'word'; there are: id, text" in text
    assert text.startswith(at(project, '{ use = "select"'))


def test_all_faults_come_at_once(project: Any) -> None:
    """Unknown steps, wrong options and patterns of all stages are reported together."""
    project.declare(
        first='"no_step", { use = "select", nope = 1 }',
        stages='[[stage]]\nname = "later"\nsteps = ["nor_this"]',
        columns='code = { type = "string", pattern = "(?=a)" }',
    )
    found = faults(project)
    for word in ("no_step", "nope", "columns", "nor_this", "pattern"):
        assert sum(word in text for text in found) == 1, word
    assert len(found) == 5


def test_steps_and_sinks_are_checked_beside_other_faults(project: Any) -> None:
    """A wrong key elsewhere, and a wrong place of a sink, hide no step, sink or option."""
    sinks = [
        'use = "parqet", path = "same"',
        'use = "parquet", path = "same", compresion = "lz4"',
        'use = "parquet", path = "../out.parquet", partition_by = ["id"]',
    ]
    stages = [
        f'[[stage]]\nname = "s{number}"\nsteps = ["no_step_{number}"]\nsink = {{ {sink} }}'
        for number, sink in enumerate(sinks)
    ]
    project.declare(settings="job = 1", stages="\n".join(stages))
    with pytest.raises(PipelineError) as caught:
        project.load()
    found = [fault.message for fault in caught.value.faults]
    for word in (
        "unknown key 'job'",
        "no_step_0",
        "no_step_1",
        "no_step_2",
        "no sink 'parqet'; did you mean 'parquet'?",
        "no option 'compresion'; did you mean 'compression'?",
        "'same', the place of another sink too",
        "leaves the output folder",
        "partition_by needs a folder",
    ):
        assert sum(word in text for text in found) == 1, word
    assert len(found) == 9


@pytest.mark.parametrize("pattern", ["(?=a)", "(", r"(a)\\1"])
def test_a_pattern_that_re2_does_not_take_is_found(project: Any, pattern: str) -> None:
    """A pattern that only Python's `re` takes is refused before the run."""
    project.declare(columns=f'code = {{ type = "string", pattern = "{pattern}" }}')
    (text,) = faults(project)
    assert "pattern" in text
    assert text.startswith(at(project, f'pattern = "{pattern}"'))


PIVOT = 'use = "pivot", on = "word", index = ["id"], values = "id"'


@pytest.mark.parametrize(
    ("step", "place", "message"),
    [
        (
            f"{{ {PIVOT}, columns = [true] }}",
            "true]",
            "columns[0] of step 'pivot' must be a string or a whole number, got true",
        ),
        (
            f"{{ {PIVOT}, columns = [1, 1.5] }}",
            "1.5]",
            "columns[1] of step 'pivot' must be a string or a whole number, got 1.5",
        ),
        (
            f"{{ {PIVOT}, columns = 5 }}",
            "columns = 5",
            "columns of step 'pivot' must be a list, got 5",
        ),
        (
            '{ use = "aggregate", count = 5 }',
            "count = 5",
            "count of step 'aggregate' must be a string, a list or a table, got 5",
        ),
        (
            '{ use = "aggregate", sum = { id = 5 } }',
            "id = 5",
            "sum.id of step 'aggregate' must be a string, got 5",
        ),
        (
            '{ use = "fill", nulls = { id = [1] } }',
            "id = [1]",
            "nulls.id of step 'fill' must be true or false, a whole number, a number, a string, "
            "a date, a datetime or a time, got a list",
        ),
        (
            '{ use = "sort", by = ["id"], descending = ["maybe"] }',
            '"maybe"',
            "descending[0] of step 'sort' must be true or false, got 'maybe'",
        ),
    ],
)
def test_an_option_of_several_types_is_told_of_once(
    project: Any, step: str, place: str, message: str
) -> None:
    """In our words, and where the wrong value stands."""
    sink = 'sink = { path = "t" }'
    project.declare(stages=f'[[stage]]\nname = "next"\nsteps = [{step}]\n{sink}')
    (text,) = faults(project)
    assert text == at(project, place) + message


@pytest.mark.parametrize(("given", "wanted"), [("true", "5"), ('"many"', "5"), ("1.5", "1")])
def test_a_whole_number_is_no_truth(project: Any, given: str, wanted: str) -> None:
    """Python takes True for 1; a pipeline file does not."""
    plugin(
        project,
        "@step\ndef cut(frame, *, by: int | None = 3, share: float = 1.0, of: list[int] = []):\n"
        "    return frame.head(by)",
        steps=f'{{ use = "cut", by = {given} }}',
    )
    (text,) = faults(project)
    assert text.endswith(f"by of step 'cut' must be a whole number, got {given}".replace('"', "'"))
    right = f'{{ use = "cut", by = {wanted}, share = 2, of = [1] }}'
    project.declare(settings='plugins = ["own.py"]', first=right)
    assert check(project.load())


def test_a_built_in_step_makes_only_what_can_be_stored(project: Any) -> None:
    """Polars' SQL has types that no file has."""
    step = '{ use = "derive", column = "big", expression = "CAST(id AS HUGEINT)" }'
    text = fault(project, step)
    assert text.startswith(at(project, step))
    assert "step 'derive' made column 'big' of integers of 128 bits, which cannot be" in text


def plugin(project: Any, code: str, name: str = "own.py", steps: str = "") -> None:
    project.write(name, f"import sys\nimport polars as pl\nfrom stagepipe import step\n\n{code}\n")
    project.declare(settings=f'plugins = ["{name}"]', first=steps)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def broken(:", "own.py does not import: SyntaxError"),
        ("import no_such_module", "does not import: ModuleNotFoundError: No module named"),
        ("x = 1 / 0", "ZeroDivisionError: division by zero (line 5)"),
        ("sys.exit(0)", "does not import: SystemExit: 0 (line 5)"),
        ("raise BaseException(1)", "does not import: BaseException: 1 (line 5)"),
        (
            "@step\ndef s(*, x: int): ...",
            "step 's' (",
        ),
        ("@step\ndef s(frame, x): ...", "x must be keyword-only"),
        ("@step\ndef select(frame): ...", "step 'select' is in built-in and in"),
        ("@step(scope='all')\ndef s(frame, reject): ...", "which knows no records"),
        ("@step(scope='ALL')\ndef s(frame): ...", """own.py:5: @step has the scope 'ALL': write"""),
        ("@step(scope=['all'])\ndef s(frame): ...", "own.py:5: @step has the scope ['all']"),
        (
            "@step(reshapes='no')\ndef s(frame): ...",
            "own.py:5: @step has reshapes='no': write True",
        ),
        ("@step(io_bound=1)\ndef s(frame): ...", "own.py:5: @step has io_bound=1: write True"),
        ("@step(name='')\ndef s(frame): ...", "own.py:5: @step has the name '': write a text"),
        ("@step(name=5)\ndef s(frame): ...", "own.py:5: @step has the name 5: write a text"),
        ("@step('s')\ndef s(frame): ...", "own.py:5: @step('s') gives the name by position: write"),
        ("s = step(5)", "own.py:5: @step marks a function, not a int"),
        (
            "from stagepipe import hookimpl\n@hookimpl\ndef stagepipe_redaers(): ...",
            "stagepipe_redaers",
        ),
    ],
)
def test_a_plugin_that_is_wrong_is_named_with_its_line(
    project: Any, code: str, message: str
) -> None:
    """A plugin file that does not import, or declares a step wrongly, is a fault with a place."""
    plugin(project, code)
    (text,) = faults(project)
    assert text.startswith(at(project, '"own.py"'))
    assert message in text


@pytest.mark.parametrize("name", ["csv.py", "polars.py"])
def test_a_plugin_does_not_shadow_a_module(project: Any, name: str) -> None:
    """A plugin file named like another module would take its place in the workers."""
    plugin(project, "", name)
    assert "has the name of another module: rename it" in faults(project)[0]


def test_a_plugin_file_that_is_not_there_is_named(project: Any) -> None:
    """A missing plugin file is a fault of the line that names it."""
    project.declare(settings='plugins = ["gone.py"]')
    (text,) = faults(project)
    assert "gone.py does not exist" in text
    assert text.startswith(at(project, '"gone.py"'))


def test_a_plugin_named_twice_is_a_fault(project: Any) -> None:
    """The second mention of a plugin file is pointed at."""
    project.write("own.py", "")
    project.declare(settings='plugins = ["own.py", "own.py"]')
    (text,) = faults(project)
    assert "named twice" in text


def test_options_are_checked_by_their_annotations(project: Any) -> None:
    """A plugin's keyword-only arguments are its options, with their types and defaults."""
    code = "@step\ndef cut(frame, *, by: int, note: str = 'n'):\n    return frame.head(by)"
    plugin(project, code, steps='{ use = "cut", by = "many" }')
    (text,) = faults(project)
    assert "by of step 'cut'" in text
    assert text.startswith(at(project, 'by = "many"'))


@pytest.mark.parametrize(
    "body", ["raise RuntimeError('no rows')", "sys.exit(3)", "return frame.rows()[0]", "return 5"]
)
def test_a_plugin_step_may_fail_without_rows(project: Any, body: str) -> None:
    """A plugin's own step that cannot do without rows is no fault before the run."""
    plugin(project, f"@step\ndef odd(frame):\n    {body}", steps='"odd", "strip_text"')
    check(project.load())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def to_eur(frame): return frame",
            "there is no step 'to_eur': own.py has a function of that name, which is not marked "
            "with @step",
        ),
        (
            "@step(name='euros')\ndef to_eur(frame): return frame",
            "there is no step 'to_eur': the function in own.py is marked as step 'euros'",
        ),
        (
            "from other import to_eur",
            "there is no step 'to_eur': own.py imports it from other: name that file in 'plugins' "
            "too",
        ),
    ],
)
def test_a_function_that_is_no_step_is_told_of(project: Any, code: str, message: str) -> None:
    """A function that was meant for a step is not taken for a misspelt name."""
    step = "from stagepipe import step\n"
    project.write("other.py", step + "@step\ndef to_eur(frame): return frame\n")
    project.write("own.py", step + code + "\n")
    assert fault(project, '"to_eur"', settings='plugins = ["own.py"]').endswith(message)
