"""The topology as items: the checked form, which loads without YAML and without checking again.

A topology was checked whole when it was applied. Its parts are kept as JSON of what differs from the defaults, one item
each, so that 100,000 mounts load in a second and one changed mount is one item. Quantities are in the model's units.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from namespace.consistency import Consistency, Immutable, MaxAge, Validate
from namespace.fields import Credentials
from namespace.items import Difference, Items
from namespace.model import Bucket, Endpoint, Endpoints, Line, Mount, Region, Topology

_KINDS: dict[str, tuple[str, type[BaseModel]]] = {
    "region": ("regions", Region),
    "line": ("lines", Line),
    "bucket": ("buckets", Bucket),
    "mount": ("mounts", Mount),
}
ORDERED = ("region", "line")
"""Sections whose order means something: the first line between two regions is the default."""
_Part = TypeVar("_Part", bound=BaseModel)
_Dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def items_of(topology: Topology) -> dict[str, str]:
    """Returns the items of a topology."""
    items: dict[str, str] = {}
    for kind, (section, model) in _KINDS.items():
        parts: Mapping[str, BaseModel] = getattr(topology, section)
        encode = _Encoder(model).encode
        items.update((f"{kind}/{name}", encode(part)) for name, part in parts.items())
        if kind in ORDERED:
            items[f"order/{kind}"] = _Dump(list(parts))
    return items


def is_of_topology(name: str) -> bool:
    """Whether the item of this name is part of a topology."""
    return name.partition("/")[0] in {*_KINDS, "order"}


def topology_of(items: Items) -> Topology:
    """Returns the topology in these items; one without regions where there is none.

    Raises:
        ValueError: an item is not what this version writes.
    """
    return _made(items, {}, items.keys())


def changed(topology: Topology, difference: Difference, items: Items) -> Topology:
    """Returns the topology after a difference; `items` are those after it. Parts that stay are the same objects.

    Raises:
        ValueError: an item is not what this version writes.
    """
    before: dict[str, Mapping[str, BaseModel]] = {
        kind: getattr(topology, section) for kind, (section, _) in _KINDS.items()
    }
    return _made(items, before, [*difference.names()])


def _made(items: Items, before: Mapping[str, Mapping[str, BaseModel]], names: Any) -> Topology:
    touched: dict[str, list[str]] = {kind: [] for kind in (*_KINDS, "order")}
    for name in names:
        kind, _, rest = name.partition("/")
        if kind in touched:
            touched[kind].append(rest)
    sections: dict[str, Any] = {
        section: _section(kind, model, items, before.get(kind, {}), touched)
        for kind, (section, model) in _KINDS.items()
    }
    return Topology.model_construct(None, **sections)


def _section(
    kind: str, model: type[_Part], items: Items, before: Mapping[str, BaseModel], touched: Mapping[str, list[str]]
) -> Mapping[str, BaseModel]:
    names = touched[kind]
    if not names and kind not in touched["order"]:
        return before
    decode = _Decoder(model).decode
    parts = dict(before)
    for name in names:
        text = items.get(f"{kind}/{name}")
        if text is None:
            parts.pop(name, None)
        else:
            parts[name] = decode(name, text)
    if kind not in ORDERED or f"order/{kind}" not in items:
        return parts
    return {name: parts[name] for name in json.loads(items[f"order/{kind}"]) if name in parts}


class _Encoder:
    """Parts of one model as JSON of what differs from the defaults."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._called = "path" if model is Mount else "name"
        self._defaults = {
            name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()
        }

    def encode(self, part: BaseModel) -> str:
        values = part.__dict__
        return _Dump(
            {
                name: _plain(values[name])
                for name, default in self._defaults.items()
                if name != self._called and values[name] != default
            }
        )


class _Decoder:
    """The way back. What is read here was checked when it was applied, so that nothing is checked again."""

    def __init__(self, model: type[_Part]) -> None:
        self._model = model
        self._called = "path" if model is Mount else "name"
        self._defaults = {
            name: field.get_default(call_default_factory=True)
            for name, field in model.model_fields.items()
            if not field.is_required()
        }
        self._fields = frozenset(model.model_fields)
        self._wanted = frozenset(name for name, field in model.model_fields.items() if field.is_required())
        self._read = json.JSONDecoder().decode
        # Texts repeat: 100,000 mounts are of a few kinds.
        self._values: dict[str, Any] = {}

    def decode(self, name: str, text: str) -> Any:
        given = self._read(text)
        if not isinstance(given, dict):
            raise ValueError(f"{self._model.__name__.lower()} {name!r} is no mapping")  # noqa: TRY004
        for key in given.keys() & _TYPED.keys():
            given[key] = _TYPED[key](given[key])
        values = {**self._defaults, self._called: name, **given}
        if not given.keys() <= self._fields or not self._wanted <= values.keys():
            raise ValueError(f"{self._model.__name__.lower()} {name!r} is of another version: {sorted(given)}")
        # As `model_construct` does, but without its looking at each field: a tenth of its time.
        part = self._model.__new__(self._model)
        object.__setattr__(part, "__dict__", values)
        object.__setattr__(part, "__pydantic_fields_set__", {self._called, *given})
        object.__setattr__(part, "__pydantic_extra__", None)
        object.__setattr__(part, "__pydantic_private__", None)
        return part


def _plain(value: object) -> object:
    match value:
        case Immutable():
            return "immutable"
        case Validate():
            return "validate"
        case MaxAge(seconds):
            return {"max_age": seconds}
        case Credentials(kind, name):
            return [kind, name]
        case BaseModel():
            return {key: _plain(part) for key, part in _given(value)}
        case tuple():
            return [_plain(part) for part in value]
    return value


def _given(part: BaseModel) -> Iterator[tuple[str, object]]:
    for name in type(part).model_fields:
        value = getattr(part, name)
        if value is not None:
            yield name, value


def _endpoints(value: Any) -> Endpoints:
    given: dict[str, Any] = {scope: Endpoint.model_construct(**endpoint) for scope, endpoint in value.items()}
    return Endpoints.model_construct(None, **given)


def _consistency(value: Any) -> Consistency:
    match value:
        case "immutable":
            return Immutable()
        case "validate":
            return Validate()
    return MaxAge(value["max_age"])


def _credentials(value: Any) -> Credentials:
    kind, name = value
    return Credentials(kind, name)


_TYPED: dict[str, Callable[[Any], object]] = {
    "nodes": tuple,
    "paths": tuple,
    "between": tuple,
    "endpoints": _endpoints,
    "credentials": _credentials,
    "consistency": _consistency,
}
