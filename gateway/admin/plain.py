"""Answers as plain data, for JSON: by the admin port, and by a worker to its siblings before that port is loaded."""

import dataclasses
import math


def plain(value: object) -> object:
    """Returns dicts, lists and scalars; a number that JSON does not know (infinity) becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
