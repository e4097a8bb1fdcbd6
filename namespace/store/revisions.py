"""Revisions in etcd: drafts are written in chunks, one is put in force by one transaction, old ones are let go.

The transaction holds only if the revision that the draft was made from is still the newest, and the draft is whole. An
apply that dies before leaves chunks that nobody names; the next one removes them.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.errors import EtcdUncertain
from namespace.etcdclient.values import Delete, Get, Operation, Put, end_of, present, unchanged
from namespace.items import (
    Garbled,
    Items,
    difference,
    packed,
    packed_difference,
    sum_of,
    unpacked,
    unpacked_difference,
)
from namespace.keeping import Draft
from namespace.store.base import Revision, digest
from namespace.store.layout import CURRENT, HISTORY, REVISIONS, Head, begun, chunked, draft_of, history_key, place_of

MOST_REVISIONS = 1000
MOST_BYTES = 512 << 20
"""Of all revisions' chunks: a quarter of etcd's default space (2 GiB), which it shares with what it kept of before."""
DEAD_SECONDS = 600.0
"""An apply takes seconds; a draft of the next revision that is older belongs to one that died."""


class Overtaken(Exception):
    """Another revision is the newest: the draft is not in force. `newest` is its head, None if there is none."""

    def __init__(self, newest: Head | None) -> None:
        super().__init__("another revision came between")
        self.newest = newest


@dataclass(frozen=True, slots=True)
class Base:
    """What a draft is made from: the newest revision with its items, and the revision of etcd that set it."""

    head: Head | None = None
    items: Items | None = None
    modified: int = 0

    @property
    def number(self) -> int:
        """The revision's, 0 before the first."""
        return 0 if self.head is None else self.head.revision.number


class EtcdRevisions:
    """The revisions in one etcd; nothing is remembered here."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd

    async def apply(self, draft: Draft, base: Base) -> tuple[Revision, int]:
        """Puts a draft in force, made from `base`; returns its revision, and etcd's at which it is in force.

        Raises:
            Overtaken: the base is not the newest revision any more.
            EtcdError: it is not in force, or (EtcdUncertain) that is not known.
        """
        revision = Revision(base.number + 1, draft.author, draft.at, digest(draft.files))
        head, chunks = _drafted(revision, draft, base)
        puts: list[Operation] = [Put(begun(head.place), str(time.time()).encode())]
        await self._etcd.write([*puts, *(Put(key, value) for key, value in chunks)])
        text = head.encode()
        flip = (Put(CURRENT, text), Put(history_key(revision.number), text))
        try:
            done = await self._etcd.transact(
                [unchanged(CURRENT, base.modified), present(begun(head.place))], flip, [Get(CURRENT)]
            )
        except EtcdUncertain:
            # The answer was lost, not what was done: if it is in force, it is ours by its draft.
            now = await self._etcd.get(CURRENT)
            if now is None or now.value != text:
                raise
            return revision, now.modified
        if not done.succeeded:
            found = done.items(0)
            raise Overtaken(Head.decode(found[0].value) if found else None)
        return revision, done.revision

    async def read(self, head: Head, base: Base) -> Items:
        """Returns the items of a revision; from `base` by the difference, where that is the one it was made from.

        Raises:
            Garbled: they are not whole, or not those that were kept.
            EtcdError: etcd cannot be asked.
        """
        if base.items is not None and head.base == base.number and head.base:
            items = unpacked_difference(await self._part(head, "difference")).applied(base.items)
            if sum_of(items.items()) == head.sum:
                return items
        items = unpacked(await self._part(head, "items"))
        if sum_of(items.items()) != head.sum:
            raise Garbled(f"the items of revision {head.revision.number} are not those that were kept")
        return items

    async def files(self, number: int) -> Mapping[str, str] | None:
        """Returns the texts of a revision, None if it is not kept. Raises Garbled, EtcdError."""
        found = await self._etcd.get(history_key(number))
        return None if found is None else unpacked(await self._part(Head.decode(found.value), "files"))

    async def history(self) -> tuple[Head, ...]:
        """Returns the heads of all revisions that are kept, newest first. Raises EtcdError."""
        found = await self._etcd.snapshot(HISTORY)
        return tuple(Head.decode(one.value) for one in reversed(found.items))

    async def tidy(self, now: float) -> int:
        """Removes chunks that no revision names and the oldest revisions beyond the bounds; returns how many drafts.

        Args:
            now: seconds since the epoch.
        """
        heads = await self.history()
        if not heads:
            return 0
        kept, dropped, nbytes = set[tuple[int, str]](), list[Head](), 0
        for index, head in enumerate(heads):
            nbytes += head.nbytes
            # The newest and the one before stay however large they are.
            if index < 2 or (index < MOST_REVISIONS and nbytes <= MOST_BYTES):
                kept.add((head.revision.number, head.draft))
            else:
                dropped.append(head)
        for head in dropped:
            # The head first: who reads a history must find what it names.
            await self._etcd.delete(history_key(head.revision.number))
        return await self._sweep(kept, heads[0].revision.number, now)

    async def _sweep(self, kept: set[tuple[int, str]], newest: int, now: float) -> int:
        drafts: dict[tuple[int, str], None] = {}
        for key in await self._keys():
            drafts[draft_of(key)] = None
        swept = 0
        for number, draft in drafts:
            if (number, draft) in kept:
                continue
            place = place_of(number, draft)
            # A draft of a number that is taken can never come into force; of the next one it may, while it is young.
            if number > newest and not await self._dead(place, now):
                continue
            await self._etcd.transact((), [Delete(begun(place))])
            await self._etcd.delete_prefix(place)
            swept += 1
        return swept

    async def _dead(self, place: bytes, now: float) -> bool:
        found = await self._etcd.get(begun(place))
        try:
            return found is None or now - float(found.value) > DEAD_SECONDS
        except ValueError:
            return True

    async def _keys(self) -> list[bytes]:
        keys: list[bytes] = []
        begin, end = REVISIONS, end_of(REVISIONS)
        while True:
            page = await self._etcd.page(Get(begin, end, 1000), keys_only=True)
            keys += [one.key for one in page.items]
            if not page.more:
                return keys
            begin = keys[-1] + b"\0"

    async def _part(self, head: Head, part: str) -> bytes:
        found = (await self._etcd.snapshot(head.place + part.encode() + b"/")).items
        if len(found) != head.chunks.get(part, 0):
            raise Garbled(
                f"of {part} of revision {head.revision.number} there are {len(found)} chunks,"
                f" {head.chunks.get(part, 0)} were kept"
            )
        return b"".join(one.value for one in found)


def _drafted(revision: Revision, draft: Draft, base: Base) -> tuple[Head, list[tuple[bytes, bytes]]]:
    name = secrets.token_hex(8)
    place = place_of(revision.number, name)
    parts = {"files": packed(draft.files), "items": packed(draft.items)}
    if base.items is not None and base.number:
        parts["difference"] = packed_difference(difference(base.items, draft.items))
    chunks = [chunk for part, content in parts.items() for chunk in chunked(place, part, content)]
    counts = {part: sum(key.startswith(place + part.encode()) for key, _ in chunks) for part in parts}
    total = sum(len(value) for _, value in chunks)
    made_from = base.number if "difference" in parts else 0
    return Head(revision, name, made_from, counts, sum_of(draft.items.items()), total), chunks
