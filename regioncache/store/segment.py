"""One segment on disk: an append-only file of records and its journal. All of it blocks, on the appending thread.

A segment's end is torn off where no whole record lies; a journal that ends early, or is missing, is completed from
the segment. Only reads come from other threads, and they go through `file` alone.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from regioncache.store.disk import Disk, OpenFile, Piece
from regioncache.store.identity import object_digest, squeeze
from regioncache.store.record import (
    HEAD_BYTES,
    SEGMENT_HEAD_BYTES,
    BadRecord,
    Entry,
    What,
    check_segment_head,
    decode_facts,
    decode_record,
    encode_entry,
    encode_segment_head,
    record_length,
)


class Segment:
    """Mutable state: `end` and `journal_end` (the appending thread's), `dead` and of these
    `moved` bytes (the loop's), `touched`."""

    __slots__ = (
        "_disk",
        "_journal",
        "dead",
        "end",
        "file",
        "journal_end",
        "journal_path",
        "moved",
        "number",
        "path",
        "touched",
    )

    def __init__(self, disk: Disk, number: int) -> None:
        self._disk = disk
        self.number = number
        base = disk.path / "packs" / f"{number:08x}"
        self.path = str(base.with_suffix(".seg"))
        self.journal_path = str(base.with_suffix(".idx"))
        self.file: OpenFile | None = None
        self._journal: OpenFile | None = None
        self.end = 0
        self.journal_end = 0
        self.dead = 0
        self.moved = 0
        self.touched = False

    def __repr__(self) -> str:
        return f"Segment({self.number}, {self.end} bytes, {self.dead} dead)"

    def create(self) -> None:
        """Makes the files. Raises OSError."""
        self.file = self._disk.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self._journal = self._disk.open(self.journal_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.end = self._disk.write(self.file, [encode_segment_head(self.number)], 0)
        self.journal_end = 0

    def opened(self) -> OpenFile:
        """The segment's file, opened if it was not. Raises OSError."""
        if self.file is None:
            self.file = self._disk.open(self.path, os.O_RDWR)
        return self.file

    def append(self, pieces: list[Piece]) -> int:
        """Writes a record at the end; returns where. Raises OSError."""
        at = self.end
        self.end += self._disk.write(self.opened(), pieces, at)
        return at

    def enter(self, entries: list[Entry]) -> None:
        """Writes entries to the journal's end. Raises OSError."""
        if self._journal is None:
            self._journal = self._disk.open(self.journal_path, os.O_RDWR | os.O_CREAT)
        raw = b"".join(encode_entry(entry) for entry in entries)
        self.journal_end += self._disk.write(self._journal, [raw], self.journal_end)

    def all_dead(self) -> bool:
        """Whether nothing is left in it that anybody may point to."""
        return self.dead >= self.end - SEGMENT_HEAD_BYTES

    def seal(self) -> None:
        """No more records come for now: the journal's file is let go."""
        self._journal = None

    def journal(self) -> memoryview:
        """The journal's bytes; empty where it is missing. Raises OSError."""
        try:
            file = self._disk.open(self.journal_path, os.O_RDONLY)
        except FileNotFoundError:
            return memoryview(b"")
        return self._disk.read(file, 0, os.fstat(file.fd).st_size)

    def check(self) -> None:
        """Looks at the segment's first bytes and its length. Raises OSError, BadRecord, LayoutTooNew."""
        file = self.opened()
        check_segment_head(self._disk.read(file, 0, SEGMENT_HEAD_BYTES), self.number)
        self.end = os.fstat(file.fd).st_size

    def complete(self, journaled: int, journal_end: int) -> tuple[list[Entry], int]:
        """Adopts whole records behind the last journaled one, and cuts off what is torn, here and in the journal.

        Returns:
            The adopted records' entries, which are in the journal now, and the bytes cut off.

        Raises: OSError.
        """
        self.journal_end = journal_end
        adopted = list(self.records(max(journaled, SEGMENT_HEAD_BYTES)))
        whole = max([journaled, SEGMENT_HEAD_BYTES, *(entry.offset + entry.length for entry in adopted)])
        torn = max(0, self.end - whole)
        if torn:
            os.ftruncate(self.opened().fd, whole)
            self.end = whole
        if Path(self.journal_path).exists():
            os.truncate(self.journal_path, journal_end)
        if adopted:
            self.enter(adopted)
        self.seal()
        return adopted, torn

    def records(self, at: int) -> Iterator[Entry]:
        """Yields what the journal should say of each whole record from `at` on. Raises OSError."""
        while at < self.end:
            try:
                length = record_length(self._disk.read(self.opened(), at, HEAD_BYTES))
                raw = self._disk.read(self.opened(), at, length)
                oid, meta, _ = decode_record(raw)
            except BadRecord:
                return
            version = squeeze(meta.version)
            yield Entry(object_digest(oid), at, length, meta.learned_at, What.KEPT, version)
            at += length

    def version_at(self, offset: int) -> bytes:
        """The squeezed version in a record's facts. Raises OSError, BadRecord."""
        _, meta = decode_facts(self._disk.read(self.opened(), offset, HEAD_BYTES))
        return squeeze(meta.version)

    def unlink(self) -> None:
        """Removes both files, the segment first: a journal alone is nothing. Raises OSError."""
        self._disk.unlink(self.path)
        self._disk.unlink(self.journal_path)
        self.file = self._journal = None
