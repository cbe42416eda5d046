"""Where in a TOML text a key, a value or a table stands.

`tomllib` gives values without places, so the text is parsed a second time, by tree-sitter, and
only when there is a fault to report. Lines and columns count from 1, columns in characters.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stagepipe.declare.words import Path

if TYPE_CHECKING:
    from tree_sitter import Node

Aim = Literal["value", "key"]
Point = tuple[int, int]


def locate(text: str, path: Path, aim: Aim = "value") -> tuple[int, int]:
    """Find the line and column of what stands at a path of the parsed document.

    That is the value of a key, the bracket that opens a table's header, or an array's item. In an
    inline table, and everywhere with `aim="key"`, it is the key. What has no place of its own, like
    a key that is missing, has the place of the nearest thing around it.
    """
    return Positions(text).find(path, aim)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a key and its value start, as row and byte column from 0."""

    key: Point
    value: Point


class Positions:
    """The places of all keys, values and tables of one text."""

    def __init__(self, text: str) -> None:
        # Imported late: they are needed only when there is a fault.
        import tree_sitter_toml
        from tree_sitter import Language, Parser

        data = text.encode()
        self._lines = data.split(b"\n")
        self._spots: dict[Path, Spot] = {}
        self._lengths: dict[Path, int] = {}
        parser = Parser(Language(tree_sitter_toml.language()))
        for node in parser.parse(data).root_node.named_children:
            if node.type == "pair":
                self._add_pair((), node, inline=False)
            elif node.type in ("table", "table_array_element"):
                self._add_table(node)

    def find(self, path: Path, aim: Aim = "value") -> tuple[int, int]:
        """Give the line and column of what stands at a path; see `locate`."""
        for length in range(len(path), 0, -1):
            if spot := self._spots.get(path[:length]):
                row, column = spot.key if aim == "key" else spot.value
                return row + 1, len(self._lines[row][:column].decode(errors="replace")) + 1
        return 1, 1

    def _add_table(self, node: Node) -> None:
        """Note a `[table]` or an item of a `[[table]]`, and what is in it."""
        names = [name for name, _ in _keys(node.named_children[0])]
        start = _start(node)
        path: Path = ()
        for name in names[:-1]:
            path = self._last_item((*path, name))
            self._note(path, start, start)
        path = (*path, names[-1])
        self._note(path, start, start)
        if node.type == "table_array_element":
            self._lengths[path] = self._lengths.get(path, 0) + 1
            path = (*path, self._lengths[path] - 1)
        self._spots[path] = Spot(start, start)
        for child in node.named_children[1:]:
            if child.type == "pair":
                self._add_pair(path, child, inline=False)

    def _last_item(self, path: Path) -> Path:
        """Step into the last item so far, where a path is an array of tables."""
        return (*path, self._lengths[path] - 1) if path in self._lengths else path

    def _add_pair(self, table: Path, node: Node, *, inline: bool) -> None:
        """Note a key and its value, and each table on the way of a dotted key."""
        key, value = [child for child in node.named_children if child.type != "comment"][:2]
        path = table
        keys = _keys(key)
        for name, start in keys[:-1]:
            path = (*path, name)
            self._note(path, start, start)
        name, start = keys[-1]
        path = (*path, name)
        self._note(path, start, start if inline else _start(value))
        self._add_value(path, value)

    def _add_value(self, path: Path, node: Node) -> None:
        """Note what is inside an array or an inline table."""
        if node.type == "inline_table":
            for child in node.named_children:
                if child.type == "pair":
                    self._add_pair(path, child, inline=True)
        elif node.type == "array":
            items = [child for child in node.named_children if child.type != "comment"]
            for index, item in enumerate(items):
                self._note((*path, index), _start(item), _start(item))
                self._add_value((*path, index), item)

    def _note(self, path: Path, key: Point, value: Point) -> None:
        self._spots.setdefault(path, Spot(key, value))


def _keys(node: Node) -> list[tuple[str, Point]]:
    """Split a key at its dots: each part as it is meant, and where it starts."""
    if node.type == "dotted_key":
        return [part for child in node.named_children for part in _keys(child)]
    text = (node.text or b"").decode()
    name = next(iter(tomllib.loads(f"{text} = 0"))) if node.type == "quoted_key" else text
    return [(name, _start(node))]


def _start(node: Node) -> Point:
    return node.start_point[0], node.start_point[1]
