"""What the headers on a disk say: read alone as long as the kernel has them in memory, else several at once.

A start after a crash finds them in memory, and threads would only take the interpreter's lock from each other: a
hundred thousand headers are 2 s of one thread and 5 s of eight. A start of the machine finds them on the disk, which
answers many in the time of one.
"""

import errno
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from regioncache.store.base import HEADER_BYTES, LayoutTooNew, WouldBlock
from regioncache.store.disk import Disk
from regioncache.store.extentfile import HOLLOWING
from regioncache.store.header import START_BYTES, BadHeader, decode_presence, extent_bytes, label_of, outline_identity
from regioncache.store.identity import extent_digest, squeeze
from regioncache.store.index import Kind, mask
from regioncache.store.label import Label

_FOLDER_NAME = re.compile(r"[0-9a-f]{2}$")
_EXTENT_PATH = re.compile(r"/([0-9a-f]{32})-([0-9a-f]{8})$")
_LOOKERS = 8
"""Headers asked of the disk at once."""
_COLD_AT_ONCE = 1024
"""Headers that are left for the disk together; what all headers say at once would leave the process larger than its
index."""


class Seen(NamedTuple):
    """What the index wants of one extent file. A named tuple: a start makes a hundred thousand."""

    digest: int
    generation: int
    kind: Kind
    version: bytes
    learned_at: float
    size: int
    page_bytes: int
    present: int
    notes: list[tuple[int, int]]
    disk_bytes: int
    label: Label | None


@dataclass(slots=True)
class Looked:
    """What some files are: headers read, paths of what is of no use, how many are not ours, paths still to be read."""

    seen: list[Seen] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unknown: int = 0
    cold: list[str] = field(default_factory=list)


def look(disk: Disk) -> Iterator[Looked]:
    """Yields what all extent files are, some hundreds at a time. Blocks. Raises OSError, LayoutTooNew."""
    folders: list[str] = []
    unknown = 0
    with os.scandir(f"{disk.path}/extents") as inside:
        for entry in inside:
            if _FOLDER_NAME.match(entry.name) and entry.is_dir():
                folders.append(entry.path)
            else:
                unknown += 1
    yield Looked(unknown=unknown)
    cold: list[str] = []
    with ThreadPoolExecutor(_LOOKERS, thread_name_prefix="look") as lookers:
        for folder in folders:
            found = _look_at(disk, [f"{folder}/{name}" for name in os.listdir(folder)], os.RWF_NOWAIT)
            cold += found.cold
            yield found
            if len(cold) >= _COLD_AT_ONCE or (cold and folder is folders[-1]):
                shares = [cold[share::_LOOKERS] for share in range(_LOOKERS)]
                yield from lookers.map(partial(_look_at, disk, flags=0), shares)
                cold = []


def _look_at(disk: Disk, files: list[str], flags: int) -> Looked:
    found = Looked()
    room = memoryview(bytearray(START_BYTES))
    for path in files:
        match = _EXTENT_PATH.search(path)
        if match is None:
            if path.endswith(HOLLOWING):
                found.unreadable.append(path)
            else:
                found.unknown += 1
            continue
        try:
            found.seen.append(_see(disk, path, int(match[1], 16), int(match[2], 16), room, flags))
        except WouldBlock:
            found.cold.append(path)
        except LayoutTooNew as error:
            raise LayoutTooNew(f"{path}: {error}: start the later version again, or empty the path") from error
        except BadHeader:
            found.unreadable.append(path)
    return found


def _see(disk: Disk, path: str, digest: int, generation: int, room: memoryview, flags: int) -> Seen:
    """Reads a file's header; pages beyond the file's end do not count.

    Raises: OSError, BadHeader, LayoutTooNew, WouldBlock.
    """
    fd = disk.calls.open(path, os.O_RDONLY | os.O_CLOEXEC, 0)
    try:
        # No readahead: of a hundred thousand files it would read the first 128 KiB each.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        raw = _start(disk, fd, room, flags)
        about = os.fstat(fd)
    finally:
        os.close(fd)
    extent, page_bytes, (of_object, version, size, learned_at) = outline_identity(raw)
    if extent_digest(of_object, version, extent) != digest:
        raise BadHeader("another extent's")
    present, notes = decode_presence(raw)
    held = about.st_size - HEADER_BYTES
    if held < extent_bytes(size, extent):
        present &= mask(0, max(0, held) // page_bytes)
    kind, small = (Kind.TAIL, b"") if extent else (Kind.HEAD, squeeze(version))
    disk_bytes = max(HEADER_BYTES, about.st_blocks * 512)
    return Seen(
        digest, generation, kind, small, learned_at, size, page_bytes, present, notes, disk_bytes, label_of(raw)
    )


def _start(disk: Disk, fd: int, room: memoryview, flags: int) -> memoryview:
    """Reads a file's beginning into `room`; less only at the file's end. Raises OSError, WouldBlock."""
    done = 0
    while done < len(room):
        try:
            got = disk.calls.preadv(fd, (room[done:],), done, flags)
        except OSError as error:
            if flags and error.errno in {errno.EAGAIN, errno.EOPNOTSUPP}:
                raise WouldBlock("not in memory") from None
            raise
        if not got:
            break
        done += got
    return room[:done]
