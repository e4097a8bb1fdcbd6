"""The catalog's doubts on disk: what a refresh named is looked at again, even if the node is killed before a read.

A file of records, appended to, each with its checksum. What cannot be read in it, the torn end of a killed or powerless
node too, may have been a doubt of anything: everything learned before this start is doubted then. The file is written
anew, with the doubts that the catalog still has, when it has grown to twice those.
"""

import asyncio
import os
import struct
from collections.abc import Callable
from pathlib import Path

import xxhash

from regioncache.catalog import EVERYTHING, Catalog, Doubted
from regioncache.tidings import UNHEARD, Tidings

_MAGIC = b"CAUSEDBT\x01\x00\x00\x00"
_HEAD = struct.Struct("<QdBBH")
"""xxh3 of what follows; seconds since the epoch, 1 where the key is whole, length of the bucket's id, of the key."""
SPARE_RECORDS = 1024
"""The file is not written anew for fewer than so many records too many."""


class Doubts:
    """Mutable state: `_queue`, not on disk yet, `_writing`, the one write under way, `_records` in the file, and
    `_failing`: what the file lacks by then is written with the rest as soon as it can be."""

    def __init__(self, path: Path, tidings: Tidings = UNHEARD) -> None:
        self._path = path
        self._tidings = tidings
        self._catalog = Catalog()
        self._queue: list[Doubted] = []
        self._writing: asyncio.Task[None] | None = None
        self._records = 0
        self._failing = False

    def restore(self, catalog: Catalog, now: float) -> None:
        """Tells the catalog what the file has, and follows it from then on. Blocks; `now` is epoch seconds."""
        found, whole = _read(self._path)
        catalog.recall(found if whole else [*found, Doubted(EVERYTHING, "", False, now)])
        self._catalog = catalog
        self._records = len(found)
        if not whole or self._grown():
            self._told(self._write_anew, [*catalog.doubts()])

    def note(self, doubt: Doubted) -> None:
        """A doubt was cast: it is written behind."""
        self._queue.append(doubt)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def kept(self) -> None:
        """Waits until what was noted is on the disk, as far as the disk takes it; a failure is told to the log."""
        while self._writing is not None:
            await asyncio.shield(self._writing)
        if not self._failing:
            await asyncio.to_thread(self._told, self._sync, [])

    async def close(self) -> None:
        """Waits for what is being written."""
        await self.kept()

    async def _write(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                if self._grown() or self._failing:
                    await asyncio.to_thread(self._told, self._write_anew, [*self._catalog.doubts()])
                else:
                    await asyncio.to_thread(self._told, self._append, batch)
        finally:
            self._writing = None

    def _grown(self) -> bool:
        return self._records > 2 * self._catalog.statistics().doubts + SPARE_RECORDS

    def _told(self, write: Callable[[list[Doubted]], None], doubts: list[Doubted]) -> None:
        """Writes; that it fails is told once, until it succeeds."""
        try:
            write(doubts)
        except OSError as fault:
            if not self._failing:
                self._tidings.warning(
                    f"what `causeway refresh` doubts cannot be kept in {self._path}: {fault}; it holds until this node "
                    "restarts: mend the disk, and refresh again after a restart"
                )
            self._failing = True
        else:
            self._failing = False

    def _append(self, doubts: list[Doubted]) -> None:
        raw = b"".join(map(_encode, doubts))
        with self._path.open("ab", buffering=0) as file:
            if not file.tell():
                raw = _MAGIC + raw
            before = file.tell()
            try:
                if file.write(raw) != len(raw):
                    raise OSError(f"only a part of {len(raw)} bytes was written")
            except OSError:
                file.truncate(before)  # what comes after half a record could not be read
                raise
        self._records += len(doubts)

    def _write_anew(self, doubts: list[Doubted]) -> None:
        fresh = self._path.with_name(f"{self._path.name}.new")
        with fresh.open("wb") as file:
            file.write(_MAGIC + b"".join(map(_encode, doubts)))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._path)
        self._records = len(doubts)

    def _sync(self, _: list[Doubted]) -> None:
        """What was written is on the disk, and so is the file's name."""
        for name in (self._path, self._path.parent):
            if name.exists():
                file = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)


def _encode(doubt: Doubted) -> bytes:
    key = doubt.key.encode("utf-8", "surrogateescape")
    record = _HEAD.pack(0, doubt.at, doubt.whole, len(doubt.bucket), len(key)) + doubt.bucket + key
    return struct.pack("<Q", xxhash.xxh3_64_intdigest(record[8:])) + record[8:]


def _read(path: Path) -> tuple[list[Doubted], bool]:
    """The doubts in the file, and whether all of it could be read."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return [], True
    except OSError:
        return [], False
    found: list[Doubted] = []
    if raw[: len(_MAGIC)] != _MAGIC:
        return found, False
    at = len(_MAGIC)
    while at < len(raw):
        doubt, at = _decode(raw, at)
        if doubt is None:
            return found, False
        found.append(doubt)
    return found, True


def _decode(raw: bytes, at: int) -> tuple[Doubted | None, int]:
    if at + _HEAD.size > len(raw):
        return None, at
    checksum, when, whole, bucket_bytes, key_bytes = _HEAD.unpack_from(raw, at)
    key_at = at + _HEAD.size + bucket_bytes
    end = key_at + key_bytes
    if end > len(raw) or xxhash.xxh3_64_intdigest(raw[at + 8 : end]) != checksum:
        return None, at
    key = raw[key_at:end].decode("utf-8", "surrogateescape")
    return Doubted(raw[at + _HEAD.size : key_at], key, bool(whole), when), end
