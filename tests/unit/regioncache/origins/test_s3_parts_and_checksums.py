"""The S3 origin's rarer questions: where a part lies, and which checksums an object was stored with."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from regioncache.errors import NoSuchObject, NotSupported, RangeOutside, VersionChanged
from regioncache.http.client import Base, Client
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import Part, Payer, Question, Want
from regioncache.origins.credentials import from_env
from regioncache.origins.s3 import S3Origin
from regioncache.pages import Meta, Span, Version
from tests.fakes.s3server import FakeS3, status

pytestmark = pytest.mark.anyio


@pytest.fixture
async def s3() -> AsyncIterator[FakeS3]:
    async with FakeS3() as server:
        yield server


@pytest.fixture
async def origin(s3: FakeS3) -> AsyncIterator[S3Origin]:
    client = Client()
    yield S3Origin("the bucket", Base.parse(s3.url), "data", from_env("B", {"B": "KEY:secret"}), client)
    client.close()


def question(key: str = "k") -> Question:
    return Question(key, Payer("rec"))


async def read(origin: S3Origin) -> Meta:
    """What a read of the first bytes tells of the object."""
    reading = await origin.read(Want("k", None, Span(0, 1 << 20), Payer("rec")), NoLine())
    while await reading.receive(memoryview(bytearray(1000))):
        pass
    reading.close()
    return reading.meta


async def part(origin: S3Origin, number: int, version: str, key: str = "k") -> Part:
    return await origin.part(question(key), number, Version(version), NoLine())


async def test_a_part_is_asked_for_by_one_conditional_head(s3: FakeS3, origin: S3Origin) -> None:
    made = s3.bucket("data").put("k", 30, parts=(10, 20))

    assert await part(origin, 2, made.etag) == Part(Span(10, 30), 2)

    (heard,) = s3.heard
    assert (heard.method, heard.target) == ("HEAD", "/data/k?partNumber=2")
    assert heard.headers["if-match"] == made.etag


async def test_a_part_of_another_version_or_of_none_is_a_fault(s3: FakeS3, origin: S3Origin) -> None:
    made = s3.bucket("data").put("k", 30, parts=(10, 20))

    with pytest.raises(VersionChanged):
        await part(origin, 1, '"other"')
    with pytest.raises(RangeOutside):
        await part(origin, 3, made.etag)
    with pytest.raises(NoSuchObject):
        await part(origin, 1, made.etag, "none")


async def test_a_store_that_passes_part_numbers_over_or_refuses_them_tells_no_parts(
    s3: FakeS3, origin: S3Origin
) -> None:
    made = s3.bucket("data").put("k", 30)

    assert await part(origin, 1, made.etag) == Part(Span(0, 30), 1)
    with pytest.raises(NotSupported, match="read the object by ranges"):
        await part(origin, 2, made.etag)
    s3.next(status(501))
    with pytest.raises(NotSupported, match="read the object by ranges"):
        await part(origin, 1, made.etag)


async def test_checksums_are_asked_for_only_by_a_head_that_shall_tell_them(s3: FakeS3, origin: S3Origin) -> None:
    told = (("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-type", "FULL_OBJECT"))
    s3.bucket("data").put("k", 30, checksums=told)

    plain = await origin.head(question(), NoLine())
    asked = await origin.head(replace(question(), checksums=True), NoLine())
    await read(origin)

    assert (plain.headers, asked.headers) == ((), told)
    assert ["x-amz-checksum-mode" in heard.headers for heard in s3.heard] == [False, True, False]


async def test_a_checksum_that_comes_with_a_range_is_not_taken_for_the_objects(s3: FakeS3, origin: S3Origin) -> None:
    s3.bucket("data").put(
        "k", 30, headers=(("x-amz-checksum-crc32", "of-a-part"), ("x-amz-storage-class", "GLACIER_IR"))
    )

    meta = await read(origin)

    assert meta.headers == (("x-amz-storage-class", "GLACIER_IR"),)


async def test_the_class_that_an_object_has_without_a_word_is_not_carried_along(s3: FakeS3, origin: S3Origin) -> None:
    s3.bucket("data").put("k", 30, headers=(("x-amz-storage-class", "STANDARD"), ("x-amz-meta-a", "b")))

    meta = await read(origin)

    assert meta.headers == (("x-amz-meta-a", "b"),)
