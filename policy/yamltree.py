"""The tree of a YAML file's nodes, each with its place, built from the parser's events without recursion.

Read as YAML 1.2 reads it: only null, true, false and numbers are not text (no sexagesimal `1:30`, no `on`, no dates),
and keys are always the text as written. Everything is counted while it comes, so that a file made to harm (deep, huge,
aliases of aliases) is refused before it costs anything.
"""

import math
import re
from dataclasses import dataclass, field
from typing import NoReturn

import yaml

from policy.errors import Fault, Faults, shown

_INTEGER = re.compile(r"[-+]?(?:0|[1-9]\d{0,30})", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(?:(?:\d{1,30}\.\d{0,30}|\.\d{1,30})(?:[eE][-+]?\d{1,3})?|\d{1,30}[eE][-+]?\d{1,3})", re.ASCII
)
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMERIC = frozenset("+-.0123456789")
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")
_PLAIN_TAGS = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may cost. The defaults hold a topology of 100,000 mounts with every key of a mount written out."""

    size_bytes: int = 32 * 1024 * 1024
    """Some 330 bytes a mount."""
    depth: int = 32
    """Mappings and lists inside one another."""
    nodes: int = 2_500_000
    """Keys, values and collections; an alias counts as all it stands for. A mount has 24 at most."""
    faults: int = 100
    """Faults of form that are collected before the rest is left unread."""


@dataclass(slots=True)
class Node:
    """A value and where it stands, from 1. `weight` counts its nodes with aliases written out, 0 while it is open."""

    value: object
    line: int
    column: int
    text: str | None = None
    weight: int = 0
    inside: "Inside | None" = None
    """Of a collection alone: most nodes are text, and a million of them are many."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What stands in a collection, and its keys, by key or index."""

    children: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str | int, Node] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    """A collection under way: the nodes counted before it, and in a mapping the key that waits for its value."""

    node: Node
    inside: Inside
    before: int
    key: Node | None = None
    drop: bool = False  # the key was refused: its value is read and forgotten


def step(part: str | int, before: str) -> str:
    """Returns one part of a path as it is shown behind `before`: `.key`, `[3]`, and without a dot at the start."""
    if isinstance(part, int):
        return f"[{part}]"
    name = part if part.isprintable() and len(part) <= 80 else shown(part)
    return f".{name}" if before else name


class TreeBuilder:
    """Takes events, keeps the tree (`root`) and every fault that can be read past (`faults`)."""

    def __init__(self, file: str, limits: Limits) -> None:
        self.root = Node(None, 1, 1)
        self.faults: list[Fault] = []
        self._file = file
        self._limits = limits
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._nodes = 0

    def add(self, event: yaml.Event) -> None:
        """Takes the next event. Raises Faults where nothing more can be read."""
        match event:
            case yaml.ScalarEvent():
                self._count(1, event)
                node = Node(self._scalar(event), *_at(event), text=event.value, weight=1)
                self._name(event, node)
                self._place(node)
            case yaml.AliasEvent():
                self._place(self._aliased(event))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = self._open.pop()
                done.node.weight = self._nodes - done.before
                self._place(done.node)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self.refuse(*_at(event), "a second document begins here; a file holds one document")

    def refuse(self, line: int, column: int, message: str) -> NoReturn:
        """Raises Faults with this fault and all before it: what follows cannot be read."""
        self._note(line, column, message)
        raise Faults(self.faults)

    def _note(self, line: int, column: int, message: str) -> None:
        path = ""
        for inside in self._open:
            if isinstance(inside.node.value, list):
                path += step(len(inside.node.value), path)
            elif inside.key is not None:
                path += step(inside.key.text or "", path)
        self.faults.append(Fault(self._file, line, column, path or "document", message))
        if len(self.faults) >= self._limits.faults:
            raise Faults(self.faults)

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._nodes += nodes
        if self._nodes > self._limits.nodes:
            self.refuse(*_at(event), f"the file has more than {self._limits.nodes} nodes, aliases written out")

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        if len(self._open) >= self._limits.depth:
            self.refuse(*_at(event), f"collections are nested deeper than {self._limits.depth}")
        before = self._nodes
        self._count(1, event)
        if event.tag not in _PLAIN_TAGS:
            self._note(*_at(event), f"the tag {shown(event.tag)} is not accepted; write plain values")
        inside = Inside()
        node = Node({} if isinstance(event, yaml.MappingStartEvent) else [], *_at(event), inside=inside)
        self._name(event, node)
        self._open.append(_Open(node, inside, before))

    def _name(self, event: yaml.NodeEvent, node: Node) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = node

    def _aliased(self, event: yaml.AliasEvent) -> Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            self.refuse(*_at(event), f"the alias {shown(event.anchor)} has no anchor before it")
        if not node.weight:
            self.refuse(*_at(event), f"the alias {shown(event.anchor)} stands within its own anchor")
        self._count(node.weight, event)
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._note(*_at(event), f"the tag {shown(event.tag)} is not accepted; write plain values")
        return resolved(event.value) if event.tag is None and event.implicit[0] else event.value

    def _place(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        under_way = self._open[-1]
        if isinstance(under_way.node.value, list):
            under_way.inside.children[len(under_way.node.value)] = node
            under_way.node.value.append(node.value)
        elif under_way.key is None:
            self._take_key(under_way, node)
        else:
            self._take_value(under_way, under_way.key, node)

    def _take_key(self, under_way: _Open, key: Node) -> None:
        message = _key_fault(under_way.inside, key)
        if message:
            self._note(key.line, key.column, message)
        under_way.key = key
        under_way.drop = message is not None

    @staticmethod
    def _take_value(under_way: _Open, key: Node, node: Node) -> None:
        under_way.key = None
        if under_way.drop or key.text is None or not isinstance(under_way.node.value, dict):
            return
        under_way.inside.keys[key.text] = key
        under_way.inside.children[key.text] = node
        under_way.node.value[key.text] = node.value


def _key_fault(mapping: Inside, key: Node) -> str | None:
    if key.text is None:
        return "a key must be text, not a list or a mapping"
    if key.text == "<<":
        return "merge keys (<<) are not accepted; write the keys out"
    first = mapping.keys.get(key.text)
    return None if first is None else f"the key {shown(key.text)} stands here twice; the first is in line {first.line}"


def _at(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def resolved(text: str) -> object:
    """Returns what a plain scalar means: nothing, a truth, a number, or itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text
