"""Asks the ways that are away whether they are back, so that no reader has to be the one who finds out."""

import asyncio

from regioncache.errors import CacheError
from regioncache.origins.base import ListAsk, Payer, Question
from regioncache.sources import Sources

EVERY_SECONDS = 0.25
"""How often trials are looked for; the trials themselves have the back-off of `Health`."""
PAYER = Payer("other", "prefetch")


class Prober:
    """One task that goes on until `stop`."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            for route in self._sources.trials():
                crossing = route.crossing(lambda: PAYER, lambda: "meta")
                question = route.source.list(ListAsk(limit=1), Question("", PAYER), crossing)
                try:
                    await self._sources.ask(route, question)
                except CacheError:
                    continue  # asking told the health what it needs to know
                finally:
                    crossing.close()
