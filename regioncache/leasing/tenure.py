"""An office's time in office: its epoch, above that of every office before, and what it leaves its successor.

Who may use the line without an office must be known to the next one, so it is kept where that one reads it, before a
grant relies on it. Two keepers: a file, for a region's only node, and etcd (`elections`).
"""

import asyncio
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from policy.leases.messages import Holder, Roster, Safe
from regioncache.errors import CacheError


class NotInOffice(CacheError):
    """Another one is in office, or may be: stop granting, and stand again."""


class TenureUnkept(CacheError):
    """What a successor must know could not be kept now: try again; grants that rely on it wait."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a line's offices. `rosters` is by direction; None: there were offices, and theirs was lost."""

    epoch: int = 0
    rosters: Mapping[str, Roster] | None = field(default_factory=dict)

    def roster(self, direction: str) -> Roster | None:
        """Returns what the former office left of one direction."""
        return None if self.rosters is None else self.rosters.get(direction, Roster())

    def with_roster(self, direction: str, roster: Roster) -> "Record":
        """The same with another roster of one direction."""
        return Record(self.epoch, {**(self.rosters or {}), direction: roster})


class Tenure(Protocol):
    """One time in office. It ends by `over`, or when `keep` raises NotInOffice."""

    @property
    def record(self) -> Record:
        """What was found, under this office's own epoch."""
        ...

    @property
    def session_seconds(self) -> float:
        """How long one renewal lasts; inf: nobody else can be in office."""
        ...

    def left(self, now: float) -> float:
        """Returns the seconds (monotonic) for which nobody else can be in office for certain."""
        ...

    async def keep(self, record: Record) -> None:
        """Keeps what a successor must know. Raises NotInOffice, TenureUnkept."""
        ...

    async def over(self) -> None:
        """Returns when somebody else may be in office."""
        ...


def plain(record: Record) -> dict[str, object]:
    """Returns a record as plain data."""
    rosters = {
        direction: {
            "unknown": roster.unknown,
            "holders": {
                node: {"process": holder.process, "rate": holder.safe.rate, "burst": holder.safe.burst}
                for node, holder in roster.holders.items()
            },
        }
        for direction, roster in (record.rosters or {}).items()
    }
    return {"epoch": record.epoch, "rosters": rosters, "lost": record.rosters is None}


def record_of(value: object) -> Record:
    """Returns the record in plain data; what cannot be read is a record that was lost, under its epoch."""
    if not isinstance(value, dict):
        return Record(0, None)
    epoch = value.get("epoch")
    epoch = epoch if isinstance(epoch, int) and epoch >= 0 else 0
    try:
        if value["lost"]:
            return Record(epoch, None)
        return Record(epoch, {direction: _roster(of) for direction, of in value["rosters"].items()})
    except (KeyError, TypeError, ValueError, AttributeError):
        return Record(epoch, None)


def parsed(text: bytes | str) -> Record:
    """Returns the record in JSON; what is none is a record that was lost."""
    try:
        return record_of(json.loads(text))
    except ValueError:
        return Record(0, None)


def next_epoch(known: int, above: int, first: int) -> int:
    """Returns an office's epoch.

    Args:
        known: The highest that was kept; 0: none was, or it was lost.
        above: The highest that this node has heard of.
        first: Where none was kept: seconds since the epoch, so that an office whose records were lost begins above the
            former ones, and never at the same. With a clock that was set back nodes tell it of a higher one.
    """
    return max(known, above, 0 if known else first) + 1


class OfficeFile:
    """What this machine remembers of the offices that it had, by line: `FILE` in the first cache path."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = asyncio.Lock()
        self._unnamed = Record()
        self._records: dict[str, Record] = {}
        try:
            value = json.loads(path.read_bytes())
            self._records = {line: record_of(one) for line, one in value.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, AttributeError):
            # Damaged: there were offices, and nobody knows of which lines.
            self._unnamed = Record(0, None)

    def record(self, line: str) -> Record:
        """Returns what is remembered of a line."""
        return self._records.get(line, self._unnamed)

    async def keep(self, line: str, record: Record) -> None:
        """Remembers, over a crash. Raises TenureUnkept."""
        async with self._writing:
            records = {**self._records, line: record}
            text = json.dumps({name: plain(one) for name, one in records.items()}).encode()
            try:
                await asyncio.to_thread(_written, self._path, text)
            except OSError as fault:
                raise TenureUnkept(f"{self._path} cannot be written: {fault.strerror}; make room") from fault
            self._records = records


class SoleTenure:
    """Of a region's only node: nobody else can be in office."""

    session_seconds = math.inf

    def __init__(self, file: OfficeFile, line: str, record: Record) -> None:
        self._file = file
        self._line = line
        self.record = record

    @classmethod
    async def begin(cls, file: OfficeFile, line: str, above: int, first: int) -> "SoleTenure":
        """Takes office under an epoch that is higher than any before, and than `above`; `first` where none is known.

        Raises: TenureUnkept.
        """
        found = file.record(line)
        record = Record(next_epoch(found.epoch, above, first), found.rosters)
        await file.keep(line, record)
        return cls(file, line, record)

    def left(self, now: float) -> float:
        """Always inf."""
        return math.inf

    async def keep(self, record: Record) -> None:
        """Keeps what the next process must know."""
        await self._file.keep(self._line, record)

    async def over(self) -> None:
        """Never returns."""
        await asyncio.get_running_loop().create_future()


def _roster(value: Mapping[str, Any]) -> Roster:
    return Roster({node: _holder(of) for node, of in value["holders"].items()}, bool(value["unknown"]))


def _holder(value: Mapping[str, object]) -> Holder:
    process, rate, burst = value["process"], value["rate"], value["burst"]
    if not (isinstance(process, int) and isinstance(rate, int | float) and isinstance(burst, int | float)):
        raise TypeError("a holder has a process epoch and figures")
    return Holder(process, Safe(float(rate), float(burst)))


def _written(path: Path, text: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
