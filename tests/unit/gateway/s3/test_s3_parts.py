"""`partNumber` on GET and HEAD: one part of an object that was uploaded in parts, as a range that S3 knows."""

import pytest

from regioncache.errors import NotSupported
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio
PARTS = (500, 500, 24)


async def test_a_part_is_the_range_that_was_uploaded_as_such(desk) -> None:
    desk.files.put("/ns/train/a", 1024, parts=PARTS)

    answers = [await desk.ask(f"/train/a?partNumber={number}") for number in (1, 2, 3)]

    assert [answer.status for answer in answers] == [206, 206, 206]
    assert b"".join(answer.body for answer in answers) == ramp(0, 1024)
    assert [answer.headers["content-range"] for answer in answers] == [
        "bytes 0-499/1024",
        "bytes 500-999/1024",
        "bytes 1000-1023/1024",
    ]
    assert {answer.headers["x-amz-mp-parts-count"] for answer in answers} == {"3"}
    assert {answer.headers["etag"] for answer in answers} == {desk.files.objects["/ns/train/a"].etag}


async def test_head_tells_the_same_and_opens_nothing(desk) -> None:
    desk.files.put("/ns/train/a", 1024, parts=PARTS)

    answer = await desk.ask("/train/a?partNumber=2", method="HEAD")

    assert (answer.status, answer.length, answer.body) == (206, 500, b"")
    assert answer.headers["content-range"] == "bytes 500-999/1024"
    assert answer.headers["x-amz-mp-parts-count"] == "3"
    assert not desk.files.opened


async def test_a_part_that_is_no_hit_streams(desk) -> None:
    desk.files.put("/ns/train/a", 3_000_000, parts=(1_000_000, 2_000_000))

    answer = await desk.ask("/train/a?partNumber=2")

    assert (answer.length, answer.body) == (2_000_000, ramp(1_000_000, 3_000_000))
    assert desk.files.opened[-1].closed


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_only_part_of_an_object_uploaded_whole_is_all_of_it(desk, method: str) -> None:
    desk.files.put("/ns/train/a", 10, headers=(("x-amz-checksum-crc32", "AAAAAA=="),))

    answer = await desk.ask("/train/a?partNumber=1", {"x-amz-checksum-mode": "ENABLED"}, method=method)

    assert (answer.status, answer.headers["content-range"]) == (206, "bytes 0-9/10")
    assert "x-amz-mp-parts-count" not in answer.headers
    assert answer.headers["x-amz-checksum-crc32"] == "AAAAAA=="


async def test_a_part_has_no_checksum_of_the_whole(desk) -> None:
    desk.files.put("/ns/train/a", 1024, parts=PARTS, headers=(("x-amz-checksum-crc32", "AAAAAA==-3"),))

    answer = await desk.ask("/train/a?partNumber=1", {"x-amz-checksum-mode": "ENABLED"})

    assert "x-amz-checksum-crc32" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_only_part_of_nothing_is_nothing(desk, method: str) -> None:
    desk.files.put("/ns/train/a", 0)

    answer = await desk.ask("/train/a?partNumber=1", method=method)

    assert (answer.status, answer.body, "content-range" in answer.headers) == (200, b"", False)


@pytest.mark.parametrize(("parts", "number"), [((), 2), (PARTS, 4), (PARTS, 10_000)])
async def test_a_part_that_is_not_there_is_416(desk, parts: tuple[int, ...], number: int) -> None:
    desk.files.put("/ns/train/a", 1024, parts=parts)

    answer = await desk.ask(f"/train/a?partNumber={number}")

    assert (answer.status, answer.code) == (416, "InvalidPartNumber")


@pytest.mark.parametrize("number", ["0", "-1", "10001", "1.5", "", "x", "%D9%A1", "000001"])
async def test_what_is_no_part_number_is_400(desk, number: str) -> None:
    desk.files.put("/ns/train/a", 1024, parts=PARTS)

    answer = await desk.ask(f"/train/a?partNumber={number}")

    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert not desk.files.calls


async def test_a_part_and_a_range_at_once_are_400(desk) -> None:
    desk.files.put("/ns/train/a", 1024, parts=PARTS)

    answer = await desk.ask("/train/a?partNumber=1", {"range": "bytes=0-1"})

    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert "Range" in answer.texts("Message")[0]


async def test_conditions_and_overrides_hold_for_a_part(desk) -> None:
    found = desk.files.put("/ns/train/a", 1024, parts=PARTS)

    same = await desk.ask("/train/a?partNumber=1", {"if-none-match": found.etag})
    other = await desk.ask("/train/a?partNumber=1", {"if-match": '"other"'})
    named = await desk.ask("/train/a?partNumber=1&response-content-type=a%2Fb", {"if-match": found.etag})

    assert (same.status, other.status, named.status) == (304, 412, 206)
    assert named.headers["content-type"] == "a/b"
    assert desk.files.calls["part newest"] == 1


async def test_a_store_that_tells_no_parts_is_501(desk) -> None:
    desk.files.put("/ns/train/a", 1024, parts=PARTS)
    desk.files.faults["/ns/train/a"] = NotSupported("the store tells no parts; read the object by ranges")

    answer = await desk.ask("/train/a?partNumber=1")

    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert "read the object by ranges" in answer.texts("Message")[0]


async def test_a_part_is_never_cut_out_of_another_version(desk) -> None:
    desk.files.put("/ns/train/a", 1024, parts=PARTS)

    async def overwritten() -> None:
        desk.files.put("/ns/train/a", 1024, shift=3, revision=2, parts=PARTS)

    desk.files.gate = overwritten()

    answer = await desk.ask("/train/a?partNumber=2")

    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert desk.files.opened[-1].closed
