"""A node's copy of a namespace that is kept elsewhere: judged when it comes, put on disk, and asked without waiting.

What is on disk is in force before anybody else was asked, so a node starts while the service is away. A copy that is
another namespace's, or older, does not take the place of the one held until an operator says so.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from namespace.contents import Unreadable
from namespace.items import Difference, Snapshot, difference
from namespace.keeping import Adopt, Known
from namespace.knowing import Knowing
from namespace.sealing import SealBroken
from namespace.snapshots import SnapshotFiles
from namespace.standing import Standing, objection

MANY = 500
"""Items that are read in a thread: each takes some 5 us."""
AGAIN_SECONDS = 10.0
"""Until a snapshot that could not be written is tried again: a full disk is not made fuller by asking each second."""
EMPTY = (
    "it is empty, as after a loss: put it back by `causeway namespace restore`, or, if it shall be empty, start the"
    " node once by `causeway up --adopt-empty`"
)
ADOPT = "if that is as it should be, start the node once by `causeway up --adopt`, which takes it over"


class Holding:
    """Mutable state: the snapshot held and what it says, why a newer one is not held, and what is not on disk yet.

    Snapshots are offered by one task at a time.
    """

    def __init__(
        self,
        files: SnapshotFiles,
        knowing: Knowing,
        warn: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`warn` tells an operator."""
        self.snapshot = Snapshot()
        self.refused = ""
        """Why the newest snapshot that was offered is not held; empty where it is."""
        self._remedy = ADOPT
        self._files = files
        self._knowing = knowing
        self._warn = warn
        self._sleep = sleep
        self._newer = asyncio.Event()
        self._spare: Snapshot | None = None
        """What was on disk when another was to be adopted: an empty one does not take its place."""
        self._changed = asyncio.Event()
        self._changes = 0
        """Snapshots taken that are worth a place on disk, of which the first `_saved` need none any more."""
        self._saved = 0
        self._unwritten = ""
        """Why what is newest is not on disk; empty where it is, or will be."""
        self._writing = threading.Lock()

    def __repr__(self) -> str:
        return f"<Holding {Standing.of(self.snapshot)}>"

    @property
    def whole_wanted(self) -> bool:
        """Whether a difference would not do: keys that are held do not open, and may be sealed anew by now."""
        return bool(self._knowing.unopened)

    async def restore(self, adopt: Adopt = "") -> None:
        """Takes up what is on disk, if anything is; or, with `adopt`, what is offered first."""
        found = None if adopt == "empty" else await asyncio.to_thread(self._files.read)
        if found is None:
            return
        if adopt:
            self._spare = found if Standing.of(found).number else None
            return
        await self._take_up(found)

    async def _take_up(self, found: Snapshot) -> None:
        try:
            await self._take(found, None)
        except (ValueError, Unreadable) as wrong:
            self._warn(f"this version cannot use the namespace's snapshot on disk: {wrong}; a new one is waited for")

    def newest(self) -> Known:
        """What is known now."""
        return self._knowing.known

    async def newer(self, serial: int) -> Known:
        """Waits until something newer than `serial` is known, and returns it."""
        while self._knowing.known.serial <= serial:
            await self._newer.wait()
        return self._knowing.known

    def concern(self) -> str:
        """What an operator should know, in one sentence."""
        if self.refused:
            return f"the namespace that is offered is not taken: {self.refused}; {self._remedy}"
        if self._knowing.unopened:
            count = len(self._knowing.unopened)
            return f"{count} access keys do not open, the first is {self._knowing.unopened[0]}: {self._knowing.why}"
        return self._unwritten

    async def offer(self, snapshot: Snapshot, base: Snapshot | None = None, changed: Difference | None = None) -> bool:
        """Takes a snapshot if it is a later one of the same namespace; returns whether it did.

        Args:
            snapshot: the whole.
            base: the snapshot that `changed` makes it of, where that is known.
            changed: a difference.

        Raises:
            ValueError, Unreadable: this version cannot read it; what is held stays.
        """
        offered = Standing.of(snapshot)
        spare, self._spare = self._spare, None
        if spare is not None and not offered.number:
            await self._take_up(spare)
        why = objection(Standing.of(self.snapshot), offered)
        if why:
            self._remedy = ADOPT if offered.number else EMPTY
            if why != self.refused:
                self._warn(
                    f"the namespace that is offered is not taken, this node keeps its own: {why}; {self._remedy}"
                )
            self.refused = why
            return False
        if base is not self.snapshot or changed is None:
            changed = difference(self.snapshot.items, snapshot.items) if self.snapshot.cluster else None
        # Nearly always little differs, and then little is made anew.
        await self._take(snapshot, changed)
        self.refused = ""
        return True

    def unreadable(self, wrong: Exception) -> None:
        """This version cannot read what was offered: what is held stays."""
        self.refused = f"this version cannot read it: {wrong}"
        self._warn(f"the namespace that is offered is not taken, this node keeps its own: {self.refused}")

    def check_opened(self) -> None:
        """Raises SealBroken where there are keys and none of them opens: it is the wrong secret, not a damaged key."""
        knowing = self._knowing
        if knowing.unopened and not knowing.known.keys:
            raise SealBroken(f"{len(knowing.unopened)} access keys are kept, and none opens: {knowing.why}")

    def save_now(self) -> None:
        """Keeps on disk what is not there yet; blocks, also until what is being written is there.

        Raises OSError; then it is still to be kept, by the next call.
        """
        with self._writing:  # who ends `save` has left its thread behind
            changes = self._changes
            if changes != self._saved:
                self._files.write(self.snapshot)
                self._saved = changes

    async def save(self) -> None:
        """Keeps on disk whatever is newest, until it is cancelled; tries again where that fails."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await asyncio.to_thread(self.save_now)
            except OSError as fault:
                self._cannot_write(fault)
                await self._sleep(AGAIN_SECONDS)
                self._changed.set()
            else:
                self._unwritten = ""

    def _cannot_write(self, fault: OSError) -> None:
        why = f"the namespace's snapshot cannot be written: {fault}; make room, or mend the directory"
        if why != self._unwritten:
            self._warn(why)
        self._unwritten = why

    async def _take(self, snapshot: Snapshot, changed: Difference | None) -> None:
        if changed is None:
            # 100,000 mounts take half a second: replies must go on meanwhile.
            await asyncio.to_thread(self._knowing.whole, snapshot)
        elif len(changed.put) > MANY:
            await asyncio.to_thread(self._knowing.changed, snapshot, changed)
        else:
            self._knowing.changed(snapshot, changed)
        self.snapshot = snapshot
        if changed is None or any(not name.startswith("node/") for name in changed.names()):
            self._changes += 1
            self._changed.set()
        self._newer.set()
        self._newer = asyncio.Event()
