"""The memory budget: reserved parts, fair waiting, nothing lost by those who leave."""

import asyncio
import random

import pytest

from regioncache.errors import SlowDown
from regioncache.memory import Memory
from tests.fakes.clock import settle

pytestmark = pytest.mark.anyio


async def test_neither_use_can_take_the_others_reserve() -> None:
    memory = Memory(1000)

    taken = 0
    while memory.take_now("flight", 50):
        taken += 50

    assert taken == 750
    assert memory.take_now("door", 250)
    assert not memory.take_now("door", 1)


async def test_windows_live_on_what_flights_and_doors_leave() -> None:
    memory = Memory(1000)

    taken = 0
    while memory.take_now("window", 50):
        taken += 50

    assert taken == 500
    assert memory.take_now("flight", 250)
    assert memory.take_now("door", 250)


async def test_a_use_that_holds_nothing_is_never_refused() -> None:
    memory = Memory(100)

    assert memory.take_now("flight", 5000)
    assert not memory.take_now("flight", 1)


async def test_those_who_wait_are_served_in_order_also_the_small_behind_the_large() -> None:
    memory = Memory(1000)
    assert memory.take_now("flight", 700)
    order: list[str] = []

    async def wait(name: str, nbytes: int) -> None:
        await memory.take("flight", nbytes)
        order.append(name)

    tasks = [asyncio.create_task(wait("large", 600)), asyncio.create_task(wait("small", 1))]
    await settle()
    assert not memory.take_now("flight", 1)
    assert order == []
    memory.give("flight", 700)
    await asyncio.gather(*tasks)

    assert order == ["large", "small"]
    assert memory.held()["flight"] == 601


async def test_who_is_cancelled_while_waiting_takes_nothing_and_lets_the_next_go_on() -> None:
    memory = Memory(1000)
    assert memory.take_now("flight", 700)
    large = asyncio.create_task(memory.take("flight", 600))
    small = asyncio.create_task(memory.take("flight", 10))
    await settle()

    large.cancel()
    await asyncio.gather(large, return_exceptions=True)
    await small

    assert memory.held()["flight"] == 710


async def test_who_is_cancelled_at_the_moment_of_his_turn_gives_it_back() -> None:
    memory = Memory(1000)
    assert memory.take_now("flight", 700)
    waiting = asyncio.create_task(memory.take("flight", 600))
    await settle()

    memory.give("flight", 700)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert memory.held()["flight"] == 0


async def test_too_many_who_wait_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regioncache.memory.WAITERS", 2)
    memory = Memory(100)
    assert memory.take_now("door", 75)
    waiting = [asyncio.create_task(memory.take("door", 50)) for _ in range(2)]
    await settle()

    with pytest.raises(SlowDown):
        await memory.take("door", 50)

    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_comes_and_goes_nothing_is_lost_and_the_budget_holds(seed: int) -> None:
    memory, rng = Memory(1000), random.Random(seed)

    async def user(number: int) -> None:
        use, nbytes = rng.choice(["flight", "door"]), rng.randint(1, 250)
        async with memory.hold(use, nbytes):
            assert sum(memory.held().values()) <= 1000
            for _ in range(rng.randint(0, 3)):
                await asyncio.sleep(0)

    users = [asyncio.create_task(user(number)) for number in range(100)]
    await settle(3)
    for task in rng.sample(users, 30):
        task.cancel()
    done = await asyncio.wait_for(asyncio.gather(*users, return_exceptions=True), 10)

    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in done)
    assert set(memory.held().values()) == {0}
