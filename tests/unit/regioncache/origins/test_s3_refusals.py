"""Refusals of a store: what is mended by asking once more, and what an operator is told where nothing mends it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from regioncache.errors import (
    BadAnswer,
    CacheError,
    NoSuchObject,
    OriginForbids,
    OriginNeedsMending,
)
from regioncache.http.client import Base, Client
from regioncache.http.sigv4 import Credentials
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import ListAsk, Payer, Question, Want
from regioncache.origins.credentials import from_env, unsigned
from regioncache.origins.s3 import REDIRECTS, REFUSED_SECONDS, S3Origin
from regioncache.pages import MIB, Span
from tests.fakes import asking
from tests.fakes.clock import FakeClock
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3, S3Fault, long_body, refused, stall, status

pytestmark = pytest.mark.anyio
WALL = 1_800_000_000.0
OLD, NEW = Credentials("OLD", "s"), Credentials("NEW", "s")
EXPIRED = refused(400, "ExpiredToken")


class Rotating:
    """Credentials that are others once the old ones were refused; counts how often they were."""

    def __init__(self, *following: Credentials) -> None:
        self.held, self._following = OLD, list(following)
        self.refusals = 0

    async def __call__(self, refused: Credentials | None = None) -> Credentials | None:
        if refused == self.held:
            self.refusals += 1
            self.held = self._following.pop(0) if self._following else self.held
        return self.held


@pytest.fixture
async def s3() -> AsyncIterator[FakeS3]:
    async with FakeS3() as server:
        server.bucket("data").put("k", 1000)
        yield server


@pytest.fixture
async def origin(s3: FakeS3) -> AsyncIterator[S3Origin]:
    client = Client()
    yield S3Origin(
        "the bucket",
        Base.parse(s3.url),
        "data",
        from_env("B", {"B": "KEY:secret"}),
        client,
        wall=lambda: WALL,
        clock=FakeClock(),
    )
    client.close()


async def read(origin: S3Origin, key: str = "k", end: int = MIB) -> bytes:
    return await asking.read(origin, asking.want(key, end=end))


def keys(s3: FakeS3) -> list[str]:
    """The access keys that requests were signed with, in order."""
    return [one.headers["authorization"].partition("Credential=")[2].partition("/")[0] for one in s3.heard]


# Credentials.


async def test_credentials_that_have_expired_are_renewed_once_and_the_read_goes_on(
    s3: FakeS3, origin: S3Origin
) -> None:
    origin = replace(origin, credentials=Rotating(NEW))
    s3.next(EXPIRED)

    assert await read(origin) == ramp(0, 1000)
    assert keys(s3) == ["OLD", "NEW"]


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "TokenRefreshRequired"])
async def test_credentials_that_stay_refused_are_one_clear_error(s3: FakeS3, origin: S3Origin, code: str) -> None:
    rotating = Rotating(NEW, Credentials("NEWER", "s"))
    origin = replace(origin, credentials=rotating)
    s3.always = refused(403, code)

    with pytest.raises(
        OriginNeedsMending, match=rf"the bucket: it does not accept .* credentials \({code}\); put valid"
    ):
        await read(origin)

    assert keys(s3) == ["OLD", "NEW"]
    assert rotating.refusals == 1


async def test_credentials_for_which_there_are_no_others_are_not_tried_twice(s3: FakeS3, origin: S3Origin) -> None:
    s3.always = EXPIRED

    with pytest.raises(OriginNeedsMending):
        await read(origin)

    assert len(s3.heard) == 1


async def test_a_store_that_refused_our_credentials_is_left_alone_for_a_while(s3: FakeS3, origin: S3Origin) -> None:
    clock = FakeClock()
    origin = replace(origin, clock=clock)
    s3.next(EXPIRED)
    for _ in range(100):
        with pytest.raises(OriginNeedsMending):
            await read(origin)
    assert len(s3.heard) == 1

    clock.advance(REFUSED_SECONDS)

    assert await read(origin) == ramp(0, 1000)


async def test_one_odd_key_with_a_wrong_signature_does_not_close_the_bucket(s3: FakeS3, origin: S3Origin) -> None:
    s3.next(refused(403, "SignatureDoesNotMatch"))
    with pytest.raises(OriginForbids, match="SignatureDoesNotMatch"):
        await read(origin, "a//b")

    assert await read(origin) == ramp(0, 1000)


async def test_an_object_that_is_forbidden_is_no_matter_of_credentials(s3: FakeS3, origin: S3Origin) -> None:
    rotating = Rotating(NEW)
    s3.next(refused(403, "AccessDenied"))

    with pytest.raises(OriginForbids):
        await read(replace(origin, credentials=rotating))

    assert rotating.refusals == 0


async def test_a_hundred_readers_renew_once(s3: FakeS3, origin: S3Origin) -> None:
    rotating = Rotating(NEW)
    origin = replace(origin, credentials=rotating)
    held = stall()
    s3.next(*(replace(EXPIRED, stall=-1, released=held.released) for _ in range(100)))
    readers = [asyncio.create_task(read(origin)) for _ in range(100)]
    while len(s3.heard) < 100:
        await asyncio.sleep(0.001)

    held.released.set()

    assert await asyncio.gather(*readers) == [ramp(0, 1000)] * 100
    assert rotating.refusals == 1


async def test_a_list_and_a_head_renew_too(s3: FakeS3, origin: S3Origin) -> None:
    for question in ("list", "head"):
        rotating = Rotating(NEW)
        fresh = replace(origin, credentials=rotating)
        s3.next(EXPIRED, *([EXPIRED] if question == "head" else []))
        if question == "list":
            page = await fresh.list(ListAsk(), Question("", Payer("rec")), NoLine())
            assert [entry.key for entry in page.entries] == ["k"]
        else:
            assert (await fresh.head(Question("k", Payer("rec")), NoLine())).size == 1000
        assert rotating.refusals == 1


async def test_an_open_bucket_that_wants_credentials_says_so(s3: FakeS3, origin: S3Origin) -> None:
    s3.next(refused(403, "InvalidAccessKeyId"))

    with pytest.raises(OriginNeedsMending):
        await read(replace(origin, credentials=unsigned))


# A HEAD has no body to say why it is refused.


@pytest.mark.parametrize(
    ("status_code", "code", "raised"),
    [
        (400, "ExpiredToken", OriginNeedsMending),
        (403, "InvalidAccessKeyId", OriginNeedsMending),
        (403, "AccessDenied", OriginForbids),
    ],
)
async def test_a_refused_head_is_explained_by_a_get_of_one_byte(
    s3: FakeS3, origin: S3Origin, status_code: int, code: str, raised: type[CacheError]
) -> None:
    s3.always = refused(status_code, code)

    with pytest.raises(raised):
        await origin.head(Question("k", Payer("rec")), NoLine())

    assert [(one.method, one.headers.get("range")) for one in s3.heard] == [("HEAD", None), ("GET", "bytes=0-0")]


async def test_where_only_get_is_allowed_that_answers_for_the_head(s3: FakeS3, origin: S3Origin) -> None:
    s3.next(status(403))

    meta = await origin.head(Question("k", Payer("rec")), NoLine())

    assert (meta.size, meta.version) == (1000, s3.bucket("data").objects["k"].etag)


# Clocks.


@pytest.mark.parametrize(
    ("ahead", "told"),
    [(2 * 86400, "our clock is 172800 s ahead of"), (-2 * 86400, "our clock is 172800 s behind"), (0, "differ")],
)
async def test_clocks_that_are_apart_are_named_with_the_remedy(
    s3: FakeS3, origin: S3Origin, ahead: int, told: str
) -> None:
    import email.utils

    s3.always = refused(403, "RequestTimeTooSkewed", date=email.utils.formatdate(WALL - ahead, usegmt=True))

    with pytest.raises(OriginNeedsMending, match=rf"{told}.*RequestTimeTooSkewed.*NTP"):
        await read(origin)


# Redirects.


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_a_redirect_within_the_host_is_followed_exactly(s3: FakeS3, origin: S3Origin, code: int) -> None:
    s3.bucket("data").put("a/../b//c", 1000)
    for location in ("/data/a/../b//c", f"{s3.url}/data/a/../b//c"):
        s3.next(status(code, location=location))

        assert await read(origin) == ramp(0, 1000)

        assert s3.heard[-1].target == "/data/a/../b//c"
        assert s3.heard[-1].headers["authorization"]


@pytest.mark.parametrize(
    ("location", "target"),
    [("", "/"), ("?x=1", "/?x=1"), ("#top", "/"), ("/data/a b\t\u00e9%20", "/data/a%20b%09%E9%20"), ("//b/k", "//b/k")],
)
async def test_a_redirect_whose_target_no_request_line_can_hold_is_asked_for_as_it_can(
    s3: FakeS3, origin: S3Origin, location: str, target: str
) -> None:
    from regioncache.origins.refusals import Refusal

    refusal = Refusal(307, location=f"{s3.url}{location}")

    assert (refusal.elsewhere(origin.base), refusal.target()) == ("", target.encode())


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://other.example.com/data/k", "http://other.example.com"),
        ("https://127.0.0.1/data/k", "https://127.0.0.1"),
        ("", "an address that it does not name"),
    ],
)
async def test_a_redirect_to_another_host_is_not_followed_and_names_the_remedy(
    s3: FakeS3, origin: S3Origin, location: str, told: str
) -> None:
    s3.next(status(307, **({"location": location} if location else {})))

    with pytest.raises(OriginNeedsMending, match=rf"redirects to {told}.*endpoint in the topology"):
        await read(origin)

    assert len(s3.heard) == 1


async def test_the_endpoint_that_s3_names_in_words_is_told(s3: FakeS3, origin: S3Origin) -> None:
    from regioncache.origins.refusals import Refusal

    body = b"<Error><Code>PermanentRedirect</Code><Endpoint>data.s3.eu-west-1.amazonaws.com</Endpoint></Error>"
    found = Refusal.parse(301, lambda name: None, body, WALL)

    assert found.elsewhere(origin.base) == "data.s3.eu-west-1.amazonaws.com"


async def test_redirects_in_a_circle_end(s3: FakeS3, origin: S3Origin) -> None:
    s3.always = status(301, location="/data/k")

    with pytest.raises(BadAnswer, match="in a circle"):
        await read(origin)

    assert len(s3.heard) == REDIRECTS + 1


# The signing region.


async def test_the_region_that_the_store_names_is_signed_for_from_then_on(s3: FakeS3, origin: S3Origin) -> None:
    s3.next(refused(400, "AuthorizationHeaderMalformed", x_amz_bucket_region="eu-west-1"))

    assert await read(origin) == ramp(0, 1000)
    assert await read(origin) == ramp(0, 1000)

    signed = [one.headers["authorization"].split("/")[2] for one in s3.heard]
    assert signed == ["us-east-1", "eu-west-1", "eu-west-1"]


# Answers that cannot be right.


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_what_is_stored_encoded_is_kept_as_it_is(s3: FakeS3, origin: S3Origin, encoding: str) -> None:
    s3.bucket("data").put("k", 1000, headers=(("content-encoding", encoding),))

    reading = await origin.read(Want("k", None, Span(0, MIB), Payer("rec")), NoLine())
    reading.close()

    assert dict(reading.meta.headers)["content-encoding"] == encoding
    assert await read(origin) == ramp(0, 1000)


async def test_a_whole_answer_that_is_encoded_will_do_only_for_a_version_that_is_known(
    s3: FakeS3, origin: S3Origin
) -> None:
    made = s3.bucket("data").put("k", 1000)
    fault = S3Fault(whole=True, also=(("content-encoding", "gzip"),))
    s3.next(fault, fault)
    with pytest.raises(BadAnswer, match="compressed although it was asked not to: is a proxy between"):
        await read(origin)

    known = Want("k", made.meta(WALL).version, Span(0, MIB), Payer("rec"))
    reading = await origin.read(known, NoLine())
    reading.close()

    assert reading.meta.size == 1000


async def test_a_weak_etag_is_no_version(s3: FakeS3, origin: S3Origin) -> None:
    s3.next(S3Fault(etag='W/"abc"'))

    with pytest.raises(BadAnswer, match="weak ETag"):
        await read(origin)


async def test_bytes_behind_the_body_are_nobodys_and_never_the_next_answer(s3: FakeS3, origin: S3Origin) -> None:
    s3.bucket("data").put("l", 1000, shift=9)
    s3.next(long_body(5000))

    assert await read(origin) == ramp(0, 1000)
    assert await read(origin, "l") == ramp(0, 1000, 9)
    assert s3.accepted == 2, "the connection with the surplus is not used again"


async def test_a_missing_object_is_still_just_missing(s3: FakeS3, origin: S3Origin) -> None:
    with pytest.raises(NoSuchObject):
        await origin.head(Question("nowhere", Payer("rec")), NoLine())

    assert [one.method for one in s3.heard] == ["HEAD"]
