"""What was read not long ago: `admit: second_read` keeps what is read again within that memory, and not before.

A read is known by its object and the page that it begins in, so that the ranges of one download are no second read of
each other. It knows no clock: the window is the last million reads, more or less.
"""

from array import array

from xxhash import xxh3_64_intdigest

from regioncache.pages import ObjectId

READS = 1 << 20
"""Reads remembered: 4 MiB of memory, taken when the first rule with `second_read` is met."""
ROW = 16
"""Fingerprints side by side of which the newest replaces the oldest: with rows of 16 a read outlives half of the
window with a probability of 99.2 %, and is found by looking at one cache line."""


class FirstReads:
    """A table of 32-bit fingerprints. Mutable state: `_rows`, each with the newest first; empty until it is used."""

    def __init__(self, reads: int = READS) -> None:
        """Args: reads: how many to remember, a multiple of `ROW`."""
        self._count = reads // ROW
        self._rows = array("I")

    def __repr__(self) -> str:
        return f"FirstReads({len(self._rows)} places)"

    def again(self, oid: ObjectId, page: int) -> bool:
        """Whether a read that began in this page was told within the window; it is remembered from now on."""
        rows = self._rows
        if not rows:
            rows.frombytes(bytes(rows.itemsize * self._count * ROW))
        # Another version is the same object to whoever reads it twice: the version is not part of it.
        digest = xxh3_64_intdigest(oid.bucket + oid.key.encode(), page)
        fingerprint = digest & 0xFFFFFFFF or 1  # 0 is an empty place
        at = (digest >> 32) % self._count * ROW
        row = rows[at : at + ROW]
        if fingerprint in row:
            return True
        rows[at + 1 : at + ROW] = row[: ROW - 1]
        rows[at] = fingerprint
        return False
