"""`/api/v1/members` and `/api/v1/drain`: who is a member of the region's cluster, and who leaves it."""

import structlog
from aiohttp import web

from gateway.admin.api import asked, author_of
from gateway.admin.operations import Gathering
from gateway.admin.replies import reply


class ClusterApi:
    """The handlers, over one node's operations."""

    def __init__(self, operations: Gathering) -> None:
        self._operations = operations
        self._log = structlog.stdlib.get_logger("causeway.admin")

    def routes(self) -> list[web.RouteDef]:
        """The routes; each has its operation's name."""
        return [
            web.get("/api/v1/members", self.members, name="get-members", allow_head=False),
            web.delete("/api/v1/members", self.remove, name="delete-members"),
            web.post("/api/v1/drain", self.drain, name="post-drain"),
        ]

    async def members(self, _request: web.Request) -> web.StreamResponse:
        """Who is a member."""
        return reply(self._operations.members())

    async def drain(self, request: web.Request) -> web.StreamResponse:
        """Has a node leave."""
        draining = await self._operations.drain(request.query.get("node", ""))
        self._log.info("draining", name=draining.node, author=author_of(request))
        return reply(draining, status=202)

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """Takes a dead member out."""
        removed = await self._operations.remove_member(asked(request, "name"), author_of(request))
        self._log.info("member removed", name=removed.name, author=author_of(request))
        return reply(removed)
