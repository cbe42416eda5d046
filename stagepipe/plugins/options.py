"""The options of steps and sinks, as models that check what a pipeline file gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, get_type_hints

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
        f"option_{name}": (hints.get(name, Any), Field(default, alias=name))
        for name, default in defaults.items()
    }
    config = ConfigDict(extra="forbid", strict=False, arbitrary_types_allowed=True)
    return create_model(f"options of {owner}", __config__=config, **found)
