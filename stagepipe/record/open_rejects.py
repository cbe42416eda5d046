"""Where open rejects are that a later run did not read again.

A run's rejects are those of the files that it read. Of a table that is appended to each run reads
other files, so that what is open of one run stays open whatever the later ones do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stagepipe.record.ledger import Ledger, Row
from stagepipe.record.returning import Status, is_table, origin_of, with_status


def open_before(ledger: Ledger, run: Row, state: Path) -> Mapping[str, int]:
    """How many rejects are open of runs before this one, by run, the latest first: those of which
    no later run has read the file. Runs whose rejects are gone are left out."""
    readings = ledger.last_readings(run["pipeline"])
    last = {name: reading["run"] for name, reading in readings.items()}
    known, settled = set(last.values()), ledger.settled(run["pipeline"])
    found: dict[str, int] = {}
    for before in ledger.runs():
        path = state / "runs" / before["run"] / "rejects.parquet"
        is_one = before["number"] < run["number"] and before["run"] in known
        if not (is_one and before["rejects"] and path.exists()):
            continue
        count = 0
        for noted, status in with_status(path, settled, before["number"]):
            origin = origin_of(noted.reject)
            if status is Status.OPEN and origin is not None and not is_table(noted):
                count += last.get(origin[:2]) == before["run"]
        if count:
            found[before["run"]] = count
    return found
