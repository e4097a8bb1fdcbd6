"""Asks the ways that are away whether they are back, so that no reader has to be the one who finds out."""

import asyncio
from functools import partial

from regioncache.errors import CacheError
from regioncache.health import WayId
from regioncache.origins.base import ListAsk, Payer, Question
from regioncache.sources import Route, Sources

EVERY_SECONDS = 0.25
"""How often probes are looked for; the probes themselves have the back-off of `Health`."""
PAYER = Payer("other", "prefetch")


class Prober:
    """Looks for probes until `stop`; each is a task of its own, so that a silent way holds up no other.

    Mutable state: `_task`, which looks, and `_probes`, those under way by way.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._task: asyncio.Task[None] | None = None
        self._probes: dict[WayId, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begins to look; from now on no reader makes a probe."""
        self._sources.probed = True
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends the looking and the probes."""
        self._sources.probed = False
        tasks = [*([self._task] if self._task is not None else []), *self._probes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def look(self) -> None:
        """Counts silence, and starts the probes that are due, but for ways whose last one is still under way."""
        self._sources.listen()
        for route in self._sources.probes():
            if route.id not in self._probes:
                probe = self._probes[route.id] = asyncio.create_task(self._try(route))
                probe.add_done_callback(partial(self._over, route.id))

    def _over(self, way: WayId, probe: "asyncio.Task[None]") -> None:
        del self._probes[way]
        if not probe.cancelled():
            probe.result()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.look()

    async def _try(self, route: Route) -> None:
        crossing = route.crossing(lambda: PAYER, lambda: "meta")
        try:
            question = route.source.list(ListAsk(limit=1), Question("", PAYER), crossing)
            await self._sources.ask(route, question, crossing)
        except CacheError:
            return  # asking told the health what it needs to know
        finally:
            crossing.close()
