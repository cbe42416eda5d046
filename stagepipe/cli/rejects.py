"""`stagepipe rejects`: the bad records of a run, each with its place and its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stagepipe.cli.command import Command
from stagepipe.cli.history import History
from stagepipe.cli.options import as_json, history, loudness, option
from stagepipe.cli.session import session
from stagepipe.cli.wording import count, path_here, shortened, shown
from stagepipe.errors import UsageError

if TYPE_CHECKING:
    from stagepipe.model import Reject

RAW_WIDTH = 100
VALUE_WIDTH = 40


@click.command("rejects", cls=Command, short_help="List the rejected records of a run.")
@click.argument("run", required=False)
@history
@option("--source", help="Those of one source only.")
@option("--csv", "as_csv", is_flag=True, help="The fixed columns, as CSV.")
@as_json
@loudness
@click.pass_context
def command(
    ctx: click.Context,
    run: str | None,
    pipeline: Path | None,
    state: Path | None,
    source: str | None,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List the rejected records of RUN, the latest when left out."""
    from stagepipe.record import rejects

    as_csv, as_json = _format(ctx, as_csv, as_json)
    out = session().out
    place = History.find(pipeline, state)
    with place.open(run) as (ledger, row):
        if source is not None:
            _check_source(source, ledger.source_names())
        path = place.path(row["rejects"], row) if row["rejects"] else None
    if path is not None and not path.exists():
        raise UsageError(
            f"the rejects of run {row['run']} are gone: there is no {path_here(path)}",
            "the run folders may be removed; run again with --fresh to have them anew",
        )
    found: Iterable[Reject] = rejects.read(path, source) if path else ()
    if as_csv:
        with out.stream() as stream:
            rejects.write_csv(found, stream)
    elif as_json:
        out.json_list(reject_object(reject) for reject in found)
    else:
        with out.stream() as stream:
            for line in _lines(found, row, source):
                stream.write(shown(line) + "\n")


def _check_source(source: str, known: Sequence[str]) -> None:
    """Raises UsageError for a source that there never was."""
    if source not in known:
        from stagepipe.declare.words import did_you_mean

        there_are = f"there are: {', '.join(known)}" if known else "nothing was read yet"
        raise UsageError(f"there is no source {source!r}{did_you_mean(source, known)}", there_are)


def _format(ctx: click.Context, as_csv: bool, as_json: bool) -> tuple[bool, bool]:
    """One of both: a flag beats the other's variable. Raises UsageError for two flags."""
    if not (as_csv and as_json):
        return as_csv, as_json
    from click.core import ParameterSource

    given = [
        name
        for name in ("as_csv", "as_json")
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if len(given) != 1:
        raise UsageError("--csv and --json cannot stand together", "leave one out")
    session().as_json = given == ["as_json"]
    return given == ["as_csv"], given == ["as_json"]


def reject_object(reject: Reject) -> dict[str, Any]:
    """A reject as JSON: the fixed columns."""
    raw = None if reject.raw is None else reject.raw.decode("utf-8", "backslashreplace")
    return {**reject._asdict(), "raw": raw}


def reject_lines(reject: Reject, width: int = RAW_WIDTH + 6) -> Iterator[str]:
    """A reject for a person: where it is, why it was rejected, and the beginning of its bytes."""
    place = reject.file or reject.source
    yield f"{place}:{reject.line}" if reject.line is not None else place
    what = reject.reason
    if reject.column is not None:
        what += f" in column {reject.column!r}"
    if reject.value is not None:
        what += f": {shortened(repr(reject.value), VALUE_WIDTH)}"
    yield f"    {what}" + (f" (also {reject.also})" if reject.also else "")
    if reject.raw is not None:
        text = reject.raw.decode("utf-8", "backslashreplace")
        yield f"    | {shortened(text, width - 6)}"


def _lines(found: Iterable[Reject], row: dict[str, Any], source: str | None) -> Iterator[str]:
    number = 0
    for reject in found:
        number += 1
        yield from reject_lines(reject)
    of = f" of source {source!r}" if source else ""
    yield f"{count(number, 'rejected record')}{of} in run {row['run']} of {row['pipeline']}"
