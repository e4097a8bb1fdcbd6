"""The namespace in one etcd, whole: followed into memory, and changed by transactions.

It knows no region: the service shows each region its part, a node with the region's own etcd takes its part itself.
Keys come and go as items, sealed by whoever brings them.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from namespace import contents
from namespace.errors import KeyExists, UnknownKey
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.errors import EtcdError, EtcdUncertain
from namespace.etcdclient.values import (
    Changes,
    Compare,
    Delete,
    Get,
    Gone,
    KeyValue,
    Operation,
    Put,
    absent,
    end_of,
    unchanged,
)
from namespace.etcdclient.values import Snapshot as EtcdSnapshot
from namespace.items import Difference, Garbled, Snapshot, difference, packed
from namespace.keeping import Draft, NamespaceAway, came_between
from namespace.store.base import Revision
from namespace.store.layout import CHANGES, CLUSTER, CURRENT, LIVE, NAMES, Head
from namespace.store.revisions import Base, EtcdRevisions, Overtaken

AGAIN_SECONDS = 1.0
REACH_SECONDS = 5.0
"""For a change of our own to come back by the watch: it takes milliseconds while etcd is well."""
MOST_CHANGES = 10_000
"""Of keys and pins, whose authors are remembered."""
Heard = Callable[[Snapshot, Snapshot | None, Difference | None], Awaitable[None]]
"""Told a new snapshot; and, where it was made so, the one before and the difference."""


class EtcdStore:
    """Mutable state: what is followed (`snapshot`), the newest revision (`base`, None: etcd was not read yet)."""

    def __init__(self, etcd: Etcd, warn: Callable[[str], None], wall: Callable[[], float]) -> None:
        self.snapshot = Snapshot()
        self.base: Base | None = None
        self.trouble = ""
        """Why what is newest cannot be had; empty while it can."""
        self.damage = ""
        """Why the revision that should be in force is not; empty where it is."""
        self._shown = Base()
        """The newest revision that could be read: that of `base`, where it is not damaged."""
        self.revisions = EtcdRevisions(etcd)
        self.etcd = etcd
        self._warn = warn
        self._wall = wall
        self._listeners: list[Heard] = []
        self._live: dict[str, str] = {}
        self._newer = asyncio.Event()
        self._heard = etcd.clock()
        self._tidying = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<EtcdStore: serial {self.snapshot.serial}, revision {self.base.number if self.base else '?'}>"

    def on_change(self, heard: Heard) -> None:
        """Tells `heard` of every snapshot from here on, one at a time."""
        self._listeners.append(heard)

    def age_seconds(self) -> float:
        """How long ago etcd was heard."""
        return max(0.0, self.etcd.clock() - self._heard)

    async def follow(self) -> None:
        """Follows etcd until it is cancelled."""
        while True:
            try:
                await self._follow()
            except EtcdError as fault:
                self._told(str(fault))
                await asyncio.sleep(AGAIN_SECONDS)

    async def read(self, seconds: float) -> bool:
        """Waits until etcd was read once, for so long; returns whether it was."""
        try:
            async with asyncio.timeout(seconds):
                while self.base is None:
                    await self._newer.wait()
        except TimeoutError:
            return False
        return True

    async def apply(self, draft: Draft) -> Revision:
        """Puts a draft in force. Raises Superseded, NamespaceAway."""
        base = self._based()
        # Over a damaged revision one is applied that was made from the last that could be read.
        if base.head is not None and draft.made_from not in {base.number, self._shown.number if self.damage else None}:
            raise came_between(draft.made_from, base.head.revision)
        try:
            revision, serial = await self.revisions.apply(draft, base)
        except Overtaken as overtaken:
            raise came_between(draft.made_from, await self._overtaken(overtaken)) from None
        except EtcdError as fault:
            raise self._away(fault, "the revision is not in force") from fault
        await self.reach(serial)
        return revision

    async def history(self) -> tuple[Revision, ...]:
        """The revisions that are kept, newest first. Raises NamespaceAway."""
        try:
            return tuple(head.revision for head in await self.revisions.history())
        except (EtcdError, ValueError) as fault:
            raise self._away(fault) from fault

    async def files(self, number: int) -> dict[str, str] | None:
        """The texts of a revision, None if it is not kept. Raises NamespaceAway."""
        try:
            found = await self.revisions.files(number)
        except (EtcdError, ValueError) as fault:
            raise self._away(fault) from fault
        return None if found is None else dict(found)

    async def packed_files(self, number: int) -> bytes | None:
        """The same, packed as items."""
        found = await self.files(number)
        return None if found is None else await asyncio.to_thread(packed, found)

    async def add_key(self, item: str, author: str, at: float) -> None:
        """Keeps a key, given as its item. Raises KeyExists, NamespaceAway."""
        key = contents.key_shown(item)
        place, names = _live(contents.key_name(key)), [NAMES + name.encode() for name in {key.id, key.name}]
        puts = [Put(place, item.encode()), *(Put(name, key.id.encode()) for name in names)]
        noted = self._noted("added", key.id, key.name, author, at)
        done = await self._transact([absent(place), *map(absent, names)], [*puts, noted], (place, item.encode()))
        if not done:
            raise KeyExists(f"there is a key of the name or id {key.name!r}; remove it first, or choose another name")

    async def remove_key(self, name: str, author: str, at: float) -> str:
        """Removes the key of this name or id and returns its item. Raises UnknownKey, NamespaceAway."""
        while True:
            found = await self._key(name)
            if found is None:
                known = ", ".join(sorted(contents.key_shown(text).name for _, text in self._keys())) or "none"
                raise UnknownKey(f"no key has the name or id {name!r}; known: {known}")
            item = found.value.decode()
            key = contents.key_shown(item)
            deletes = [Delete(found.key), *(Delete(NAMES + one.encode()) for one in {key.id, key.name})]
            noted = self._noted("removed", key.id, key.name, author, at)
            if await self._transact([unchanged(found.key, found.modified)], [*deletes, noted], (found.key, None)):
                return item

    async def put_item(self, name: str, text: str, author: str, at: float) -> None:
        """Keeps an item that nobody else changes otherwise: a pin. Raises NamespaceAway."""
        put = Put(_live(name), text.encode())
        await self._transact([], [put, self._noted("put", "", name, author, at)], (put.key, put.value), repeatable=True)

    async def remove_item(self, name: str, author: str, at: float) -> str | None:
        """Removes an item and returns it, None where there is none. Raises NamespaceAway."""
        try:
            found = await self.etcd.get(_live(name))
        except EtcdError as fault:
            raise self._away(fault) from fault
        if found is None:
            return None
        noted = self._noted("removed", "", name, author, at)
        await self._transact([], [Delete(found.key), noted], (found.key, None), repeatable=True)
        return found.value.decode()

    async def reach(self, serial: int) -> None:
        """Waits, for seconds, until what is followed is no older than `serial`."""
        try:
            async with asyncio.timeout(REACH_SECONDS):
                while self.snapshot.serial < serial:
                    await self._newer.wait()
        except TimeoutError:
            self._warn("a change of the namespace is in etcd, and does not come back from it: it is in force later")

    async def tidy(self) -> None:
        """Removes what applies that died have left, and the oldest revisions beyond the bounds."""
        async with self._tidying:
            try:
                swept = await self.revisions.tidy(self._wall())
                await self._forget_changes()
            except (EtcdError, ValueError) as fault:
                self._warn(f"old revisions of the namespace cannot be removed from etcd: {fault}; it is tried again")
            else:
                if swept:
                    self._warn(f"{swept} drafts of the namespace that nobody finished were removed from etcd")

    async def _forget_changes(self) -> None:
        noted = await self.etcd.page(Get(CHANGES, end_of(CHANGES)), keys_only=True)
        if len(noted.items) > MOST_CHANGES:
            await self.etcd.delete(CHANGES, noted.items[-MOST_CHANGES].key)

    async def _follow(self) -> None:
        async with self.etcd.follow(LIVE, CLUSTER) as following:
            listening = asyncio.create_task(self._listen(following.silent))
            try:
                async for news in following:
                    self._heard = self.etcd.clock()
                    if isinstance(news, EtcdSnapshot):
                        await self._whole(news)
                    else:
                        await self._changed(news)
                    self._told("")
            finally:
                listening.cancel()
                await asyncio.wait([listening])

    async def _listen(self, silent: Callable[[float], float]) -> None:
        while True:
            await asyncio.sleep(1.0)
            now = self.etcd.clock()
            if (silence := silent(now)) != float("inf"):
                self._heard = max(self._heard, now - silence)

    async def _whole(self, news: EtcdSnapshot) -> None:
        live = {_name(one.key): one.value.decode() for one in news.items}
        if _name(CLUSTER) not in live:
            # Whoever is first names it; the watch brings it back.
            await self.etcd.transact([absent(CLUSTER)], [Put(CLUSTER, secrets.token_hex(16).encode())])
        found = news.as_dict().get(CURRENT)
        await self._base_of(found)
        self._live = live
        await self._tell(news.revision, None)

    async def _changed(self, news: Changes) -> None:
        before, live = self._shown, dict(self._live)
        for change in news.changes:
            if isinstance(change, Gone):
                live.pop(_name(change.key), None)
            else:
                live[_name(change.key)] = change.value.decode()
            if change.key == CURRENT:
                await self._base_of(change if isinstance(change, KeyValue) else None)
        small = difference(self._live, live)
        self._live = live
        changed = self._as_items(small)
        if before is not self._shown:
            changed = changed.then(difference(before.items or {}, self._shown.items or {}))
            if self._shown.head is not None:
                shown = contents.revision_item(self._shown.head.revision)
                changed = changed.then(Difference({contents.REVISION: shown}))
        whole = _name(CLUSTER) in small.put or self._shown.head is None
        await self._tell(news.revision, None if whole else changed)

    async def _base_of(self, found: KeyValue | None) -> None:
        """Reads the revision that is in force; waits as long as etcd is away, passes over one that is damaged."""
        head, modified = None, 0 if found is None else found.modified
        while True:
            try:
                head = None if found is None else Head.decode(found.value)
                items = None if head is None else await self.revisions.read(head, self._shown)
            except ValueError as damaged:
                self.base = Base(head, None, modified)
                remedy = "apply the files again" if isinstance(damaged, Garbled) else "use a newer Causeway"
                self.damage = f"the revision in force in etcd cannot be used: {damaged}; {remedy}"
                self._warn(f"{self.damage}; the one before goes on")
                return
            except EtcdError as fault:
                self._told(str(fault))
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            self.base = self._shown = Base(head, items, modified)
            self.damage = ""
            return

    async def _tell(self, serial: int, changed: Difference | None) -> None:
        before = self.snapshot
        if changed is None:
            items = {**(self._items_of_base()), **self._as_items(Difference(self._live)).put}
            self.snapshot = Snapshot(self._live.get(_name(CLUSTER), ""), serial, items)
            for heard in self._listeners:
                await heard(self.snapshot, None, None)
        else:
            self.snapshot = before.changed(serial, changed)
            for heard in self._listeners:
                await heard(self.snapshot, before, changed)
        self._newer.set()
        self._newer = asyncio.Event()

    def _items_of_base(self) -> dict[str, str]:
        base = self._shown
        if base.head is None:
            return {}
        return {**(base.items or {}), contents.REVISION: contents.revision_item(base.head.revision)}

    @staticmethod
    def _as_items(live: Difference) -> Difference:
        own = {_name(CLUSTER), _name(CURRENT)}
        return Difference({name: text for name, text in live.put.items() if name not in own}, live.gone - own)

    def _based(self) -> Base:
        if self.base is None:
            raise NamespaceAway(f"etcd was not read yet, nothing was changed: {self.trouble or 'it is asked'}")
        return self.base

    async def _overtaken(self, overtaken: Overtaken) -> Revision:
        """Waits until the revision that came between is known here, and returns it: who is told of it shall see it."""
        if overtaken.newest is None:
            raise NamespaceAway("etcd has lost the namespace's revisions, nothing was changed; see the node's log")
        revision = overtaken.newest.revision
        with suppress(TimeoutError):
            async with asyncio.timeout(REACH_SECONDS):
                while self.base is None or self.base.number < revision.number:
                    await self._newer.wait()
        return revision

    async def _key(self, name: str) -> KeyValue | None:
        try:
            found = await self.etcd.get(NAMES + name.encode())
            return None if found is None else await self.etcd.get(_live(f"key/{found.value.decode()}"))
        except EtcdError as fault:
            raise self._away(fault) from fault

    def _keys(self) -> list[tuple[str, str]]:
        return list(contents.key_items(self.snapshot.items))

    async def _transact(
        self,
        compares: Sequence[Compare],
        operations: Sequence[Operation],
        wanted: tuple[bytes, bytes | None],
        *,
        repeatable: bool | None = None,
    ) -> bool:
        """Does a small change; an uncertain one has happened if the key is as it was wanted."""
        try:
            done = await self.etcd.transact(compares, operations, repeatable=repeatable)
        except EtcdUncertain as fault:
            try:
                found = await self.etcd.get(wanted[0])
            except EtcdError:
                raise self._away(fault) from fault
            if (None if found is None else found.value) != wanted[1]:
                raise self._away(fault) from fault
            await self.reach(0 if found is None else found.modified)
            return True
        except EtcdError as fault:
            raise self._away(fault, "nothing was changed") from fault
        if done.succeeded:
            await self.reach(done.revision)
        return done.succeeded

    def _noted(self, change: str, what: str, name: str, author: str, at: float) -> Put:
        """Who changed a key or pin, when: kept beside, never the secret."""
        key = CHANGES + f"{int(at * 1000):016d}-{secrets.token_hex(4)}".encode()
        return Put(key, contents.dump([at, author, change, what, name]).encode())

    def _away(self, fault: Exception, then: str = "") -> NamespaceAway:
        nothing = then and not isinstance(fault, EtcdUncertain)  # which says itself that it may have been done
        return NamespaceAway(f"the namespace's etcd cannot be asked: {fault}{f'; {then}' if nothing else ''}")

    def _told(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            self._warn(f"the namespace in etcd: {trouble}; what is known goes on")
        self.trouble = trouble


def _name(key: bytes) -> str:
    return key.removeprefix(LIVE).decode()


def _live(name: str) -> bytes:
    return LIVE + name.encode()
