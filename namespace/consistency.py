"""What a reader of a mount may rely on, and how often what is known beneath it is looked at anew."""

from dataclasses import dataclass

from pydantic import ValidationInfo

from namespace import fields

LEAST_REFRESH_SECONDS = 5.0
"""More often than this, readers are served better by asking at each read."""


@dataclass(frozen=True, slots=True)
class Immutable:
    """Objects never change: the newest version known is never asked about again."""


@dataclass(frozen=True, slots=True)
class MaxAge:
    """What is known of the newest version is believed for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Validate:
    """Every open asks the origin which version is the newest."""


Consistency = Immutable | MaxAge | Validate


def consistency_of(value: object, info: ValidationInfo) -> Consistency:
    """Returns what `immutable`, `validate` or `{max_age: 60s}` says."""
    match value:
        case Immutable() | MaxAge() | Validate():
            return value
        case "immutable":
            return Immutable()
        case "validate":
            return Validate()
        case {"max_age": age, **rest} if not rest:
            return MaxAge(_seconds(fields.duration(age, info), "max_age"))
    raise ValueError("consistency is immutable, validate or {max_age: 60s}")


def refresh_of(value: object, info: ValidationInfo) -> object:
    """Returns the seconds of `{every: 10m}`; a number where a model is built in Python."""
    match value:
        case {"every": every, **rest} if not rest:
            seconds = _seconds(fields.duration(every, info), "every")
        case None | float() | int() if fields.reading(info) is None:
            return value
        case _:
            raise ValueError("refresh is written {every: 10m}")
    if seconds < LEAST_REFRESH_SECONDS:
        raise ValueError(f"a refresh is every {LEAST_REFRESH_SECONDS:.0f}s at most; for less say consistency: validate")
    match info.data.get("consistency"):
        case Validate():
            raise ValueError("a mount that validates asks at each read: there is nothing to refresh")
    return seconds


def _seconds(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{key} is a duration, as 60s")
    return float(value)
