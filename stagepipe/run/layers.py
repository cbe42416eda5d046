"""What the layers of a stage with an inner barrier come to together, as of one stage."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest

from stagepipe.model import Decision, PartFile, Receipt
from stagepipe.plan.planner import Plan, StagePlan
from stagepipe.plan.tasks import is_from
from stagepipe.plan.unique import whole_receipt
from stagepipe.plan.work import Role

DOING = {Role.COMPARES: "looks for duplicates", Role.GOES_ON: "goes on without them"}
"""What is told of a stage with an inner barrier when it does not begin."""

Receipts = Mapping[str, Receipt]


def own_receipts(layer: StagePlan, done: Receipts) -> list[Receipt]:
    """The receipts of a layer's tasks that are done, in chunk order."""
    return [done[task.key] for task in layer.tasks if task.key in done]


def stage_receipts(plan: Plan, layer: StagePlan, done: Receipts) -> list[Receipt]:
    """What became of the chunks of the stage that a layer belongs to, in their order, as far as it
    has come with this layer."""
    if layer.work.role is Role.WHOLE:
        return own_receipts(layer, done)
    reads = plan.layers[0]
    made = {task.key for task in reads.to_make}
    rest = layer.tasks if layer.work.role is Role.GOES_ON else ()
    return [
        whole_receipt(
            done[read.key],
            done.get(task.key) if task else None,
            task.key if task else None,
            is_read_now=read.key in made,
        )
        for read, task in zip_longest(reads.tasks, rest)
        if read.key in done
    ]


def as_declared(plan: Plan, layer: StagePlan) -> StagePlan:
    """The stage that a layer belongs to, as far as its tasks are known."""
    if layer.work.is_inner:
        return plan.layers[0]
    return next(stage for stage in plan.stages if stage.name == layer.name)


def has_stale(plan: Plan, done: Receipts) -> bool:
    """Whether a part that is to be taken was made from other rows than there are now: where a file
    died, its chunk has fewer rows under the same key."""
    if all(receipt.is_whole for receipt in done.values()):
        return False
    return any(
        task.decision is Decision.TAKEN
        and task.inputs
        and all(piece.key in done for piece in task.inputs)
        and not is_from(done[task.key], task.inputs, done)
        for layer in plan.layers
        for task in layer.tasks
    )


def values_to_keep(plan: Plan, done: Receipts) -> PartFile | None:
    """The values of unique columns that a table which is appended to is to hold, where there is
    one."""
    compared = [layer for layer in plan.layers if layer.work.role is Role.COMPARES]
    files = [file for layer in compared for r in own_receipts(layer, done) for file in r.files]
    return files[0] if files else None
