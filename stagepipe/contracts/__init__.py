"""What a plugin may build on: the `step` decorator, and what a reader, a sink and an executor are.

The built-ins use these pages and nothing deeper, as any third party does. Sinks and executors count
as experimental until faults and databases have been through them.
"""

from stagepipe.contracts.executors import ExecutorFactory
from stagepipe.contracts.readers import DeadSegment, Reader, SegmentBytes, SegmentResult
from stagepipe.contracts.sinks import Encoded, Place, Sink
from stagepipe.contracts.steps import MARK, StepMark, step
from stagepipe.contracts.tables import CheckSpec, ColumnSpec, TableSpec

__all__ = [
    "MARK",
    "CheckSpec",
    "ColumnSpec",
    "DeadSegment",
    "Encoded",
    "ExecutorFactory",
    "Place",
    "Reader",
    "SegmentBytes",
    "SegmentResult",
    "Sink",
    "StepMark",
    "TableSpec",
    "step",
]
