"""Drift: what is new about a source's files, beside those that were read before them. Pure.

The files of a run that no committed run has read yet are compared with those that were new to the
last committed run with any: so files that are read again, taken from before or resumed say nothing
twice. Each rule is made to be silent when in doubt:

- a column is *new* when no file of the last run had it, and *gone* when each of them had it;
- a *type* no longer fits when 1 % of the records or more are rejects for it, and less than 0.1 %
  were;
- a column is *empty* when no row has a value, and chance alone would leave it so less than once in
  a thousand times, if each row had none as often as before (by Laplace's rule of succession, the
  share of rows without a value counts as (nulls + 1) / (rows + 2));
- a file's *rows* are far off when their modified z-score, 0.6745 (x - median) / MAD, is beyond 3.5
  (B. Iglewicz and D. Hoaglin, How to Detect and Handle Outliers, ASQC 1993), over the last hundred
  files of the source, of which there have to be seven. The spread, 1.4826 MAD, counts as a tenth of
  the median at least, so that files of always the same length may once have a third more or less.
  It is the file that counts: how many there are in a run depends on when it is started.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType

from stagepipe.model import InputFile, Receipt, printable

UNFIT_SHARE, CLEAN_SHARE = 0.01, 0.001
CHANCE = 0.001
FEWEST_FILES, LAST_FILES = 7, 100
FARTHEST, SPREAD_OF_MAD, LEAST_SPREAD = 3.5, 1.4826, 0.1
LONGEST_SHOWN = 60
MOST = 20
"""So many changes of one kind are told of a source; a header may have a hundred thousand names."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing about a source that changed. `column` is None where it is about whole files."""

    source: str
    column: str | None
    kind: str
    was: str
    now: str

    @property
    def message(self) -> str:
        """The change in a sentence."""
        name = shortened(self.column or "")
        about = "" if self.column is None else f"column {name!r} "
        return f"source {self.source!r}: {about}{_WORDS[self.kind]}: {self.now}; before {self.was}"


_WORDS = {
    "new_column": "is new",
    "missing_column": "is gone",
    "type": "no longer fits its type",
    "empty": "is empty",
    "rows": "the number of records is far off",
}


def shortened(name: str) -> str:
    """A column's name that a message can hold; a header may be nothing but one long name."""
    return name if len(name) <= LONGEST_SHOWN else f"{name[: LONGEST_SHOWN - 1]}…"


@dataclass
class FileFacts:
    """What the receipts say of one file. `header` is None where nobody knows it."""

    file: InputFile
    records: int = 0
    rows: int = 0
    header: tuple[str, ...] | None = None
    nulls: Counter[str] = field(default_factory=Counter)
    unfit: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Profile:
    """What some files of a source have in common. `headers` is how many of them are known to have
    a header; `columns` says how many of those have a name in it, `nulls` and `unfit` of how many
    rows and records a column of the table has no value, or one that does not fit its type."""

    files: int
    records: int
    rows: int
    headers: int
    columns: Mapping[str, int]
    nulls: Mapping[str, int]
    unfit: Mapping[str, int]

    @classmethod
    def of(cls, files: Sequence[FileFacts]) -> Profile:
        """The profile of files."""
        headers = [facts.header for facts in files if facts.header is not None]
        return cls(
            files=len(files),
            records=sum(facts.records for facts in files),
            rows=sum(facts.rows for facts in files),
            headers=len(headers),
            columns=Counter(name for header in headers for name in dict.fromkeys(header)),
            nulls=_summed(facts.nulls for facts in files),
            unfit=_summed(facts.unfit for facts in files),
        )

    def over(self, before: Profile | None) -> Profile:
        """What to compare with from now on: a day without records says nothing about values."""
        made = self
        if before is not None and not self.rows:
            made = replace(made, rows=before.rows, nulls=before.nulls)
        if before is not None and not self.records:
            made = replace(made, records=before.records, unfit=before.unfit)
        return made


def _summed(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """The sums, those that are 0 too."""
    found: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            found[name] = found.get(name, 0) + number
    return Counter(found)


def identity(file: InputFile) -> tuple[str, int, int]:
    """What is known of a file that a run has read: path, size and time."""
    return printable(file.path), file.size, file.mtime_ns


def facts_by_source(
    receipts: Iterable[Receipt],
    columns: Sequence[str],
    known: Mapping[str, Container[tuple[str, int, int]]] = MappingProxyType({}),
) -> dict[str, list[FileFacts]]:
    """What the receipts of the first stage say of each living file; `columns` are the table's, as
    the reader gives them. Files that are `known`, by source and identity, are left out, and those
    of which older receipts say nothing."""
    found: dict[str, dict[str, FileFacts]] = {}
    for receipt in receipts:
        of_source, known_here = found.setdefault(receipt.source, {}), known.get(receipt.source, ())
        for segment in receipt.segments:
            if identity(segment.file) in known_here:
                continue
            if segment.dead is not None or len(segment.nulls) != len(columns):
                continue
            if segment.file.is_mended:  # it is none of the supplier's
                continue
            facts = of_source.setdefault(segment.file.path, FileFacts(segment.file))
            facts.records += segment.records - segment.other_tables
            facts.rows += segment.rows
            facts.nulls.update(dict(zip(columns, segment.nulls, strict=True)))
            facts.unfit.update(segment.unfit)
            if segment.header is not None:
                facts.header = receipt.headers[segment.header]
    return {source: list(files.values()) for source, files in found.items() if files}


def changes(
    source: str, files: Sequence[FileFacts], before: Profile, records_before: Sequence[int]
) -> list[Change]:
    """What is new about files of a source, beside what was so before; `records_before` are the
    records of each of the last files."""
    now = Profile.of(files)
    source = printable(source)
    found: list[Change] = []
    for kind, rule in (
        ("new_column", _new(now, before)),
        ("missing_column", _gone(files, now, before)),
        ("type", _unfit(now, before)),
        ("empty", _empty(now, before)),
        ("rows", _far_off(files, records_before)),
    ):
        told = [Change(source, column, kind, was, is_now) for column, was, is_now in rule]
        found += told[:MOST]
        if len(told) > MOST:
            column = None if kind == "rows" else told[MOST].column
            more = f"and {len(told) - MOST:,} more like it"
            found.append(Change(source, column, kind, told[MOST].was, more))
    return found


Told = Iterator[tuple[str | None, str, str]]


def _new(now: Profile, before: Profile) -> Told:
    if not before.headers:
        return
    for name, files in now.columns.items():
        if not before.columns.get(name):
            yield name, "in none", f"in {_of(files, now.headers, 'new file')}"


def _gone(files: Sequence[FileFacts], now: Profile, before: Profile) -> Told:
    headers = [(frozenset(f.header), f) for f in files if f.header is not None]
    for name, number in before.columns.items():
        lacking = now.headers - now.columns.get(name, 0)
        if number == before.headers and lacking:
            first = next(facts for header, facts in headers if name not in header)
            where = f"missing in {_of(lacking, now.headers, 'new file')}"
            yield name, "in every file", f"{where}, as in {printable(first.file.path)}"


def _unfit(now: Profile, before: Profile) -> Told:
    for name, records in now.unfit.items():
        had = before.unfit.get(name, 0)
        is_clean = name in before.nulls and had < CLEAN_SHARE * before.records
        if is_clean and records >= UNFIT_SHARE * now.records:
            yield name, _of(had, before.records, "record"), _of(records, now.records, "record")


def _empty(now: Profile, before: Profile) -> Told:
    for name, nulls in now.nulls.items():
        had = before.nulls.get(name)
        if not now.rows or nulls < now.rows or had is None or had >= before.rows:
            continue
        is_gone = before.columns.get(name, 0) and not now.columns.get(name, 0)
        if not is_gone and ((had + 1) / (before.rows + 2)) ** now.rows < CHANCE:
            was = f"in {_of(had, before.rows, 'row')}"
            yield name, was, f"without a value in all of {now.rows:,} rows"


def _far_off(files: Sequence[FileFacts], records_before: Sequence[int]) -> Told:
    last = list(islice(records_before, LAST_FILES))
    if len(last) < FEWEST_FILES:
        return
    usual = statistics.median(last)
    deviation = statistics.median(abs(records - usual) for records in last)
    spread = max(SPREAD_OF_MAD * deviation, LEAST_SPREAD * usual)
    for facts in files:
        if abs(facts.records - usual) > FARTHEST * spread:
            was = (
                f"{round(usual):,}, give or take {round(spread):,}, over the last {len(last)} files"
            )
            yield None, was, f"{facts.records:,} in {printable(facts.file.path)}"


def _of(number: int, total: int, what: str) -> str:
    return f"{number:,} of {total:,} {what}{'' if total == 1 else 's'}"
