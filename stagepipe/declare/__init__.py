"""What the user wrote: a pipeline, from TOML and from Python; the same words build the same thing.

Everything here is frozen, and checked when it is built: a wrong key or value raises
`stagepipe.errors.PipelineError`, which holds all faults at once.
"""

from stagepipe.declare.editors import json_schema
from stagepipe.declare.faults import fault_at
from stagepipe.declare.load import load, sketch
from stagepipe.declare.models import Pipeline
from stagepipe.declare.schema import Column, Schema
from stagepipe.declare.sources import CsvDialect, Limit, Source
from stagepipe.declare.stages import Errors, Sink, Stage, Use
from stagepipe.declare.types import ColumnType
from stagepipe.declare.units import Budget

__all__ = [
    "Budget",
    "Column",
    "ColumnType",
    "CsvDialect",
    "Errors",
    "Limit",
    "Pipeline",
    "Schema",
    "Sink",
    "Source",
    "Stage",
    "Use",
    "fault_at",
    "json_schema",
    "load",
    "sketch",
]
