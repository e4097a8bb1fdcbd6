"""A YAML file as plain data that remembers where every node stands, so that each fault is shown in its place.

Knows nothing of policies: the topology and the node's own file are read by it too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import yaml
from pydantic import ValidationError

from policy.errors import Fault, Faults
from policy.yamlplain import Unusual, plain
from policy.yamltree import Limits, Node, TreeBuilder, step

__all__ = ["DEFAULT_LIMITS", "Document", "Fault", "Faults", "Limits", "parse"]

DEFAULT_LIMITS = Limits()
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML 1.2, 5.1: what a stream may not hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MESSAGES = {
    "missing": "this key is missing",
    "extra_forbidden": "unknown key; it is misspelt or belongs elsewhere",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
    "dict_type": "must be a mapping (key: value)",
    "mapping_type": "must be a mapping (key: value)",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be text",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: `value` is made of dicts with text keys, lists, text, numbers, booleans and None."""

    file: str
    value: object
    _places: "_Places" = field(repr=False, compare=False)

    def fault(self, loc: Sequence[str | int], message: str, *, at_key: bool = False) -> Fault:
        """Returns a fault at `loc`, or at the nearest place around it that the file has.

        Args:
            loc: Keys and indexes from the root as pydantic gives them; parts that the file does not have (tags of
                unions, defaults) are passed over, but a last one names what is missing.
            message: What is wrong, and what would be right.
            at_key: Points at the key instead of its value.
        """
        node = key = self._places.root
        shown = ""
        for index, part in enumerate(loc):
            inside = node.inside
            child = None if inside is None else inside.children.get(part)
            if inside is not None and child is not None:
                node, key, shown = child, inside.keys.get(part, child), shown + step(part, shown)
            elif part == "[key]":
                at_key = True
            elif index == len(loc) - 1:
                shown, at_key = shown + step(part, shown), True
        place = key if at_key else node
        return Fault(self.file, place.line, place.column, shown or "document", message)

    def faults_of(self, error: ValidationError) -> list[Fault]:
        """Returns every fault that pydantic found, in the order of the file."""
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return sorted(
            {
                self.fault(item["loc"], _worded(item["type"], item["msg"]), at_key=_of_key(item["type"]))
                for item in found
            }
        )


def parse(text: str | bytes, file: str, limits: Limits = DEFAULT_LIMITS) -> Document:
    """Returns the one document that `text` holds (None as its value if it is empty).

    Args:
        text: The content; who reads it need not read more than `limits.size_bytes` and one byte.
        file: Its name, for the faults.
        limits: What it may cost.

    Raises:
        Faults: All faults of form, each with its line and column.
    """
    if len(text) > limits.size_bytes:
        raise Faults([Fault(file, 1, 1, "document", f"the file is larger than {limits.size_bytes} bytes; split it")])
    whole = text if isinstance(text, str) else _decoded(text, file)
    forbidden = _FORBIDDEN.search(whole)
    if forbidden:
        line, column = _position(whole, forbidden.start())
        what = f"the character {forbidden[0]!r} is not allowed in YAML"
        raise Faults([Fault(file, line, column, "document", what)])
    places = _Places(whole, file, limits)
    try:
        value = plain(whole, limits, _Loader)
    except Unusual:
        value = _tree(whole, file, limits).value
    return Document(file, value, places)


class _Places:
    """Where everything stands: worked out when it is first asked for, which is where something is wrong.

    For a file of 100,000 mounts it is seconds of work and hundreds of MB. Mutable state: the tree, once it was made.
    """

    def __init__(self, text: str, file: str, limits: Limits) -> None:
        self._made_of = text, file, limits
        self._root: Node | None = None

    @property
    def root(self) -> Node:
        """The tree; of JSON that is no YAML (a key of more than 1,024 characters) its beginning alone."""
        if self._root is None:
            try:
                self._root = _tree(*self._made_of)
            except Faults:
                self._root = Node(None, 1, 1)
        return self._root


def _tree(text: str, file: str, limits: Limits) -> Node:
    """Returns the tree. Raises Faults."""
    builder = TreeBuilder(file, limits)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.add(event)
    except yaml.MarkedYAMLError as error:
        builder.refuse(*_marked(error), _syntax(error, text))
    if builder.faults:
        raise Faults(builder.faults)
    return builder.root


def _worded(kind: str, message: str) -> str:
    return _MESSAGES.get(kind, message.removeprefix("Value error, "))


def _of_key(kind: str) -> bool:
    return kind == "extra_forbidden"


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line, column = _position(content[: error.start].decode(), error.start)
        raise Faults(
            [Fault(file, line, column, "document", "this byte is not UTF-8; save the file as UTF-8")]
        ) from None


def _position(text: str, at: int) -> tuple[int, int]:
    before = text[:at]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _marked(error: yaml.MarkedYAMLError) -> tuple[int, int]:
    mark = error.problem_mark or error.context_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    line, _ = _marked(error)
    rows = text.split("\n", line)
    indent = rows[line - 1][: len(rows[line - 1]) - len(rows[line - 1].lstrip())] if line <= len(rows) else ""
    if "\t" in indent:
        return "a tab stands in the indentation; YAML takes spaces only"
    return ", ".join(part for part in (error.context, error.problem) if part) or "this is not YAML"
