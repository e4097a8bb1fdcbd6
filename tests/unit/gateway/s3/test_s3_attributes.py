"""GetObjectAttributes: what was asked for and is known, in S3's form."""

import pytest

pytestmark = pytest.mark.anyio
MULTIPART = '"0123456789abcdef0123456789abcdef-17"'
ALL = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"


async def test_everything_that_is_known_is_told(desk) -> None:
    headers = (
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
        ("x-amz-checksum-type", "FULL_OBJECT"),
        ("x-amz-storage-class", "STANDARD_IA"),
    )
    desk.files.put("/ns/train/a", 1234, headers=headers)

    answer = await desk.ask("/train/a?attributes", {"x-amz-object-attributes": ALL})

    assert answer.status == 200
    assert answer.xml.tag.endswith("}GetObjectAttributesResponse")
    assert [node.tag.rpartition("}")[2] for node in answer.xml] == ["ETag", "Checksum", "StorageClass", "ObjectSize"]
    assert answer.texts("ETag") == [desk.files.objects["/ns/train/a"].etag.strip('"')]
    assert (answer.texts("ChecksumCRC64NVME"), answer.texts("ChecksumType")) == (["AAAAAAAAAAA="], ["FULL_OBJECT"])
    assert (answer.texts("StorageClass"), answer.texts("ObjectSize")) == (["STANDARD_IA"], ["1234"])
    assert answer.headers["last-modified"].endswith("GMT")
    assert "x-amz-request-id" in answer.headers


async def test_an_object_uploaded_in_parts_tells_how_many(desk) -> None:
    desk.files.put("/ns/train/a", 10, tag=MULTIPART)

    answer = await desk.ask("/train/a?attributes", {"x-amz-object-attributes": "ObjectParts"})

    assert (answer.texts("PartsCount"), answer.texts("ETag")) == (["17"], [])


async def test_only_what_was_asked_for_is_told_however_it_was_listed(desk) -> None:
    desk.files.put("/ns/train/a", 10)
    request = desk.request("/train/a?attributes", {"x-amz-object-attributes": "ObjectSize , StorageClass,"})

    answer = await desk.send(request)

    assert [node.tag.rpartition("}")[2] for node in answer.xml] == ["StorageClass", "ObjectSize"]
    assert answer.texts("StorageClass") == ["STANDARD"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-amz-object-attributes": ""},
        {"x-amz-object-attributes": "ETag,Colour"},
        {"x-amz-object-attributes": "etag"},
        {"x-amz-object-attributes": "ETag", "x-amz-max-parts": "many"},
        {"x-amz-object-attributes": "ETag", "x-amz-part-number-marker": "-1"},
    ],
)
async def test_what_cannot_be_read_is_400(desk, headers: dict[str, str]) -> None:
    desk.files.put("/ns/train/a", 10)

    answer = await desk.ask("/train/a?attributes", headers)

    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert not desk.files.calls


async def test_paging_options_of_parts_are_taken(desk) -> None:
    desk.files.put("/ns/train/a", 10, tag=MULTIPART)
    headers = {"x-amz-object-attributes": "ObjectParts", "x-amz-max-parts": "1", "x-amz-part-number-marker": "3"}

    assert (await desk.ask("/train/a?attributes", headers)).status == 200


async def test_grants_and_versions_hold_as_for_the_object(desk, renter) -> None:
    desk.files.put("/ns/train/a", 10)
    asked = {"x-amz-object-attributes": "ETag"}

    assert (await desk.ask("/train/a?attributes", asked, key=renter)).code == "AccessDenied"
    assert (await desk.ask("/train/none?attributes", asked)).code == "NoSuchKey"
    assert (await desk.ask("/train/a?attributes&versionId=null", asked)).status == 200
    assert (await desk.ask("/train/a?attributes&versionId=1", asked)).code == "InvalidArgument"
