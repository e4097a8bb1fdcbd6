"""The far regions, by name: kept over topologies, so that what was learned of their nodes is."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from namespace.contents import PublishedNode
from namespace.model import Region, Topology
from regioncache.federation.region import FarRegion
from regioncache.peers.desks import Questioner
from regioncache.tidings import Tidings


class FarRegions:
    """Mutable state: the regions that were asked or told of."""

    def __init__(
        self, questioner: Questioner, clock: Callable[[], float], tidings: Tidings, askable: Callable[[str], bool]
    ) -> None:
        """`askable` says whether an address (URL) can be asked from here at all."""
        self._questioner = questioner
        self._clock = clock
        self._tidings = tidings
        self._askable = askable
        self._regions: dict[str, FarRegion] = {}
        self._published: dict[str, tuple[str, ...]] = {}
        self._filled: tuple[Mapping[str, Region], Mapping[str, Region]] | None = None

    def of(self, name: str) -> FarRegion:
        """The region of that name, made when it is first asked for."""
        found = self._regions.get(name)
        if found is None:
            found = FarRegion(name, self._questioner, self._clock, self._tidings, self._askable)
            self._regions[name] = found
        return found

    def known(self) -> Iterable[FarRegion]:
        """All of them."""
        return tuple(self._regions.values())

    def addresses(self, name: str) -> list[str]:
        """Where the nodes of a region are that may be asked, as URLs; none of a region that nothing is known of."""
        found = self._regions.get(name)
        return [] if found is None else [one.addresses.peer for one in found.nodes.order(b"")]

    def publish(self, nodes: Iterable[PublishedNode]) -> bool:
        """The namespace service tells of these nodes; of a region that has none among them, of none.

        Returns whether a region that none was known of has some now: `filled` says another thing then.
        """
        told: dict[str, list[PublishedNode]] = {}
        for one in nodes:
            if one.region != self._questioner.region:
                told.setdefault(one.region, []).append(one)
        for name in {*told, *self._regions}:
            self.of(name).nodes.publish(told.get(name, ()))
        # A region whose nodes have all fallen silent is one that is away, and still a way: it keeps those known last.
        first = [name for name in told if name not in self._published and self.of(name).nodes.everyone()]
        for name in told:
            if known := self.of(name).nodes.everyone():
                self._published[name] = tuple(one.addresses.peer for one in known)
        if first:
            self._filled = None
        return bool(first)

    def filled(self, topology: Topology) -> Topology:
        """Returns the topology with nodes for those regions that name none and publish some."""
        known = self._filled
        if known is None or known[0] is not topology.regions:
            regions = {
                name: one if one.nodes or name not in self._published else _with(one, self._published[name])
                for name, one in topology.regions.items()
            }
            same = all(regions[name] is one for name, one in topology.regions.items())
            known = self._filled = (topology.regions, topology.regions if same else regions)
        return topology if known[1] is topology.regions else topology.model_copy(update={"regions": known[1]})

    async def settled(self) -> None:
        """Waits until nothing is being asked behind."""
        for region in self.known():
            await region.settled()

    async def stop(self) -> None:
        """Ends what is asked behind."""
        await asyncio.gather(*(region.stop() for region in self.known()))


def _with(region: Region, addresses: tuple[str, ...]) -> Region:
    return region.model_copy(update={"nodes": tuple(one.removeprefix("http://") for one in addresses)})
