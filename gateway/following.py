"""Puts what the namespace says is newest in force in the running parts, one after the other and never an older one.

Where a revision cannot be put in force (this node's region is not in it, this version cannot read it), the one before
stays, and an operator hears of it; keys and pins follow all the same.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.applying import Applying
from gateway.pairs import Pair
from namespace.contents import PublishedNode
from namespace.errors import NamespaceError, UnknownRegion
from namespace.keeping import Known, Namespace
from namespace.keys import AccessKey
from namespace.store.base import PinnedPath, Revision
from policy.yamlfile import Faults
from regioncache.tidings import Tidings

AGAIN_SECONDS = 1.0


class Adopting(Protocol):
    """The running parts."""

    async def adopt(self, pair: Pair, revision: Revision) -> None:
        """Goes on with this topology and policy. Raises UnknownRegion, and then nothing changed."""
        ...

    def adopt_keys(self, keys: tuple[AccessKey, ...]) -> None:
        """Goes on with these keys."""
        ...

    def adopt_pins(self, pins: tuple[PinnedPath, ...]) -> None:
        """Goes on with these pins."""
        ...

    async def adopt_nodes(self, nodes: tuple[PublishedNode, ...]) -> None:
        """These nodes are published by the regions now."""
        ...


class Following:
    """Mutable state: what was put in force last, and why something newer could not be."""

    def __init__(
        self,
        namespace: Namespace,
        applying: Applying,
        parts: Adopting,
        tidings: Tidings,
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self.fault = ""
        """Why the newest revision is not in force; empty where it is."""
        self._namespace = namespace
        self._applying = applying
        self._parts = parts
        self._tidings = tidings
        self._on_fault = on_fault
        self._known = Known()
        self._number = 0
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Following: revision {self._number}, serial {self._known.serial}>"

    async def follow(self) -> None:
        """Puts in force whatever comes, until it is cancelled."""
        while True:
            await self._namespace.newer(self._known.serial)
            try:
                await self.catch_up()
            except Exception as fault:  # what one revision does wrong must not keep the node from the next
                self._on_fault(fault)
                await asyncio.sleep(AGAIN_SECONDS)

    async def catch_up(self, *, strict: bool = False) -> None:
        """Puts in force what is known now; on return it is, or `fault` says why not.

        Raises:
            Faults, NamespaceError: Where `strict`: the newest revision cannot be put in force.
        """
        async with self._turn:
            known = self._namespace.newest()
            if known.serial == self._known.serial:
                return
            # Keys first: a key that was taken back must not wait for 100,000 mounts.
            if known.keys != self._known.keys:
                self._parts.adopt_keys(known.keys)
            await self._revise(known, strict)
            if known.pins != self._known.pins:
                self._parts.adopt_pins(known.pins)
            if known.nodes != self._known.nodes:
                await self._parts.adopt_nodes(known.nodes)
            self._known = known

    async def _revise(self, known: Known, strict: bool) -> None:
        revision = known.revision
        if revision is None or revision.number == self._number:
            return
        try:
            pair = await self._applying.read(known)
            if pair is not None:
                await self._parts.adopt(pair, revision)
        except (Faults, NamespaceError, ValueError) as wrong:
            if strict:
                raise
            self._refused(revision, wrong)
            return
        self._number = revision.number
        if self.fault:
            self._tidings.news(f"revision {revision.number} of the namespace is in force")
        self.fault = ""

    def _refused(self, revision: Revision, wrong: Exception) -> None:
        stays = f"revision {self._number} stays in force" if self._number else "nothing is in force"
        remedy = ""
        if isinstance(wrong, UnknownRegion):
            remedy = "; if it was renamed, give this node its new name as `region` in node.yaml and start it again"
        self.fault = (
            f"revision {revision.number} of {revision.author} cannot be put in force here: {wrong}{remedy}; {stays}"
        )
        self._tidings.warning(self.fault)
