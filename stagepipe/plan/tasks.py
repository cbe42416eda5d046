"""Which tasks the stages have, and whether each is made or taken, with the reason. Pure, but for a
look whether a part is still as its receipt says.

Keys are known before anything runs, because a part's key follows from the keys of what it is made
of. Only into how many pieces a task over all rows cuts its result is known no sooner than it is
done: where such a task has to run, the stages after it are planned when it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from stagepipe.model import EVERYTHING, KEYS, Chunk, Decision, PartFile, Piece, Receipt, Task
from stagepipe.plan import keys
from stagepipe.plan.work import Role, StageWork, Work
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
    of_source = {
        name: keys.source_ingredients(name, source, work.table, work.stages[0])
        for name, source in work.sources.items()
    }
    cells = []
    for chunk in chunks:
        made_of = {**keys.chunk_ingredients(chunk), **of_source[chunk.source]}
        key = keys.key_of(made_of)
        before = receipts.get(key)
        is_new = before is not None and not before.is_whole
        cells.append(Cell(chunk, (), made_of, key, is_new))
    return cells


def next_cells(
    layers: Sequence[Sequence[Cell]], work: Work, receipts: Receipts
) -> list[Cell] | None:
    """The tasks of the stage after those whose tasks are known; None where it is not known yet what
    it will have."""
    before, index = layers[-1], len(layers)
    new = {cell.key for cell in before if cell.is_new}
    stage = work.stages[index]
    if not before:
        return []
    if stage.role is Role.COMPARES:
        return [_comparing(before, work)]
    if stage.role is Role.GOES_ON:
        return _going_on(layers[-2], before[0], stage, receipts)
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
    of_stage = keys.stage_ingredients(stage)
    cells = []
    for chunk, piece in zip(chunks, pieces, strict=True):
        made_of = keys.later_ingredients(piece, of_stage)
        cells.append(Cell(chunk, (piece,), made_of, keys.key_of(made_of), piece.key in new))
    return cells


def _comparing(before: Sequence[Cell], work: Work) -> Cell:
    """The task that compares the unique columns of all that was read."""
    pieces = tuple(Piece(cell.key, KEYS) for cell in before)
    made_of = keys.comparing_ingredients(pieces, work.table, work.kept_values)
    is_new = any(cell.is_new for cell in before)
    return Cell(Chunk(len(before), EVERYTHING, ()), pieces, made_of, keys.key_of(made_of), is_new)


def _going_on(
    read: Sequence[Cell], comparing: Cell, stage: StageWork, receipts: Receipts
) -> list[Cell] | None:
    """The tasks behind an inner barrier; None where it is not known what the duplicates are."""
    receipt = receipts.get(comparing.key)
    if receipt is None or comparing.is_new or not is_from(receipt, comparing.inputs, receipts):
        return None
    of_stage = keys.stage_ingredients(stage)
    cells = []
    for number, (cell, duplicates) in enumerate(zip(read, receipt.pieces, strict=True)):
        made_of = keys.going_on_ingredients(Piece(cell.key), duplicates.sha256, of_stage)
        inputs = (Piece(cell.key), Piece(comparing.key, number))
        cells.append(Cell(cell.chunk, inputs, made_of, keys.key_of(made_of)))
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
    stage: StageWork,
    receipts: Receipts,
    needed: Set[Piece],
    spool: Spool,
) -> tuple[Task, ...]:
    """The tasks of a stage. `needed` is what somebody is going to read."""
    before = {
        _place(r.chunk, r.ingredients): r.ingredients
        for r in receipts.values()
        if r.stage == stage.name
    }
    read = {piece.key for piece in needed}
    whole = {piece.key for piece in needed if piece.number != KEYS}
    tasks = []
    for cell in cells:
        receipt = receipts.get(cell.key)
        if cell.is_new:
            what = "the stage before it" if index else "it"
            decision, reason = Decision.MADE, f"{what} ended with dead letters"
        elif receipt is not None and is_stale(cell, receipts):
            decision, reason = Decision.MADE, "the part that it was made from is another one now"
        elif receipt is not None and cell.key not in read:
            decision, reason = Decision.TAKEN, "done, and nothing needs its part again"
        elif receipt is not None and all(
            map(spool.is_sound, receipt.all_files if cell.key in whole else receipt.files)
        ):
            decision, reason = Decision.TAKEN, "its finished part is there"
        else:
            decision = Decision.MADE
            place = _place(cell.chunk.index, cell.ingredients)
            reason = keys.changed(before.get(place), cell.ingredients)
        made_of = cell.ingredients
        tasks.append(Task(index, cell.chunk, cell.key, made_of, decision, reason, cell.inputs))
    return tuple(tasks)


def _place(chunk: int, ingredients: Mapping[str, str]) -> tuple[str, int | str]:
    """What a part has in common with the one that stood in its place before: its chunk's number,
    and behind an inner barrier, where a new file moves all numbers, what was read."""
    if "duplicates" in ingredients:
        return "duplicates", ingredients["before"]
    kind = next((name for name in ("inputs", "compared") if name in ingredients), "")
    return kind, chunk


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
    if piece.number == KEYS:
        return receipt.files
    return receipt.pieces[piece.number : piece.number + 1]
