"""Members of a cluster in one process: each with its own client of a real etcd, its own peer door and its own disk."""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.limits import EtcdLimits
from regioncache.cluster.confirming import OPERATION
from regioncache.cluster.members import Addresses, Member, State
from regioncache.cluster.membership import SESSION_SECONDS, Membership, MembershipSettings
from regioncache.cluster.ownership import Shared
from regioncache.http.client import Client
from regioncache.http.server import Server
from regioncache.peers.desks import Questioner, for_members
from regioncache.peers.digests import Digests
from regioncache.peers.door import PeerDoor
from regioncache.tidings import Tidings

REGION = "here"
SECRET = "0123456789abcdef"


class Joined:
    """One member. `start` it, then it is asked; `stop` it in good order, or `kill` it.

    `seconds` are of its session. Short for those alone that are to be lost: one that a busy machine holds up for so
    long is lost as well.
    """

    def __init__(
        self,
        name: str,
        urls: list[str],
        directory: Path,
        *,
        secret: str = SECRET,
        seconds: float = SESSION_SECONDS,
        grace: float = 30.0,
    ) -> None:
        self.name, self.said = name, []
        self.faults: list[BaseException] = []
        tell: Callable[[str], None] = self.said.append
        self.client = Client()
        self.etcd = Etcd(
            EtcdAccess.of(*urls),
            EtcdLimits(call_seconds=3.0, attempt_seconds=1.0),
            trouble=self._trouble,
        )
        self.shared = Shared(name)
        member = Member(name, Addresses(""), 1 << 40, state=State.JOINING)
        settings = MembershipSettings(REGION, member, secrets.token_hex(8), directory, seconds, grace)
        asker = Questioner(REGION, {REGION: secret}.get, self.client)
        self.membership = Membership(
            settings, self.etcd, self.shared, asker, Tidings(tell, tell), time.monotonic, self.faults.append
        )
        # Nobody reads here, so nothing stands behind the door but its desk.
        door = PeerDoor(REGION, {REGION: secret}.get, None, None, None, time.time, Digests(), print)  # type: ignore[arg-type]
        door.desks[OPERATION] = for_members(REGION, self.membership.confirming.answer)
        self.server = Server(door)
        directory.mkdir(exist_ok=True)

    async def start(self) -> "Joined":
        """Starts it and opens its doors."""
        host, port = await self.server.listen(("127.0.0.1", 0))
        where = Addresses(f"http://{host}:{port}")
        await self.membership.start(where)
        await self.membership.open(where)
        return self

    async def stop(self) -> None:
        """SIGTERM."""
        await self.membership.part()
        await self.kill()

    async def kill(self) -> None:
        """As `kill -9`: nobody is told."""
        await self.membership.close()
        await self.server.stop(0.0)
        await self.etcd.close()
        self.client.close()
        await asyncio.sleep(0)

    def _trouble(self, fault: Exception | None) -> None:
        self.membership.trouble(fault)

    @property
    def names(self) -> list[str]:
        view = self.membership.views.view
        return [] if view is None else [f"{one.name} {one.state}" for one in view.members]

    @property
    def owners(self) -> list[str]:
        return [one.name for one in self.shared._ring.members]


async def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits until something is so; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)
