"""The value of a file at a fraction of its tree's price: a file of 100,000 mounts is read in a second or two.

It reads what is ordinary, and that exactly as `yamltree` does, within the same limits. JSON, which is YAML, is read by
the JSON reader. Whatever is not ordinary (aliases, tags, faults of any kind) it leaves to the tree, which says where.
"""

import json
from collections.abc import Iterable
from typing import cast

import yaml

from policy.yamltree import Limits, resolved

__all__ = ["Unusual", "plain"]

_Inside = dict[str, object] | list[object] | None


class Unusual(Exception):
    """The tree must be built: it can tell what is meant, or what is wrong."""


def plain(text: str, limits: Limits, loader: type[yaml.SafeLoader]) -> object:
    """Returns the value of the one document that `text` holds. Raises Unusual."""
    if text.lstrip("\ufeff \r\n\t")[:1] in ("{", "["):
        try:
            return _of_json(text, limits)
        except Unusual:
            pass  # it may be YAML all the same
    try:
        return _of_events(yaml.parse(text, Loader=loader), limits)
    except yaml.YAMLError as error:
        raise Unusual from error


def _of_json(text: str, limits: Limits) -> object:
    try:
        value = json.loads(
            text, object_pairs_hook=_mapping, parse_int=resolved, parse_float=resolved, parse_constant=str
        )
    except (ValueError, RecursionError) as error:
        raise Unusual from error
    _check(value, limits, escaped="\\u" in text)
    return value


def _mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs) or "<<" in made:
        raise Unusual
    return made


def _check(value: object, limits: Limits, *, escaped: bool) -> None:
    """Walks over what JSON made: its depth and its number, and, where any is `escaped`, whether all is text."""
    nodes, inside = 1, [(value, 0)]
    while inside:
        container, depth = inside.pop()
        items: Iterable[object]
        if isinstance(container, dict):
            items = container.values()
            nodes += 2 * len(container)
        elif isinstance(container, list):
            items = container
            nodes += len(container)
        else:
            continue
        if depth >= limits.depth or nodes > limits.nodes:
            raise Unusual
        inside += [(item, depth + 1) for item in items if isinstance(item, dict | list)]
    if escaped:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise Unusual from error


def _of_events(events: Iterable[yaml.Event], limits: Limits) -> object:
    whole: object = None
    nodes = documents = 0
    outside: list[tuple[_Inside, str | None]] = []
    inside: _Inside = None
    key: str | None = None
    for event in events:
        if isinstance(event, yaml.ScalarEvent):
            nodes += 1
            text = event.value
            if event.anchor is not None or event.tag is not None:
                raise Unusual
            if key is None and type(inside) is dict:
                if text in inside or text == "<<":
                    raise Unusual
                key = text
                continue
            value: object = resolved(text) if event.implicit[0] else text
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            nodes += 1
            if _unusual(event, inside, key) or len(outside) >= limits.depth or nodes > limits.nodes:
                raise Unusual
            outside.append((inside, key))
            inside, key = {} if isinstance(event, yaml.MappingStartEvent) else [], None
            continue
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            value = inside
            inside, key = outside.pop()
        else:
            documents += isinstance(event, yaml.DocumentStartEvent)
            if isinstance(event, yaml.AliasEvent) or documents > 1:
                raise Unusual
            continue
        whole, key = _placed(value, inside, key), None
    if nodes > limits.nodes:
        raise Unusual
    return whole


def _unusual(event: yaml.CollectionStartEvent, inside: "_Inside", key: str | None) -> bool:
    """Whether a collection has a name or a tag, or is a key."""
    return event.anchor is not None or event.tag is not None or (key is None and type(inside) is dict)


def _placed(value: object, inside: "_Inside", key: str | None) -> object:
    """Puts a value where it belongs; returns it: the last one is the whole."""
    if key is not None:
        cast(dict[str, object], inside)[key] = value
    elif inside is not None:
        cast(list[object], inside).append(value)
    return value
