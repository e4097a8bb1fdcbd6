"""A member that has not begun to answer is waited for as long as it gives signs of life."""

import asyncio

import pytest

from regioncache.cluster.members import Addresses, Member
from regioncache.cluster.ownership import Shared
from regioncache.errors import OriginUnavailable, Refused
from regioncache.http.client import Client
from regioncache.owners import memberroutes
from regioncache.owners.memberroutes import MemberRoutes, answered
from regioncache.peers.desks import Questioner
from regioncache.peers.digests import Digests

pytestmark = pytest.mark.anyio


async def test_a_slow_member_that_is_alive_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memberroutes, "SILENCE_SECONDS", 0.001)
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asked = 0

    async def alive() -> None:
        nonlocal asked
        asked += 1
        if asked == 5:
            answer.set_result("here")

    assert await answered(answer, alive) == "here"
    assert asked == 5


async def test_a_member_that_gives_no_sign_of_life_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memberroutes, "SILENCE_SECONDS", 0.001)
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def alive() -> None:
        raise Refused("nobody listens there")

    with pytest.raises(Refused):
        await answered(answer, alive)
    assert answer.cancelled()


async def test_an_answer_that_comes_when_nobody_waits_any_more_is_left_in_good_order() -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    left: list[str] = []
    waiting = asyncio.create_task(answered(answer, asyncio.Event().wait, left.append))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    answer.set_result("here")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert left == ["here"]


async def test_a_silent_member_that_the_view_has_no_more_is_waited_for_no_longer() -> None:
    us, silent = (Member(name, Addresses("http://192.0.2.1:9100"), 1 << 30, 1) for name in ("a", "b"))
    ownership = Shared("a", (us, silent), 5)
    client = Client()
    # Whoever asks finds no secret, and takes that for a sign of life.
    routes = MemberRoutes(Questioner("r", lambda _: None, client), client, Digests(), print, ownership)

    await routes.alive(silent)
    ownership.adopt((us,), 6)
    with pytest.raises(OriginUnavailable, match="member b is gone, by view 6"):
        await routes.alive(silent)
