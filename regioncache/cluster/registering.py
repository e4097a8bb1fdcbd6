"""This member's own registration in the region's etcd: written under its session, and never over a later process's."""

import asyncio
import json
import secrets
from dataclasses import dataclass, replace
from typing import Protocol

from namespace.etcdclient.errors import EtcdUncertain
from namespace.etcdclient.values import Compare, Delete, KeyValue, Operation, Outcome, Put, unchanged
from regioncache.cluster.members import Addresses, BadMember, Member, State
from regioncache.cluster.roll import (
    LEAP,
    Mark,
    Registration,
    Roll,
    cluster_key,
    fenced_key,
    member_key,
    read_mark,
    read_registration,
)
from regioncache.cluster.view import OtherCluster, View

TRIES = 5
"""Of a write that others' writes get ahead of: nobody but a process of our name writes there."""


class Replaced(Exception):
    """Another process registered under this member's name after this one: this one must stop."""


class Store(Protocol):
    """What is asked of etcd here."""

    async def get(self, key: bytes) -> KeyValue | None:
        """See `Etcd`."""

    async def transact(
        self, compares: tuple[Compare, ...], then: tuple[Operation, ...], otherwise: tuple[Operation, ...] = ()
    ) -> Outcome:
        """See `Etcd`."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Which processes of a name are proven to have ended: those up to this process epoch; `why` says who proved it."""

    process_epoch: int
    why: str

    def text(self) -> bytes:
        """Returns it as JSON."""
        return json.dumps({"process_epoch": self.process_epoch, "why": self.why}).encode()


async def mark_of(store: Store, region: str, last: View | None) -> tuple[Mark, int]:
    """Returns the mark of the region's cluster and its revision; makes it where there is none.

    Args:
        store: etcd.
        region: this one.
        last: the last view known here. Where etcd lost its data, the cluster goes on as the one it was.

    Raises: OtherCluster, EtcdError, BadMember (what stands there is no mark).
    """
    key = cluster_key(region)
    while True:
        item = await store.get(key)
        if item is not None:
            mark = read_mark(item.value)
            if last is not None and mark.cluster != last.cluster:
                raise OtherCluster(
                    f"etcd is of cluster {mark.cluster}, this node of cluster {last.cluster}: check `etcd` and `region`"
                    " in node.yaml. If etcd was set up anew and this cluster shall go on, remove the key"
                    f" {key.decode()} there; if this node shall join the other, remove its `view` file"
                )
            return mark, item.modified
        made = Mark(secrets.token_hex(8)) if last is None else Mark(last.cluster, last.epoch + LEAP)
        # The answer is read back: whether ours was written, or another node's, it is the same for all.
        await _tried(store, (unchanged(key, 0),), (Put(key, made.text()),))


async def raised(store: Store, region: str, mark: Mark, modified: int, last: View) -> None:
    """Raises the mark's base above the last epoch: etcd was put back from a copy, and its revisions begin lower.

    Raises: EtcdError.
    """
    key, higher = cluster_key(region), replace(mark, base=last.epoch + LEAP)
    await _tried(store, (unchanged(key, modified),), (Put(key, higher.text()),))


class Registering:
    """Writes the registration. Mutable state: what this member is, and what it last wrote."""

    def __init__(self, store: Store, region: str, member: Member, process: str) -> None:
        """Builds it.

        Args:
            store: etcd.
            region: this one.
            member: this one; its process epoch is not known yet.
            process: random, drawn at this process's start.
        """
        self._store = store
        self._region = region
        self.member = member
        self.process = process
        self.entered = False
        """Whether this process has ever been registered: from then on a later process of its name wins."""
        self._lease = 0
        self._mark = Mark("none")
        self._modified = 0
        self._writing = asyncio.Lock()

    @property
    def registered(self) -> bool:
        """Whether it is registered now, as far as is known."""
        return self._lease != 0

    async def enter(self, roll: Roll, mark: Mark, lease: int) -> int:
        """Writes the registration and returns its revision; a new session is a new process epoch.

        Raises: Replaced, EtcdError.
        """
        async with self._writing:
            found, modified = roll.of(self.member.name), roll.modified(self.member.name)
            if not self.entered and found is not None and found.member.owns and self.member.state is State.JOINING:
                # The process before this one owned, and readers wait for it: nothing of it moves.
                self.member = self.member.within(State.RESTARTING)
            for _ in range(TRIES):
                if found is not None and found.process != self.process and self.entered:
                    raise Replaced(self.replaced_by(found))
                anew = lease != self._lease or found is None
                if anew:
                    self.member = replace(self.member, process_epoch=0)
                revision = await self._written(modified, lease)
                if revision:
                    self._lease, self._mark, self._modified, self.entered = lease, mark, revision, True
                    if anew:
                        self.member = replace(self.member, process_epoch=mark.base + revision)
                    return revision
                found, modified = await self._read(mark)
        raise EtcdUncertain(f"member {self.member.name}'s registration is written by others again and again")

    async def say(self, state: State, addresses: Addresses | None = None, lease: int = 0) -> None:
        """Changes this member's state, and its addresses; not registered, the next registration says it.

        Args:
            state: the new one.
            addresses: the new ones; None: as before.
            lease: goes with that one from here on; 0: as before.

        Raises: Replaced, EtcdError.
        """
        async with self._writing:
            self.member = replace(self.member, state=state, addresses=addresses or self.member.addresses)
            if not self._lease:
                return
            for _ in range(TRIES):
                revision = await self._written(self._modified, lease or self._lease)
                if revision:
                    self._modified, self._lease = revision, lease or self._lease
                    return
                found, self._modified = await self._read(self._mark)
                if found is not None and found.process != self.process:
                    raise Replaced(self.replaced_by(found))
        raise EtcdUncertain(f"member {self.member.name}'s registration is written by others again and again")

    async def leave(self) -> None:
        """Takes the registration back: this process owns nothing any more and its room is free. Raises EtcdError."""
        async with self._writing:
            name = self.member.name
            fence = Fence(self.member.process_epoch, "left")
            await remove(self._store, self._region, name, fence, self.process)
            self.forget()

    def forget(self) -> None:
        """The session is lost or taken back: nothing is registered any more."""
        self._lease = 0

    async def _written(self, modified: int, lease: int) -> int:
        """Writes the registration if the key is as it was at `modified`; returns the revision, 0 where it was not."""
        key = member_key(self._region, self.member.name)
        put = Put(key, Registration(self.member, self.process).text(), lease)
        try:
            outcome = await self._store.transact(
                (unchanged(key, modified),), (put, Delete(fenced_key(self._region, self.member.name)))
            )
        except EtcdUncertain:
            item = await self._store.get(key)
            return item.modified if item is not None and (item.value, item.lease) == (put.value, put.lease) else 0
        return outcome.revision if outcome.succeeded else 0

    async def _read(self, mark: Mark) -> tuple[Registration | None, int]:
        item = await self._store.get(member_key(self._region, self.member.name))
        if item is None:
            return None, 0
        try:
            return read_registration(item, mark.base), item.modified
        except BadMember:
            return None, item.modified

    def replaced_by(self, found: Registration) -> str:
        """Says why this process must stop."""
        return (
            f"another process registered as member {self.member.name} (at {found.member.addresses.peer}): this one"
            " stops. Two machines of one name? Give each its own `node` in node.yaml"
        )


async def remove(store: Store, region: str, name: str, fence: Fence, process: str | None = None) -> bool:
    """Takes a member out by hand, or by its supervisor's word; returns whether it was registered.

    Args:
        store: etcd.
        region: this one.
        name: the member's.
        fence: the processes of it that are proven to have ended.
        process: only if it is this one; None: whichever.

    Raises: EtcdError.
    """
    key, record = member_key(region, name), Put(fenced_key(region, name), fence.text())
    for _ in range(TRIES):
        item = await store.get(key)
        if item is None:
            await _tried(store, (unchanged(key, 0),), (record,))
            return False
        if process is not None and read_registration(item, 0).process != process:
            return False
        if await _tried(store, (unchanged(key, item.modified),), (Delete(key), record)):
            return True
    raise EtcdUncertain(f"member {name}'s registration is written again and again: it is alive")


async def _tried(store: Store, compares: tuple[Compare, ...], then: tuple[Operation, ...]) -> bool:
    try:
        return (await store.transact(compares, then)).succeeded
    except EtcdUncertain:
        return False
