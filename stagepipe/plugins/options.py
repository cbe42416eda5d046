"""The options of steps and sinks, as models that check what a pipeline file gives."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import reduce
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from stagepipe.errors import PluginError

if TYPE_CHECKING:
    from stagepipe.contracts import Sink


def sink_options_model(name: str, sink: Sink) -> Any:
    """A pydantic model of a sink's own options."""
    defaults = {
        each.name: ... if each.default is MISSING else each.default for each in fields(sink.options)
    }
    return options_model(f"sink {name!r}", sink.options, defaults)


def options_model(owner: str, annotated: Any, defaults: Mapping[str, Any]) -> Any:
    """A pydantic model of the options in `defaults` (`...` where there is none), of the types by
    which `annotated` names them. Raises PluginError."""
    from pydantic import ConfigDict, Field, create_model

    try:
        hints = get_type_hints(annotated)
    except Exception as error:  # an annotation is the plugin's code: anything may happen
        raise PluginError(f"the annotations of {owner} fail: {error}") from error
    # The alias keeps pydantic's own words free for options.
    found: dict[str, Any] = {
        f"option_{name}": (_without_bools(hints.get(name, Any)), Field(default, alias=name))
        for name, default in defaults.items()
    }
    config = ConfigDict(extra="forbid", strict=False, arbitrary_types_allowed=True)
    return create_model(f"options of {owner}", __config__=config, **found)


def _without_bools(hint: Any) -> Any:
    """The type with numbers that `true` is none of, which it is to Python."""
    from pydantic import BeforeValidator

    if hint in (int, float):
        return Annotated[hint, BeforeValidator(_no_bool)]
    origin, inner = get_origin(hint), tuple(map(_without_bools, get_args(hint)))
    if origin in (Union, UnionType):
        return reduce(operator.or_, inner)
    return origin[inner] if origin in (list, tuple, dict) else hint


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        from pydantic_core import PydanticCustomError

        raise PydanticCustomError("int_type", "a number is wanted")
    return value
