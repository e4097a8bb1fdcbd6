"""boto3 against the door on a real server and a real socket."""

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from regioncache.http.server import Server
from regioncache.pages import MIB
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio

ODD = [
    "a//b",
    "a/../b",
    "dir/",
    "sp ace",
    "pl+us",
    "per%2Fcent",
    "\u6570\u636e",
    "amp&<>\"'",
    "tab\tcr\r",
    "q?h#",
    "\x01ctl",
    "~_-.",
]


@asynccontextmanager
async def served(desk: Any) -> AsyncIterator[str]:
    """The door's URL while it is served."""
    server = Server(desk.door)
    host, port = await server.listen(("127.0.0.1", 0))
    try:
        yield f"http://{host}:{port}"
    finally:
        await server.stop(5.0)


async def using(desk: Any, key: Any, work: Callable[[Any], Any], style: str = "path") -> Any:
    """Runs `work` with a boto3 client, in a thread."""

    def run(url: str) -> Any:
        config = Config(signature_version="s3v4", retries={"max_attempts": 1}, s3={"addressing_style": style})
        session = boto3.session.Session(key.id, key.secret, region_name="us-east-1")
        if style == "virtual":
            url = url.replace("127.0.0.1", "s3.localhost")
        client = session.client("s3", endpoint_url=url, config=config)
        try:
            return work(client)
        finally:
            client.close()

    async with served(desk) as url:
        return await asyncio.to_thread(run, url)


def code_of(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        call()
    response = refused.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


async def test_boto3_gets_heads_and_reads_ranges(desk, trainer) -> None:
    desk.files.put("/ns/train/a", 3 * MIB + 7, content_type="image/png", headers=(("x-amz-meta-k", "v"),))

    def work(s3: Any) -> None:
        got = s3.get_object(Bucket="train", Key="a")
        assert got["Body"].read() == ramp(0, 3 * MIB + 7)
        assert (got["ContentType"], got["Metadata"], got["ContentLength"]) == ("image/png", {"k": "v"}, 3 * MIB + 7)
        part = s3.get_object(Bucket="train", Key="a", Range="bytes=100-199", IfMatch=got["ETag"])
        assert (part["Body"].read(), part["ContentRange"]) == (ramp(100, 200), f"bytes 100-199/{3 * MIB + 7}")
        tail = s3.get_object(Bucket="ns", Key="train/a", Range="bytes=-5")
        assert tail["Body"].read() == ramp(3 * MIB + 2, 3 * MIB + 7)
        head = s3.head_object(Bucket="causeway", Key="train/a")
        assert (head["ContentLength"], head["ETag"], head["LastModified"]) == (
            3 * MIB + 7,
            got["ETag"],
            got["LastModified"],
        )

    await using(desk, trainer, work)


async def test_boto3_reads_and_lists_by_virtual_host_style(domain_desk, trainer, monkeypatch) -> None:
    found = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: found("127.0.0.1", *rest, **more))
    domain_desk.files.put("/ns/train/a//b c+d", 1000)

    def work(s3: Any) -> None:
        got = s3.get_object(Bucket="ns", Key="train/a//b c+d", Range="bytes=100-199")
        assert got["Body"].read() == ramp(100, 200)
        assert [e["Key"] for e in s3.list_objects_v2(Bucket="train")["Contents"]] == ["a//b c+d"]
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["train"]
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "train", "Key": "a//b c+d"})
        assert url.startswith("http://train.s3.localhost:")
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == ramp(0, 1000)

    await using(domain_desk, trainer, work, "virtual")


async def test_boto3_sees_conditions_and_faults_as_from_s3(desk, trainer) -> None:
    found = desk.files.put("/ns/train/a", 10)

    def work(s3: Any) -> None:
        same = {"Bucket": "train", "Key": "a", "IfNoneMatch": found.etag}
        assert code_of(lambda: s3.get_object(**same)) == (304, "304")
        assert code_of(lambda: s3.head_object(**same)) == (304, "304")
        since = s3.head_object(Bucket="train", Key="a")["LastModified"]
        assert code_of(lambda: s3.get_object(Bucket="train", Key="a", IfModifiedSince=since)) == (304, "304")
        assert code_of(lambda: s3.get_object(Bucket="train", Key="a", IfMatch='"x"')) == (412, "PreconditionFailed")
        assert code_of(lambda: s3.get_object(Bucket="train", Key="a", Range="bytes=50-")) == (416, "InvalidRange")
        assert code_of(lambda: s3.get_object(Bucket="train", Key="b")) == (404, "NoSuchKey")
        assert code_of(lambda: s3.head_object(Bucket="train", Key="b")) == (404, "404")
        assert code_of(lambda: s3.get_object(Bucket="secret", Key="b")) == (403, "AccessDenied")
        assert code_of(lambda: s3.head_bucket(Bucket="secret")) == (403, "403")
        assert code_of(lambda: s3.put_object(Bucket="train", Key="b", Body=b"x")) == (501, "NotImplemented")
        assert code_of(lambda: s3.delete_object(Bucket="train", Key="a")) == (501, "NotImplemented")
        assert s3.get_object(Bucket="train", Key="a")["Body"].read() == ramp(0, 10)

    await using(desk, trainer, work)


async def test_boto3_lists_with_every_option(desk, trainer) -> None:
    for name in ["a/1", "a/2", "b/1", "c", "d"]:
        desk.files.put(f"/ns/train/{name}", 5)

    def work(s3: Any) -> None:
        for method in ("list_objects_v2", "list_objects"):
            paginator = s3.get_paginator(method)
            pages = list(paginator.paginate(Bucket="train", PaginationConfig={"PageSize": 2}))
            assert [e["Key"] for page in pages for e in page["Contents"]] == ["a/1", "a/2", "b/1", "c", "d"]
            pages = list(paginator.paginate(Bucket="train", Delimiter="/", PaginationConfig={"PageSize": 1}))
            assert [e["Key"] for page in pages for e in page.get("Contents", ())] == ["c", "d"]
            assert [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", ())] == ["a/", "b/"]
        page = s3.list_objects_v2(Bucket="train", Prefix="a/", StartAfter="a/1", FetchOwner=True)
        assert [(e["Key"], e["Size"], e["Owner"]["ID"]) for e in page["Contents"]] == [("a/2", 5, "causeway")]
        assert (page["KeyCount"], page["IsTruncated"], page["StartAfter"]) == (1, False, "a/1")
        assert [e["Key"] for e in s3.list_objects(Bucket="train", Marker="b/1")["Contents"]] == ["c", "d"]
        assert s3.list_objects_v2(Bucket="train", MaxKeys=0)["KeyCount"] == 0
        head = s3.head_object(Bucket="train", Key="c")
        entry = s3.list_objects_v2(Bucket="train", Prefix="c")["Contents"][0]
        assert (entry["ETag"], entry["LastModified"]) == (head["ETag"], head["LastModified"])

    await using(desk, trainer, work)


async def test_boto3_lists_and_reads_odd_keys_exactly(desk, trainer) -> None:
    for shift, key in enumerate(ODD):
        desk.files.put(f"/ns/train/{key}", 20, shift=shift)

    def work(s3: Any) -> None:
        for method in (s3.list_objects_v2, s3.list_objects):
            assert [e["Key"] for e in method(Bucket="train")["Contents"]] == sorted(ODD)
        for shift, key in enumerate(ODD):
            assert s3.get_object(Bucket="train", Key=key)["Body"].read() == ramp(0, 20, shift)
            assert [e["Key"] for e in s3.list_objects_v2(Bucket="train", Prefix=key)["Contents"]] == [key]

    await using(desk, trainer, work)


async def test_boto3_knows_its_buckets(desk, trainer) -> None:
    desk.files.put("/ns/train/a", 1)
    desk.files.put("/ns/open/a", 1)
    desk.files.put("/ns/secret/a", 1)

    def work(s3: Any) -> None:
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["open", "train"]
        assert s3.head_bucket(Bucket="train")["BucketRegion"] == "us-east-1"
        assert s3.get_bucket_location(Bucket="train")["LocationConstraint"] is None
        assert "Status" not in s3.get_bucket_versioning(Bucket="train")
        assert s3.get_bucket_acl(Bucket="train")["Grants"][0]["Permission"] == "FULL_CONTROL"
        assert s3.get_object_tagging(Bucket="train", Key="a")["TagSet"] == []

    await using(desk, trainer, work)


async def test_a_url_that_boto3_presigned_opens_in_any_client_until_it_expires(desk, trainer) -> None:
    desk.files.put("/ns/train/a b", 10)

    def fetch(url: str) -> tuple[int, str, bytes]:
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.headers["Content-Type"], refused.read()

    def work(s3: Any) -> None:
        asked = {"Bucket": "train", "Key": "a b", "ResponseContentType": "text/plain"}
        url = s3.generate_presigned_url("get_object", Params=asked, ExpiresIn=60)
        assert fetch(url) == (200, "text/plain", ramp(0, 10))
        assert fetch(url.replace("text%2Fplain", "text%2Fhtml"))[0] == 403
        desk.clock.advance(61)
        status, _, body = fetch(url)
        assert (status, b"Request has expired" in body) == (403, True)

    await using(desk, trainer, work)


async def test_a_reply_that_breaks_below_is_short_on_the_wire_never_padded(desk, trainer) -> None:
    desk.files.put("/ns/train/a", 2 * MIB)
    desk.files.breaks_at = MIB

    async with served(desk) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        request = desk.request("/train/a")
        lines = b"".join(b"%b: %b\r\n" % pair for pair in request.headers)
        writer.write(b"GET /train/a HTTP/1.1\r\n" + lines + b"\r\n")
        received = await reader.read()
        with_body = received.partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    assert b"Content-Length: 2097152" in with_body[0]
    assert with_body[2] == ramp(0, len(with_body[2]))
    assert len(with_body[2]) <= MIB
