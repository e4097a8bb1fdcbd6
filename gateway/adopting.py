"""The running parts of a node, as what is newest in the namespace is put in force in them: between two requests."""

import asyncio

from gateway.operating.leases import shut_offices
from gateway.operating.running import InForce
from gateway.pairs import Pair
from namespace.contents import PublishedNode
from namespace.keys import AccessKey, Keys
from namespace.model import Region, Topology
from namespace.store.base import PinnedPath, Revision
from policy.match import Rules
from regioncache.app import CacheApp

MANY = 500
"""Mounts that are worked out in a thread: each takes some 5 us."""


class RunningParts:
    """`gateway.following.Adopting` over a cache, the keys of its doors and what they read at each request."""

    def __init__(self, app: CacheApp, keys: Keys, in_force: InForce) -> None:
        self._app = app
        self._keys = keys
        self._in_force = in_force
        self._told: tuple[str, ...] = ()
        """What an operator heard that the region is granted; empty of a trusted one."""
        self._shut: list[str] = []
        """And of lines whose office this node should be."""

    async def adopt(self, pair: Pair, revision: Revision) -> None:
        """Goes on with this topology and policy. Raises UnknownRegion, and then nothing changed."""
        await self._put(pair, revision.number)
        self._tell(pair.topology.regions[self._app.settings.region])
        self._warn(pair.topology)
        self._app.digests.adopt(pair.digest)
        self._in_force.rules, self._in_force.pair = Rules(pair.policy.cache), pair

    def _tell(self, region: Region) -> None:
        """Says, once, that the region is granted its paths only."""
        if region.paths != self._told:
            self._told = region.paths
            self._app.settings.tidings.news(
                f"region {region.name} is granted {', '.join(region.paths)}: this node holds no bucket's credentials,"
                " and reads through the nodes of its parent and of the buckets' home regions alone"
                if region.paths
                else f"region {region.name} is trusted from now on: it reads what its keys open"
            )

    def _warn(self, topology: Topology) -> None:
        """Says, once, of which lines this node is to be the office and cannot be."""
        shut = [] if self._app.leasing is not None else shut_offices(topology, self._app.settings.region)
        for concern in shut:
            if concern not in self._shut:
                self._app.settings.tidings.warning(concern)
        self._shut = shut

    def adopt_keys(self, keys: tuple[AccessKey, ...]) -> None:
        """Goes on with these keys."""
        self._keys.adopt(keys)

    def adopt_pins(self, pins: tuple[PinnedPath, ...]) -> None:
        """Goes on with these pins."""
        self._app.regrouping.pin([pin.path for pin in pins])

    async def adopt_nodes(self, nodes: tuple[PublishedNode, ...]) -> None:
        """These nodes are published by the regions now."""
        pair = self._in_force.pair
        if self._app.far.publish(nodes) and pair is not None:
            await self._put(pair, self._app.resolver.revision)

    async def _put(self, pair: Pair, number: int) -> None:
        prepared = None
        if len(pair.topology.mounts) > MANY:
            prepared = await asyncio.to_thread(self._app.prepare, pair.topology, pair.policy)
        self._app.adopt(pair.topology, pair.policy, number, prepared)
