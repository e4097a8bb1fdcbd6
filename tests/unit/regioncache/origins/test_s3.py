"""The S3 origin: ranged reads of one version, heads and lists, and what each of a store's answers means."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from regioncache.errors import (
    BadAnswer,
    CacheError,
    KeyRefused,
    NoSuchObject,
    OriginBusy,
    OriginForbids,
    OriginNeedsMending,
    OriginUnavailable,
    RangeOutside,
    Refused,
    Unanswered,
    VersionChanged,
    WrongVersion,
)
from regioncache.http.canonical import amz_date
from regioncache.http.client import Base, Client
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import ListAsk, Payer, Question
from regioncache.origins.credentials import from_env, unsigned
from regioncache.origins.s3 import S3Origin
from regioncache.pages import MIB, Span
from tests.fakes.asking import body, read, want
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3, S3Fault, other_range, reset, short_body, stall, status, wrong_etag

pytestmark = pytest.mark.anyio
WALL = 1_800_000_000.0


@pytest.fixture
async def s3() -> AsyncIterator[FakeS3]:
    async with FakeS3() as server:
        yield server


@pytest.fixture
async def origin(s3: FakeS3) -> AsyncIterator[S3Origin]:
    client = Client()
    yield S3Origin(
        "the bucket", Base.parse(s3.url), "data", from_env("B", {"B": "KEY:secret"}), client, wall=lambda: WALL
    )
    client.close()


def question(key: str = "k") -> Question:
    return Question(key, Payer("rec"))


# Reads.


async def test_a_read_sends_one_conditional_range_and_says_what_comes(s3: FakeS3, origin: S3Origin) -> None:
    made = s3.bucket("data").put("k", 3 * MIB, content_type="text/csv", headers=(("x-amz-meta-a", "1"),))

    reading = await origin.read(want(start=MIB, end=2 * MIB, version=made.etag), NoLine())

    assert reading.span == Span(MIB, 2 * MIB)
    assert reading.meta == replace(made.meta(WALL), headers=(("x-amz-meta-a", "1"),))
    assert await body(reading) == ramp(MIB, 2 * MIB)
    (heard,) = s3.heard
    assert (heard.method, heard.target) == ("GET", "/data/k")
    assert heard.headers["range"] == f"bytes={MIB}-{2 * MIB - 1}"
    assert heard.headers["if-match"] == made.etag
    assert heard.headers["accept-encoding"] == "identity"
    assert heard.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=KEY/")


async def test_what_waited_long_for_its_line_is_signed_when_it_leaves(s3: FakeS3) -> None:
    s3.bucket("data").put("k", 1000)
    now, client = WALL, Client()

    class Crowded(NoLine):
        @property
        def waited(self) -> float:
            return now - WALL

        async def prepay(self, length: int, buffer: int, round_trip: float = 0.0) -> None:
            nonlocal now
            now += 1000.0

    origin = S3Origin(
        "the bucket", Base.parse(s3.url), "data", from_env("B", {"B": "KEY:secret"}), client, wall=lambda: now
    )
    reading = await origin.read(want(), Crowded())
    await body(reading)
    client.close()

    assert s3.heard[0].headers["x-amz-date"] == amz_date(WALL + 1000.0).decode()
    assert reading.meta.learned_at == WALL + 1000.0


async def test_a_read_without_a_version_asks_for_the_newest(s3: FakeS3, origin: S3Origin) -> None:
    s3.bucket("data").put("k", 1000)

    assert await read(origin, want()) == ramp(0, 1000)
    assert "if-match" not in s3.heard[0].headers


async def test_what_comes_ends_where_the_object_ends(s3: FakeS3, origin: S3Origin) -> None:
    s3.bucket("data").put("k", MIB + 5)

    reading = await origin.read(want(start=MIB, end=64 * MIB), NoLine())

    assert (reading.span, reading.meta.size) == (Span(MIB, MIB + 5), MIB + 5)
    assert await body(reading) == ramp(MIB, MIB + 5)


async def test_200_with_the_whole_object_will_do_where_that_was_asked_for(s3: FakeS3, origin: S3Origin) -> None:
    s3.bucket("data").put("k", 1000)
    s3.next(S3Fault(whole=True))

    assert await read(origin, want(end=MIB)) == ramp(0, 1000)


@pytest.mark.parametrize(
    "key", ["a//b", "a/../b", "./k", "dir/", "sp ace", "pl+us", "per%2fcent", "ü", "q?x&y#z", "~*'()"]
)
async def test_an_odd_key_is_exactly_that_key(s3: FakeS3, origin: S3Origin, key: str) -> None:
    s3.bucket("data").put(key, 5)

    assert await read(origin, want(key)) == ramp(0, 5)
    assert s3.heard[0].place == ("data", key)


async def test_a_connection_is_used_again_after_a_whole_reply_and_after_an_error(s3: FakeS3, origin: S3Origin) -> None:
    s3.bucket("data").put("k", 1000)
    for _ in range(3):
        await read(origin, want())
        with pytest.raises(NoSuchObject):
            await read(origin, want("nowhere"))
        await origin.head(question(), NoLine())
        await origin.list(ListAsk(), question(""), NoLine())

    assert s3.accepted == 1


async def test_an_open_bucket_is_read_unsigned(s3: FakeS3, origin: S3Origin) -> None:
    s3.bucket("data").put("k", 5)

    assert await read(replace(origin, credentials=unsigned), want()) == ramp(0, 5)
    assert "authorization" not in s3.heard[0].headers


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (status(404), NoSuchObject),
        (status(403), OriginForbids),
        (status(401), OriginForbids),
        (status(412), VersionChanged),
        (status(500), OriginUnavailable),
        (status(502), OriginUnavailable),
        (status(429), OriginBusy),
        (status(503), OriginBusy),
        (status(400), KeyRefused),
        (status(301), OriginNeedsMending),
        (status(304), BadAnswer),
        (wrong_etag(), WrongVersion),
        (other_range(1), BadAnswer),
        (reset(), Unanswered),
    ],
    ids=lambda value: getattr(value, "__name__", "") or f"{value.status or 'other'}",
)
async def test_what_an_answer_means(s3: FakeS3, origin: S3Origin, fault: S3Fault, raised: type[CacheError]) -> None:
    made = s3.bucket("data").put("k", 1000)
    s3.next(fault)

    with pytest.raises(raised) as told:
        await read(origin, want(end=100, version=made.etag))

    assert told.type is raised
    assert await read(origin, want()) == ramp(0, 1000)


async def test_retry_after_is_obeyed_within_reason(s3: FakeS3, origin: S3Origin) -> None:
    for said, meant in (("7", 7.0), ("86400", 60.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0)):
        s3.next(status(503, retry_after=said))
        with pytest.raises(OriginBusy) as told:
            await read(origin, want())
        assert told.value.retry_after == meant


async def test_a_range_outside_tells_the_size(s3: FakeS3, origin: S3Origin) -> None:
    s3.bucket("data").put("k", 1000)

    with pytest.raises(RangeOutside) as outside:
        await read(origin, want(start=MIB, end=2 * MIB))

    assert outside.value.size == 1000


@pytest.mark.parametrize("fault", [short_body(500), reset(500)])
async def test_a_reply_that_ends_short_is_a_fault_and_never_padded(
    s3: FakeS3, origin: S3Origin, fault: S3Fault
) -> None:
    s3.bucket("data").put("k", 1000)
    s3.next(fault)

    reading = await origin.read(want(), NoLine())

    with pytest.raises(OriginUnavailable):
        await body(reading)


async def test_silence_is_given_up(s3: FakeS3, origin: S3Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regioncache.origins.s3.ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("regioncache.origins.s3.STALL_SECONDS", 0.05)
    s3.bucket("data").put("k", 1000)
    s3.next(stall(), stall(500))
    with pytest.raises(Unanswered):
        await read(origin, want())

    reading = await origin.read(want(), NoLine())

    with pytest.raises(Unanswered):
        await body(reading)


async def test_nobody_there_is_refused(s3: FakeS3, origin: S3Origin) -> None:
    await s3.away()

    with pytest.raises(Refused):
        await read(origin, want())


# Heads.


async def test_a_head_tells_the_newest_version_with_what_belongs_to_the_object(s3: FakeS3, origin: S3Origin) -> None:
    kept = (("cache-control", "no-cache"), ("content-encoding", "br"), ("x-amz-meta-owner", "ä"))
    made = s3.bucket("data").put("k", 1000, headers=(*kept, ("x-amz-version-id", "null")))

    meta = await origin.head(question(), NoLine())

    assert (meta.version, meta.size, meta.learned_at) == (made.etag, 1000, WALL)
    assert dict(meta.headers) == {**dict(kept), "x-amz-meta-owner": "ä".encode().decode("latin-1")}


@pytest.mark.parametrize(("code", "raised"), [(404, NoSuchObject), (403, OriginForbids), (500, OriginUnavailable)])
async def test_a_head_without_a_body_means_the_same(
    s3: FakeS3, origin: S3Origin, code: int, raised: type[CacheError]
) -> None:
    s3.always = status(code)

    with pytest.raises(raised):
        await origin.head(question(), NoLine())


# Lists.


async def test_a_list_asks_what_it_is_asked(s3: FakeS3, origin: S3Origin) -> None:
    for key in ("a/1", "a/2", "b+ü/1", "c"):
        s3.bucket("data").put(key, 7)

    page = await origin.list(ListAsk("", "a/1", "/", 2), question(""), NoLine())

    assert ([entry.key for entry in page.entries], page.prefixes) == (["c"], ("b+ü/",))
    query = s3.heard[0].query
    assert (query["list-type"], query["delimiter"], query["start-after"]) == ("2", "/", "a/1")
    assert json.loads(query["max-keys"]) == 2


async def test_a_list_is_read_page_by_page_to_its_end(s3: FakeS3, origin: S3Origin) -> None:
    names = sorted([f"d{n % 7}/k{n}" for n in range(40)] + ["x", "y"], key=str.encode)
    for name in names:
        s3.bucket("data").put(name, 1)
    for delimiter, expected in (("", names), ("/", [*(f"d{n}/" for n in range(7)), "x", "y"])):
        found, after = [], ""
        while True:
            page = await origin.list(ListAsk("", after, delimiter, 3), question(""), NoLine())
            found += sorted([entry.key for entry in page.entries] + list(page.prefixes))
            if page.next_after is None:
                break
            after = page.next_after
        assert found == expected


async def test_a_bucket_that_is_not_there_is_told(s3: FakeS3, origin: S3Origin) -> None:
    with pytest.raises(NoSuchObject):
        await origin.list(ListAsk(), question(""), NoLine())
