"""`stagepipe convert`: files into one table, without a pipeline file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from stagepipe.cli.command import Command
from stagepipe.cli.options import as_json, loudness, option
from stagepipe.cli.session import session
from stagepipe.cli.wording import command_line, count, table

if TYPE_CHECKING:
    from stagepipe.plan.guessing import TableGuess
    from stagepipe.run.convert import Target

log = logging.getLogger("stagepipe")


@click.command(
    "convert",
    cls=Command,
    short_help="Convert CSV files, without a pipeline file.",
    options_metavar="-o OUT [OPTIONS]",
)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@option(
    "-o",
    "--output",
    "out",
    required=True,
    metavar="OUT",
    type=click.Path(),
    help="Where the rows go: one file for an ending in .parquet, .csv or .arrow, else a folder.",
)
@option(
    "--format",
    "kind",
    type=click.Choice(["parquet", "csv", "arrow"]),
    help="The kind of files in a folder.  [default: parquet]",
)
@option(
    "--save",
    metavar="FILE",
    type=click.Path(),
    help="Write the pipeline file that the conversion stands for, to change it and run it.",
)
@as_json
@loudness
def command(
    files: tuple[str, ...], out: str, kind: str | None, save: str | None, *, as_json: bool
) -> int:
    """Convert CSV files, all written in one way, into one table.

    How files and values are written and their types are guessed from samples and said on stderr. A
    type is taken only if every value comes back as the same text: 08123 stays a string. What does
    not fit later is a reject, kept beside OUT as OUT.rejects.csv.
    """
    from stagepipe.cli.run import execute, get_ready, tell
    from stagepipe.cli.watching import say_lines
    from stagepipe.run import convert

    here = session()
    target = convert.Target.of(out, kind, save)
    get_ready(here)
    from stagepipe.plan.guessing import guess_table

    found = guess_table(files)
    say_lines(here, *_lines(found), *_of_target(target))
    for warning in _warnings(found):
        log.warning("%s", warning)
    declared = convert.declare(found, target)
    if save is not None:
        convert.save(found, target, command_line(*here.words))
    result = convert.convert(declared, target, lambda pipeline: execute(here, pipeline))
    tell(here, result, declared, None, as_json)
    return result.exit_code


def _lines(found: TableGuess) -> Iterator[str]:
    """What was guessed, a line for each column."""
    from stagepipe.run.convert import seen

    others = len(found.files) - 1
    what = f"{found.files[0]} and {count(others, 'other')}" if others else found.files[0]
    columns = count(len(found.columns), "column")
    divided = f"divided by {found.dialect.delimiter!r}{''.join(_dialect(found))}"
    yield f"{what}: {columns} {divided}, types guessed from {seen(found)}"
    yield from table(
        [
            [column.name, column.type, column.because or column.doubt or column.format or ""]
            for column in found.columns
        ],
        indent="  ",
    )


def _of_target(target: Target) -> Iterator[str]:
    """That OUT is a folder, where its ending looks like a file's."""
    from stagepipe.declare.stages import FILE_ENDINGS

    if target.out.suffix and target.out.suffix.lower() not in FILE_ENDINGS:
        *most, last = FILE_ENDINGS
        endings = f"{', '.join(most)} or {last}"
        yield (
            f"{target.out.name} will be a folder of {target.use} files: one file ends in " + endings
        )


def _dialect(found: TableGuess) -> Iterator[str]:
    """What else is unlike most files."""
    keys = {**found.dialect.keys, **found.notation.keys}
    del keys["delimiter"]
    for key, value in keys.items():
        words = ", ".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
        yield f", {key} = {words.lower() if isinstance(value, bool) else words}"


def _warnings(found: TableGuess) -> Iterator[str]:
    yield from found.notation.doubts
    yield from found.doubts
