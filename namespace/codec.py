"""Plain data -> `Topology`, with every fault at once.

The namespace knows neither YAML nor units: the caller gives plain data as its YAML reader made it, and `Units`, the
functions that read quantities (those of `policy.units`; the two packages are strangers). They travel, with the names
that stand in each section, as pydantic's validation context:

    topology(document.value, Units(rate=units.rate, size=units.size, duration=units.duration))

A fault in one part hides none in another: each region, line, bucket and mount is checked by itself, then what needs
several of them. All come in one pydantic `ValidationError`, whose `loc` is the way to the value from the document's
root, and whose messages never repeat what may be a secret.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from namespace.checks import Fault, Loc, across
from namespace.fields import Reading, Units
from namespace.model import Bucket, Line, Mount, Region, Topology

__all__ = ["Units", "topology"]

_SECTIONS: dict[str, type[BaseModel]] = {"regions": Region, "lines": Line, "buckets": Bucket, "mounts": Mount}
_Part = TypeVar("_Part", bound=BaseModel)


def topology(value: object, units: Units) -> Topology:
    """Returns the topology that plain data means.

    Args:
        value: what the file holds: mappings, lists, text, numbers.
        units: how quantities with units are read.

    Raises:
        pydantic.ValidationError: everything that is wrong, each fault with its `loc`.
    """
    faults: list[Fault] = []
    sections = _sections(value, faults)
    reading = Reading(units, {section: set(items) for section, items in sections.items()})
    drafted = Topology.model_construct(
        regions=_parts(Region, "regions", sections, reading, faults),
        lines=_parts(Line, "lines", sections, reading, faults),
        buckets=_parts(Bucket, "buckets", sections, reading, faults),
        mounts=_parts(Mount, "mounts", sections, reading, faults),
    )
    faults.extend(across(drafted, sections))
    if faults:
        raise _error(faults)
    return drafted


def _sections(value: object, faults: list[Fault]) -> dict[str, dict[str, object]]:
    """Returns the items of each section by name; a section that is absent or empty has none."""
    sections: dict[str, dict[str, object]] = {section: {} for section in _SECTIONS}
    if not isinstance(value, Mapping):
        faults.append(((), "a topology is a mapping of regions, lines, buckets and mounts"))
        return sections
    for section, items in value.items():
        if section not in sections:
            faults.append(((_key(section),), _unknown(section, sections)))
        elif isinstance(items, Mapping):
            sections[section] = dict(_named(section, items, faults))
        elif items is not None:
            faults.append(((section,), f"{section!r} is a mapping by {_called(section)}"))
    if not value.get("regions"):
        faults.append(
            (("regions",) if "regions" in value else (), "a topology has at least one region under 'regions'")
        )
    return sections


def _named(section: str, items: Mapping[Any, object], faults: list[Fault]) -> Iterator[tuple[str, object]]:
    for name, item in items.items():
        if isinstance(name, str):
            yield name, item
        else:
            faults.append(((section, _key(name)), f"{name!r} is no text; write it in quotes"))


def _parts(
    model: type[_Part], section: str, sections: dict[str, dict[str, object]], reading: Reading, faults: list[Fault]
) -> dict[str, _Part]:
    """Returns the parts of a section that are right in themselves; what is wrong with the others goes to `faults`."""
    parts: dict[str, _Part] = {}
    called = _called(section)
    for name, item in sections[section].items():
        if not isinstance(item, Mapping):
            faults.append(((section, name), f"this is a mapping of {_keys_of(model)}"))
            continue
        own = {key: what for key, what in item.items() if key != called}
        if called in item:
            faults.append(((section, name, called), f"unknown key {called!r}: the key of the {section[:-1]} says it"))
        try:
            parts[name] = model.model_validate({called: name, **own}, context=reading)
        except ValidationError as invalid:
            faults.extend(_told(invalid, model, (section, name)))
    return parts


def _told(invalid: ValidationError, model: type[BaseModel], at: Loc) -> Iterator[Fault]:
    """Yields pydantic's faults in our words."""
    called = _called(str(at[0]))
    for error in invalid.errors(include_url=False, include_input=False):
        loc = error["loc"]
        # A fault of the name itself stands at the part's key, there is no other place for it.
        where = at if loc == (called,) else (*at, *loc)
        match error["type"]:
            case "value_error":
                yield where, str(error["ctx"]["error"])
            case "missing":
                yield where[:-1], f"{loc[-1]!r} is missing"
            case "extra_forbidden":
                known = f"; known: {_keys_of(model)}" if len(loc) == 1 else ""
                yield where, f"unknown key {loc[-1]!r}{known}"
            case "tuple_type":
                yield where, "this is a list; write it as [ONE, OTHER]"
            case _:
                yield where, error["msg"][:1].lower() + error["msg"][1:]


def _error(faults: list[Fault]) -> ValidationError:
    details = [
        InitErrorDetails(type=PydanticCustomError("topology", "{fault}", {"fault": message}), loc=loc, input=None)
        for loc, message in faults
    ]
    return ValidationError.from_exception_data("topology", details, hide_input=True)


def _unknown(key: object, known: Mapping[str, object]) -> str:
    return f"unknown key {key!r}; known: {', '.join(known)}"


def _called(section: str) -> str:
    return "path" if section == "mounts" else "name"


def _keys_of(model: type[BaseModel]) -> str:
    return ", ".join(field for field in model.model_fields if field not in {"name", "path"})


def _key(key: object) -> int | str:
    return key if isinstance(key, int | str) else str(key)
