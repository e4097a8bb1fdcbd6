"""The policy file: quotas of lines and rules of caches, each value resolved to bytes, bytes/s, seconds or parts of 1.

Checked field by field, so that every fault is found at once with its place.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from policy import units
from policy.errors import UnitError, shown
from policy.pattern import Pattern
from policy.windows import When, wall_time, zone

STEP_BYTES = 256 * 1024
"""The most that is debited at once (line-rules, Before it arrives), so the least that a burst must hold."""
CONTROL_PART = 0.01
"""Of the quota is never leased: it carries control traffic (line-rules, What is debited)."""
CONTROL_BURST_PART = 0.25
"""Of the line's burst belongs to control traffic, so that one piece of a listing can be paid from it at once."""
OTHER = "other"
"""The leaf of all tenants that are not listed."""

CLASSES: tuple[str, ...] = ("interactive", "training", "prefetch", "backfill")
"""What traffic is for, the most urgent first unless a policy orders them otherwise."""


def _known_class(name: str) -> str:
    if name not in CLASSES:
        raise ValueError(f"class {shown(name)} is unknown; known: {', '.join(CLASSES)}")
    return name


ClassName = Annotated[str, AfterValidator(_known_class)]

_DEFAULT_CLASSES: Mapping[str, Mapping[str, object]] = {
    "interactive": {"order": 0, "floor": "10%"},
    "training": {"order": 1, "floor": "10%"},
    "prefetch": {"order": 2, "floor": "2%"},
    "backfill": {"order": 3, "floor": "1%"},
}
# Sums of fractions of a quota are sums of floats: a part in a billion is rounding, not a promise.
_ROUNDING = 1e-9


def _above_zero(amount: float) -> float:
    if amount <= 0:
        raise ValueError("must be above 0")
    return amount


Rate = Annotated[float, BeforeValidator(units.rate)]
"""Bytes per second."""
PositiveRate = Annotated[Rate, AfterValidator(_above_zero)]
Size = Annotated[int, BeforeValidator(units.size), AfterValidator(_above_zero)]
"""Bytes."""
Duration = Annotated[float, BeforeValidator(units.duration), AfterValidator(_above_zero)]
"""Seconds."""
Fraction = Annotated[float, BeforeValidator(units.fraction)]
TenantName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)


class ClassPolicy(_Written):
    """One class of traffic on one line."""

    order: Annotated[int, Field(strict=True, ge=0, le=99)]
    """Classes are served from the lowest order on, each with its own. Default: `0`, `1`, `2`, `3` for interactive,
    training, prefetch, backfill; a person waits for the first, nobody for the last."""
    floor: Fraction
    """The part of the quota that this class gets whatever the others want. Default: `10%`, `10%`, `2%`, `1%`, in the
    same order; nothing stands still for ever."""


class TenantPolicy(_Written):
    """One tenant on one line."""

    assured: Rate = 0.0
    """What the tenant gets, over all its classes, whenever it wants it. Default: `0 B/s`; a promise is made by
    somebody."""
    ceil: PositiveRate = math.inf
    """What the tenant never exceeds, not below `assured`. Default: none; what is idle is lent."""
    weight: Annotated[float, Field(strict=True, ge=0.001, le=1_000_000)] = 1.0
    """Its part of what is shared, beside the weights of the others. Default: `1`; all alike."""
    month: Size | None = None
    """Bytes a month; not kept by this version. Default: none."""

    @field_validator("ceil")
    @classmethod
    def _not_below_assured(cls, ceil: float, info: ValidationInfo) -> float:
        assured = info.data.get("assured", 0.0)
        if ceil < assured:
            raise ValueError(f"ceil {units.show_rate(ceil)} is below assured {units.show_rate(assured)}")
        return ceil


class Window(_Written):
    """Other ceils for classes at certain times."""

    when: Annotated[When, BeforeValidator(When.parse)]
    """Days and a span of the day, as `Mon-Fri 09:00-21:00`, `Sat,Sun 22:00-06:00` or `1,25-last 08:00-18:00`. No
    default: a window without a time is none."""
    tz: Annotated[str, BeforeValidator(zone)] = "UTC"
    """The time zone whose clocks on the wall are meant, as `Asia/Shanghai`. Default: `UTC`; nodes stand in many
    zones."""
    ceil: Annotated[dict[ClassName, PositiveRate], Field(min_length=1)]
    """By class, what it never exceeds over all tenants while the window holds. No default: it is what a window says."""

    def holds(self, moment: float) -> bool:
        """Tells whether the window holds; `moment` is seconds since the epoch."""
        return self.when.holds(wall_time(moment, self.tz))


class Burst(_Written):
    """How far a line may run ahead: a size, or the time that the quota takes for it."""

    nbytes: int = 0
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: object) -> "Burst":
        """Returns what `1MiB` or `10ms` says.

        Raises:
            ValueError: It is neither, or a size below one step.
        """
        try:
            return cls(seconds=units.duration(text))
        except UnitError:
            pass
        try:
            nbytes = units.size(text)
        except UnitError:
            raise ValueError(
                f"{shown(text)} is not a burst; accepted are a size (1MiB) or a time of the quota (10ms)"
            ) from None
        if nbytes < STEP_BYTES:
            raise ValueError(f"a burst is at least one step, {units.show_size(STEP_BYTES)}")
        return cls(nbytes=nbytes)


def _completed(classes: object) -> object:
    """Fills in what a policy leaves out of the four classes."""
    if not isinstance(classes, Mapping):
        return classes
    filled = {**_DEFAULT_CLASSES, **classes}
    for name, defaults in _DEFAULT_CLASSES.items():
        given = filled[name]
        if isinstance(given, Mapping):
            filled[name] = {**defaults, **given}
    return filled


class LinePolicy(_Written):
    """What may cross a line, each way."""

    quota: PositiveRate
    """What may cross the line each way, wire bytes, as `8Gbps`; not above its capacity. No default: a line that is left
    out of the policy has its capacity."""
    overhead: Annotated[float, Field(strict=True, ge=1, le=2)] = 1.06
    """Wire bytes for each payload byte. Default: `1.06`; plain TCP at an MTU of 1500, TLS takes 1.08."""
    burst: Annotated[Burst, BeforeValidator(Burst.parse)] = Burst(seconds=0.010)
    """How far the line may run ahead of its quota: a size, or the time that the quota takes for it; 256KiB at least.
    Default: `10ms`; more shows as a queue in the line's routers."""
    classes: Annotated[Mapping[ClassName, ClassPolicy], BeforeValidator(_completed), Field(validate_default=True)] = (
        Field(default_factory=dict)
    )
    """By class, how it is served; one that is left out has its defaults. Default: all four."""
    tenants: Mapping[TenantName, TenantPolicy] = Field(default_factory=dict)
    """By tenant, what it is promised and how it shares the rest; those that are not listed share as `other`, which may
    be listed too. Default: none; all share as one."""
    windows: tuple[Window, ...] = ()
    """Other ceils for classes at certain times; of several that hold the strictest counts. Default: none."""
    safe: Fraction = 0.5
    """What all nodes together may use of the quota when the lease office is silent. Default: `50%`; the other half is
    for those that it still reaches."""
    hold: Duration = 30.0
    """How long a node goes on at its last rate (at most its safe rate) after its lease ran out. Default: `30s`;
    most silences are shorter."""
    static_for: Duration = 3600.0
    """How long at the safe rate after that, before it brings nothing. Default: `1h`; somebody has looked by then."""

    @classmethod
    def of_capacity(cls, capacity: float) -> Self:
        """Returns the policy of a line that has none: its quota is its capacity (bytes/s)."""
        return cls(quota=f"{capacity!r}B/s")

    @property
    def burst_bytes(self) -> int:
        """What may run ahead of the quota, bytes; one step at least."""
        return max(STEP_BYTES, self.burst.nbytes, int(self.burst.seconds * self.quota))

    def class_ceils(self, moment: float) -> dict[str, float]:
        """Returns what windows allow a class at present, bytes/s; of several that hold the strictest counts.

        Args:
            moment: Seconds since the epoch.
        """
        ceils: dict[str, float] = {}
        for window in self.windows:
            if window.holds(moment):
                for name, ceil in window.ceil.items():
                    ceils[name] = min(ceil, ceils.get(name, math.inf))
        return ceils

    @field_validator("classes")
    @classmethod
    def _orders_differ(cls, classes: Mapping[str, ClassPolicy]) -> Mapping[str, ClassPolicy]:
        by_order: dict[int, str] = {}
        for name, of_class in classes.items():
            first = by_order.setdefault(of_class.order, name)
            if first != name:
                raise ValueError(f"classes {first} and {name} both have order {of_class.order}; give each its own")
        total = sum(of_class.floor for of_class in classes.values())
        if total > 1 + _ROUNDING:
            raise ValueError(f"the floors of all classes are {total:.0%} of the quota; together they may be 100%")
        return classes

    @field_validator("tenants")
    @classmethod
    def _promises_fit(cls, tenants: Mapping[str, TenantPolicy], info: ValidationInfo) -> Mapping[str, TenantPolicy]:
        quota, classes = info.data.get("quota"), info.data.get("classes")
        if quota is None or classes is None:
            return tenants
        assured = sum(tenant.assured for tenant in tenants.values())
        floors = quota * sum(of_class.floor for of_class in classes.values())
        if floors + assured > quota * (1 + _ROUNDING):
            raise ValueError(
                f"floors ({units.show_rate(floors)}) and assured ({units.show_rate(assured)}) are above the quota"
                f" ({units.show_rate(quota)}); lower an assured rate or a floor"
            )
        return tenants


MOST_NEWEST = 10_000
"""Each pinned partition is a group of its own in the cache; that many days are 27 years."""


class Pin(_Written):
    """What of a subtree may not be evicted: all of it, the newest of its partitions, or nothing."""

    newest: Annotated[int, Field(strict=True, ge=1, le=MOST_NEWEST)] | None
    """How many of the paths that the pattern matches: those that sort last. None: all that it covers."""

    @classmethod
    def whole(cls) -> "Pin":
        """Everything that the pattern covers: `pin: true`."""
        return cls.model_construct(newest=None)

    @classmethod
    def nothing(cls) -> "Pin":
        """What exempts a subtree from a wider rule below: `pin: false`."""
        return cls.model_construct(newest=0)

    def __bool__(self) -> bool:
        return self.newest != 0

    def __str__(self) -> str:
        return f"newest: {self.newest}" if self.newest else str(self.newest is None).lower()


def _pin_of(written: object, inner: ValidatorFunctionWrapHandler) -> Pin | None:
    if isinstance(written, Pin) or written is None:
        return written
    if isinstance(written, bool):
        return Pin.whole() if written else Pin.nothing()
    if not isinstance(written, Mapping) or written.get("newest", 0) is None:
        raise ValueError(f"{shown(written)} is not a pin; accepted are true, false and {{newest: N}}")
    pin: Pin | None = inner(written)
    return pin


class CacheRule(_Written):
    """Rules for the paths that a pattern covers; for each key the first rule of the file that sets it wins."""

    match: Annotated[Pattern, BeforeValidator(Pattern.parse)]
    """The paths it is for: `*` matches within a component, `**` any depth; all beneath what it matches is covered too.
    No default: `/ns/**` is everything."""
    pin: Annotated[Pin | None, WrapValidator(_pin_of)] = None
    """What may not be evicted and does not expire: `true`, all of it; `{newest: N}`, of the paths that the pattern
    matches the N that sort last; `false` exempts from a wider rule below. Default: none; nothing is pinned."""
    ttl: Duration | None = None
    """How long after they were brought cached pages go, as `30d`. Default: none; they go when others need the room."""
    admit: Literal["always", "second_read", "never"] | None = None
    """Whether what is read is kept: `always`; `second_read`, when it is read again; `never`. `always` also exempts a
    subtree from a wider rule below. Default: `always`; what is read is read again."""
    quota: Size | None = None
    """What all that the pattern covers may hold of the cache together, as `20TiB`. Default: none; the cache is shared
    by use."""
    priority: Literal["high", "normal", "low"] | None = None
    """Whose pages go first when others need the room: `low`, then `normal`, then `high`. Default: `normal`."""

    @field_validator("pin")
    @classmethod
    def _partitions_are_told_apart(cls, pin: Pin | None, info: ValidationInfo) -> Pin | None:
        match = info.data.get("match")
        if pin and pin.newest and match is not None:
            if "**" in match.parts:
                raise ValueError("newest counts the paths that the pattern matches: name each component, ** is not one")
            if not any("*" in part for part in match.parts):
                raise ValueError(f"{match} is one path, newest counts several as {match}/dt=*; or say pin: true")
        return pin

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.model_fields_set <= {"match"}:
            raise ValueError("the rule sets nothing; give it pin, ttl, admit, quota or priority")
        if self.pin and self.admit == "never":
            raise ValueError("the rule pins what it never admits; leave out one of pin and admit")
        return self


class Policy(_Written):
    """The whole file."""

    lines: Mapping[Annotated[str, Field(min_length=1)], LinePolicy] = Field(default_factory=dict)
    cache: tuple[CacheRule, ...] = ()


__all__ = [
    "CLASSES",
    "CONTROL_BURST_PART",
    "CONTROL_PART",
    "OTHER",
    "STEP_BYTES",
    "Burst",
    "CacheRule",
    "ClassPolicy",
    "LinePolicy",
    "Pin",
    "Policy",
    "TenantPolicy",
    "Window",
]
