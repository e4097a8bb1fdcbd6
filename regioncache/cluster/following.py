"""News from etcd, for as long as this member's session lives."""

import asyncio

from namespace.etcdclient.follow import Following
from namespace.etcdclient.session import Session
from namespace.etcdclient.values import Changes, Snapshot


class Anew(Exception):
    """What was known of etcd does not hold any more: begin again."""


async def nothing_after(session: Session) -> Snapshot | Changes | None:
    """Returns once the session is lost."""
    await session.lost()
    return None


async def unless(lost: "asyncio.Task[Snapshot | Changes | None]", following: Following) -> Snapshot | Changes:
    """Returns what comes next; raises Anew where the session is lost before."""

    async def following_on() -> Snapshot | Changes | None:
        return await following.next()

    upcoming = asyncio.create_task(following_on())
    try:
        await asyncio.wait({upcoming, lost}, return_when=asyncio.FIRST_COMPLETED)
        news = None if lost.done() else upcoming.result()
    finally:
        upcoming.cancel()
        await asyncio.wait({upcoming})
    if news is None:
        raise Anew("the session in etcd ran out")
    return news
