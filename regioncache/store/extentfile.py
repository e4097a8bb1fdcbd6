"""One open extent file: what its header says, and its reads and writes.

Order on disk: data, checksums, presence. What a run is about to bring is noted before it lands. Blocking methods say
so; they run on the disk's threads, the others on the loop.
"""

import contextlib
import errno
import os
import threading
from array import array

from xxhash import xxh3_64_intdigest

from regioncache.pages import BLOCK_BYTES, EXTENT_BYTES, Meta
from regioncache.store.base import HEADER_BYTES, CorruptPage, PageGone, WouldBlock
from regioncache.store.disk import Disk, OpenFile, Piece
from regioncache.store.header import (
    IDENTITY_AT,
    PRESENCE_AT,
    SUMS_AT,
    Identity,
    decode_identity,
    decode_presence,
    decode_sums,
    encode_identity,
    encode_presence,
    label_of,
)
from regioncache.store.index import mask
from regioncache.store.label import Label

_NOWAIT = os.RWF_NOWAIT
HOLLOWING = ".hollow"
"""Behind the name of a file that shall take another's place; one that a crash left is removed at the start."""


class ExtentFile:
    """Mutable state: `identity.meta` (extent 0, relearned), `sums`, `present` and `notes` (under the lock, as they lie
    on disk), `bad` (pages whose checksum failed; the loop's), `label` (written with them), `gone` (dropped from the
    index) and `landings` (how many are under way), the loop's."""

    __slots__ = (
        "_lock", "_preadv", "bad", "bucket", "disk", "extent_bytes", "file", "first_byte", "gone", "identity", "key",
        "label", "landings", "notes", "path", "present", "sums", "touched", "version",
    )  # fmt: skip

    def __init__(self, disk: Disk, path: str, file: OpenFile, identity: Identity, sums: "array[int]") -> None:
        self.disk = disk
        self.path = path
        self.file = file
        self.identity = identity
        self.sums = sums
        self.present = 0
        self.notes: list[tuple[int, int]] = []
        self.label: Label | None = None
        self.bad = 0
        self.gone = False
        self.landings = 0
        self.touched = True
        # Compared at each hit, so kept at hand.
        self.bucket, self.key, self.version = identity.oid.bucket, identity.oid.key, identity.meta.version
        self.first_byte = identity.extent * EXTENT_BYTES
        self.extent_bytes = identity.extent_bytes()
        self._preadv = disk.calls.preadv
        self._lock = threading.Lock()

    @classmethod
    def create(cls, disk: Disk, path: str, identity: Identity, label: Label | None = None) -> "ExtentFile":
        """Makes the file with a header and no pages. Blocks. Raises OSError, FactsTooLarge."""
        first = encode_identity(identity)
        try:
            file = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileNotFoundError:
            # One level only: where the cache path itself is gone, nothing may be kept on the disk beneath it.
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(path))
            file = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        made = cls(disk, path, file, identity, array("Q", bytes(_blocks(identity) * 8)))
        made.label = label
        second = encode_presence(0, [], label)
        padding = bytes(HEADER_BYTES - PRESENCE_AT - len(second))
        disk.write(file, [second, padding], PRESENCE_AT)
        disk.write(file, [first.ljust(PRESENCE_AT, b"\0")], IDENTITY_AT)
        return made

    @classmethod
    def open(cls, disk: Disk, path: str, flags: int = os.O_RDWR) -> "ExtentFile":
        """Opens a file of ours. Blocks. Raises OSError, BadHeader, LayoutTooNew."""
        file = disk.open(path, flags)
        raw = disk.read(file, 0, HEADER_BYTES)
        identity = decode_identity(raw)
        found = cls(disk, path, file, identity, decode_sums(raw[SUMS_AT : SUMS_AT + 8 * _blocks(identity)]))
        found.present, found.notes = decode_presence(raw)
        found.label = label_of(raw)
        return found

    def note(self, start: int, end: int) -> None:
        """Notes pages [start, end) of the extent as about to come; none counts as held now. Blocks. Raises OSError."""
        with self._lock:
            self.present &= ~mask(start, end)
            self.notes = [note for note in self.notes if note[1] <= start or note[0] >= end] + [(start, end)]
            self._write_presence()

    def unnote(self, start: int, end: int) -> None:
        """Takes the note back. Blocks. Raises OSError."""
        with self._lock:
            self.notes = [note for note in self.notes if note != (start, end)]
            self._write_presence()

    def keep(self, offset: int, pieces: list[Piece], pages: int) -> None:
        """Writes whole blocks at `offset` of the extent, then the checksums and bits of `pages` that became whole.

        The checksums are in `sums` already. Blocks. Raises OSError.
        """
        self.disk.write(self.file, pieces, HEADER_BYTES + offset)
        if not pages:
            return
        first, end = self.blocks_of(pages)
        self.disk.write(self.file, [self.sums[first:end].tobytes()], SUMS_AT + 8 * first)
        with self._lock:
            self.present |= pages
            self._write_presence()

    def blocks_of(self, pages: int) -> tuple[int, int]:
        """The blocks [first, end) from the first of `pages`, which are bits, to the last."""
        per_page = self.identity.page_bytes // BLOCK_BYTES
        return ((pages & -pages).bit_length() - 1) * per_page, pages.bit_length() * per_page

    def save(self) -> None:
        """Writes presence as it is now known, without bad pages. Blocks. Raises OSError."""
        with self._lock:
            self._write_presence()

    def relearn(self, meta: Meta) -> None:
        """Replaces the metadata. Blocks. Raises OSError, FactsTooLarge."""
        identity = Identity(self.identity.oid, meta, self.identity.extent, self.identity.page_bytes)
        self.disk.write(self.file, [encode_identity(identity).ljust(PRESENCE_AT, b"\0")], IDENTITY_AT)
        self.identity = identity

    def hollow(self) -> None:
        """Gives the pages' room back and keeps the header, in a file that takes this one's place.

        The pages are not cut off where they lie: the kernel would overwrite some that are on their way to readers, sent
        from the file. Blocks. Raises OSError.
        """
        with self._lock:
            self.present = 0
            header = self.disk.read(self.file, 0, HEADER_BYTES)
            fresh = self.disk.open(self.path + HOLLOWING, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            self.disk.write(fresh, [header], 0)
            self.disk.write(fresh, [encode_presence(0, self.notes, self.label)], PRESENCE_AT)
            os.rename(self.path + HOLLOWING, self.path)
            self.file = fresh

    def read_now(self, start: int, end: int, room: memoryview | None = None) -> memoryview:
        """Returns bytes [start, end) of the extent, checked; reads whole blocks, only from the kernel's memory.

        Args:
            room: memory to read into, for two blocks more than is asked for; else it is made.

        Raises: WouldBlock, CorruptPage, OSError.
        """
        first = start - start % BLOCK_BYTES
        last = min(-(-end // BLOCK_BYTES) * BLOCK_BYTES, self.extent_bytes)
        view = memoryview(bytearray(last - first)) if room is None else room[: last - first]
        try:
            got = self._preadv(self.file.fd, (view,), HEADER_BYTES + first, _NOWAIT)
        except BlockingIOError:
            raise WouldBlock(self.path) from None
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                raise WouldBlock(self.path) from None
            raise
        if got != last - first:
            raise WouldBlock(self.path)
        self._check(view, first)
        return view[start - first : end - first]

    def read(self, start: int, end: int) -> memoryview:
        """As `read_now`, from the disk if need be. Blocks. Raises CorruptPage, OSError."""
        first = start - start % BLOCK_BYTES
        last = min(-(-end // BLOCK_BYTES) * BLOCK_BYTES, self.extent_bytes)
        view = self.disk.read(self.file, HEADER_BYTES + first, last - first)
        if len(view) < last - first:
            raise self._corrupt(first + len(view), "cut short")
        self._check(view, first)
        return view[start - first : end - first]

    def _check(self, view: memoryview, first: int) -> None:
        block = first // BLOCK_BYTES
        sums = self.sums
        for at in range(0, len(view), BLOCK_BYTES):
            if xxh3_64_intdigest(view[at : at + BLOCK_BYTES]) != sums[block]:
                raise self._corrupt(block * BLOCK_BYTES, "wrong checksum")
            block += 1

    def _corrupt(self, at: int, what: str) -> PageGone:
        page = at // self.identity.page_bytes
        if self.gone:
            return PageGone(f"{self.path} was dropped meanwhile: fetch page {page} again")
        return CorruptPage(f"{self.path}: page {page}: {what} at byte {at} of the extent: fetch it again", page)

    def _write_presence(self) -> None:
        presence = encode_presence(self.present & ~self.bad, self.notes, self.label)
        self.disk.write(self.file, [presence], PRESENCE_AT)


def _blocks(identity: Identity) -> int:
    """How many blocks the extent has: only so many checksums are held of an open file."""
    return -(-identity.extent_bytes() // BLOCK_BYTES)
