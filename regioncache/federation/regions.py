"""The far regions, by name: kept over topologies, so that what was learned of their nodes is."""

import asyncio
from collections.abc import Callable, Iterable

from namespace.contents import PublishedNode
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

    def publish(self, nodes: Iterable[PublishedNode]) -> None:
        """The namespace service tells of these nodes; of a region that has none among them, of none."""
        told: dict[str, list[PublishedNode]] = {}
        for one in nodes:
            told.setdefault(one.region, []).append(one)
        for name in {*told, *self._regions}:
            self.of(name).nodes.publish(told.get(name, ()))

    async def settled(self) -> None:
        """Waits until nothing is being asked behind."""
        for region in self.known():
            await region.settled()

    async def stop(self) -> None:
        """Ends what is asked behind."""
        await asyncio.gather(*(region.stop() for region in self.known()))
