"""What a part is made of, and the key that says so.

A key is a digest over ingredients, each itself a digest of one kind of thing: equal keys mean
equal bytes. The ingredients are kept beside the key so that a plan can say *what* changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from stagepipe.contracts import TableSpec
from stagepipe.model import Chunk, Piece
from stagepipe.plan.work import KeptValues, Role, SourceWork, StageWork, StepWork

PART_FORMAT = 3
"""Raised when parts are made in another way, so that no older one is taken."""

MEANING = {
    "inputs": "an input file changed",
    "cut": "files are packed or cut otherwise",
    "dialect": "[source.csv] changed",
    "schema": "[schema] changed",
    "extra": "the files have other columns beyond the schema now",
    "unique": "other columns are unique",
    "steps": "a step, its options or its code changed",
    "reference": "a file that a step reads changed",
    "sink": "the sink changed",
    "records": "a later step rejects rows, or none does any more",
    "versions": "another version of stagepipe, polars or pyarrow",
    "before": "the stage before it changed",
    "duplicates": "other records of it are duplicates now",
    "compared": "it compares other records",
    "kept": "the table holds other values",
}
"""What it means for a part when an ingredient differs, in the order in which it is said."""


def digest(value: Any) -> str:
    """32 hexadecimal digits over a value of plain types; paths and dates go by their text. The
    order of a table counts: in an option it may be the order of columns."""
    text = json.dumps(value, default=_plain, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def key_of(ingredients: Mapping[str, str]) -> str:
    """The key of the part that is made of these."""
    return digest(sorted(ingredients.items()))


def chunk_ingredients(chunk: Chunk) -> dict[str, str]:
    """What a part of the first stage is made of that no other one is."""
    return {
        "inputs": digest([_identity(segment.file) for segment in chunk.segments]),
        "cut": digest([(s.file.path, s.start, s.end) for s in chunk.segments]),
    }


def source_ingredients(
    name: str, source: SourceWork, table: TableSpec, stage: StageWork
) -> dict[str, str]:
    """What all parts of a source in the first stage have in common."""
    made_of = {
        "dialect": digest([name, source.reader, dict(source.options)]),
        "schema": _table_digest(table),
    }
    if table.extra_columns == "keep":
        made_of["extra"] = _extra_digest(table)
    if stage.role is Role.READS:  # whatever the stage does later, this part is only read
        return {**made_of, "unique": digest(table.unique), "versions": _versions()}
    return {**made_of, **stage_ingredients(stage)}


def comparing_ingredients(
    pieces: Sequence[Piece], table: TableSpec, kept: Sequence[KeptValues] | None
) -> dict[str, str]:
    """What it is made of which records of the whole run are duplicates."""
    return {
        "compared": digest(pieces),
        "unique": digest(table.unique),
        "kept": digest(None if kept is None else [each.sha256 for each in kept]),
        "versions": _versions(),
    }


def going_on_ingredients(
    piece: Piece, duplicates: str, of_stage: Mapping[str, str]
) -> dict[str, str]:
    """What a part behind an inner barrier is made of; `duplicates` is the digest of those in it."""
    return {**later_ingredients(piece, of_stage), "duplicates": duplicates}


def later_ingredients(piece: Piece, of_stage: Mapping[str, str]) -> dict[str, str]:
    """What a part of a later stage is made of; `piece` is what it reads, `of_stage` what all parts
    of the stage have in common."""
    before = digest(piece) if piece.number else piece.key
    return {"before": before, **of_stage}


def all_ingredients(pieces: Sequence[Piece], stage: StageWork, chunk_size: int) -> dict[str, str]:
    """What the part of a stage over all rows is made of."""
    return {"before": digest(pieces), "cut": digest(chunk_size), **stage_ingredients(stage)}


def stage_ingredients(stage: StageWork) -> dict[str, str]:
    """What all parts of a stage have in common."""
    return {
        "steps": digest([_step(step) for step in stage.steps]),
        "reference": digest([sorted(step.reads.items()) for step in stage.steps if step.reads]),
        "sink": digest([stage.sink, dict(stage.sink_options), stage.keeps_pieces]),
        "records": digest(stage.keeps_records),
        "versions": _versions(),
    }


def changed(before: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    """Why a part has to be made: what differs from the part that stood in its place before."""
    if before is None:
        return "new"
    known = before.keys() & now.keys() | {"unique"}
    differences = [
        MEANING[name] for name in MEANING if name in known and before.get(name) != now.get(name)
    ]
    return "; ".join(differences) or "its finished part is gone or damaged"


def _plain(value: Any) -> Any:
    # A set's own order differs from process to process.
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)


def _identity(file: Any) -> tuple[Any, ...]:
    return file.path, file.size, file.mtime_ns, file.inode, file.member


def _step(step: StepWork) -> list[Any]:
    # Of a file that an option names, the content counts (see "reference"), not where it lies.
    options = {name: v for name, v in step.options.items() if name not in step.reads}
    return [step.where.name, options, step.reshapes, step.code]


@lru_cache(maxsize=4)
def _table_digest(table: TableSpec) -> str:
    columns = [
        (c.name, c.header, str(c.arrow_type), c.required, c.checks, c.format, c.default)
        for c in table.columns
        if not c.is_extra
    ]
    checks = [(check.name, check.expression, check.message) for check in table.checks]
    return digest([columns, table.extra_columns, table.missing_columns, table.provenance, checks])


@lru_cache(maxsize=4)
def _extra_digest(table: TableSpec) -> str:
    return digest([column.name for column in table.columns if column.is_extra])


@lru_cache(maxsize=1)
def _versions() -> str:
    return digest([PART_FORMAT, *(version(name) for name in ("stagepipe", "polars", "pyarrow"))])
