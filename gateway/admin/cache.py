"""`/api/v1/cache`: what may not leave the cache, and what shall leave it now."""

import structlog
from aiohttp import web

from gateway.admin.api import author_of, path_of
from gateway.admin.operations import BadOperation, Pinning
from gateway.admin.replies import reply


class CacheApi:
    """The handlers of `/api/v1/cache`, over one node's operations."""

    def __init__(self, operations: Pinning) -> None:
        self._operations = operations
        self._log = structlog.stdlib.get_logger("causeway.admin")

    def routes(self) -> list[web.RouteDef]:
        """The routes; each has its operation's name."""
        return [
            web.get("/api/v1/cache/pins", self.pins, name="get-pins", allow_head=False),
            web.post("/api/v1/cache/pins", self.pin, name="post-pins"),
            web.delete("/api/v1/cache/pins", self.unpin, name="delete-pins"),
            web.post("/api/v1/cache/free", self.free, name="post-free"),
        ]

    async def pins(self, _request: web.Request) -> web.StreamResponse:
        """What is pinned."""
        return reply(await self._operations.pins())

    async def pin(self, request: web.Request) -> web.StreamResponse:
        """Pins a path."""
        made = await self._operations.pin(path_of(request), author_of(request))
        self._log.info("pinned", path=made.pin.path, bytes=made.pin.nbytes, author=made.pin.author)
        return reply(made, status=201)

    async def unpin(self, request: web.Request) -> web.StreamResponse:
        """Takes a pin back."""
        removed = await self._operations.unpin(path_of(request), author_of(request))
        self._log.info("unpinned", path=removed.pin.path, author=author_of(request))
        return reply(removed)

    async def free(self, request: web.Request) -> web.StreamResponse:
        """Drops what is cached at a path."""
        pinned = request.query.get("pinned", "0")
        if pinned not in {"0", "1"}:
            raise BadOperation(f"pinned={pinned} is neither 0 nor 1")
        freed = await self._operations.free(path_of(request), pinned=pinned == "1")
        self._log.info("freed", path=freed.path, bytes=freed.nbytes, pinned=pinned == "1", author=author_of(request))
        return reply(freed)
