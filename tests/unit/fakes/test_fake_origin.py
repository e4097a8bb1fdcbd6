import asyncio

import pytest

from regioncache.errors import NoSuchObject, OriginUnavailable, RangeOutside, VersionChanged
from regioncache.origins.base import ListAsk, Payer, Question, Reading, Want
from regioncache.pages import Span, Version
from tests.fakes.clock import FakeClock, settle
from tests.fakes.faulty import Faulty, short_body, stall, status_500
from tests.fakes.origin import FakeOrigin
from tests.fakes.ramp import is_ramp, ramp

pytestmark = pytest.mark.anyio
PAYER = Payer("rec")


class FreeCrossing:
    """Counts what a source tells it and never waits."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []

    def buffer_wanted(self, length: int) -> int:
        return 0

    async def prepay(self, length: int, buffer: int) -> None:
        self.said.append(("prepay", length))

    def learned(self, length: int) -> None:
        self.said.append(("learned", length))

    async def room(self, nbytes: int) -> int:
        return nbytes

    def read(self, nbytes: int) -> None:
        self.said.append(("read", nbytes))

    def close(self) -> None:
        self.said.append(("close", 0))


async def drain(reading: Reading) -> bytes:
    out, into = bytearray(), memoryview(bytearray(1 << 20))
    while n := await reading.receive(into):
        out += into[:n]
    return bytes(out)


def want(key: str, start: int, end: int, version: Version | None = None) -> Want:
    return Want(key, version, Span(start, end), PAYER)


def test_the_ramp_shows_a_wrong_offset():
    assert ramp(250, 254) == bytes([250, 0, 1, 2])
    assert is_ramp(ramp(10, 6_000_000), 10)
    assert not is_ramp(ramp(11, 100), 10)


async def test_a_read_of_100_gb_costs_only_what_is_read():
    origin = FakeOrigin()
    origin.put("big", 100 * 10**9)

    reading = await origin.read(want("big", 99 * 10**9, 99 * 10**9 + 100_000), FreeCrossing())

    assert is_ramp(await drain(reading), 99 * 10**9)
    assert origin.total_bytes == 100_000


async def test_the_crossing_hears_the_calls_in_order():
    origin, crossing = FakeOrigin(), FreeCrossing()
    origin.put("k", 100)

    reading = await origin.read(want("k", 50, 200), crossing)
    await drain(reading)
    reading.close()
    reading.close()

    assert crossing.said == [("prepay", 150), ("learned", 50), ("read", 50), ("close", 0)]
    assert origin.open_readings == 0


async def test_an_overwritten_object_fails_the_old_version_and_keeps_the_reply_under_way():
    origin = FakeOrigin(piece=10)
    old = origin.put("k", 100)
    reading = await origin.read(want("k", 0, 100), FreeCrossing())

    origin.put("k", 100, shift=7)

    assert is_ramp(await drain(reading), 0)
    with pytest.raises(VersionChanged):
        await origin.read(want("k", 0, 100, Version(old.etag)), FreeCrossing())


async def test_unknown_keys_and_ranges_outside_are_told():
    origin = FakeOrigin()
    origin.put("empty", 0)
    with pytest.raises(NoSuchObject):
        await origin.read(want("nope", 0, 1), FreeCrossing())
    with pytest.raises(RangeOutside):
        await origin.read(want("empty", 0, 1), FreeCrossing())


async def test_lists_roll_up_and_go_on():
    origin = FakeOrigin()
    for key in ("a", "b/1", "b/2", "c", "d/1"):
        origin.put(key, 1)
    crossing = FreeCrossing()

    first = await origin.list(ListAsk(delimiter="/", limit=2), Question("", PAYER), crossing)
    second = await origin.list(ListAsk(delimiter="/", after=first.next_after or ""), Question("", PAYER), crossing)

    assert ([e.key for e in first.entries], first.prefixes, first.next_after) == (["a"], ("b/",), "b/")
    assert ([e.key for e in second.entries], second.prefixes, second.next_after) == (["c"], ("d/",), None)


async def test_queued_faults_strike_once_each():
    origin = FakeOrigin()
    origin.put("k", 1000)
    faulty = Faulty(origin, status_500(), short_body(300))
    with pytest.raises(OriginUnavailable, match="500"):
        await faulty.read(want("k", 0, 1000), FreeCrossing())

    cut = await faulty.read(want("k", 0, 1000), FreeCrossing())
    into = memoryview(bytearray(1000))

    assert await cut.receive(into) == 300
    with pytest.raises(OriginUnavailable, match="short"):
        await cut.receive(into)
    assert is_ramp(await drain(await faulty.read(want("k", 0, 1000), FreeCrossing())), 0)


async def test_a_stall_lasts_until_it_is_released():
    origin, fault = FakeOrigin(), stall(after=100)
    origin.put("k", 1000)
    reading = await Faulty(origin, fault).read(want("k", 0, 1000), FreeCrossing())

    task = asyncio.create_task(drain(reading))
    await fault.reached.wait()
    assert not task.done()
    fault.released.set()

    assert is_ramp(await task, 0)


async def test_the_clock_wakes_sleepers_in_order_of_their_due_times():
    clock, woke = FakeClock(), list[str]()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woke.append(f"{name}@{clock() - 1000:g}")

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 2))
        group.create_task(sleeper("soon", 1))
        await settle()
        await clock.run_for(5)

    assert woke == ["soon@1", "late@2"]
    assert clock() == 1005
