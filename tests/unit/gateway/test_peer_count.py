"""The peer door's answers are counted, whether they are at hand or made later; what is at hand takes no task."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.metrics import DoorCounters
from gateway.peercount import CountedPeers
from regioncache.http.messages import Reply, Request
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.anyio


def request() -> Request:
    return Request(b"GET", b"/causeway/1/read?key=a", [], None)  # type: ignore[arg-type]


def counted(answer: Reply | Callable[[], Awaitable[Reply]]) -> tuple[CountedPeers, DoorCounters]:
    counters = DoorCounters()
    return CountedPeers(lambda _: answer, counters, FakeClock()), counters


async def test_what_is_at_hand_is_counted_and_answered_at_once() -> None:
    peers, counters = counted(Reply(200))

    assert isinstance(peers(request()), Reply)

    assert counters.requests == {("peer", "read", 200): 1}


async def test_what_is_made_later_is_counted_when_it_is_made() -> None:
    async def making() -> Reply:
        return Reply(404)

    peers, counters = counted(making)
    later = peers(request())
    assert not isinstance(later, Reply)
    assert not counters.requests

    assert (await later).status == 404

    assert list(counters.requests.values()) == [1]


async def test_what_nobody_waits_for_any_more_is_never_begun() -> None:
    begun: list[bool] = []

    def making() -> Awaitable[Reply]:
        begun.append(True)
        raise AssertionError("nobody asked for it")

    peers, _ = counted(making)
    later = peers(request())

    later.close()  # type: ignore[union-attr]

    assert not begun
