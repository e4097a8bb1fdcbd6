"""Files that another process of this host keeps, read here: identity, presence and checksums as for one's own.

What was evicted or replaced meanwhile stays readable while it is open, and is what it was: a file is of one version.
All of it that opens blocks; what reads `now` does not.
"""

import errno
import os
from dataclasses import dataclass

from regioncache.pages import BLOCK_BYTES, EXTENT_BYTES, FilePart, Meta, ObjectId, Span, Version
from regioncache.store.base import HEADER_BYTES, PageGone, WouldBlock
from regioncache.store.disk import Disk, OpenFile
from regioncache.store.extentfile import ExtentFile
from regioncache.store.header import SUMS_AT, decode_identity, decode_presence, decode_sums
from regioncache.store.record import BadRecord, decode_record
from regioncache.store.whereabouts import Whereabout


class ExtentBeside:
    """One extent. Mutable state: what the header said when it was looked at last."""

    __slots__ = ("_disk", "_file")

    def __init__(self, disk: Disk, where: Whereabout) -> None:
        """Opens it. Blocks. Raises OSError, BadHeader, LayoutTooNew."""
        self._disk = disk
        self._file = ExtentFile.open(disk, where.path, os.O_RDONLY)

    def is_of(self, oid: ObjectId, version: Version, extent: int) -> bool:
        """Whether it is what was asked for: hashes of names may agree, only equal identities prove it."""
        file = self._file
        return (file.key, file.bucket, file.version, file.first_byte) == (
            oid.key, oid.bucket, version, extent * EXTENT_BYTES,
        )  # fmt: skip

    def holds(self, span: Span) -> bool:
        """Whether all of it is present, as far as is known."""
        file = self._file
        page_bytes = file.identity.page_bytes
        first = (span.start - file.first_byte) // page_bytes
        bits = (1 << ((span.end - 1 - file.first_byte) // page_bytes + 1 - first)) - 1
        return file.present >> first & bits == bits and span.end <= file.identity.meta.size

    def part_now(self, span: Span, room: memoryview | None = None) -> FilePart:
        """Checked bytes from the kernel's memory, and where they lie. Raises WouldBlock, PageGone, OSError."""
        if not self.holds(span):
            raise PageGone("not all of it was present when it was looked at")
        file = self._file
        start = span.start - file.first_byte
        view = file.read_now(start, span.end - file.first_byte, room)
        return FilePart(view, file.file, HEADER_BYTES + start)

    def read(self, span: Span) -> memoryview:
        """As `part_now`, from the disk if need be. Blocks. Raises PageGone, OSError."""
        return self._file.read(span.start - self._file.first_byte, span.end - self._file.first_byte)

    def look(self) -> None:
        """Looks anew which pages are present. Blocks. Raises OSError, BadHeader, LayoutTooNew."""
        file = self._file
        raw = self._disk.read(file.file, 0, HEADER_BYTES)
        # Checksums lie behind presence, and were written before it: read in this order they are as new at least.
        identity, (present, _) = decode_identity(raw), decode_presence(raw)
        blocks = -(-identity.extent_bytes() // BLOCK_BYTES)
        file.sums, file.present = decode_sums(raw[SUMS_AT : SUMS_AT + 8 * blocks]), present

    def unlinked(self) -> bool:
        """As the function."""
        return unlinked(self._file.file)


@dataclass(frozen=True, slots=True)
class RecordBeside:
    """The place of one version of a packed object in a segment, which others open.

    The version is looked at too: the file may be of a segment that is gone, and its number be given again.
    """

    where: Whereabout
    version: Version

    def now(self, file: OpenFile, oid: ObjectId) -> tuple[Meta, memoryview]:
        """The object, checked, from the kernel's memory. Raises WouldBlock, PageGone, OSError."""
        buffer = bytearray(self.where.length)
        try:
            got = os.preadv(file.fd, (buffer,), self.where.offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EOPNOTSUPP}:
                raise WouldBlock(self.where.path) from None
            raise
        if got != self.where.length:
            raise WouldBlock(self.where.path)
        return self._checked(oid, memoryview(buffer))

    def read(self, disk: Disk, file: OpenFile, oid: ObjectId) -> tuple[Meta, memoryview]:
        """As `now`, from the disk if need be. Blocks. Raises PageGone, OSError."""
        return self._checked(oid, disk.read(file, self.where.offset, self.where.length))

    def _checked(self, oid: ObjectId, raw: memoryview) -> tuple[Meta, memoryview]:
        try:
            whose, meta, data = decode_record(raw, self.where.learned_at)
        except BadRecord as error:
            raise PageGone(f"the record in {self.where.path} is no longer what it was: {error}") from error
        if whose != oid or meta.version != self.version:
            raise PageGone(f"the record in {self.where.path} is another object's, or of another version")
        return meta, data


def unlinked(file: OpenFile) -> bool:
    """Whether a file has left the disk, and takes room there as long as it is open here."""
    return os.fstat(file.fd).st_nlink == 0
