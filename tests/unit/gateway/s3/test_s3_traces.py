"""What the door's own stretch says of a request, and which requests have one."""

from collections.abc import Callable

import pytest

from regioncache.errors import OriginUnavailable
from regioncache.http.messages import Request
from regioncache.tracing import Attributes, Beginning
from tests.fakes.trails import FakeTrail
from tests.unit.gateway.s3.conftest import Desk

pytestmark = pytest.mark.anyio


class Tracing:
    """Traces what it is told to."""

    def __init__(self, desk: Desk) -> None:
        self.asked: list[bytes] = []
        self.begun: list[FakeTrail] = []
        self.chosen = True
        desk.door._accounts.tracing = self

    def __call__(self, request: Request) -> Beginning | None:
        self.asked.append(request.target)
        return self.begin if self.chosen else None

    def begin(self, name: str, attributes: Attributes) -> FakeTrail:
        self.begun.append(FakeTrail(name, dict(attributes)))
        return self.begun[-1]


@pytest.fixture
def tracing(desk: Desk) -> Tracing:
    desk.files.put("/ns/train/a b", 10)
    return Tracing(desk)


async def test_it_says_what_was_asked_and_what_came_of_it(desk: Desk, tracing: Tracing) -> None:
    answered = await desk.ask("/train/a%20b?response-content-type=text/plain")

    (door,) = tracing.begun
    assert (door.name, door.ended, door.fault) == ("s3.GetObject", 1, None)
    assert door.said["causeway.path"] == "/ns/train/a b"
    assert door.said["causeway.request_id"] == answered.headers["x-amz-request-id"]
    assert (door.said["http.response.status_code"], door.said["causeway.bytes"]) == (200, 10)
    assert door.said["causeway.source"] == answered.headers["x-causeway-source"]


async def test_the_access_log_names_the_trace(desk: Desk, tracing: Tracing) -> None:
    await desk.ask("/train/a%20b")
    tracing.chosen = False
    await desk.ask("/train/a%20b")

    assert [told.trace for told in desk.log.told] == ["0af7651916cd43dd8448eb211c80319c", ""]


async def test_who_may_not_is_not_asked_about(desk: Desk, tracing: Tracing, renter: object) -> None:
    unsigned = await desk.ask("/train/a%20b", key=None)
    forbidden = await desk.ask("/train/a%20b", key=renter)

    assert (unsigned.status, forbidden.status) == (403, 403)
    assert tracing.asked == []


@pytest.mark.parametrize("status", [404, 503])
async def test_a_fault_of_ours_ends_it_as_one(desk: Desk, tracing: Tracing, status: int) -> None:
    if status == 503:
        desk.files.faults["/ns/train/absent"] = OriginUnavailable("away", 1.0)

    answered = await desk.ask("/train/absent")

    (door,) = tracing.begun
    assert answered.status == door.said["http.response.status_code"] == status
    assert (door.fault is not None) == (status == 503)
    assert door.ended == 1


async def test_a_client_that_goes_away_ends_it_once(desk: Desk, tracing: Tracing) -> None:
    reply = desk.door(desk.request("/train/a%20b"))
    done: Callable[[int], None] = reply.done  # type: ignore[union-attr, assignment]

    done(3)

    (door,) = tracing.begun
    assert (door.ended, door.said["causeway.bytes"]) == (1, 3)
