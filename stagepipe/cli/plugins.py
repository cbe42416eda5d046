"""`stagepipe plugins`: what there is to use, and what is broken."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stagepipe.cli.command import Command
from stagepipe.cli.history import settings_of
from stagepipe.cli.options import DEFAULT_PIPELINE, as_json, loudness, option
from stagepipe.cli.session import session
from stagepipe.cli.wording import path_here
from stagepipe.errors import UsageError

if TYPE_CHECKING:
    from stagepipe.plugins import PluginNote, Plugins, Step


@click.command("plugins", cls=Command, short_help="List what there is to use.")
@click.argument("pipeline", required=False, type=click.Path(path_type=Path))
@option("-p", "--pipeline", "file", type=click.Path(path_type=Path), help="Another way to name it.")
@as_json
@loudness
def command(pipeline: Path | None, file: Path | None, *, as_json: bool) -> None:
    """List the plugins: built in, installed, and those that PIPELINE names; steps with their
    options, and why a plugin is broken."""
    from stagepipe.plugins import Plugins

    plugins = Plugins()
    notes = _all_notes(plugins, pipeline or file)
    steps = {step.where.name: step for step in plugins.all_steps()}
    out = session().out
    if as_json:
        out.json({"plugins": [_note_object(note, steps) for note in notes]})
    else:
        out.lines(*(line for note in notes for line in _note_lines(note, steps)))


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


def _note_object(note: PluginNote, steps: dict[str, Step]) -> dict[str, Any]:
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
    }


def _options(step: Step) -> Iterator[dict[str, Any]]:
    for parameter in _signature(step).parameters.values():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        is_required = parameter.default is parameter.empty
        yield {
            "name": parameter.name,
            "type": _type_text(parameter.annotation),
            "required": is_required,
            "default": None if is_required else repr(parameter.default),
        }


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


def _note_lines(note: PluginNote, steps: dict[str, Step]) -> Iterator[str]:
    is_file = Path(note.origin).is_absolute()
    where = path_here(note.origin) if is_file else note.origin
    yield f"{note.name}" + (f" ({where})" if where != note.name else "")
    if note.error is not None:
        yield f"  broken: {note.error}"
    for name in note.steps:
        yield f"  step {name}: {steps[name].summary or 'no help: it has no docstring'}"
        for found in _options(steps[name]):
            value = "required" if found["required"] else f"default {found['default']}"
            yield f"      {found['name']}: {found['type']}, {value}"
    for other in note.others:
        yield f"  {other}"
    if not (note.error or note.steps or note.others):
        yield "  nothing that a pipeline names: it listens, perhaps"
