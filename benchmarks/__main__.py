"""`python -m benchmarks`: make the data, run the peers in turn, check, report."""

import json
import shutil
import tempfile
from pathlib import Path

import click

from benchmarks import report
from benchmarks.data import Work, prepare
from benchmarks.errors import BenchError
from benchmarks.measure import Measured, inherit_orphans, run
from benchmarks.peers import DEFAULT_PEERS, DIRTY_PEERS, MANY_PEERS, PEERS
from benchmarks.report import HOME_TEAM, Result
from benchmarks.verify import Output, verify

ROOT = Path(__file__).parent.parent
DEFAULT_WORKS = ("many", "big", "dirty", "small")
WORKS = (*DEFAULT_WORKS, "tenfold")


def _names(known: tuple[str, ...]) -> object:
    """Parse a list like `many,big`; each name must be known, and the order is the user's."""

    def parse(_context: click.Context, _option: click.Parameter, text: str) -> list[str]:
        names = list(dict.fromkeys(name.strip() for name in text.split(",")))
        for name in names:
            if name not in known:
                raise click.BadParameter(f"{name!r} is none of {', '.join(known)}")
        return names

    return parse


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=5, type=click.IntRange(min=1), help="Timed rounds.")
@click.option(
    "--memory-rounds", default=2, type=click.IntRange(min=0), help="Untimed rounds for memory."
)
@click.option(
    "--only",
    "works",
    default=",".join(DEFAULT_WORKS),
    callback=_names(WORKS),
    help=f"Works: any of {', '.join(WORKS)}.",
)
@click.option(
    "--peers",
    default=",".join(DEFAULT_PEERS),
    callback=_names(tuple(PEERS)),
    help=f"Who, in this order: any of {', '.join(PEERS)}. Some only take part in one work.",
)
@click.option("--scale", default=1.0, type=click.FloatRange(min=0.001), help="TPC-H scale factor.")
@click.option(
    "--data",
    default=ROOT / "benchmarks" / "data",
    type=click.Path(file_okay=False, path_type=Path),
    show_default=False,
    help="Where the data are kept and the peers write; benchmarks/data when left out.",
)
@click.option("--workers", default=0, help="Threads or processes of each peer; 0: all cores.")
@click.option("--timeout", default=600.0, help="Seconds that one run may take.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all results to this file, too.",
)
def main(
    rounds: int,
    memory_rounds: int,
    works: list[str],
    peers: list[str],
    scale: float,
    data: Path,
    workers: int,
    timeout: float,
    json_file: Path | None,
) -> None:
    """Run stagepipe and its peers on the same work, in turn, and compare them."""
    inherit_orphans()
    workers = workers or report.usable_cores()
    facts = report.machine(workers)
    chosen = prepare(data, scale, works)
    click.echo(report.machine_line(facts))
    outcome = []
    with tempfile.TemporaryDirectory(prefix="run-", dir=data) as scratch:
        for work in chosen:
            arena = Arena(work, Path(scratch).resolve() / work.name, workers, timeout)
            results = compete(arena, _able(work, peers), rounds, memory_rounds)
            click.echo("\n" + report.table(work, results))
            outcome.append((work, results))
    if json_file:
        json_file.write_text(json.dumps(report.as_json(facts, outcome), indent=1) + "\n")


def _able(work: Work, peers: list[str]) -> list[str]:
    """Who takes part in a work."""
    if work.clean:
        return list(DIRTY_PEERS)
    if work.name == "small":
        return [*(peer for peer in peers if peer != "dask"), "stagepipe-again"]
    if work.name == "many":
        return [*peers, *MANY_PEERS]
    if work.name == "tenfold":
        return [HOME_TEAM]
    return peers


class Arena:
    """Where the peers run one work, each run in a new and empty folder."""

    def __init__(self, work: Work, folder: Path, workers: int, timeout_seconds: float) -> None:
        self.work = work
        self.folder = folder
        self.workers = workers
        self.timeout_seconds = timeout_seconds

    def play(
        self, peer: str, label: str, *, memory: bool = False, contents: bool = False
    ) -> tuple[Measured, Output]:
        """One run of one peer: measured, its output checked and then removed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        try:
            job = PEERS[peer](self.work, self.folder, self.workers)
            log = self.folder / "bench.log"
            if job.first:
                run(job.first, ROOT, log, self.timeout_seconds, memory=False)
            measured = run(job.command, ROOT, log, self.timeout_seconds, memory)
            output = verify(job.output, job.work.expected, contents)
        except BenchError as error:
            raise BenchError(f"{peer} on {self.work.name}: {error.message}") from error
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        click.echo(
            f"{self.work.name:5} {label:9} {peer:15} {measured.wall_seconds:6.2f} s", err=True
        )
        return measured, output


def compete(arena: Arena, peers: list[str], rounds: int, memory_rounds: int) -> list[Result]:
    """Warm up each peer once, checking its output in full; then all in turn, A B C, A B C …"""
    results = [Result(peer) for peer in peers]
    for result in results:
        _, result.output = arena.play(result.peer, "warm-up", contents=True)
    for number in range(1, rounds + 1):
        for result in results:
            measured, result.output = arena.play(result.peer, f"round {number}")
            result.rounds.append(measured)
    for number in range(1, memory_rounds + 1):
        for result in results:
            measured, _ = arena.play(result.peer, f"memory {number}", memory=True)
            result.peak_bytes = max(result.peak_bytes, measured.peak_bytes or 0)
    return results


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
