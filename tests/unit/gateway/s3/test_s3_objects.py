"""GetObject and HeadObject as clients see them."""

from dataclasses import replace

import pytest

from gateway.s3.asked import PLAIN
from gateway.s3.dates import HttpDates
from gateway.s3.heads import ObjectHeads
from regioncache.errors import KeyRefused, OriginForbids, OriginUnavailable, SlowDown, VersionChanged
from regioncache.opened import Opened, Waited
from regioncache.pages import MIB, Meta, Span, Version
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio

SAME = "Sun, 13 Sep 2020 12:26:40 GMT"
BEFORE = "Sun, 13 Sep 2020 12:26:39 GMT"


async def test_a_hit_is_answered_in_one_call_with_all_of_s3s_headers(desk) -> None:
    found = desk.files.put("/ns/train/a", 1000, content_type="image/jpeg")

    answer = await desk.ask("/train/a")

    assert answer.sync
    assert (answer.status, answer.body) == (200, ramp(0, 1000))
    request_id = answer.headers.pop("x-amz-request-id")
    assert len(request_id) == 16
    assert answer.headers == {
        "etag": found.etag,
        "last-modified": SAME,
        "accept-ranges": "bytes",
        "content-type": "image/jpeg",
        "x-causeway-source": "page",
    }


async def test_what_is_not_at_hand_is_waited_for(desk) -> None:
    desk.files.hot = False
    desk.files.source = "line"
    desk.files.put("/ns/train/a", 1000)

    answer = await desk.ask("/train/a")

    assert not answer.sync
    assert (answer.status, answer.body) == (200, ramp(0, 1000))
    assert answer.headers["x-causeway-source"] == "line"


async def test_a_large_object_is_streamed_with_its_length(desk) -> None:
    desk.files.put("/ns/train/a", 3 * MIB + 1)

    answer = await desk.ask("/train/a")

    assert (answer.status, answer.length, answer.body) == (200, 3 * MIB + 1, ramp(0, 3 * MIB + 1))


@pytest.mark.parametrize("hot", [True, False])
async def test_every_read_is_closed_once_the_reply_is_over(desk, hot: bool) -> None:
    desk.files.hot = hot
    desk.files.put("/ns/train/a", 1000)

    await desk.ask("/train/a")
    await desk.ask("/train/a", {"if-none-match": "*"})
    await desk.ask("/train/a", {"if-match": '"other"'})

    assert [opened.closed for opened in desk.files.opened] == [1] * len(desk.files.opened)


@pytest.mark.parametrize("hot", [True, False])
async def test_an_empty_object_has_an_empty_body(desk, hot: bool) -> None:
    desk.files.hot = hot
    desk.files.put("/ns/train/a", 0)

    answer = await desk.ask("/train/a")

    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=5-9", 5, 10), ("bytes=990-", 990, 1000), ("bytes=-7", 993, 1000), ("bytes=0-5000", 0, 1000)],
)
@pytest.mark.parametrize("hot", [True, False])
async def test_a_range_is_206_with_its_place(desk, hot: bool, asked: str, start: int, end: int) -> None:
    desk.files.hot = hot
    desk.files.put("/ns/train/a", 1000)

    answer = await desk.ask("/train/a", {"range": asked})
    head = await desk.ask("/train/a", {"range": asked}, method="HEAD")

    assert (answer.status, answer.body) == (206, ramp(start, end))
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1000"
    assert (head.status, head.length, head.body) == (206, end - start, b"")
    assert head.headers["content-range"] == f"bytes {start}-{end - 1}/1000"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-5", "bytes", "lines=1-2"])
async def test_several_ranges_and_nonsense_give_the_whole_object(desk, asked: str) -> None:
    desk.files.put("/ns/train/a", 1000)

    answer = await desk.ask("/train/a", {"range": asked})

    assert (answer.status, len(answer.body)) == (200, 1000)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize(
    ("size", "asked"), [(1000, "bytes=1000-"), (1000, "bytes=-0"), (0, "bytes=0-"), (0, "bytes=-5")]
)
@pytest.mark.parametrize("hot", [True, False])
async def test_a_range_outside_the_object_is_416_and_says_the_size(desk, hot: bool, size: int, asked: str) -> None:
    desk.files.hot = hot
    desk.files.put("/ns/train/a", size)

    answer = await desk.ask("/train/a", {"range": asked})
    head = await desk.ask("/train/a", {"range": asked}, method="HEAD")

    assert (answer.status, answer.code) == (416, "InvalidRange")
    assert answer.headers["content-range"] == f"bytes */{size}"
    assert answer.texts("ActualObjectSize") == [str(size)]
    assert (head.status, head.body, head.headers["content-range"]) == (416, b"", f"bytes */{size}")


async def test_an_object_of_100_gb_is_read_at_its_far_end(desk) -> None:
    desk.files.put("/ns/train/a", 100_000_000_000)

    answer = await desk.ask("/train/a", {"range": "bytes=99999999990-"})

    assert (answer.status, answer.body) == (206, ramp(99_999_999_990, 100_000_000_000))


@pytest.mark.parametrize("hot", [True, False])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": "ETAG"}, 200),
        ({"if-match": '"other"'}, 412),
        ({"if-none-match": "ETAG"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-modified-since": SAME}, 304),
        ({"if-modified-since": BEFORE}, 200),
        ({"if-unmodified-since": SAME}, 200),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-match": "ETAG", "if-unmodified-since": BEFORE}, 200),
        ({"if-none-match": '"other"', "if-modified-since": SAME}, 200),
    ],
)
async def test_conditions_hold_hot_and_cold(desk, hot: bool, method: str, headers: dict[str, str], status: int) -> None:
    desk.files.hot = hot
    found = desk.files.put("/ns/train/a", 10, headers=(("cache-control", "max-age=5"),))

    answer = await desk.ask("/train/a", {n: v.replace("ETAG", found.etag) for n, v in headers.items()}, method=method)

    assert answer.status == status
    if status == 304:
        assert answer.body == b""
        assert {n: v for n, v in answer.headers.items() if n != "x-amz-request-id"} == {
            "etag": found.etag,
            "last-modified": SAME,
            "cache-control": "max-age=5",
        }
    if status == 412 and method == "GET":
        assert (answer.code, answer.texts("Condition")) == ("PreconditionFailed", [next(iter(headers)).title()])


async def test_not_modified_asks_for_no_byte_of_a_cold_object(desk) -> None:
    desk.files.hot = False
    found = desk.files.put("/ns/train/a", 10)

    await desk.ask("/train/a", {"if-none-match": found.etag})

    assert desk.files.calls["open"] == 0


@pytest.mark.parametrize("hot", [True, False])
async def test_a_failed_condition_stands_before_a_range_outside(desk, hot: bool) -> None:
    desk.files.hot = hot
    desk.files.put("/ns/train/a", 10)

    answer = await desk.ask("/train/a", {"if-match": '"other"', "range": "bytes=50-"})

    assert answer.status == 412


@pytest.mark.parametrize("hot", [True, False])
async def test_a_range_counts_only_while_if_range_holds(desk, hot: bool) -> None:
    desk.files.hot = hot
    found = desk.files.put("/ns/train/a", 10)

    same = await desk.ask("/train/a", {"range": "bytes=2-3", "if-range": found.etag})
    other = await desk.ask("/train/a", {"range": "bytes=2-3", "if-range": '"other"'})
    outside = await desk.ask("/train/a", {"range": "bytes=20-", "if-range": '"other"'})

    assert [(a.status, len(a.body)) for a in (same, other, outside)] == [(206, 2), (200, 10), (200, 10)]


async def test_stored_headers_come_back_and_the_wire_form_of_uploads_does_not(desk) -> None:
    stored = (
        ("content-encoding", "aws-chunked, gzip"),
        ("cache-control", "no-store"),
        ("x-amz-meta-mtime", "1.5"),
        ("x-amz-meta-name", "\u00fc"),
        ("connection", "close"),
        ("content-length", "3"),
    )
    desk.files.put("/ns/train/a", 10, headers=stored)
    desk.files.put("/ns/train/b", 10, headers=(("content-encoding", "aws-chunked"),))

    answer = await desk.ask("/train/a")
    bare = await desk.ask("/train/b")

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-amz-meta-mtime"] == "1.5"
    assert answer.headers["x-amz-meta-name"] == "\u00fc"
    assert not {"connection", "content-length"} & set(answer.headers)
    assert "content-encoding" not in bare.headers


async def test_checksums_come_only_when_asked_and_only_with_the_whole_object(desk) -> None:
    desk.files.put("/ns/train/a", 10, headers=(("x-amz-checksum-crc32", "AAAAAA=="),))
    enabled = {"x-amz-checksum-mode": "ENABLED"}

    silent = await desk.ask("/train/a")
    whole = await desk.ask("/train/a", enabled)
    part = await desk.ask("/train/a", {**enabled, "range": "bytes=0-3"})
    head = await desk.ask("/train/a", enabled, method="HEAD")

    assert ["x-amz-checksum-crc32" in a.headers for a in (silent, whole, part, head)] == [False, True, False, True]


async def test_stored_headers_come_back_the_same_at_every_read_however_it_is_put(desk) -> None:
    desk.files.put("/ns/train/a", 10, headers=(("x-amz-meta-a", "b"), ("x-amz-checksum-crc32", "AAAAAA==")))
    asked = ({}, {"x-amz-checksum-mode": "ENABLED"}, {"range": "bytes=0-3"}, {}, {"x-amz-checksum-mode": "ENABLED"})

    answers = [await desk.ask("/train/a", headers) for headers in asked]

    assert [answer.headers["x-amz-meta-a"] for answer in answers] == ["b"] * 5
    assert ["x-amz-checksum-crc32" in a.headers for a in answers] == [False, True, False, False, True]


def test_what_is_remembered_of_stored_headers_is_bounded() -> None:
    heads = ObjectHeads(HttpDates())
    replies = []

    for number in range(1000):
        meta = Meta(Version("v"), 1, '"v"', 0.0, "", (("x-amz-meta-a", str(number)),))
        replies.append(heads.of("ID", Opened(meta, Span(0, 1)), PLAIN, whole=True))

    assert all(b"x-amz-meta-a: %d\r\n" % number in reply for number, reply in enumerate(replies))
    assert heads.remembered <= 256


async def test_a_stored_header_with_a_line_break_never_reaches_a_client(desk) -> None:
    desk.files.put("/ns/train/a", 10, headers=(("x-amz-meta-a", "b\r\nset-cookie: c"),))

    answer = await desk.ask("/train/a")

    assert (answer.status, answer.code) == (500, "InternalError")
    assert len(desk.faults) == 1


async def test_a_wait_for_the_line_and_staleness_are_said(desk) -> None:
    desk.files.put("/ns/train/a", 10)
    desk.files.waited = Waited("bj-use1", "training", 0.8)
    desk.files.stale_seconds = 75.9

    answer = await desk.ask("/train/a")

    assert answer.headers["x-causeway-wait"] == "line=bj-use1;class=training;seconds=0.8"
    assert answer.headers["x-causeway-stale"] == "75"


async def test_version_null_is_the_object_and_no_other_version_exists(desk) -> None:
    desk.files.put("/ns/train/a", 10)

    null = await desk.ask("/train/a?versionId=null")
    head = await desk.ask("/train/a?versionId=null", method="HEAD")
    other = await desk.ask("/train/a?versionId=3sL4kqtJlcpXroDTDmJ")

    assert (null.status, head.status) == (200, 200)
    assert (other.status, other.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("name", ["", "-aws-kms-key-id", "-customer-algorithm", "-customer-key", "-customer-key-md5"])
async def test_encryption_headers_are_never_ignored(desk, name: str) -> None:
    desk.files.put("/ns/train/a", 10)

    answer = await desk.ask("/train/a", {f"x-amz-server-side-encryption{name}": "x"})

    assert (answer.status, answer.code) == (501, "NotImplemented")


async def test_head_gives_the_length_and_no_body(desk) -> None:
    desk.files.put("/ns/train/a", 12345, headers=(("x-amz-meta-a", "b"),))

    answer = await desk.ask("/train/a", method="HEAD")

    assert (answer.status, answer.length, answer.body) == (200, 12345, b"")
    assert answer.headers["x-amz-meta-a"] == "b"


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry_after"),
    [
        (OriginUnavailable("the origin is away", 1.2), 503, "ServiceUnavailable", "2"),
        (SlowDown("no room", 5.0), 503, "SlowDown", "5"),
        (OriginForbids("refused"), 403, "AccessDenied", None),
        (KeyRefused("no such key there"), 400, "InvalidURI", None),
        (VersionChanged("again"), 503, "ServiceUnavailable", None),
    ],
)
async def test_faults_below_have_one_code_each(desk, fault, status, code, retry_after) -> None:
    desk.files.put("/ns/train/a", 10)
    desk.files.faults["/ns/train/a"] = fault

    answer = await desk.ask("/train/a")
    head = await desk.ask("/train/a", method="HEAD")

    assert (answer.status, answer.code, answer.headers.get("retry-after")) == (status, code, retry_after)
    assert (head.status, head.body) == (status, b"")


async def test_a_key_that_is_not_there_is_404_and_a_bucket_that_is_not_there_too(desk, owner) -> None:
    key = await desk.ask("/train/nothing")
    bucket = await desk.ask("/nowhere/a", key=owner)
    head = await desk.ask("/train/nothing", method="HEAD")

    assert (key.status, key.code, key.texts("Resource")) == (404, "NoSuchKey", ["/train/nothing"])
    assert (bucket.status, bucket.code) == (404, "NoSuchBucket")
    assert (head.status, head.body) == (404, b"")


@pytest.mark.parametrize("key", ["a//b", "a/../b", "a/%2E%2E/b", "dir/", "a%20b%2Bc", "%E6%95%B0", "a/./b", "/lead"])
async def test_odd_keys_are_exactly_themselves(desk, key: str) -> None:
    desk.files.put("/ns/train/b", 5, shift=9)
    desk.files.put("/ns/train/a/b", 5, shift=9)
    exact = key.replace("%2E", ".").replace("%20", " ").replace("%2B", "+").replace("%E6%95%B0", "\u6570")
    desk.files.put(f"/ns/train/{exact}", 5)

    answer = await desk.ask(f"/train/{key}")

    assert (answer.status, answer.body) == (200, ramp(0, 5))


async def test_a_class_is_taken_from_the_header_only_if_the_key_allows_it(desk) -> None:
    desk.files.put("/ns/train/a", 10)

    await desk.ask("/train/a")
    await desk.ask("/train/a", {"x-causeway-class": "backfill"})
    await desk.ask("/train/a", {"x-causeway-class": "interactive"})

    assert [caller.payer.cls for caller in desk.files.callers] == ["training", "backfill", "training"]
    assert {caller.payer.tenant for caller in desk.files.callers} == {"rec"}


async def test_a_key_whose_grants_changed_is_another_caller_at_once(desk, trainer) -> None:
    desk.files.put("/ns/open/a", 10)
    before = await desk.ask("/open/a")

    desk.keys.adopt([replace(trainer, read=("/ns/train",))])
    after = await desk.ask("/open/a")

    assert (before.status, after.status) == (200, 403)
