"""A member that has not begun to answer is waited for as long as it gives signs of life."""

import asyncio

import pytest

from regioncache.errors import Refused
from regioncache.owners import memberroutes
from regioncache.owners.memberroutes import answered

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
