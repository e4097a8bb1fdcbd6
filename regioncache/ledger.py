"""The ledger of lines: who moved how many payload bytes over which line, by kind, in a file that outlives `kill -9`.

Counters lie in an mmapped file and are raised at the debit: without kills they equal the payload counted outside; with
connections closed early or after a kill they are never below it (line-rules, Ledger). One process owns a file. What
does not fit (too many names, too long ones) is counted under `other`, never dropped.
"""

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import xxhash

KINDS = ("unique", "refetch", "retry", "over_read", "meta", "write")
"""What bytes were for (line-rules, Once)."""
ONCE_KINDS = frozenset(("unique", "refetch", "retry", "over_read"))
OTHER = "other"

LAYOUT = 1
CAPACITY = 8192
"""Entries; 4 MiB of file. A line with 40 tenants, 4 classes, 8 buckets and 6 kinds fills it."""
_SPARE = 1024
"""The last entries are kept for what is counted under `other` once the rest is full."""
LINES = 64
"""Lines that have a window for `once_ratio`; a node sees those that end in its region."""
HOURS = 25
"""The running hour and the 24 before it, so a window is 24 to 25 h."""

_HEAD = struct.Struct("<8sIIIII")
_MAGIC = b"CAUSELDG"
_HEAD_BYTES = 4096
_ID_AT = 64
"""16 random bytes, which tell this file from one that was made in its place; in older files they are drawn late."""
_NOTED_AT = 80
"""A double: the moment up to which the history has what was counted; 0 for none. It outlives a kill as counters do."""
_RECORD = struct.Struct("<qQH")
"""Payload bytes, xxh3 of the names, their length; the names follow."""
_RECORD_BYTES = 512
_NAMES_BYTES = _RECORD_BYTES - _RECORD.size
_WINDOW = struct.Struct("<QH")
"""xxh3 of the line's name, its length; the name follows, then the slots: hour, unique, all four kinds."""
_WINDOW_BYTES = 1024
_MOMENT = struct.Struct("<d")
_SLOTS_AT = _WINDOW_BYTES - HOURS * 24
_LINE_BYTES = _SLOTS_AT - _WINDOW.size
_WINDOWS_AT = _HEAD_BYTES + CAPACITY * _RECORD_BYTES
_FILE_BYTES = _WINDOWS_AT + LINES * _WINDOW_BYTES


class LedgerUnreadable(Exception):
    """The file is not a ledger that this version can go on with, or another process has it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one counter counts. `direction` is written `idc-bj>aws-use1`, `bucket` is the logical name."""

    line: str
    direction: str
    tenant: str
    cls: str
    bucket: str
    kind: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"the ledger has no kind {self.kind!r}; known: {', '.join(KINDS)}")

    def of_kind(self, kind: str) -> "Entry":
        """The same payer's counter of another kind."""
        return replace(self, kind=kind)


@dataclass(frozen=True, slots=True)
class LedgerStatistics:
    """How full the file is, and what opening it found."""

    entries: int
    capacity: int
    lumped: int
    """Times that an entry found no place of its own and was counted under `other`."""
    torn: int
    """Records that opening dropped because their names were half written (a power failure)."""
    lost: int
    """Bytes that opening found missing at the file's end, and what they had counted with them."""


class Ledger:
    """Counters by entry.

    Mutable state: the mapped file, `_places` where each entry's counter lies, `_used` records in use from the front,
    `_free` those among them that were torn, to be written again.
    """

    def __init__(self, file: int, wall: Callable[[], float], where: str, lost: int = 0) -> None:
        self._file = file
        self._wall = wall
        self._where = where
        self._map = mmap.mmap(file, _FILE_BYTES)
        self._words = memoryview(self._map).cast("q")
        self._places: dict[Entry, int] = {}
        self._lumps: dict[Entry, int] = {}
        self._windows: dict[str, int] = {}
        self._used = 0
        self._free: list[int] = []
        self._lumped = 0
        self._torn = 0
        self._lost = lost
        self._read_records()
        self._read_windows()
        if not any(self._map[_ID_AT : _ID_AT + 16]):
            self._map[_ID_AT : _ID_AT + 16] = os.urandom(16)
        self.id = bytes(self._map[_ID_AT : _ID_AT + 16]).hex()

    @classmethod
    def open(cls, path: Path, wall: Callable[[], float] = time.time) -> "Ledger":
        """Opens or makes the ledger at `path`.

        Args:
            path: The file; its directory must exist.
            wall: Seconds since the epoch, for the hours of `once_ratio`; a window must outlive restarts.

        Raises:
            LedgerUnreadable: another process has it, it is no ledger, or it has another layout.
        """
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _own(file, path)
            lost = _prepare(file, path)
            return cls(file, wall, str(path), lost)
        except BaseException:
            os.close(file)
            raise

    def __repr__(self) -> str:
        return f"<Ledger {self._where}: {len(self._places)} of {CAPACITY} entries>"

    def raise_(self, entry: Entry, nbytes: int) -> None:
        """Counts `nbytes` of payload, now."""
        self._words[self._place(entry)] += nbytes
        if entry.kind in ONCE_KINDS:
            self._slide(entry, nbytes)

    def lower(self, entry: Entry, nbytes: int) -> None:
        """Takes back what was counted for bytes that will not come; never below zero."""
        place = self._place(entry)
        taken = min(nbytes, self._words[place])
        self._words[place] -= taken
        if entry.kind in ONCE_KINDS:
            self._slide(entry, -taken)

    def move(self, entry: Entry, kind: str, nbytes: int) -> None:
        """Counts `nbytes` of `entry` as another kind."""
        self.lower(entry, nbytes)
        self.raise_(entry.of_kind(kind), nbytes)

    def totals(self) -> dict[Entry, int]:
        """Returns payload bytes by entry since the file was made."""
        return {entry: self._words[place] for entry, place in self._places.items() if self._words[place]}

    @property
    def noted(self) -> float:
        """The moment (epoch seconds) up to which the history has what was counted; 0: it has nothing yet."""
        return float(_MOMENT.unpack_from(self._map, _NOTED_AT)[0])

    @noted.setter
    def noted(self, moment: float) -> None:
        _MOMENT.pack_into(self._map, _NOTED_AT, moment)

    def restore(self, totals: Mapping[Entry, int]) -> int:
        """Raises counters to what they are known to have been, where they are below; returns the bytes put back.

        After a loss of power the file may be older than what was told of it. `once_ratio` hears nothing of it.
        """
        back = 0
        for entry, known in totals.items():
            place = self._place(entry)
            back += max(0, known - self._words[place])
            self._words[place] = max(known, self._words[place])
        return back

    def once_ratio(self, line: str) -> float:
        """Returns unique / (unique + refetch + retry + over_read) over the last 24 to 25 h; 1.0 where nothing moved."""
        window = self._windows.get(line)
        if window is None:
            return 1.0
        oldest = self._hour() - HOURS
        slots = [at for at in _slots(window) if self._words[at] > oldest]
        unique, brought = sum(self._words[at + 1] for at in slots), sum(self._words[at + 2] for at in slots)
        return min(1.0, max(0.0, unique / brought)) if brought > 0 else 1.0

    def statistics(self) -> LedgerStatistics:
        return LedgerStatistics(self._taken, CAPACITY, self._lumped, self._torn, self._lost)

    def close(self) -> None:
        """Lets go of the file; safe to call twice."""
        if self._file >= 0:
            self._words.release()
            self._map.flush()
            self._map.close()
            os.close(self._file)
            self._file = -1

    # ---- counters -------------------------------------------------------------------------------------------------

    def _place(self, entry: Entry) -> int:
        """Returns the index of the entry's counter in `_words`, making its record the first time."""
        place = self._places.get(entry)
        if place is None:
            place = self._lumps.get(entry)
        return place if place is not None else self._settle(entry)

    def _settle(self, entry: Entry) -> int:
        names = _names_of(entry)
        if len(names) <= _NAMES_BYTES and self._taken < CAPACITY - _SPARE:
            return self._append(entry, names)
        self._lumped += 1
        lump = _lump(entry)
        place = self._places.get(lump)
        if place is None and self._taken < CAPACITY - len(KINDS):
            place = self._append(lump, _names_of(lump))
        if place is None:
            lump = Entry(OTHER, OTHER, OTHER, OTHER, OTHER, entry.kind)
            place = self._places.get(lump)
        if place is None:
            place = self._append(lump, _names_of(lump))
        # The table of those without a place of their own has a limit too: a stranger's names must not fill memory.
        if len(self._lumps) < CAPACITY:
            self._lumps[entry] = place
        return place

    @property
    def _taken(self) -> int:
        return self._used - len(self._free)

    def _append(self, entry: Entry, names: bytes) -> int:
        if self._free:
            index = self._free.pop()
        else:
            index, self._used = self._used, self._used + 1
        at = _HEAD_BYTES + index * _RECORD_BYTES
        self._map[at + _RECORD.size : at + _RECORD.size + len(names)] = names
        _RECORD.pack_into(self._map, at, 0, xxhash.xxh3_64_intdigest(names), len(names))
        self._places[entry] = at // 8
        return at // 8

    def _read_records(self) -> None:
        for index in range(CAPACITY):
            at = _HEAD_BYTES + index * _RECORD_BYTES
            _, digest, length = _RECORD.unpack_from(self._map, at)
            names = bytes(self._map[at + _RECORD.size : at + _RECORD.size + min(length, _NAMES_BYTES)])
            if not digest and not length:
                continue
            self._used = index + 1
            entry = _entry_of(names) if digest == xxhash.xxh3_64_intdigest(names) else None
            if entry is None or self._words[at // 8] < 0:
                self._torn += 1
                self._free.append(index)
            else:
                self._places[entry] = at // 8

    # ---- the window of once_ratio ---------------------------------------------------------------------------------

    def _hour(self) -> int:
        return int(self._wall() // 3600)

    def _slide(self, entry: Entry, nbytes: int) -> None:
        """Counts in the running hour of the entry's line; what the slot held of a day ago goes."""
        window = self._windows.get(entry.line)
        if window is None:
            window = self._new_window(entry.line)
            if window is None:
                return
        hour = self._hour()
        at = window + hour % HOURS * 3
        if self._words[at] != hour:
            # The hour last: a kill in between must not give yesterday's bytes to today.
            self._words[at + 1] = self._words[at + 2] = 0
            self._words[at] = hour
        if entry.kind == "unique":
            self._words[at + 1] += nbytes
        self._words[at + 2] += nbytes

    def _new_window(self, line: str) -> int | None:
        name = line.encode()
        if len(self._windows) >= LINES or len(name) > _LINE_BYTES:
            return None
        at = _WINDOWS_AT + len(self._windows) * _WINDOW_BYTES
        self._map[at : at + _WINDOW_BYTES] = bytes(_WINDOW_BYTES)
        self._map[at + _WINDOW.size : at + _WINDOW.size + len(name)] = name
        _WINDOW.pack_into(self._map, at, xxhash.xxh3_64_intdigest(name), len(name))
        self._windows[line] = (at + _SLOTS_AT) // 8
        return self._windows[line]

    def _read_windows(self) -> None:
        for index in range(LINES):
            at = _WINDOWS_AT + index * _WINDOW_BYTES
            digest, length = _WINDOW.unpack_from(self._map, at)
            name = bytes(self._map[at + _WINDOW.size : at + _WINDOW.size + min(length, _LINE_BYTES)])
            if not length or digest != xxhash.xxh3_64_intdigest(name):
                return
            self._windows[name.decode()] = (at + _SLOTS_AT) // 8


def _slots(window: int) -> Iterator[int]:
    return iter(range(window, window + HOURS * 3, 3))


def _names_of(entry: Entry) -> bytes:
    names = (entry.line, entry.direction, entry.tenant, entry.cls, entry.bucket, entry.kind)
    return b"\0".join(name.replace("\0", "").encode(errors="replace") for name in names)


def _entry_of(names: bytes) -> Entry | None:
    parts = names.decode(errors="replace").split("\0")
    return Entry(*parts) if len(parts) == 6 and parts[-1] in KINDS else None


def _lump(entry: Entry) -> Entry:
    """Where an entry without a place of its own is counted."""
    if len(entry.line) + len(entry.direction) + len(entry.cls) > _NAMES_BYTES // 8:
        return Entry(OTHER, OTHER, OTHER, OTHER, OTHER, entry.kind)
    return replace(entry, tenant=OTHER, bucket=OTHER)


def _own(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LedgerUnreadable(
            f"the ledger {path} belongs to another process; stop that node, or give this one its own cache path"
        ) from None


def _prepare(file: int, path: Path) -> int:
    """Checks the head and brings the file to its full size; one whose making was cut short is made anew.

    Returns the bytes that had been there and are lost: the head is written last, so a file that has one was whole.
    """
    head = os.pread(file, _HEAD.size, 0)
    ours = _HEAD.pack(_MAGIC, LAYOUT, _HEAD_BYTES, _RECORD_BYTES, CAPACITY, LINES)
    if head.strip(b"\0"):
        magic, layout = struct.unpack_from("<8sI", head.ljust(_HEAD.size, b"\0"))
        if magic != _MAGIC:
            raise LedgerUnreadable(f"{path} is not a ledger; move it away")
        if head != ours[: len(head)]:
            raise LedgerUnreadable(
                f"the ledger {path} has layout {layout}, this version writes {LAYOUT};"
                " run the version that made it, or move the file away to count from zero"
            )
    size = os.fstat(file).st_size
    if size != _FILE_BYTES:
        os.ftruncate(file, _FILE_BYTES)
    # A hole that is written to through the map on a full disk is no error but SIGBUS, the end of the process.
    os.posix_fallocate(file, 0, _FILE_BYTES)
    if head != ours:
        os.pwrite(file, ours, 0)
    return max(0, _FILE_BYTES - size) if head.strip(b"\0") else 0
