"""`stagepipe rejects`: the bad records of a run, each with its place and its reason."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stagepipe.cli.command import Command
from stagepipe.cli.history import History
from stagepipe.cli.options import as_json, history, loudness, option
from stagepipe.cli.session import session
from stagepipe.cli.wording import command_line, count, number, path_here, shortened, shown
from stagepipe.errors import UsageError

if TYPE_CHECKING:
    from stagepipe.model import Reject
    from stagepipe.record.rejects import Noted
    from stagepipe.record.returning import Status

log = logging.getLogger("stagepipe")
RAW_WIDTH = 100
VALUE_WIDTH = 40
SMALL = 9
"""The first byte of a character of an alphabet is smaller: of Latin, Greek, Cyrillic, Arabic …"""
SEPARATED = 8
"""One in so many characters of a record in UTF-16 is a digit, a blank or a delimiter at least."""
WORDS = {"settled": "settled", "replaced": "mended, and rejected again"}
"""What is said of a reject that is not simply open."""


@click.command("rejects", cls=Command, short_help="List the rejected records of a run.")
@click.argument("run", required=False)
@history
@option("--source", help="Those of one source only.")
@option("--csv", "as_csv", is_flag=True, help="The fixed columns, as CSV.")
@option("--return", "as_return", is_flag=True, help="The open ones, to be mended and replayed.")
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
    as_return: bool,
    as_json: bool,
) -> None:
    """List the rejected records of RUN, the latest when left out.

    With --return, what goes to the supplier: of each record that is not settled the place and the
    reason, then its own bytes. `stagepipe replay --from FILE` takes it back mended.
    """
    from stagepipe.record import rejects, returning
    from stagepipe.record.open_rejects import open_before

    as_csv, as_return, as_json = _format(ctx, as_csv=as_csv, as_return=as_return, as_json=as_json)
    out = session().out
    place = History.find(pipeline, state)
    with place.open(run) as (ledger, row):
        if source is not None:
            _check_source(source, ledger.source_names())
        path = place.path(row["rejects"], row) if row["rejects"] else None
        settled = ledger.settled(row["pipeline"])
        earlier = {} if run or as_csv or as_json else open_before(ledger, row, place.state)
    if path is not None and not path.exists():
        raise UsageError(
            f"the rejects of run {row['run']} are gone: there is no {path_here(path)}",
            "the run folders may be removed; run again with --fresh to have them anew",
        )

    def found() -> Iterator[tuple[Noted, Status]]:
        numbered = (settled, row["number"], source)
        return returning.with_status(path, *numbered) if path else iter(())

    if as_csv:
        with out.stream() as stream:
            rejects.write_csv((noted.reject for noted, _ in found()), stream)
    elif as_return:
        _return(found, row)
    elif as_json:
        out.json_list(
            {**reject_object(noted.reject), "status": str(status)} for noted, status in found()
        )
    else:
        with out.stream() as stream:
            for line in _lines(found(), row, source):
                stream.write(shown(line) + "\n")
    for before, records in earlier.items():
        log.warning(
            "%s open in run %s, whose files no later run has read: %s",
            "1 reject is" if records == 1 else f"{number(records)} rejects are",
            before,
            command_line("rejects", before, *place.words),
        )


def _check_source(source: str, known: Sequence[str]) -> None:
    """Raises UsageError for a source that there never was."""
    if source not in known:
        from stagepipe.declare.words import did_you_mean

        there_are = f"there are: {', '.join(known)}" if known else "nothing was read yet"
        raise UsageError(f"there is no source {source!r}{did_you_mean(source, known)}", there_are)


def _format(ctx: click.Context, **asked: bool) -> tuple[bool, bool, bool]:
    """One of the forms: a flag beats another's variable. Raises UsageError for two flags."""
    if sum(asked.values()) > 1:
        from click.core import ParameterSource

        given = [
            name for name in asked if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        ]
        if len(given) != 1:
            named = [f"--{name.removeprefix('as_')}" for name in given or asked if asked[name]]
            raise UsageError(f"{' and '.join(named)} cannot stand together", "leave one out")
        asked = {name: name in given for name in asked}
        session().as_json = asked["as_json"]
    return asked["as_csv"], asked["as_return"], asked["as_json"]


def _return(found: Callable[[], Iterator[tuple[Noted, Status]]], row: dict[str, Any]) -> None:
    """Write what goes to the supplier, and say on stderr what cannot."""
    from stagepipe.record.returning import Status, form, is_table, origin_of

    lost = tables = 0

    def open_ones() -> Iterator[Noted]:
        nonlocal lost, tables
        lost = tables = 0
        for noted, status in found():
            if status is Status.OPEN:
                lost += origin_of(noted.reject) is None
                tables += is_table(noted)
                yield noted

    session().out.raw(form(open_ones, row["pipeline"], row["run"]))
    if lost:
        log.warning(
            "%s cannot be returned: nobody knows which %s (line and raw are empty)",
            count(lost, "record"),
            "it was" if lost == 1 else "they were",
        )
    if tables:
        log.warning(
            "%s left out: what is wanted of one has to come in a file of its own",
            "1 other table is" if tables == 1 else f"{number(tables)} other tables are",
        )


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
        yield f"    | {shortened(_readable(reject.raw), width - 6)}"


def _readable(raw: bytes) -> str:
    """A record's bytes for a person: as UTF-16 where its zeros and high bytes tell, else UTF-8."""
    if 0 in raw and len(raw) % 2 == 0:
        for codec, high, low in (
            ("utf-16-le", raw[1::2], raw[0::2]),
            ("utf-16-be", raw[0::2], raw[1::2]),
        ):
            # Of an alphabet all bytes are small, and of other scripts not all is UTF-8.
            is_alphabet = max(high) < SMALL
            is_script = (
                0 not in low and SEPARATED * high.count(0) >= len(high) and not _is_utf8(raw)
            )
            if is_alphabet or is_script:
                with suppress(UnicodeDecodeError):
                    return raw.decode(codec)
    return raw.decode("utf-8", "backslashreplace")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(
    found: Iterable[tuple[Noted, Status]], row: dict[str, Any], source: str | None
) -> Iterator[str]:
    counts: Counter[str] = Counter()
    for noted, status in found:
        counts[status] += 1
        first, *others = reject_lines(noted.reject)
        yield first + ("" if status == "open" else f" ({WORDS[status]})")
        yield from others
    of = f" of source {source!r}" if source else ""
    number = counts.total()
    more = "".join(f", {counts[word]} {WORDS[word]}" for word in WORDS if counts[word])
    yield f"{count(number, 'rejected record')}{of} in run {row['run']} of {row['pipeline']}{more}"
