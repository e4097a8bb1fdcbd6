"""The door around the operations: request ids, faults, counters, the access log."""

import asyncio

import pytest

from regioncache.errors import BadAnswer, OriginForbids, OriginUnavailable
from regioncache.http.messages import Reply
from regioncache.pages import MIB
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio


async def test_every_answer_has_a_request_id_of_its_own_and_errors_repeat_it(desk) -> None:
    desk.files.put("/ns/train/a", 10)

    answers = [
        await desk.ask(t) for t in ("/train/a", "/train/none", "/train?list-type=2", "/secret/a", "/%zz", "/?acl")
    ]

    ids = [answer.headers["x-amz-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert answers[1].texts("RequestId") == [ids[1]]


async def test_an_error_names_the_resource_without_its_query(desk) -> None:
    answer = await desk.ask("/train/a%20b?acl", expires=60)

    assert answer.texts("Resource") == ["/train/a%20b"]
    assert b"Signature" not in answer.body


async def test_an_unknown_fault_is_told_inside_and_kept_from_the_client(desk) -> None:
    desk.files.put("/ns/train/a", 10)
    desk.files.faults["/ns/train/a"] = RuntimeError("the inner name of a thing")

    answer = await desk.ask("/train/a")

    assert (answer.status, answer.code) == (500, "InternalError")
    assert b"inner name" not in answer.body
    assert [str(fault) for fault in desk.faults] == ["the inner name of a thing"]


@pytest.mark.parametrize("kind", [OriginUnavailable, OriginForbids, BadAnswer])
async def test_what_is_said_of_origins_inside_stays_inside(desk, kind: type[Exception]) -> None:
    desk.files.put("/ns/train/a", 10)
    desk.files.faults["/ns/train/a"] = kind("no connection to 10.1.0.5:9000")

    answer = await desk.ask("/train/a")

    assert answer.status >= 400
    assert b"10.1.0.5" not in answer.body


async def test_a_request_is_counted_by_operation_and_code(desk) -> None:
    desk.files.put("/ns/train/a", 10)

    for target in ("/train/a", "/train/a", "/train/none", "/%zz"):
        await desk.ask(target)
    await desk.ask("/train/a", method="DELETE")

    assert desk.counters.requests == {
        ("s3", "GetObject", 200): 2,
        ("s3", "GetObject", 404): 1,
        ("s3", "Unreadable", 400): 1,
        ("s3", "NotImplemented", 501): 1,
    }


async def test_first_and_last_byte_are_timed_apart(desk) -> None:
    desk.files.put("/ns/train/a", 10)
    reply = desk.door(desk.request("/train/a"))
    assert isinstance(reply, Reply)
    assert reply.done is not None

    desk.clock.advance(3)
    reply.done(10)

    assert desk.counters.first_byte["s3", "GetObject"].total == 0.0
    assert desk.counters.last_byte["s3", "GetObject"].total == 3.0


async def test_a_read_is_closed_when_the_connection_is_lost(desk) -> None:
    desk.files.put("/ns/train/a", 10)
    reply = desk.door(desk.request("/train/a"))
    assert isinstance(reply, Reply)
    assert reply.done is not None
    assert desk.files.opened[0].closed == 0

    reply.done(3)

    assert desk.files.opened[0].closed == 1
    assert desk.log.told[0].nbytes == 3


async def test_a_client_that_leaves_before_the_reply_is_counted_as_gone(desk) -> None:
    desk.files.hot = False
    desk.files.put("/ns/train/a", 10)
    desk.files.gate = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(desk.door(desk.request("/train/a")))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert desk.counters.requests == {("s3", "GetObject", 499): 1}


async def test_a_stream_that_breaks_is_never_padded(desk) -> None:
    desk.files.put("/ns/train/a", MIB)
    desk.files.breaks_at = MIB // 2

    reply = await desk.door(desk.request("/train/a"))

    assert reply.length == MIB
    received = b"".join([bytes(await anext(reply.stream)) for _ in range(2)])
    assert received == ramp(0, MIB // 2)
    with pytest.raises(ConnectionError):
        await anext(reply.stream)


async def test_the_access_log_tells_what_happened_and_no_secret(desk) -> None:
    desk.files.put("/ns/train/a", 10)

    await desk.ask("/train/a", expires=60)

    told = desk.log.told[0]
    assert (told.door, told.operation, told.code, told.path) == ("s3", "GetObject", 200, "/train/a")
    assert (told.client, told.key_id, told.nbytes) == ("127.0.0.1", "CWTRAINER", 10)
    assert "Signature" not in repr(told)


async def test_invalid_targets_are_400_before_anything_else(desk) -> None:
    targets = ["/train/a%00b", "/train/%ff", "/train/" + "k" * 1025, "/train/%zz", "//a", "/train?" + "a=b&" * 70]

    answers = [await desk.ask(target, key=None) for target in targets]

    assert [(a.status, a.code) for a in answers] == [
        (400, "InvalidURI"),
        (400, "InvalidURI"),
        (400, "KeyTooLongError"),
        (400, "InvalidURI"),
        (400, "InvalidBucketName"),
        (400, "InvalidURI"),
    ]
    assert not desk.files.calls
