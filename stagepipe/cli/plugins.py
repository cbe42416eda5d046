"""`stagepipe plugins`: what there is to use, and what is broken."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import click

from stagepipe.cli.command import Command
from stagepipe.cli.history import settings_of
from stagepipe.cli.options import DEFAULT_PIPELINE, as_json, loudness, option
from stagepipe.cli.session import session
from stagepipe.cli.wording import path_here
from stagepipe.errors import UsageError

if TYPE_CHECKING:
    from stagepipe.contracts import Sink
    from stagepipe.plugins import PluginNote, Plugins, Step


@click.command("plugins", cls=Command, short_help="List what there is to use.")
@click.argument("pipeline", required=False, type=click.Path(path_type=Path))
@option("-p", "--pipeline", "file", type=click.Path(path_type=Path), help="Another way to name it.")
@as_json
@loudness
def command(pipeline: Path | None, file: Path | None, *, as_json: bool) -> None:
    """List the plugins: built in, installed, and those that PIPELINE names; steps with their
    sinks with their options, and why a plugin is broken."""
    from stagepipe.plugins import Plugins

    plugins = Plugins()
    notes = _all_notes(plugins, pipeline or file)
    steps = {step.where.name: step for step in plugins.all_steps()}
    out = session().out
    if as_json:
        out.json({"plugins": [_note_object(note, steps, plugins) for note in notes]})
    else:
        out.lines(*(line for note in notes for line in _note_lines(note, steps, plugins)))


def _all_notes(plugins: Plugins, file: Path | None) -> list[PluginNote]:
    """Every plugin, the broken ones with why."""
    from stagepipe.plugins import PluginNote

    broken = []
    for path in _local_files(file):
        try:
            plugins.add_file(path)
        except Exception as error:  # noqa: BLE001 - the plugin's own code: anything may happen
            broken.append(PluginNote(path.name, str(path), error=_said(error)))
    return [*plugins.notes(), *broken]


def _said(error: Exception) -> str:
    from stagepipe.errors import StagepipeError

    return str(error) if isinstance(error, StagepipeError) else f"{type(error).__name__}: {error}"


def _local_files(file: Path | None) -> list[Path]:
    if file is None:
        file = Path(DEFAULT_PIPELINE)
        if not file.exists():
            return []
    listed = settings_of(file).get("plugins", [])
    if not isinstance(listed, list):
        raise UsageError(f"{file}: 'plugins' is no list", "see `stagepipe check`")
    return [file.absolute().parent / str(item) for item in listed]


def _note_object(note: PluginNote, steps: dict[str, Step], plugins: Plugins) -> dict[str, Any]:
    others = [other.partition(" ") for other in note.others]
    return {
        "name": note.name,
        "origin": note.origin,
        "error": note.error,
        "steps": [
            {
                "name": name,
                "summary": steps[name].summary,
                "reshapes": steps[name].mark.reshapes,
                "options": list(_options(steps[name])),
            }
            for name in note.steps
        ],
        **{
            f"{kind}s": [word for found, _, word in others if found == kind]
            for kind in ("reader", "sink", "executor")
        },
        "sink_options": {
            word: list(_sink_options(plugins.sink(word)))
            for kind, _, word in others
            if kind == "sink"
        },
    }


def _options(step: Step) -> Iterator[dict[str, Any]]:
    for parameter in _signature(step).parameters.values():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        default = None if parameter.default is parameter.empty else repr(parameter.default)
        yield _option(parameter.name, _type_text(parameter.annotation), default)


def _signature(step: Step) -> inspect.Signature:
    """The signature, with the types behind a module's own names for them where they resolve."""
    try:
        return inspect.signature(step.function, eval_str=True)
    except Exception:  # noqa: BLE001 - annotations are the plugin's own code
        return inspect.signature(step.function)


def _type_text(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return "any"
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _sink_lines(name: str, sink: Sink) -> Iterator[str]:
    from stagepipe.plugins.steps import first_sentence

    yield f"  sink {name}: {first_sentence(sink.options) or 'no help: it has no docstring'}"
    yield from map(_option_line, _sink_options(sink))


def _sink_options(sink: Sink) -> Iterator[dict[str, Any]]:
    try:
        types = get_type_hints(sink.options)
    except Exception:  # noqa: BLE001 - annotations are the plugin's own code
        types = {}
    for field in fields(sink.options):
        default = None if field.default is MISSING else repr(field.default)
        kind = _type_text(types.get(field.name, field.type))
        yield _option(field.name, kind, default)


def _option(name: str, kind: str, default: str | None) -> dict[str, Any]:
    return {"name": name, "type": kind, "required": default is None, "default": default}


def _option_line(found: dict[str, Any]) -> str:
    value = "required" if found["required"] else f"default {found['default']}"
    return f"      {found['name']}: {found['type']}, {value}"


def _note_lines(note: PluginNote, steps: dict[str, Step], plugins: Plugins) -> Iterator[str]:
    is_file = Path(note.origin).is_absolute()
    where = path_here(note.origin) if is_file else note.origin
    yield f"{note.name}" + (f" ({where})" if where != note.name else "")
    if note.error is not None:
        yield f"  broken: {note.error}"
    for name in note.steps:
        yield f"  step {name}: {steps[name].summary or 'no help: it has no docstring'}"
        yield from map(_option_line, _options(steps[name]))
    for other in note.others:
        kind, _, word = other.partition(" ")
        yield from [f"  {other}"] if kind != "sink" else _sink_lines(word, plugins.sink(word))
    if not (note.error or note.steps or note.others):
        yield "  nothing that a pipeline names: it listens, perhaps"
