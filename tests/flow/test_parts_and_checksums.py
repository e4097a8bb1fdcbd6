"""partNumber, checksums and the headers of an object, through a door whose bucket is another region's."""

import pytest

from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3, status
from tests.flow.journeys import ask, get, kinds, landed
from tests.flow.world import FAR, MIB, two_regions

pytestmark = pytest.mark.anyio
SUM = (("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="), ("x-amz-checksum-type", "FULL_OBJECT"))
ENABLED = [(b"x-amz-checksum-mode", b"ENABLED")]


@pytest.mark.parametrize("peer", [True, False], ids=["by the far node", "by the endpoint"])
async def test_parts_are_read_across_regions_and_where_they_lie_is_asked_once(s3: FakeS3, peer: bool) -> None:
    s3.bucket("bucket1").put("k", 3 * MIB + 5, parts=(2 * MIB, MIB, 5))
    async with two_regions(s3.url) as regions:
        if not peer:
            await regions.stop(FAR)
        for _ in range(2):
            got = [await ask(regions, f"/ns/train/k?partNumber={number}") for number in (1, 2, 3)]
            await landed(regions)

            assert [one.status for one in got] == [206, 206, 206]
            assert b"".join(one.body for one in got) == ramp(0, 3 * MIB + 5)
            assert {one.headers["x-amz-mp-parts-count"] for one in got} == {"3"}
        asked = [heard.query["partNumber"] for heard in s3.heard if "partNumber" in heard.query]

        assert sorted(asked) == ["1", "2", "3"]
        assert all(h.headers["if-match"] for h in s3.heard if "partNumber" in h.query)
        assert s3.sent["k"] == 3 * MIB + 5
        assert set(kinds(regions)) <= {"unique", "meta"}
        assert (await ask(regions, "/ns/train/k?partNumber=4")).code == "InvalidPartNumber"


async def test_a_part_of_an_object_that_was_overwritten_is_one_of_the_new_version(s3: FakeS3) -> None:
    bucket = s3.bucket("bucket1")
    bucket.put("k", 1000, parts=(400, 600))
    async with two_regions(s3.url, mount={"consistency": {"max_age": "60s"}}) as regions:
        await get(regions, "k")
        bucket.put("k", 1000, shift=7, parts=(500, 500))

        got = await ask(regions, "/ns/train/k?partNumber=1")

        assert (got.status, got.headers["content-range"], got.body) == (206, "bytes 0-499/1000", ramp(0, 500, 7))


@pytest.mark.parametrize("peer", [True, False], ids=["by the far node", "by the endpoint"])
async def test_checksums_and_stored_headers_come_through(s3: FakeS3, peer: bool) -> None:
    stored = (
        ("Cache-Control", "max-age=60"),
        ("Content-Disposition", "attachment"),
        ("Content-Encoding", "gzip"),
        ("Content-Language", "de"),
        ("Expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
        ("x-amz-meta-colour", "bl\u00e4ulich"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-website-redirect-location", "/elsewhere"),
    )
    s3.bucket("bucket1").put("k", 1000, checksums=SUM, headers=stored)
    async with two_regions(s3.url) as regions:
        if not peer:
            await regions.stop(FAR)
        cold = await get(regions, "k")
        head = await ask(regions, "/ns/train/k", ENABLED, method=b"HEAD")
        whole = await ask(regions, "/ns/train/k", ENABLED)
        part = await ask(regions, "/ns/train/k", [*ENABLED, (b"range", b"bytes=0-9")])
        facts = await ask(regions, "/ns/train/k?attributes", [(b"x-amz-object-attributes", b"Checksum,StorageClass")])

        for got in (cold, head, whole, part):
            assert {name.lower(): got.headers[name.lower()] for name, _ in stored} == {
                name.lower(): value for name, value in stored
            }
        assert [SUM[0][0] in got.headers for got in (cold, head, whole, part)] == [False, True, True, False]
        assert head.headers["x-amz-checksum-type"] == "FULL_OBJECT"
        assert b"<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME>" in facts.body
        assert b"<StorageClass>STANDARD_IA</StorageClass>" in facts.body


async def test_a_store_that_refuses_the_question_for_checksums_is_asked_without(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 1000)
    async with two_regions(s3.url) as regions:
        await regions.stop(FAR)
        s3.next(status(501))

        refused = await ask(regions, "/ns/train/k", ENABLED, method=b"HEAD")
        again = await ask(regions, "/ns/train/k", ENABLED, method=b"HEAD")

        assert (refused.status, again.status) == (503, 200)
        assert "x-amz-checksum-mode" not in s3.heard[-1].headers
