"""Stages: their steps, their sinks, and how much may go wrong in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_serializer

from stagepipe.declare.declared import Declared, plain_init
from stagepipe.declare.names import Cap, Count, Name, PathText, Word, path_text
from stagepipe.declare.units import Budget, BudgetValue, Seconds, TimeoutValue
from stagepipe.declare.words import Complaint, shown

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


FILE_ENDINGS = {".parquet": "parquet", ".csv": "csv", ".arrow": "arrow"}
"""A sink's path with one of these endings is one file, of this kind; other paths are folders."""


def is_file_path(path: str) -> bool:
    """Whether a sink's path is that of one file, by its ending."""
    return PurePosixPath(path).suffix.lower() in FILE_ENDINGS


class Use(Declared):
    """A step by its name, with its options: `Use("join", file="customers.csv", on="customer")`."""

    use: Word = Field(description="The name of the step.")
    options: dict[str, Any] = Field({}, description="The step's own options.")

    @plain_init
    def __init__(self, use: str, /, **options: Any) -> None:
        super().__init__(**options, use=use)

    @classmethod
    def long_form(cls, data: Any) -> Any:
        """Take a plain name; what is not `use` is an option."""
        if isinstance(data, str):
            return {"use": data}
        return _with_options(data, ("use",))

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return {"use": self.use, **self.options}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow the short form, just the name, and options of any name."""
        table = _open_table(core_schema, handler)
        return {"anyOf": [{"type": "string", "minLength": 1}, table]}


class Sink(Declared):
    """Where a stage's rows go. `path` is relative to the pipeline's output folder."""

    use: Word = Field("parquet", description="The kind of sink.")
    path: PathText = Field(description="Where the rows go, within the output folder.")
    on_existing: Literal["error", "replace", "append"] = Field(
        "error", description="What to do when the place is taken."
    )
    options: dict[str, Any] = Field({}, description="The sink's own options.")

    @property
    def is_file(self) -> bool:
        """Whether all rows go to one file: the path has a file's ending."""
        return is_file_path(self.path)

    @classmethod
    def long_form(cls, data: Any) -> Any:
        """What is no key of every sink is an option."""
        return _with_options(data, ("use", "path", "on_existing"))

    @classmethod
    def complaints(cls, data: Mapping[str, Any]) -> Iterable[Complaint]:
        """Check that the path stays inside the output folder, and has the sink's own ending."""
        path, use = path_text(data.get("path")), data.get("use", "parquet")
        if not isinstance(path, str):
            return
        if text := _leads_out(path):
            yield Complaint(("path",), f"is {shown(path)}, which {text}")
        kind = FILE_ENDINGS.get(PurePosixPath(path).suffix.lower())
        if kind is not None and use in FILE_ENDINGS.values() and use != kind:
            text = f"ends like a file of {shown(kind)}, and 'use' is {shown(use)}"
            yield Complaint(("path",), f"is {shown(path)}, which {text}")

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        known = {"use": self.use, "path": self.path, "on_existing": self.on_existing}
        return {**known, **self.options}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow options of any name."""
        return _open_table(core_schema, handler)


def _with_options(data: Any, known: tuple[str, ...]) -> Any:
    """Put the keys that are not known together, as options."""
    if not isinstance(data, Mapping):
        return data
    own = {key: data[key] for key in known if key in data}
    return {**own, "options": {key: value for key, value in data.items() if key not in own}}


def _open_table(core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Describe a table that takes options beside its own keys."""
    table = dict(handler.resolve_ref_schema(handler(core_schema)))
    table["properties"] = {
        key: each for key, each in table["properties"].items() if key != "options"
    }
    return {**table, "additionalProperties": True}


def _leads_out(path: str) -> str | None:
    """Say how a path leaves the output folder, or hides in it."""
    if not PurePosixPath(path).parts:
        return "is the output folder itself; name a folder in it"
    if path.startswith("/"):
        return "is absolute; write it relative to the output folder"
    if ".." in path.split("/"):
        return "leaves the output folder; leave '..' out"
    if any(part.startswith(".") for part in path.split("/")):
        return "has a part that begins with '.', which hides it; name it without"
    return None


class Errors(Declared):
    """How much may go wrong before a stage fails, and how often a task is tried."""

    max_rejected: BudgetValue = Field(
        Budget(share=0.1),
        description="Rejected rows per source: a number, or a share.",
        json_schema_extra={"default": "10%"},
    )
    max_dead: Count = Field(0, description="Files that may end as dead letters.")
    attempts: Cap = Field(3, description="How often a task is tried in all.")
    backoff: Seconds = Field(
        1.0,
        description="How long to wait before the second attempt; doubles with each, with jitter.",
        json_schema_extra={"default": "1s"},
    )
    retry_budget: BudgetValue = Field(
        Budget(share=0.1),
        description="Retries per source in a stage: a number, or a share of its tasks; at least "
        "10 are allowed.",
        json_schema_extra={"default": "10%"},
    )
    timeout: TimeoutValue | None = Field(
        None,
        description="How long one attempt may take: a duration, or a multiple of the median of "
        "the stage's tasks, like `5x`.",
    )


class Stage(Declared):
    """One fan-out and its flush, between two barriers. It applies its steps, in order."""

    name: Name = Field(description="The name of the stage.")
    steps: tuple[Use, ...] = Field((), description="The steps: names, or tables with options.")
    sink: Sink | None = Field(None, description="Where the rows go, beside the next stage.")
    max_concurrent: Cap | None = Field(
        None, description="At most so many chunks at once; 1 means one after the other, in order."
    )
    errors: Errors | None = Field(None, description="What differs from [errors] in this stage.")
