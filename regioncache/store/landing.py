"""A run of pages of one extent on its way to the disk, readable by those who wait for it before its pages are whole.

Bytes are gathered in batches, never beyond a page's end. While one batch is written on the disk's thread the next one
fills; the batch that ends a page is waited for, so that a killed process loses one page of each landing at most.
"""

import asyncio

from xxhash import xxh3_64_intdigest

from regioncache.pages import BLOCK_BYTES, STEP_BYTES, Span
from regioncache.store.base import NotKept
from regioncache.store.cachepath import CachePath
from regioncache.store.extentfile import ExtentFile


class Landing:
    """Mutable state, all the loop's: what came (`_end`), the batch being filled, the batch being written, the fault."""

    def __init__(self, path: CachePath, slot: int, file: ExtentFile, pages: Span) -> None:
        """Args: pages: counted within the extent; noted already, the slot is held."""
        self._path = path
        self._slot = slot
        self._file = file
        self._pages = pages
        page_bytes = file.identity.page_bytes
        self._page_bytes = page_bytes
        # Within the extent, as all offsets below; only the public methods count from the object's start.
        self._start = self._end = pages.start * page_bytes
        self._stop = min(pages.end * page_bytes, file.extent_bytes)
        self._summed = self._start
        self._whole = pages.start
        self._batch_at = self._start
        self._batch = self._fresh()
        self._writing: asyncio.Future[None] | None = None
        self._written: tuple[int, memoryview] = (self._start, memoryview(b""))
        self._fault: OSError | None = None
        self._outs = path.disk.outs
        self._closed = False

    def __repr__(self) -> str:
        return f"Landing({self._file.path!r}, {self._pages}, {self._end - self._start} bytes came)"

    def landed(self) -> int:
        """Offset in the object up to which `read_landed` gives bytes: whole blocks, or the run's end."""
        return self._file.first_byte + self._summed

    def room(self) -> memoryview:
        """Where the next bytes go, to be received into directly, followed by `filled`; empty at the run's end."""
        return self._batch[self._end - self._batch_at :]

    async def filled(self, nbytes: int) -> None:
        """`nbytes` were received into `room()`. Raises NotKept when the disk took no more."""
        self._end += nbytes
        self._sum()
        if self._end == self._batch_at + len(self._batch):
            await self._flush()

    async def write(self, offset: int, data: memoryview) -> None:
        """Takes the next bytes of the run, at `offset` of the object; `data` may be reused after.

        Raises: NotKept when the disk took no more; ValueError for bytes that are not the next ones of the run.
        """
        at = offset - self._file.first_byte
        if at != self._end or at + len(data) > self._stop:
            raise ValueError(f"bytes at {offset} are not next in {self!r}")
        while len(data):
            room = self.room()
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            data = data[taken:]
            await self.filled(taken)

    def read_landed(self, span: Span) -> memoryview:
        """Returns bytes of the run below `landed()`, from memory or the kernel's.

        Raises: WouldBlock, CorruptPage, OSError; ValueError for bytes that have not come.
        """
        start, end = self._come(span)
        at_hand = self._at_hand(start, end)
        if at_hand is not None:
            return at_hand
        on_disk = min(end, max(start, self._written[0]))
        if on_disk == start:
            return self._recent(start, end)
        if on_disk == end:
            return self._file.read_now(start, end)
        return _joined(self._file.read_now(start, on_disk), self._recent(on_disk, end))

    async def read_landed_later(self, span: Span) -> memoryview:
        """As `read_landed`, from the disk if need be. Raises CorruptPage, OSError, ValueError."""
        start, end = self._come(span)
        at_hand = self._at_hand(start, end)
        if at_hand is not None:
            return at_hand
        on_disk = min(end, max(start, self._written[0]))
        if on_disk == start:
            return self._recent(start, end)
        # What is only in memory is taken before the await: it may move on meanwhile.
        recent = self._recent(on_disk, end) if on_disk < end else memoryview(b"")
        early = await self._path.disk.run(self._file.read, start, on_disk)
        return _joined(early, recent) if len(recent) else early

    async def close(self) -> None:
        """Ends the run: whole pages are kept, the rest is not, the note is taken back. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._settle()
        except NotKept:
            pass
        finally:
            if self._whole > self._pages.start:
                self._path.brought(self._slot, self._file)
            unnoted = self._path.disk.start(self._unnote)
            unnoted.add_done_callback(self._noted_fault)
            whole = min(self._stop, self._whole * self._page_bytes)
            self._path.landed(self._slot, self._file, self._stop - whole)
            self._path.fullness.kept(whole - self._start)
        await asyncio.wait([unnoted])

    def _unnote(self) -> None:
        # A path that was out and is back has the file open anew: that one says what it holds.
        if self._outs == self._path.disk.outs:
            self._file.unnote(self._pages.start, self._pages.end)

    def _noted_fault(self, done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, OSError):
            self._path.failed(error)

    def _sum(self) -> None:
        while self._summed < self._end:
            end = min(self._summed + BLOCK_BYTES, self._stop)
            if end > self._end:
                return
            block = self._batch[self._summed - self._batch_at : end - self._batch_at]
            self._file.sums[self._summed // BLOCK_BYTES] = xxh3_64_intdigest(block)
            self._summed = end

    async def _flush(self) -> None:
        await self._settle()
        ends_page = self._end % self._page_bytes == 0 or self._end == self._stop
        page = (self._end - 1) // self._page_bytes
        bits = 1 << page if ends_page else 0
        offset, batch = self._batch_at, self._batch
        writing = self._writing = self._path.disk.start(self._file.keep, offset, [batch], bits)
        writing.add_done_callback(lambda done: self._wrote(done, page + 1 if ends_page else self._whole, bits))
        self._written = (offset, batch)
        self._batch_at = self._end
        self._batch = self._fresh()
        if ends_page:
            await self._settle()

    async def _settle(self) -> None:
        """Waits for the batch being written. Raises NotKept where the disk did not take it."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
            self._writing = None
        if self._outs != self._path.disk.outs:
            raise NotKept(f"{self._path.disk.path} was out meanwhile: go on without keeping")
        if self._fault is not None:
            raise NotKept(f"{self._file.path}: {self._fault}: go on without keeping") from self._fault

    def _wrote(self, done: asyncio.Future[None], whole: int, bits: int) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, OSError):
            self._fault = error
            self._path.failed(error)
        if done.cancelled() or error is not None:
            return
        self._whole = whole
        if bits and not self._file.gone:
            index = self._path.index
            index.set_present(self._slot, index.present[self._slot] | bits)

    def _fresh(self) -> memoryview:
        """Room for the next batch: as far as the page goes, a step at most."""
        page_end = min((self._end // self._page_bytes + 1) * self._page_bytes, self._stop)
        return memoryview(bytearray(max(0, min(STEP_BYTES, page_end - self._end))))

    def _come(self, span: Span) -> tuple[int, int]:
        """The span within the extent."""
        start, end = span.start - self._file.first_byte, span.end - self._file.first_byte
        if start < self._start or end > self._summed:
            raise ValueError(f"{span} has not come yet in {self!r}")
        return start, end

    def _at_hand(self, start: int, end: int) -> memoryview | None:
        """The bytes without a copy, where one batch has them all."""
        for at, batch in ((self._batch_at, self._batch), self._written):
            if start >= at and end <= at + len(batch):
                return batch[start - at : end - at]
        return None

    def _recent(self, start: int, end: int) -> memoryview:
        """The bytes from the batch written last and the one being filled."""
        at, batch = self._written
        # Never a negative bound: it would count from the batch's end, and hand out bytes that have not come.
        return _joined(batch[max(0, start - at) : max(0, end - at)], self._batch[: max(0, end - self._batch_at)])


def _joined(early: memoryview, late: memoryview) -> memoryview:
    return memoryview(b"".join((early, late)))
