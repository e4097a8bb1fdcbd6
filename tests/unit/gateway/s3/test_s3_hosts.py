"""Virtual-host style: the bucket stands in the Host, the signature covers what was sent, and path style stays."""

import pytest

from gateway.s3.hosts import Hosts

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        (b"train.s3.localhost", "train"),
        (b"train.s3.localhost:9000", "train"),
        (b"train.s3.localhost:", "train"),
        (b"train.s3.localhost.:9000", "train"),
        (b"Train.S3.LOCALHOST:9000", "train"),
        (b"open.data.v1.s3.localhost:9000", "open.data.v1"),
        (b"s3.localhost:9000", ""),
        (b"S3.localhost", ""),
        (b"localhost:9000", ""),
        (b"trains3.localhost", ""),
        (b"train.s3.localhost.evil.test", ""),
        (b"door.test:9000", ""),
        (b"127.0.0.1:9000", ""),
        (b"[::1]:9000", ""),
        (b"[::1]", ""),
        (b".s3.localhost", ""),
        (b"train.s3.localhost:port", ""),
        (b"", ""),
        (b"\xff.s3.localhost.", "ÿ"),
    ],
)
def test_the_host_names_the_bucket_or_means_path_style(host: bytes, bucket: str) -> None:
    hosts = Hosts("s3.localhost")

    assert hosts.bucket(host) == bucket
    assert hosts.bucket(host) == bucket  # what is remembered is the same


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("train.s3.localhost:9000", "/a//b"),
        ("TRAIN.s3.localhost:9000", "/a//b"),
        ("ns.s3.localhost:9000", "/train/a//b"),
        ("causeway.s3.localhost", "/train/a//b"),
        ("s3.localhost:9000", "/train/a//b"),
        ("127.0.0.1:9000", "/train/a//b"),
        ("elsewhere.test", "/ns/train/a//b"),
    ],
)
@pytest.mark.parametrize("expires", [None, 60])
async def test_one_object_is_read_by_every_style(domain_desk, host, target, expires) -> None:
    domain_desk.files.put("/ns/train/a//b", body=b"the object")

    got = await domain_desk.ask(target, host=host, expires=expires)

    assert (got.status, got.body) == (200, b"the object")


async def test_a_key_that_begins_with_the_buckets_name_keeps_it(domain_desk) -> None:
    domain_desk.files.put("/ns/train/train/a", body=b"deeper")

    got = await domain_desk.ask("/train/a", host="train.s3.localhost")

    assert got.body == b"deeper"


async def test_a_key_is_decoded_once_and_may_begin_with_a_slash(domain_desk) -> None:
    domain_desk.files.put("/ns/train//a/../%2e", body=b"odd")

    got = await domain_desk.ask("//a/../%252e", host="train.s3.localhost")

    assert got.body == b"odd"


async def test_a_bucket_with_dots_is_a_bucket(domain_desk, owner) -> None:
    domain_desk.files.put("/ns/open.data.v1/a", body=b"dots")

    got = await domain_desk.ask("/a", host="open.data.v1.s3.localhost", key=owner)

    assert got.body == b"dots"


async def test_the_root_of_a_buckets_host_is_its_list_and_that_of_the_domain_lists_buckets(domain_desk) -> None:
    domain_desk.files.put("/ns/train/a")

    keys = await domain_desk.ask("/?list-type=2", host="train.s3.localhost")
    head = await domain_desk.ask("/", host="train.s3.localhost", method="HEAD")
    buckets = await domain_desk.ask("/", host="s3.localhost")

    assert (keys.texts("Name")[0], keys.texts("Key")) == ("train", ["a"])
    assert (head.status, head.headers["x-amz-bucket-region"]) == (200, "us-east-1")
    assert "train" in buckets.texts("Name")


async def test_a_signature_for_one_buckets_host_opens_no_other(domain_desk) -> None:
    domain_desk.files.put("/ns/train/a")
    domain_desk.files.put("/ns/open/a")
    request = domain_desk.request("/a", host="train.s3.localhost")
    request.headers[:] = [(n, b"open.s3.localhost" if n == b"host" else v) for n, v in request.headers]
    request.first[b"host"] = b"open.s3.localhost"

    assert (await domain_desk.send(request)).code == "SignatureDoesNotMatch"


async def test_the_grants_are_held_against_the_bucket_of_the_host(domain_desk, renter) -> None:
    domain_desk.files.put("/ns/train/a")

    got = await domain_desk.ask("/a", host="train.s3.localhost", key=renter)

    assert (got.status, got.code) == (403, "AccessDenied")
    assert not domain_desk.files.calls


async def test_an_error_and_the_log_name_the_object_with_its_bucket(domain_desk) -> None:
    got = await domain_desk.ask("/no%20such?x-id=GetObject", host="train.s3.localhost:9000")

    assert (got.code, got.texts("Resource")) == ("NoSuchKey", ["/train/no%20such"])
    assert domain_desk.log.told[-1].path == "/train/no%20such"


async def test_a_bucket_that_is_not_there_is_told_as_such(domain_desk, owner) -> None:
    got = await domain_desk.ask("/a", host="nowhere.s3.localhost", key=owner)

    assert (got.status, got.code, got.texts("BucketName")) == (404, "NoSuchBucket", ["nowhere"])


@pytest.mark.parametrize("host", ["a/b.s3.localhost", "x" * 300 + ".s3.localhost", "tr\u00e4in.s3.localhost"])
async def test_a_host_that_no_bucket_can_have_is_an_invalid_bucket_name(domain_desk, host) -> None:
    request = domain_desk.request("/a", key=None)
    request.first[b"host"] = host.encode("latin-1")

    assert (await domain_desk.send(request)).code == "InvalidBucketName"


async def test_without_a_domain_every_host_is_path_style(desk) -> None:
    desk.files.put("/ns/train/a", body=b"path")

    assert (await desk.ask("/train/a", host="train.s3.localhost")).body == b"path"


def test_hosts_of_strangers_are_not_remembered_without_bound() -> None:
    hosts = Hosts("s3.localhost")
    for number in range(5000):
        hosts.bucket(b"x%d.s3.localhost" % number)

    assert hosts.remembered <= 1024
