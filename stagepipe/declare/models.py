"""The pipeline as a whole, and the document in which it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PrivateAttr

from stagepipe.declare.crosscheck import crosscheck
from stagepipe.declare.declared import Declared
from stagepipe.declare.names import Count, Name, OnDrift, PathText, Word
from stagepipe.declare.places import PLURALS, python_path
from stagepipe.declare.schema import Schema
from stagepipe.declare.sources import Limit, Source
from stagepipe.declare.stages import Errors, Stage
from stagepipe.declare.units import ByteSize
from stagepipe.declare.words import Complaint
from stagepipe.declare.words import Path as Place

Sources = Annotated[tuple[Source, ...], Field(min_length=1)]
Stages = Annotated[tuple[Stage, ...], Field(min_length=1)]


class Settings(Declared):
    """What stands in `[pipeline]`."""

    name: Name = Field(description="The name of the pipeline.")
    output: PathText = Field("out", description="The folder where sinks' relative paths start.")
    plugins: tuple[PathText, ...] = Field((), description="Plugin files of this pipeline.")
    jobs: Count = Field(0, description="Workers; 0 means one per core that may be used.")
    chunk_size: ByteSize = Field(
        32_000_000,
        description="About how much a worker gets at a time.",
        json_schema_extra={"default": "32MB"},
    )
    worker_memory: ByteSize | None = Field(
        None, description="A worker that needs more is ended, and its chunk tried in halves."
    )
    min_free: ByteSize | None = Field(
        None,
        description="A run stops when less is free where it writes; not looked at if left out.",
    )
    state: PathText = Field(".stagepipe", description="The folder of the ledger and of the runs.")
    spool: PathText | None = Field(
        None,
        description="The folder of the parts, on a fast local disk; <state>/spool if left out.",
    )
    executor: Word = Field("processes", description="What runs the workers.")


class Pipeline(Settings):
    """Sources, a schema and ordered stages.

    Relative paths start at `folder`, which is the pipeline file's folder, or else the current
    one. `file` is the pipeline file as the user named it.
    """

    sources: Sources = Field(description="The sources, in the order in which they start.")
    limits: dict[str, Limit] = Field({}, description="Caps over several sources, by name.")
    schema_: Schema = Field(alias="schema", description="The table that all sources yield.")
    stages: Stages = Field(description="The stages, in order.")
    errors: Errors = Field(default_factory=Errors, description="Budgets of all stages.")
    folder: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        default_factory=Path.cwd, description="The folder where relative paths start."
    )
    file: Path | None = Field(None, description="The pipeline file.")

    _overrides: tuple[tuple[Place, str], ...] = PrivateAttr(())

    @property
    def output_path(self) -> Path:
        """The absolute path of the output folder."""
        return self.folder / self.output

    @property
    def state_path(self) -> Path:
        """The absolute path of the folder of the ledger and of the runs."""
        return self.folder / self.state

    @property
    def spool_path(self) -> Path:
        """The absolute path of the folder of the parts."""
        return self.state_path / "spool" if self.spool is None else self.folder / self.spool

    def errors_of(self, stage: Stage) -> Errors:
        """Give the budgets of a stage: its own, and the pipeline's where it says nothing."""
        if stage.errors is None:
            return self.errors
        own = {key: getattr(stage.errors, key) for key in stage.errors.model_fields_set}
        return self.errors.model_copy(update=own)

    def on_drift_of(self, source: Source) -> OnDrift:
        """What to do about drift of a source: its own word, or else the schema's."""
        return source.on_drift or self.schema_.on_drift

    @classmethod
    def complaints(cls, data: Mapping[str, Any]) -> Iterable[Complaint]:
        """Check the parts against each other."""
        for found in crosscheck(*(data.get(word) for word in PLURALS.values())):
            yield Complaint(python_path(found.path), found.text, found.kind)


class Document(Declared):
    """A pipeline file, in its own words."""

    pipeline: Settings = Field(description="The pipeline as a whole.")
    source: Sources = Field(description="The sources, in the order in which they start.")
    limit: dict[str, Limit] = Field({}, description="Caps over several sources, by name.")
    schema_: Schema = Field(alias="schema", description="The table that all sources yield.")
    stage: Stages = Field(description="The stages, in order.")
    errors: Errors = Field(default_factory=Errors, description="Budgets of all stages.")

    @classmethod
    def complaints(cls, data: Mapping[str, Any]) -> Iterable[Complaint]:
        """Check the parts against each other, and that lists of tables are written as such."""
        yield from crosscheck(*(data.get(word) for word in PLURALS))
        for word in ("source", "stage"):
            if isinstance(data.get(word), Mapping):
                yield Complaint((word,), f"must be written [[{word}]], in double brackets", "key")

    def pipeline_in(self, folder: Path, file: Path) -> Pipeline:
        """Make the pipeline that the document describes."""
        settings = {key: getattr(self.pipeline, key) for key in self.pipeline.model_fields_set}
        return Pipeline(
            **settings,
            sources=self.source,
            limits=self.limit,
            schema=self.schema_,
            stages=self.stage,
            errors=self.errors,
            folder=folder,
            file=file,
        )
