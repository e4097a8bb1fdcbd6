"""Keeps the history of lines while a node runs: looks at the counters every few seconds and at each slot's end.

Nothing waits for it: what the disk does not take is tried again, and the counters, which outlive a kill, have it all.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from regioncache.history.file import HistoryBroken, HistoryFile, Known, Row, merged, of_cells
from regioncache.history.slots import SLOT_SECONDS, Batch, Slotting
from regioncache.ledger import Ledger
from regioncache.tidings import UNHEARD, Tidings

LOOK_SECONDS = 5.0
"""So much of what was counted before a kill may lie in the slot before its own. A look takes a millisecond at most."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
T = TypeVar("T")


class History:
    """The slots of one ledger.

    Mutable state: `_file` and `_slotting`, None until the file could be opened, `_fault`, why it could not be used the
    last time, and the tasks: one that looks, and those that have or want their turn with the file.
    """

    def __init__(
        self, ledger: Ledger, path: Path, keep_days: int, wall: Callable[[], float], tidings: Tidings = UNHEARD
    ) -> None:
        """Args: keep_days: on which something moved. wall: seconds since the epoch."""
        self._ledger = ledger
        self._path = path
        self._keep_days = keep_days
        self._wall = wall
        self._tidings = tidings
        self._file: HistoryFile | None = None
        self._slotting: Slotting | None = None
        self._fault = ""
        self._turn = asyncio.Lock()
        self._turns: set[asyncio.Task[Any]] = set()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<History {self._path}{': ' + self._fault if self._fault else ''}>"

    @property
    def fault(self) -> str:
        """Why it is not written, empty while it is."""
        return self._fault

    async def start(self) -> None:
        """Opens the file, counts what it lacks, and begins to look. Before anything is counted."""
        await self.look()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Writes what is left, and closes the file. Safe to call twice, and before `start`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._file is not None:
            await self.look()
        async with self._turn:
            if self._file is not None:
                self._file.close()
            self._file = self._slotting = None

    async def look(self) -> None:
        """Puts what was counted since the last look into its slot, and writes it. Faults are told, and tried again."""
        await self._alone(self._look)

    async def rows(self, since: int, until: int, by: Sequence[str], most: int) -> list[Row]:
        """Returns what was counted in the slots that begin in [since, until), up to now; see `HistoryFile.rows`.

        Raises: HistoryBroken.
        """

        async def read() -> list[Row]:
            await self._look()
            file, slotting = self._file, self._slotting
            if file is None or slotting is None:
                raise HistoryBroken(self._fault or f"the history of lines {self._path} is closed")
            kept = await asyncio.to_thread(file.rows, since, until, by, most)
            return merged((kept, of_cells(slotting.unwritten(), since, until, by)))

        return await self._alone(read)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, SLOT_SECONDS - self._wall() % SLOT_SECONDS))
            await self.look()

    async def _alone(self, call: Callable[[], Coroutine[object, object, T]]) -> T:
        """Runs a call in its turn, to its end: whoever is cancelled meanwhile leaves no thread behind at the file."""

        async def turn() -> T:
            async with self._turn:
                return await call()

        task = asyncio.create_task(turn())
        self._turns.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: "asyncio.Task[T]") -> None:
        self._turns.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it was told, or has gone

    async def _look(self) -> None:
        try:
            if self._file is None:
                await self._open()
            await self._write()
        except HistoryBroken as fault:
            self._failed(fault)
        else:
            if self._fault:
                self._tidings.news(f"the history of lines {self._path} is written again, and lacks nothing")
            self._fault = ""

    async def _write(self) -> None:
        file, slotting = self._file, self._slotting
        if file is None or slotting is None:
            return
        now = self._wall()
        # No await between the two: what is counted after the look is of the next one.
        slotting.look(self._ledger.totals(), now)
        while (batch := slotting.batch()) is not None:
            await asyncio.to_thread(_write, file, batch)
            slotting.written()
        self._ledger.noted = now

    async def _open(self) -> None:
        file, known = await asyncio.to_thread(self._opened)
        same = known.ledger == self._ledger.id
        if same and known.boot != _boot() and (back := self._ledger.restore(known.seen)):
            self._tidings.warning(
                f"the machine lost power: {back} bytes that {self._ledger!r} had forgotten were put back by the history"
            )
        # A file that is new, or of another ledger, knows nothing of when this one counted what it has.
        noted = self._ledger.noted if same else 0.0
        self._slotting = Slotting(known.seen if same else {}, noted, known.number)
        self._file = file

    def _opened(self) -> tuple[HistoryFile, Known]:
        try:
            return self._followed()
        except HistoryBroken as fault:
            if not fault.damaged:
                raise
            aside = self._set_aside()
            self._tidings.warning(f"{fault}; it is kept as {aside}, and a new one begun: what it had is in no slot now")
            return self._followed()

    def _followed(self) -> tuple[HistoryFile, Known]:
        file = HistoryFile(self._path, self._keep_days)
        try:
            known = file.known()
            file.follow(self._ledger.id, _boot())
        except BaseException:
            file.close()
            raise
        return file, known

    def _set_aside(self) -> Path:
        aside = self._path.with_name(f"{self._path.name}.damaged-{int(self._wall())}")
        for suffix in ("", "-wal", "-shm"):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        return aside

    def _failed(self, fault: HistoryBroken) -> None:
        if not self._fault:
            self._tidings.warning(f"{fault}; counters go on, and are written as soon as it can be")
        self._fault = str(fault)
        if fault.damaged and self._file is not None:
            # Opened again at the next look, which sets it aside.
            self._file.close()
            self._file = self._slotting = None


def _write(file: HistoryFile, batch: Batch) -> None:
    file.write(batch)
    file.trim()


def _boot() -> str:
    """What is another one after each start of the machine: until then no file forgets what a process wrote."""
    return _BOOT.read_text().strip() if _BOOT.exists() else ""
