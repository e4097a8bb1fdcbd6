"""Waiting for a place at a way: woken in turn, refused with Retry-After beyond the bound, dismissed when it goes."""

import asyncio

import pytest

from regioncache.errors import Refused, SlowDown
from regioncache.isolation import Bounds
from regioncache.turns import Turns
from tests.fakes.clock import FakeClock, settle

pytestmark = pytest.mark.anyio
DEAD, SOUND = ("dead", "endpoint", "http://dead"), ("sound", "endpoint", "http://sound")
BOUNDS = Bounds(reads=2, questions=1, unheard=2, waiting=3, guests=2)


class Crowd:
    """Requests at ways; each holds its place until it is released."""

    def __init__(self) -> None:
        self.turns = Turns(BOUNDS, FakeClock())
        self.release = asyncio.Event()
        self.inside: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, name: str, way: tuple[str, str, str] = DEAD) -> asyncio.Task[None]:
        task = asyncio.create_task(self._hold(name, way))
        self.tasks.append(task)
        await settle()
        return task

    async def _hold(self, name: str, way: tuple[str, str, str]) -> None:
        async with self.turns.turn(way, "read", 0):
            self.inside.append(name)
            await self.release.wait()

    async def end(self) -> None:
        self.release.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert all(share.idle for _, share in self.turns.shares())


async def test_a_full_way_takes_no_place_of_another_one() -> None:
    crowd = Crowd()
    for name in ("a", "b", "c"):
        await crowd.come(name)

    await crowd.come("other", SOUND)

    assert crowd.inside == ["a", "b", "other"]
    await crowd.end()
    assert crowd.inside == ["a", "b", "other", "c"]


async def test_beyond_the_bound_one_is_told_to_slow_down_and_when_to_come_again() -> None:
    crowd = Crowd()
    for name in "abcde":
        await crowd.come(name)

    refused = await crowd.come("f")

    fault = refused.exception()
    assert isinstance(fault, SlowDown)
    assert fault.retry_after >= 1
    assert "3 requests wait for bucket 'dead' at http://dead already" in str(fault)
    await crowd.end()
    assert sorted(crowd.inside) == list("abcde")


async def test_who_leaves_while_he_waits_leaves_no_trace() -> None:
    crowd = Crowd()
    waiting = [await crowd.come(name) for name in "abc"][2]

    waiting.cancel()
    await settle()
    await crowd.come("d")
    await crowd.end()

    assert crowd.inside == ["a", "b", "d"]


async def test_who_leaves_at_the_moment_he_is_let_in_gives_his_place_on() -> None:
    crowd = Crowd()
    for name in "abcd":
        await crowd.come(name)
    share = crowd.turns.share(DEAD)
    crowd.tasks[0].cancel()
    while share.waiting == 2:
        await asyncio.sleep(0)

    crowd.tasks[2].cancel()
    await settle()

    assert crowd.inside == ["a", "b", "d"]
    await crowd.end()


async def test_nobody_waits_for_a_way_that_has_gone() -> None:
    crowd = Crowd()
    waiting = [await crowd.come(name) for name in "abc"][2]

    crowd.turns.dismiss(DEAD, Refused("nobody listens there"))
    await settle()

    assert isinstance(waiting.exception(), Refused)
    await crowd.end()


async def test_readers_of_one_bucket_are_bounded_and_those_of_another_are_not_touched() -> None:
    turns = Turns(BOUNDS, FakeClock())
    with turns.guest("dead"), turns.guest("dead"):
        with pytest.raises(SlowDown, match="2 readers wait for bucket 'dead' already"), turns.guest("dead"):
            pass
        with turns.guest("sound"):
            assert turns.guests() == 3

    assert (turns.guests(), turns.turned_away) == (0, 1)
    with turns.guest("dead"):
        pass


async def test_the_share_of_a_way_that_is_no_more_goes_when_it_is_idle() -> None:
    crowd = Crowd()
    await crowd.come("a")

    crowd.turns.keep({SOUND})
    assert [way for way, _ in crowd.turns.shares()] == [DEAD]
    await crowd.end()
    crowd.turns.keep({SOUND})

    assert list(crowd.turns.shares()) == []
