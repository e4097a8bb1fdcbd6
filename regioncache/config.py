"""The cache's part of node.yaml: where it keeps pages, and how much of each disk."""

from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from namespace.references import FilePath
from policy import units

DAY_SECONDS = 86_400


class CacheSize(BaseModel):
    """How much of a file system a cache path may use: a share of it, or bytes; one of the two is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float | None = None
    """Share of the file system, above 0 and at most 1; the cache leaves 5 % of the file system free in any case."""
    limit: int | None = None
    """Bytes."""

    @property
    def said(self) -> int | float:
        """Bytes (an int), or the share (a float)."""
        return self.limit if self.limit is not None else self.share or 0.0

    def of(self, file_system_bytes: int) -> int:
        """Returns the bytes that may be used on a file system of `file_system_bytes`."""
        if self.limit is not None:
            return min(self.limit, file_system_bytes)
        return int(file_system_bytes * (self.share or 0.0))


def _cache_size(value: object) -> object:
    if isinstance(value, CacheSize):
        return value
    if isinstance(value, str) and value.strip().endswith("%"):
        share = units.fraction(value)
        if not 0 < share <= 1:
            raise ValueError(f"{value} is no share of a file system; write 1% to 100%, or bytes as 500GiB")
        return CacheSize(share=share)
    limit = units.size(value)
    if limit <= 0:
        raise ValueError("a cache has a size above 0; write 1% to 100%, or bytes as 500GiB")
    return CacheSize(limit=limit)


def _days(value: object) -> int:
    seconds = value * DAY_SECONDS if isinstance(value, int) and not isinstance(value, bool) else units.duration(value)
    if seconds < DAY_SECONDS or seconds % DAY_SECONDS:
        raise ValueError(f"{value} is no number of days; write 1d or more, as 400d")
    return int(seconds // DAY_SECONDS)


class LedgerSettings(BaseModel):
    """What is kept of who moved what over lines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep: Annotated[int, BeforeValidator(_days)] = 400
    """Days of which the slots of five minutes are kept, in whole days (`400d`); a day on which nothing moved is none of
    them, and what is older is in the sum only. Default: `400d`; a year and the month that is billed after it, some
    50 MB where 20 counters move all the time, and never more than 1 GiB."""


def _watermark(value: object) -> float:
    share = value if isinstance(value, float) else units.fraction(value)
    if not 0.5 <= share <= 1:
        raise ValueError(f"{value} is no watermark; write 50% to 100%: below that the disk would stand empty")
    return share


Bytes = Annotated[int, BeforeValidator(units.size)]
"""A number of bytes, written with its unit (`4GiB`) or as a whole number."""


class CachePath(BaseModel):
    """One disk of the cache, written as a directory or as `{path: DIRECTORY, tier: 1, size: 2TiB}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: FilePath
    """The directory; made when absent. No default: it stands for the disk."""
    tier: int = Field(default=0, ge=0, le=9)
    """Speed of the disk: 0 is the fastest, where new data land, 9 the slowest; what is worth it moves down and up.
    Default: `0`; disks that nothing is said of share alike."""
    size: Annotated[CacheSize, BeforeValidator(_cache_size)] | None = None
    """As `cache.size`, for this path alone. Default: as `cache.size`."""

    @model_validator(mode="before")
    @classmethod
    def _bare_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str | Path) else value


class CacheSettings(BaseModel):
    """Where pages are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: tuple[CachePath, ...]
    """Directories, one for each disk, each written as itself or as `{path: DIRECTORY, tier: 1, size: 2TiB}`. The first
    also keeps `admin.token`, the ledger and, where nothing else is said, the namespace. No default: a cache must never
    land on a disk by accident."""
    size: Annotated[CacheSize, BeforeValidator(_cache_size)] = CacheSize(share=0.9)
    """For each path: a share of its file system (`90%`) or bytes (`500GiB`); the cache leaves 5 % of the file system
    free in any case. Default: `90%`; a cache is to be used, the rest is for headers and the operator."""
    high: Annotated[float, BeforeValidator(_watermark)] = 0.97
    """Watermark: share of `cache.size` above which what leaves is removed behind, `50%` to `100%`. Default: `97%`; what
    comes need not wait for it."""
    low: Annotated[float, BeforeValidator(_watermark), Field(validate_default=True)] = 0.95
    """Watermark: share of `cache.size` down to which that goes on, not above `cache.high`; where there is a slower
    disk, what is above it moves there instead. Default: `95%`; the two percent between are a second of a fast disk."""

    @field_validator("low", mode="after")
    @classmethod
    def _not_above_high(cls, low: float, about: ValidationInfo) -> float:
        high = about.data.get("high", 1.0)
        if low > high:
            raise ValueError(f"low {low:.0%} is above high {high:.0%}; set both, the one below the other")
        return low

    @field_validator("paths", mode="after")
    @classmethod
    def _different_paths(cls, value: tuple[CachePath, ...]) -> tuple[CachePath, ...]:
        if not value:
            raise ValueError("a cache needs at least one path")
        if len({one.path for one in value}) != len(value):
            raise ValueError("a cache path occurs twice; name each disk once")
        return value

    @property
    def directories(self) -> tuple[Path, ...]:
        """The paths alone."""
        return tuple(one.path for one in self.paths)

    @property
    def sizes(self) -> tuple[int | float | None, ...]:
        """By path, bytes or a share, where it has a size of its own."""
        return tuple(None if one.size is None else one.size.said for one in self.paths)
