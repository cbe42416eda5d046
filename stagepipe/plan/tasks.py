"""Which tasks the stages have, and whether each is made or taken, with the reason. Pure, but for a
look whether a part is still as its receipt says.

Keys are known before anything runs, because a part's key follows from the keys of what it is made
of. Only into how many pieces a task over all rows cuts its result is known no sooner than it is
done: where such a task has to run, the stages after it are planned when it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from stagepipe.model import EVERYTHING, Chunk, Decision, PartFile, Piece, Receipt, Task
from stagepipe.plan import keys
from stagepipe.plan.work import Work
from stagepipe.record.spool import Spool

Receipts = Mapping[str, Receipt]


@dataclass(frozen=True, slots=True)
class Cell:
    """A task to be, before it is decided on. `is_new` when its input gives other rows than the last
    time under the same key, as after dead letters: then nothing of before may be taken."""

    chunk: Chunk
    inputs: tuple[Piece, ...]
    ingredients: Mapping[str, str]
    key: str
    is_new: bool = False


def first_cells(chunks: Sequence[Chunk], work: Work, receipts: Receipts) -> list[Cell]:
    """The tasks of the stage that reads the sources' files."""
    cells = []
    for chunk in chunks:
        source = work.sources[chunk.source]
        made_of = keys.first_ingredients(chunk, source, work.table, work.stages[0])
        key = keys.key_of(made_of)
        before = receipts.get(key)
        is_new = before is not None and not before.is_whole
        cells.append(Cell(chunk, (), made_of, key, is_new))
    return cells


def next_cells(
    before: Sequence[Cell], index: int, work: Work, receipts: Receipts
) -> list[Cell] | None:
    """The tasks of stage `index`, from those of the stage before it; None where it is not known
    yet how many there will be."""
    new = {cell.key for cell in before if cell.is_new}
    stage = work.stages[index]
    if not before:
        return []
    if not work.stages[index - 1].is_over_all:
        pieces = [Piece(cell.key) for cell in before]
        chunks = [cell.chunk for cell in before]
    else:
        (cell,) = before
        receipt = receipts.get(cell.key)
        if receipt is None or cell.is_new or not is_from(receipt, cell.inputs, receipts):
            return None
        numbers = range(len(receipt.pieces))
        pieces = [Piece(cell.key, number) for number in numbers]
        chunks = [Chunk(number, EVERYTHING, ()) for number in numbers]
    if stage.is_over_all:
        made_of = keys.all_ingredients(pieces, stage, work.chunk_size)
        key = keys.key_of(made_of)
        return [Cell(Chunk(0, EVERYTHING, ()), tuple(pieces), made_of, key, bool(new))]
    cells = []
    for chunk, piece in zip(chunks, pieces, strict=True):
        made_of = keys.later_ingredients(piece, stage)
        cells.append(Cell(chunk, (piece,), made_of, keys.key_of(made_of), piece.key in new))
    return cells


def is_stale(cell: Cell, receipts: Receipts) -> bool:
    """Whether the part that there is under the cell's key was made from other rows."""
    receipt = receipts.get(cell.key)
    if receipt is None or not cell.inputs:
        return False
    return not is_from(receipt, cell.inputs, receipts)


def decide(
    index: int,
    cells: Sequence[Cell],
    stage: str,
    receipts: Receipts,
    needed: Set[str],
    spool: Spool,
) -> tuple[Task, ...]:
    """The tasks of a stage. `needed` are the keys of parts that somebody is going to read."""
    before = {r.chunk: r.ingredients for r in receipts.values() if r.stage == stage}
    tasks = []
    for cell in cells:
        receipt = receipts.get(cell.key)
        if cell.is_new:
            what = "the stage before it" if index else "it"
            decision, reason = Decision.MADE, f"{what} ended with dead letters"
        elif receipt is not None and is_stale(cell, receipts):
            decision, reason = Decision.MADE, "the part that it was made from is another one now"
        elif receipt is not None and cell.key not in needed:
            decision, reason = Decision.TAKEN, "done, and nothing needs its part again"
        elif receipt is not None and all(map(spool.is_sound, receipt.all_files)):
            decision, reason = Decision.TAKEN, "its finished part is there"
        else:
            decision = Decision.MADE
            reason = keys.changed(before.get(cell.chunk.index), cell.ingredients)
        made_of = cell.ingredients
        tasks.append(Task(index, cell.chunk, cell.key, made_of, decision, reason, cell.inputs))
    return tuple(tasks)


def is_from(receipt: Receipt, inputs: Sequence[Piece], receipts: Receipts) -> bool:
    """Whether a part was made from just the rows that the stage before has now. After dead letters
    were mended, a part may have other rows under the same key."""
    return input_digest(inputs, receipts) == receipt.input_sha256


def input_digest(inputs: Sequence[Piece], receipts: Receipts) -> str | None:
    """A digest of what a task reads of the stage before, as its receipt has it; None when some of
    it is not there."""
    found = []
    for piece in inputs:
        files = files_of(piece, receipts)
        if not files:
            return None
        found += [file.sha256 for file in files]
    return found[0] if len(found) == 1 else keys.digest(found)


def files_of(piece: Piece, receipts: Receipts) -> tuple[PartFile, ...]:
    """The files that hold a piece; none where it is not there."""
    receipt = receipts.get(piece.key)
    if receipt is None:
        return ()
    if piece.number is None:
        return receipt.pieces
    return receipt.pieces[piece.number : piece.number + 1]
