"""What the admin port answers for a node of several workers: added up, where one worker's word would be a part."""

from typing import Protocol

from aiohttp import web

from gateway.admin.answers import FreedShown, LineStatus, Measured, Pins, Status
from gateway.admin.api import Api
from gateway.admin.cache import CacheApi
from gateway.admin.exposition import CONTENT_TYPE, text_of
from gateway.admin.operations import Operations
from gateway.admin.replies import reply


class Whole(Protocol):
    """Asks all workers."""

    async def metrics(self) -> tuple[Measured, ...]:
        """What `/metrics` says."""
        ...

    async def status(self) -> Status:
        """The node at a glance."""
        ...

    async def lines(self) -> tuple[LineStatus, ...]:
        """Every direction of every line."""
        ...

    async def pins(self) -> Pins:
        """What is pinned."""
        ...

    async def free(self, path: str, *, pinned: bool) -> FreedShown:
        """Drops what is cached at a path and beneath it."""
        ...


def routes_of(operations: Operations, whole: Whole) -> list[web.RouteDef]:
    """Returns the routes that are answered otherwise than by one worker."""
    api, cache = WholeApi(operations, whole), CacheApi(_Cache(operations, whole))

    async def metrics(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=text_of(await whole.metrics()), headers={"Content-Type": CONTENT_TYPE})

    return [web.get("/metrics", metrics, name="metrics"), *api.routes(), *cache.routes()]


class WholeApi(Api):
    """The handlers of `/api/v1` that add up; the others are one worker's."""

    def __init__(self, operations: Operations, whole: Whole) -> None:
        super().__init__(operations)
        self._whole = whole

    async def status(self, _request: web.Request) -> web.StreamResponse:
        """The node at a glance."""
        return reply(await self._whole.status())

    async def lines(self, request: web.Request) -> web.StreamResponse:
        """Every direction of every line, now; with `since` all members of the region are asked anyway."""
        if "since" in request.query:
            return await super().lines(request)
        return reply(await self._whole.lines())

    async def metrics(self, _request: web.Request) -> web.StreamResponse:
        """What `/metrics` says, as JSON."""
        return reply(await self._whole.metrics())


class _Cache:
    """`operations.Pinning` of all workers."""

    def __init__(self, operations: Operations, whole: Whole) -> None:
        self.pins, self.free = whole.pins, whole.free
        self.pin, self.unpin = operations.pin, operations.unpin
