"""Writes the references of keys, steps, sinks, hooks and commands from the code for Sphinx.

Each page is a function that returns MyST text, so that the tests can ask it the same. A page is
written only when its text differs, under a temporary name first: several builds may run at once.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import tempfile
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = "reference/_generated"

# The tables of a pipeline file in the order in which people write them: heading, the model's name
# in stagepipe.declare, and what stands before the model's own description.
TABLES = (
    ("[pipeline]", "Settings", ""),
    ("[[source]]", "Source", ""),
    ("[source.csv]", "CsvDialect", "Stands after the `[[source]]` that it belongs to."),
    ("[limit.NAME]", "Limit", ""),
    ("[schema]", "Schema", ""),
    (
        "[schema.columns]",
        "Column",
        "One line for each column, `name = TYPE` or `name = { type = TYPE, … }`.",
    ),
    ("[[schema.checks]]", "Check", ""),
    ("[[stage]]", "Stage", ""),
    ("steps", "Use", "An item of `steps`: a name, or a table. All other keys are step options."),
    ("sink", "Sink", ""),
    ("[errors]", "Errors", "Also `[stage.errors]` after a `[[stage]]`, for that stage alone."),
)

# What a value of a key may look like where the JSON Schema says it less plainly.
PROBES = ("https://example.org/a.csv",)


def keys_page() -> str:
    """Every key of the pipeline file: type, default, meaning, and whether it is available."""
    from stagepipe.declare import json_schema

    definitions = json_schema()["$defs"]
    lines: list[str] = []
    for heading, model, before in TABLES:
        lines += [f"### `{heading}`", ""]
        about = " ".join(part for part in (before, _described(model)) if part)
        lines += [about, "", "| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [_row(cells) for cells in _key_rows(model, definitions[model])]
        lines.append("")
    return "\n".join(lines)


def key_names() -> Iterator[tuple[str, str]]:
    """(table, key) of each key that a pipeline file may have."""
    for heading, model, _ in TABLES:
        for name, field in _model(model).model_fields.items():
            if name != "options":
                yield heading, field.alias or name


def _model(name: str) -> Any:
    from stagepipe.declare import models, schema, sources, stages

    return next(getattr(m, name) for m in (models, schema, sources, stages) if hasattr(m, name))


def _described(name: str) -> str:
    """The first paragraph of a model's docstring; nothing where it repeats the heading."""
    text = " ".join((inspect.getdoc(_model(name)) or "").split("\n\n")[0].split())
    return (
        ""
        if text.startswith("What stands in")
        else _safe(text.split(": `Use(")[0].rstrip(".") + ".")
    )


def _key_rows(name: str, definition: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    model = _model(name)
    properties = next(
        form for form in (definition, *definition.get("anyOf", ())) if "properties" in form
    )["properties"]
    for field_name, field in model.model_fields.items():
        key = field.alias or field_name
        if key == "options":
            continue
        found = properties.get(key, {})
        meaning = _safe(field.description or "")
        if later := availability(name, key, found):
            meaning += f" **{later}**"
        yield f"`{key}`", _type_words(found), _default(field, found), meaning


def availability(model: str, key: str, found: Mapping[str, Any]) -> str:
    """What of a key is not available yet, in words; nothing when all of it is."""
    from stagepipe.declare.later import LATER, OPTIONS

    entries = LATER.get(model, {})
    if key not in entries or key == OPTIONS:
        return ""
    entry = entries[key]
    if callable(entry):
        refused = [value for value in found.get("enum", ()) if entry(value)]
        if refused:
            return f"Not available yet: {_values(refused)}."
        said = [text for probe in PROBES if (text := entry(probe))]
        return " ".join(dict.fromkeys(_sentence(text.partition(": ")[2]) for text in said))
    if not entry:
        return "Not available yet."
    plain = [value for value in entry if not isinstance(value, tuple)]
    return f"Not available yet; for now only {_values(plain, ' or ')}."


def _sentence(text: str) -> str:
    text = re.sub(r", like '.*'$", "", text)
    return _safe(_capital(text) + ".")


def _values(values: list[Any], between: str = ", ") -> str:
    return between.join(f"`{_toml(value)}`" for value in values)


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _type_words(found: Mapping[str, Any]) -> str:
    """A JSON Schema as a reader of TOML would say it."""
    if "enum" in found:
        return " or ".join(f"`{_toml(value)}`" for value in found["enum"])
    if "$ref" in found:
        return "table"
    kind = found.get("type")
    if kind == "string" and "examples" in found:
        return "[column type](#column-types)"
    if isinstance(kind, list):
        return "a value of the column's type"
    if kind == "array":
        item = found.get("items", {})
        if isinstance(item.get("type"), list):
            return "list of values of the column's type"
        if "enum" in item:
            return f"list of {_values(item['enum'])}"
        return "list of strings" if item.get("type") == "string" else "list of names or tables"
    if kind == "integer":
        return f"whole number, at least {found.get('minimum', 0)}"
    if kind in ("string", "boolean", "object"):
        return {"string": "string", "boolean": "`true` or `false`", "object": "table"}[kind]
    if "anyOf" in found:
        return " or ".join(dict.fromkeys(_form(form) for form in found["anyOf"]))
    return "table"


def _form(form: Mapping[str, Any]) -> str:
    if form.get("examples"):
        return f"text like `{_toml(form['examples'][0])}`"
    plain = {"integer": "whole number", "number": "number of seconds"}
    return plain.get(form.get("type", "")) or _type_words(form)


def _default(field: Any, found: Mapping[str, Any]) -> str:
    if field.is_required():
        return "required"
    value = found.get("default")
    if value is None or value == {}:
        return "none"
    return f"`{_toml(value)}`"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _safe(text: str) -> str:
    """Text in which Markdown sees no tags and no links."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([<>\[\]*_])", r"\\\1", part) for part in parts
    )


def steps_page() -> str:
    """The built-in steps, by name: help, and options with type and default."""
    from stagepipe.builtin import stagepipe_steps

    found = stagepipe_steps()
    return "\n".join(line for name in found for line in _step_lines(name, found[name]))


def _step_lines(name: str, function: Callable[..., Any]) -> Iterator[str]:
    from stagepipe.contracts import MARK

    is_over_all = getattr(function, MARK).scope == "all"
    note = " **Needs all rows: a later stage begins with it.**" if is_over_all else ""
    parameters = inspect.signature(function).parameters.values()
    options = [each for each in parameters if each.kind is each.KEYWORD_ONLY]
    yield from _option_lines(name, function, options, note)


def sinks_page() -> str:
    """The built-in sinks, by name: help, and options with type and default."""
    from stagepipe.builtin import stagepipe_sinks

    lines: list[str] = []
    for name, sink in stagepipe_sinks().items():
        options = inspect.signature(sink.options).parameters.values()
        lines += _option_lines(name, sink.options, options)
    return "\n".join(lines)


def _option_lines(
    name: str, owner: Any, options: Iterable[inspect.Parameter], note: str = ""
) -> Iterator[str]:
    """What has options: its heading, the help of its docstring, and a table of them."""
    summary, helps = _google(inspect.getdoc(owner) or "")
    hints = typing.get_type_hints(owner)
    yield from (f"### `{name}`", "", _safe(summary) + note, "")
    yield from ("| option | type | default | meaning |", "|---|---|---|---|")
    for option in options:
        is_required = option.default is option.empty
        default = option.default
        yield _row(
            (
                f"`{option.name}`",
                annotation_words(hints[option.name]),
                "required" if is_required else "none" if default is None else f"`{_toml(default)}`",
                _capital(_safe(helps.get(option.name, ""))),
            )
        )
    yield ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _google(doc: str) -> tuple[str, dict[str, str]]:
    """The text before `Args:`, and what `Args:` says of each argument."""
    summary, _, rest = doc.partition("\nArgs:\n")
    helps: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if match := re.match(r"    (\w+): (.*)", line):
            name, helps[match[1]] = match[1], match[2]
        elif name and line.strip():
            helps[name] += " " + line.strip()
        else:
            name = ""
    return " ".join(summary.split()), helps


def annotation_words(hint: Any) -> str:
    """An annotation as a reader of TOML would say it."""
    plain: dict[Any, str] = {str: "string", Path: "file", bool: "boolean"}
    plain |= {int: "whole number", float: "number"}
    if hint in plain:
        return plain[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(f"`{_toml(value)}`" for value in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(annotation_words(each) for each in inner if each is not type(None))
    if origin in (list, tuple):
        return f"list of {annotation_words(inner[0])}s"
    if origin is dict:
        several = typing.get_origin(inner[1]) in (typing.Union, types.UnionType)
        return f"table of {'value' if several else annotation_words(inner[1])}s"
    return f"`{getattr(hint, '__name__', hint)}`"


def hooks_page() -> str:
    """The hooks, in the order of hookspecs.py."""
    lines = []
    for name, function in hooks().items():
        parameters = ", ".join(inspect.signature(function).parameters)
        returned = str(inspect.signature(function).return_annotation)
        gives = "" if returned == "None" else f" → `{returned}`"
        about = _safe(inspect.getdoc(function) or "")
        lines += [f"### `{name}({parameters})`{gives}", "", about, ""]
    return "\n".join(lines)


def hooks() -> dict[str, Callable[..., Any]]:
    """The functions of hookspecs.py that are hooks, by name."""
    from stagepipe import hookspecs

    mark = f"{hookspecs.GROUP}_spec"
    return {name: function for name, function in vars(hookspecs).items() if hasattr(function, mark)}


def commands_page() -> str:
    """The commands, by sphinx-click; by name only while the command line does not import."""
    try:
        from stagepipe.cli.program import COMMANDS, program

        for name in COMMANDS:
            if program.get_command(None, name) is None:  # type: ignore[arg-type]
                raise ImportError(name)
    except (ImportError, AttributeError) as error:
        return f"The command line does not import in this build: {error}.\n"
    directive = ".. click:: stagepipe.cli.program:program\n   :prog: stagepipe\n   :nested: full"
    return "```{eval-rst}\n" + directive + "\n```\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "keys.md": keys_page,
    "steps.md": steps_page,
    "sinks.md": sinks_page,
    "hooks.md": hooks_page,
    "commands.md": commands_page,
}


def write_pages(folder: Path) -> None:
    """Write every page that differs from what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        text = page()
        path = folder / name
        if path.exists() and path.read_text("utf-8") == text:
            continue
        with tempfile.NamedTemporaryFile(
            "w", dir=folder, prefix=".", suffix=".tmp", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        os.replace(file.name, path)  # noqa: PTH105 - a temporary file's name is text


def setup(app: Any) -> dict[str, bool]:
    """Have the pages written before any is read."""
    app.connect("config-inited", lambda app, _config: write_pages(Path(app.srcdir) / FOLDER))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
