"""What all declared things share: frozen, every key checked, all faults at once, one error.

Each model collects its own complaints beside what pydantic found in its fields, so that one wrong
key does not hide another; nested models hand theirs outwards, where `Complaint.path` is complete.
Built in Python, a wrong value raises `PipelineError`, as it does when it stands in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set, ValuesView
from typing import Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from stagepipe.declare.later import not_available
from stagepipe.declare.places import python_message
from stagepipe.declare.words import Complaint, from_pydantic
from stagepipe.errors import Fault, PipelineError

Init = TypeVar("Init", bound=Callable[..., None])


def plain_init(init: Init) -> Init:
    """Let pydantic build nested models without `init`, whose errors would hide their siblings.

    Pydantic calls an overridden `__init__` also for nested data, unless it carries this mark.
    """
    init.__pydantic_base_init__ = True  # type: ignore[attr-defined]
    return init


class Declared(BaseModel):
    """A part of a pipeline, as the user wrote it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @plain_init
    def __init__(self, **words: Any) -> None:
        try:
            super().__init__(**words)
        except ValidationError as error:
            name = type(self).__name__
            faults = [Fault(python_message(name, found)) for found in complaints_of(error)]
            raise PipelineError(faults) from None

    @classmethod
    def long_form(cls, data: Any) -> Any:
        """Turn a short form into keys and values. Overridden where there is one."""
        return data

    @classmethod
    def complaints(cls, data: Mapping[str, Any]) -> Iterable[Complaint]:  # noqa: ARG003
        """Find what no single field shows. `data` is as written: values may be of wrong types."""
        return ()

    @classmethod
    def _with_lists(cls, data: Any) -> Any:
        """Make a tuple of what is no sequence, or can be looked at only once: we look twice.

        The options of steps, which are no fields of a model, stay as they are.
        """
        if not isinstance(data, Mapping):
            return data
        return {
            key: tuple(value)
            if isinstance(value, Iterator | Set | ValuesView) and key in cls.model_fields
            else value
            for key, value in data.items()
        }

    @model_validator(mode="wrap")
    @classmethod
    def _collect(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Validate, and raise all that is wrong at once."""
        if isinstance(data, cls):
            return handler(data)
        data = cls.long_form(cls._with_lists(data))
        own: list[Complaint] = []
        if isinstance(data, Mapping):
            own = [*not_available(cls, data), *cls.complaints(data)]
        told = {complaint.path for complaint in own}
        try:
            model = handler(data)
        except ValidationError as error:
            names = [field.alias or name for name, field in cls.model_fields.items()]
            found = complaints_of(error, names)
            own += [each for each in found if not _is_told(each, told)]
        if not own:
            return model
        raise ValidationError.from_exception_data(
            cls.__name__, [complaint.to_pydantic() for complaint in own]
        )


def _is_told(complaint: Complaint, told: set[tuple[str | int, ...]]) -> bool:
    """Say whether a complaint about the same value, or about one around it, is there already."""
    return any(complaint.path[:length] in told for length in range(1, len(complaint.path) + 1))


def complaints_of(error: ValidationError, known: Iterable[str] = ()) -> list[Complaint]:
    """List what a validation found; `known` are the right keys where it began."""
    known = tuple(known)
    errors = error.errors(include_url=False)
    # Pydantic counts only the items that are right: a list of faulty ones is not empty to us.
    return [
        from_pydantic(each, known)
        for each in errors
        if each["type"] != "too_short" or not each["input"]
    ]
