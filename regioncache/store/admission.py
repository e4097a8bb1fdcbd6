"""What comes into the store, and what leaves because something newer came.

All decisions are made on the loop between two awaits; what an await may have changed is looked at again after it.
"""

import asyncio
from dataclasses import dataclass, replace

from regioncache.pages import EXTENT_BYTES, PACKED_BYTES, Meta, ObjectId, Span
from regioncache.store.appending import Placed
from regioncache.store.base import HEADER_BYTES, PageGone
from regioncache.store.cachepath import CachePath
from regioncache.store.choosing import chosen
from regioncache.store.disk import Piece
from regioncache.store.extentfile import ExtentFile
from regioncache.store.facts import FactsTooLarge
from regioncache.store.groups import Account
from regioncache.store.header import Identity, encode_identity
from regioncache.store.identity import extent_digest, object_digest, squeeze
from regioncache.store.index import Index, Kind, mask
from regioncache.store.keeping import Keeping
from regioncache.store.label import Label
from regioncache.store.landing import Landing
from regioncache.store.quotas import Quotas
from regioncache.store.record import Entry, What, encode_record


class Admission:
    """Mutable state: the last generation given, and packs under way with those of them that were forgotten."""

    def __init__(
        self, paths: list[CachePath], index: Index, last_generation: int, keeping: Keeping, quotas: Quotas
    ) -> None:
        self._paths = paths
        self._index = index
        self._keeping = keeping
        self._generation = last_generation
        self._packing: dict[int, int] = {}
        self._forgotten: set[int] = set()
        self._quotas = quotas

    def __repr__(self) -> str:
        return f"Admission({len(self._packing)} packing, generation {self._generation})"

    async def pack(self, oid: ObjectId, meta: Meta, data: Piece, brought: float | None = None) -> bool:
        """See `Store.pack`. Goes on when the caller is cancelled: what is written must be in the index, or buried.

        Args:
            brought: when the bytes came, seconds since the epoch; None: now.
        """
        if len(data) != meta.size or len(data) > PACKED_BYTES:
            raise ValueError(f"{oid.key!r}: {len(data)} bytes of {meta.size} cannot be packed")
        of_object = object_digest(oid)
        if not self._newer(of_object, meta):
            return False
        try:
            head, length = encode_record(oid, meta, data)
        except FactsTooLarge:
            return False
        path = chosen(self._paths, self._keeping, of_object, oid, length)
        if path is None:
            return False
        came = self._keeping.now() if brought is None else brought
        grouped = self._grouped(path, oid, length)
        label = Label(grouped.number, came)
        entry = Entry(of_object, 0, length, meta.learned_at, What.KEPT, squeeze(meta.version), label)
        self._packing[of_object] = self._packing.get(of_object, 0) + 1
        try:
            room = await self._quotas.room(grouped.account, length) and await self._room(path, length, grouped)
        except asyncio.CancelledError:
            self._packed(of_object)
            raise
        if not room:
            self._packed(of_object)
            return False
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(placed: Placed | OSError) -> None:
            grouped.let_go(length)
            entered = self._enter(path, oid, meta, placed, grouped, came)
            if not kept.done():
                kept.set_result(entered)

        path.packs.append([head, data], entry, done)
        return await kept

    def _grouped(self, path: CachePath, oid: ObjectId, nbytes: int) -> "_Grouped":
        number = self._keeping.group_of(oid, nbytes, path.fifo, path.limit_bytes)
        return _Grouped(number, self._keeping.account_of(number), self._index.links.round)

    async def _room(self, path: CachePath, nbytes: int, grouped: "_Grouped") -> bool:
        """Room on the path, for what its account has let in: the account has it back where there is none."""
        room = False
        try:
            room = await path.room(nbytes)
        finally:
            if not room:
                grouped.let_go(nbytes)
        return room

    def _enter(
        self, path: CachePath, oid: ObjectId, meta: Meta, placed: Placed | OSError, grouped: "_Grouped", came: float
    ) -> bool:
        """What was written gets into the index, or is buried."""
        of_object = object_digest(oid)
        forgotten = self._packed(of_object)
        if isinstance(placed, OSError):
            path.failed(placed)
            return False
        if forgotten or path.disk.out is not None or not self._newer(of_object, meta):
            path.packs.bury(placed, of_object)
            return False
        slot = self._enter_packed(path, of_object, meta, placed, grouped)
        self._index.brought[slot] = int(came)
        if grouped.round != self._index.links.round and self._keeping.label(slot, oid, path.fifo, path.limit_bytes):
            path.packs.learned(slot)
        path.fullness.kept(placed.length)
        return True

    def _packed(self, of_object: int) -> bool:
        """A pack ended; returns whether its object was forgotten meanwhile."""
        forgotten = of_object in self._forgotten
        left = self._packing.pop(of_object) - 1
        if left:
            self._packing[of_object] = left
        else:
            self._forgotten.discard(of_object)
        return forgotten

    def _enter_packed(self, path: CachePath, of_object: int, meta: Meta, placed: Placed, grouped: "_Grouped") -> int:
        index = self._index
        self._drop_object(of_object)
        slot = index.add(of_object, Kind.PACKED, path.number)
        index.versions[slot] = squeeze(meta.version)
        index.learned[slot] = meta.learned_at
        index.size[slot] = meta.size
        index.segment[slot] = placed.segment.number
        index.place[slot] = placed.offset
        index.length[slot] = placed.length
        path.fifo.admit(slot, placed.length, of_object, grouped.number)
        return slot

    async def land(self, oid: ObjectId, meta: Meta, page_bytes: int, extent: int, pages: Span) -> Landing | None:
        """See `Store.land`."""
        identity = Identity(oid, meta, extent, page_bytes)
        first = extent * (EXTENT_BYTES // page_bytes)
        run = Span(pages.start - first, pages.end - first)
        if not len(run) or run.end > identity.pages():
            raise ValueError(f"{oid.key!r}: pages {pages} are not in extent {extent} of {meta.size} bytes")
        if not self._newer(object_digest(oid), meta) or not _fits(identity):
            return None
        reserved = await self._reserve(identity, run)
        if reserved is None:
            return None
        # The extent first: a head with a later extent keeps its header when room is needed.
        if extent and not await self._headed(identity, reserved):
            return None
        file = await self._opened(reserved)
        return None if file is None else await self._noted(reserved, file, run)

    async def _headed(self, identity: Identity, reserved: "_Reserved") -> bool:
        """Sees that the object has a head, so that its metadata survive; of its pages none is promised."""
        head = self._index.slots.get(object_digest(identity.oid))
        if head is not None and self._index.kinds[head] == Kind.HEAD:
            return True
        try:
            made = await self._reserve(replace(identity, extent=0), Span(0, 0))
            file = None if made is None else await self._opened(made)
        except asyncio.CancelledError:
            self._give_up(reserved)
            raise
        if made is None or file is None:
            self._give_up(reserved)
            return False
        made.path.release(made.slot)
        return True

    async def _reserve(self, identity: Identity, run: Span) -> "_Reserved | None":
        """Sees that the extent has a slot, held, with room for the run; None: not admitted."""
        index, version = self._index, identity.meta.version
        of_object = object_digest(identity.oid)
        digest = extent_digest(of_object, version, identity.extent)
        slot = index.slots.get(digest)
        if slot is None:
            path = chosen(self._paths, self._keeping, digest, identity.oid, HEADER_BYTES + identity.extent_bytes())
        else:
            path = self._paths[index.paths[slot]]
        run_bytes = _run_bytes(identity, run)
        if path is None:
            return None
        grouped = self._grouped(path, identity.oid, HEADER_BYTES + run_bytes)
        if not await self._quotas.room(grouped.account, HEADER_BYTES + run_bytes):
            return None
        if not await self._room(path, HEADER_BYTES + run_bytes, grouped):
            return None
        grouped.let_go(HEADER_BYTES + run_bytes)
        # No await from here: what is there now is what the run is added to.
        if path.disk.out is not None or not self._newer(of_object, identity.meta):
            return None
        self._drop_unlike(digest, identity)
        slot = index.slots.get(digest)
        if slot is not None and self._keeping.past(slot) and slot not in path.landing:
            # Its other pages must not become younger by this run.
            path.leave(slot, "ttl")
            slot = None
        if slot is None:
            if grouped.round != index.links.round:
                grouped = self._grouped(path, identity.oid, HEADER_BYTES + run_bytes)
            return self._make(path, digest, identity, run_bytes, grouped.number)
        path = self._paths[index.paths[slot]]
        held_pages = (index.present[slot] & mask(run.start, run.end)).bit_count()
        path.hold(slot)
        path.lighten(slot, min(0, held_pages * identity.page_bytes - run_bytes))
        return _Reserved(path, slot, index.place[slot], run_bytes)

    def _drop_unlike(self, digest: int, identity: Identity) -> None:
        """Drops what is held of the same version in another form: packed, or with another size of pages."""
        index = self._index
        slot = index.slots.get(digest)
        if slot is None:
            return
        if index.kinds[slot] != Kind.PACKED and (
            index.length[slot] == identity.page_bytes and index.size[slot] == identity.meta.size
        ):
            return
        self._drop_object(object_digest(identity.oid))
        slot = index.slots.get(digest)
        if slot is not None:
            self._paths[index.paths[slot]].drop(slot)

    def _make(self, path: CachePath, digest: int, identity: Identity, run_bytes: int, group: int) -> "_Reserved":
        index, meta = self._index, identity.meta
        generation = self.next_generation()
        slot = index.add(digest, Kind.TAIL if identity.extent else Kind.HEAD, path.number)
        index.versions[slot] = b"" if identity.extent else squeeze(meta.version)
        index.learned[slot] = meta.learned_at
        index.size[slot] = meta.size
        index.place[slot] = generation
        index.length[slot] = identity.page_bytes
        index.brought[slot] = int(self._keeping.now())
        path.fifo.admit(slot, HEADER_BYTES + run_bytes, digest, group)
        path.hold(slot)
        path.create(slot, identity)
        return _Reserved(path, slot, generation, run_bytes)

    async def _opened(self, reserved: "_Reserved") -> ExtentFile | None:
        """The reserved extent's file; None where it cannot be had, then the reservation is given up."""
        path = reserved.path
        try:
            file = await path.open(reserved.slot)
        except OSError as error:
            path.failed(error)
            if self._index.present[reserved.slot]:
                self._give_up(reserved)
            elif self._still(reserved):
                path.drop(reserved.slot)
            return None
        except PageGone:
            return None
        except asyncio.CancelledError:
            self._give_up(reserved)
            raise
        return file if self._still(reserved) and not file.gone else None

    async def _noted(self, reserved: "_Reserved", file: ExtentFile, run: Span) -> Landing | None:
        path, slot, index = reserved.path, reserved.slot, self._index
        bits = mask(run.start, run.end)
        index.set_present(slot, index.present[slot] & ~bits)
        index.untear(slot, run)
        file.landings += 1
        path.landing[slot] = file
        noting = path.disk.start(file.note, run.start, run.end)
        try:
            await asyncio.shield(noting)
        except OSError as error:
            path.failed(error)
            path.landed(slot, file, reserved.run_bytes)
            return None
        except asyncio.CancelledError:
            noting.add_done_callback(lambda _: path.disk.behind(file.unnote, run.start, run.end))
            path.landed(slot, file, reserved.run_bytes)
            raise
        file.bad &= ~bits
        return Landing(path, slot, file, run)

    def _still(self, reserved: "_Reserved") -> bool:
        """Whether the slot is still that extent's: it may have been dropped, and given to another, meanwhile."""
        index = self._index
        extent = index.kinds[reserved.slot] in (Kind.HEAD, Kind.TAIL)
        return extent and index.place[reserved.slot] == reserved.generation

    def _give_up(self, reserved: "_Reserved") -> None:
        if self._still(reserved):
            reserved.path.release(reserved.slot)
            reserved.path.lighten(reserved.slot, reserved.run_bytes)

    async def relearn(self, oid: ObjectId, meta: Meta) -> None:
        """Replaces the metadata of the extents held, or drops them where `meta` is of a newer version."""
        index = self._index
        of_object = object_digest(oid)
        if not self._newer(of_object, meta) or index.newest(of_object) != meta.version:
            return
        slot = index.slots[of_object]
        path = self._paths[index.paths[slot]]
        if not _fits(Identity(oid, meta, 0, index.length[slot])):
            self._drop_object(of_object)
            return
        index.learned[slot] = meta.learned_at
        try:
            file = await path.open(slot)
            await path.disk.run(file.relearn, meta)
        except OSError as error:
            path.failed(error)
        except PageGone:
            return

    def relearn_packed_now(self, oid: ObjectId, held: Meta, meta: Meta) -> bool:
        """Takes a later `learned_at` of a packed object without writing it again; False where more has changed."""
        if replace(held, learned_at=meta.learned_at) != meta:
            return False
        index = self._index
        slot = index.slots[object_digest(oid)]
        index.learned[slot] = meta.learned_at
        self._paths[index.paths[slot]].packs.learned(slot)
        return True

    def forget(self, oid: ObjectId) -> None:
        """See `Store.forget`."""
        of_object = object_digest(oid)
        if of_object in self._packing:
            self._forgotten.add(of_object)
        self._index.outdate(of_object)
        self._drop_object(of_object)

    def _newer(self, of_object: int, meta: Meta) -> bool:
        """Whether `meta` may be kept: of the version held, or of a newer one, which drops what is held."""
        index = self._index
        slot = index.slots.get(of_object)
        if slot is None or index.versions[slot] == squeeze(meta.version):
            return True
        if index.learned[slot] > meta.learned_at:
            return False
        self._drop_object(of_object)
        return True

    def _drop_object(self, of_object: int) -> None:
        index = self._index
        head = index.slots.get(of_object)
        if head is None:
            return
        for slot in [*index.tails(head), head]:
            self._paths[index.paths[slot]].drop(slot)

    def next_generation(self) -> int:
        """Returns one that no extent's file has had."""
        self._generation = (self._generation + 1) & 0xFFFFFFFF
        return self._generation


@dataclass(frozen=True, slots=True)
class _Grouped:
    """In which group something is to come in, by the grouping of which round."""

    number: int
    account: Account | None
    round: int

    def let_go(self, nbytes: int) -> None:
        """What the account had let in is entered, or does not come."""
        if self.account is not None:
            self.account.coming -= nbytes


@dataclass(frozen=True, slots=True)
class _Reserved:
    """An extent held for a run of `run_bytes`, by its slot and, since slots are used again, its generation."""

    path: CachePath
    slot: int
    generation: int
    run_bytes: int


def _fits(identity: Identity) -> bool:
    try:
        encode_identity(identity)
    except FactsTooLarge:
        return False
    return True


def _run_bytes(identity: Identity, run: Span) -> int:
    return max(0, min(run.end * identity.page_bytes, identity.extent_bytes()) - run.start * identity.page_bytes)
