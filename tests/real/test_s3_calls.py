"""What boto3 asks beyond reads and lists, over http and over https: presigned overrides, versions, attributes, sums."""

import gzip
import ssl
import urllib.error
import urllib.request
import zlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.bench.stage import own_region
from tests.fakes.ramp import ramp
from tests.real.lab.certificates import certificate
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.regions import BUCKET, HOME, credentials
from tests.real.lab.s3 import S3Server, versitygw

pytestmark = pytest.mark.real
SIZE = 300_000
KEYS = ["odd/a b+c", "odd/数据", "parts", "plain", "squeezed"]
SQUEEZED = gzip.compress(ramp(0, SIZE), mtime=0)
PART = 5 << 20
OVERRIDDEN = {
    "ResponseContentType": ("Content-Type", "text/plain; charset=utf-8"),
    "ResponseContentLanguage": ("Content-Language", "de-CH"),
    "ResponseExpires": ("Expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
    "ResponseCacheControl": ("Cache-Control", "private, max-age=0"),
    "ResponseContentDisposition": ("Content-Disposition", 'attachment; filename="a+b c.bin"'),
    "ResponseContentEncoding": ("Content-Encoding", "zstd"),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A running node, and boto3 as a client of its S3 door."""

    at: Node
    client: Any

    def fetch(self, url: str, headers: dict[str, str] | None = None) -> tuple[int, Message, bytes]:
        """What any http client gets for a URL."""
        tls = self.at.place.tls
        context = None if tls is None else ssl.create_default_context(cafile=str(tls.cert))
        try:
            request = urllib.request.Request(url, headers=headers or {})
            with urllib.request.urlopen(request, context=context, timeout=30) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.headers, refused.read()

    def presigned(self, key: str, **more: str) -> str:
        asked = {"Bucket": BUCKET, "Key": key, **more}
        return str(self.client.generate_presigned_url("get_object", Params=asked, ExpiresIn=600))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with versitygw(tmp_path_factory.mktemp("origin")) as server:
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        stored = {"ContentType": "image/png", "CacheControl": "max-age=9", "ContentLanguage": "fr"}
        for shift, key in enumerate(KEYS):
            if key not in {"parts", "squeezed"}:
                put = {**stored, "Body": ramp(0, SIZE, shift), "ChecksumAlgorithm": "CRC32"}
                client.put_object(Bucket=BUCKET, Key=key, **put)
        client.put_object(Bucket=BUCKET, Key="squeezed", Body=SQUEEZED, ContentEncoding="gzip")
        upload = client.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
        parts = []
        for number, body in enumerate([ramp(0, PART), ramp(PART, PART + 1000)], start=1):
            named = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload, "PartNumber": number}
            parts.append({"PartNumber": number, "ETag": client.upload_part(**named, Body=body)["ETag"]})
        client.complete_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
        yield server


@pytest.fixture(scope="module", params=["http", "https"])
def stage(request: pytest.FixtureRequest, store: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp(request.param)
    tls = certificate(directory) if request.param == "https" else None
    with node(Place(HOME, directory / HOME, tls=tls), env=credentials()) as running:
        running.apply(own_region(store.url))
        yield Stage(running, running.client(running.key("reader", "rec", "/ns/data")))


@pytest.mark.parametrize("span", [None, (7, 9)], ids=["whole", "range"])
def test_a_presigned_url_with_every_override_shows_them_instead_of_what_is_stored(
    stage: Stage, span: tuple[int, int] | None
):
    url = stage.presigned("odd/a b+c", **{name: value for name, (_, value) in OVERRIDDEN.items()})

    status, headers, body = stage.fetch(url, {"Range": f"bytes={span[0]}-{span[1]}"} if span else None)

    assert (status, body) == ((206, ramp(7, 10)) if span else (200, ramp(0, SIZE)))
    assert {name: headers[name] for name, _ in OVERRIDDEN.values()} == dict(OVERRIDDEN.values())


@pytest.mark.parametrize("name", sorted(OVERRIDDEN))
def test_a_presigned_url_with_one_override_leaves_the_rest_and_is_void_when_changed(stage: Stage, name: str):
    header, value = OVERRIDDEN[name]
    stored = {"Content-Type": "image/png", "Cache-Control": "max-age=9", "Content-Language": "fr"}
    url = stage.presigned("plain", **{name: value})

    status, headers, body = stage.fetch(url)
    changed, _, fault = stage.fetch(url.replace("response-", "response-content-", 1))

    assert (status, body) == (200, ramp(0, SIZE, KEYS.index("plain")))
    assert {one: headers[one] for one in (*stored, header)} == {**stored, header: value}
    assert (changed, b"SignatureDoesNotMatch" in fault) == (403, True)


def test_what_is_stored_encoded_is_sent_as_it_is_stored(stage: Stage):
    got = stage.client.get_object(Bucket=BUCKET, Key="squeezed")
    head = stage.client.head_object(Bucket=BUCKET, Key="squeezed")
    part = stage.client.get_object(Bucket=BUCKET, Key="squeezed", Range="bytes=5-99")

    assert got["ContentEncoding"] == head["ContentEncoding"] == part["ContentEncoding"] == "gzip"
    assert got["ContentLength"] == head["ContentLength"] == len(SQUEEZED)
    assert got["Body"].read() == SQUEEZED
    assert part["Body"].read() == SQUEEZED[5:100]


def test_every_object_is_a_version_called_null_in_pages_and_by_delimiter(stage: Stage):
    pages = stage.client.get_paginator("list_object_versions").paginate
    whole = list(pages(Bucket=BUCKET, PaginationConfig={"PageSize": 2}))
    rolled = list(pages(Bucket=BUCKET, Delimiter="/", PaginationConfig={"PageSize": 1}))
    found = [version for page in whole for version in page["Versions"]]

    assert len(whole) == 3
    assert [(one["Key"], one["VersionId"], one["IsLatest"]) for one in found] == [(key, "null", True) for key in KEYS]
    assert [one["ETag"] for one in found] == [
        stage.client.head_object(Bucket=BUCKET, Key=key, VersionId="null")["ETag"] for key in KEYS
    ]
    assert [one["Key"] for page in rolled for one in page.get("Versions", ())] == ["parts", "plain", "squeezed"]
    assert [one["Prefix"] for page in rolled for one in page.get("CommonPrefixes", ())] == ["odd/"]


def test_attributes_are_those_of_the_object(stage: Stage):
    def attributes(key: str, *wanted: str) -> Any:
        return stage.client.get_object_attributes(Bucket=BUCKET, Key=key, ObjectAttributes=list(wanted))

    plain = attributes("plain", "ETag", "ObjectSize", "StorageClass", "Checksum")
    parts = attributes("parts", "ObjectParts", "ObjectSize")

    assert plain["ObjectSize"] == SIZE
    assert plain["StorageClass"] == "STANDARD"
    assert f'"{plain["ETag"]}"' == stage.client.head_object(Bucket=BUCKET, Key="plain")["ETag"]
    assert plain["Checksum"]["ChecksumCRC32"] == crc32(ramp(0, SIZE, KEYS.index("plain")))
    assert (parts["ObjectParts"]["TotalPartsCount"], parts["ObjectSize"]) == (2, PART + 1000)
    assert "ETag" not in parts
    with pytest.raises(ClientError, match="NoSuchKey"):
        attributes("none", "ETag")


def test_checksums_come_when_they_are_asked_for_and_are_those_of_the_bytes(stage: Stage):
    named, wanted = {"Bucket": BUCKET, "Key": "odd/数据"}, crc32(ramp(0, SIZE, KEYS.index("odd/数据")))

    head = stage.client.head_object(**named, ChecksumMode="ENABLED")
    got = stage.client.get_object(**named, ChecksumMode="ENABLED")
    part = stage.client.get_object(**named, ChecksumMode="ENABLED", Range="bytes=0-9")

    assert head["ChecksumCRC32"] == got["ChecksumCRC32"] == wanted
    assert got["Body"].read() == ramp(0, SIZE, KEYS.index("odd/数据"))
    assert "ChecksumCRC32" not in part


def crc32(body: bytes) -> str:
    return b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
