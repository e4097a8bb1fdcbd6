"""Unchanged clients: boto3, aws-cli and pyarrow read what is homed in another region, over http and over https.

Each is run through `s3://data/...`, `s3://ns/data/...` and `s3://causeway/data/...`: three names of one path.
"""

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from botocore.exceptions import ClientError
from pyarrow import fs

from tests.fakes.ramp import ramp
from tests.real.lab.certificates import certificate
from tests.real.lab.regions import BUCKET, Regions, policy, two_regions
from tests.real.lab.s3 import S3Server, versitygw
from tests.real.lab.sign import Keys

pytestmark = pytest.mark.real
KIB, MIB = 1 << 10, 1 << 20
AWS = Path(sys.executable).with_name("aws")
SIZES = {
    "tree/empty": 0,
    "tree/a/one": 1,
    "tree/a/two words": 1000,
    "tree/b/pl+us": 100 * KIB,
    "tree/b/数据": MIB + 1,
    "tree/b/c/deep~_-.": 3 * MIB,
    "tree/last": 9 * MIB + 7,
}
KEYS = sorted(SIZES, key=str.encode)
BIG = "tree/last"
NAMES = [("data", ""), ("ns", "data/"), ("causeway", "data/")]
every_name = pytest.mark.parametrize(("bucket", "prefix"), NAMES, ids=[bucket for bucket, _ in NAMES])


@dataclass(frozen=True, slots=True)
class Stage:
    """The running pair, and a key for all of it; clients ask the away region."""

    regions: Regions
    keys: Keys
    directory: Path

    @property
    def url(self) -> str:
        return self.regions.away.url

    @property
    def authority(self) -> str | None:
        tls = self.regions.away.place.tls
        return None if tls is None else str(tls.cert)

    def boto(self) -> Any:
        return self.regions.away.client(self.keys)

    def aws(self, *args: str) -> str:
        """Runs aws-cli with nothing but keys, region and endpoint set; returns what it prints."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "AWS_ACCESS_KEY_ID": self.keys.access,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONIOENCODING": "utf-8",
        }
        if self.authority:
            env["AWS_CA_BUNDLE"] = self.authority
        done = subprocess.run([AWS, *args], env=env, capture_output=True, text=True, check=False, timeout=100)
        if done.returncode:
            raise ChildProcessError(f"aws {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def fetch(self, url: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """What any http client gets for a URL."""
        context = ssl.create_default_context(cafile=self.authority) if self.authority else None
        request = urllib.request.Request(url, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with versitygw(tmp_path_factory.mktemp("origin")) as server:
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        for shift, key in enumerate(KEYS):
            put = {"ContentType": "image/png", "Metadata": {"colour": "blue"}} if key == BIG else {}
            client.put_object(Bucket=BUCKET, Key=key, Body=ramp(0, SIZES[key], shift), **put)
        yield server


@pytest.fixture(scope="module", params=["http", "https"])
def stage(request: pytest.FixtureRequest, store: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp(request.param)
    tls = certificate(directory) if request.param == "https" else None
    with two_regions(directory, store, policy("10Gbps"), tls=tls) as regions:
        yield Stage(regions, regions.away.key("reader", "rec", "/ns/data"), directory)


def whole(key: str) -> bytes:
    return ramp(0, SIZES[key], KEYS.index(key))


def code_of(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        call()
    response = refused.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


# ---- boto3 ---------------------------------------------------------------------------------------------------------


@every_name
def test_boto3_gets_and_heads_every_object(stage: Stage, bucket: str, prefix: str):
    client = stage.boto()
    for key in KEYS:
        got = client.get_object(Bucket=bucket, Key=prefix + key)
        head = client.head_object(Bucket=bucket, Key=prefix + key)

        assert got["Body"].read() == whole(key)
        assert head["ContentLength"] == got["ContentLength"] == SIZES[key]
        assert (head["ETag"], head["LastModified"]) == (got["ETag"], got["LastModified"])
    assert (head["ContentType"], head["Metadata"]) == ("image/png", {"colour": "blue"})


@every_name
def test_boto3_reads_ranges(stage: Stage, bucket: str, prefix: str):
    client, size, data = stage.boto(), SIZES[BIG], whole(BIG)
    ranges = {
        "bytes=0-0": (0, 1),
        f"bytes={MIB - 1}-{MIB}": (MIB - 1, MIB + 1),
        "bytes=5000000-6000000": (5000000, 6000001),
        f"bytes={size - 1}-": (size - 1, size),
        "bytes=-100": (size - 100, size),
        f"bytes=8000000-{size + 100}": (8000000, size),
    }
    for asked, (start, end) in ranges.items():
        got = client.get_object(Bucket=bucket, Key=prefix + BIG, Range=asked)

        assert (got["Body"].read(), got["ContentRange"]) == (data[start:end], f"bytes {start}-{end - 1}/{size}")
    beyond = {"Bucket": bucket, "Key": prefix + BIG, "Range": f"bytes={size}-"}
    assert code_of(lambda: client.get_object(**beyond)) == (416, "InvalidRange")


@every_name
def test_boto3_asks_with_conditions(stage: Stage, bucket: str, prefix: str):
    client = stage.boto()
    asked = {"Bucket": bucket, "Key": prefix + BIG}
    head = client.head_object(**asked)

    assert client.get_object(**asked, IfMatch=head["ETag"], Range="bytes=0-9")["Body"].read() == whole(BIG)[:10]
    for ask in (client.get_object, client.head_object):
        assert code_of(lambda ask=ask: ask(**asked, IfNoneMatch=head["ETag"])) == (304, "304")
        assert code_of(lambda ask=ask: ask(**asked, IfModifiedSince=head["LastModified"])) == (304, "304")
        assert code_of(lambda ask=ask: ask(**asked, IfMatch='"other"'))[0] == 412
        assert code_of(lambda ask=ask: ask(Bucket=bucket, Key=f"{prefix}tree/none"))[0] == 404


@every_name
def test_boto3_lists_whole_in_pages_and_by_delimiter(stage: Stage, bucket: str, prefix: str):
    client = stage.boto()
    for method in ("list_objects_v2", "list_objects"):
        pages = client.get_paginator(method).paginate
        small = list(pages(Bucket=bucket, Prefix=f"{prefix}tree/", PaginationConfig={"PageSize": 2}))
        assert len(small) == 4
        found = [entry for page in small for entry in page["Contents"]]
        assert [(entry["Key"], entry["Size"]) for entry in found] == [(prefix + key, SIZES[key]) for key in KEYS]
        rolled = list(pages(Bucket=bucket, Prefix=f"{prefix}tree/", Delimiter="/", PaginationConfig={"PageSize": 1}))
        assert [entry["Key"] for page in rolled for entry in page.get("Contents", ())] == [
            f"{prefix}tree/empty",
            f"{prefix}tree/last",
        ]
        assert [entry["Prefix"] for page in rolled for entry in page.get("CommonPrefixes", ())] == [
            f"{prefix}tree/a/",
            f"{prefix}tree/b/",
        ]
    after = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}tree/", StartAfter=f"{prefix}tree/empty")
    assert [entry["Key"] for entry in after["Contents"]] == [f"{prefix}tree/last"]


@every_name
def test_a_presigned_url_opens_for_anybody_until_it_expires_and_never_when_changed(
    stage: Stage, bucket: str, prefix: str
):
    client = stage.boto()
    asked = {"Bucket": bucket, "Key": prefix + BIG}
    get = client.generate_presigned_url("get_object", Params=asked, ExpiresIn=600)
    head = client.generate_presigned_url("head_object", Params=asked, ExpiresIn=600)
    short = client.generate_presigned_url("get_object", Params=asked, ExpiresIn=1)

    assert stage.fetch(get) == (200, whole(BIG))
    assert stage.fetch(get, headers={"Range": "bytes=7-9"}) == (206, whole(BIG)[7:10])
    assert stage.fetch(head, "HEAD") == (200, b"")
    assert stage.fetch(get, "HEAD")[0] == stage.fetch(head)[0] == 403
    other_key = get.replace("tree/last", "tree/empty")
    longer = get.replace("X-Amz-Expires=600", "X-Amz-Expires=601")
    forged = get[:-1] + ("0" if get[-1] != "0" else "1")
    for changed in (other_key, longer, forged):
        assert changed != get
        status, body = stage.fetch(changed)
        assert (status, b"SignatureDoesNotMatch" in body) == (403, True)
    give_up = time.monotonic() + 60
    while (answer := stage.fetch(short))[0] == 200 and time.monotonic() < give_up:
        time.sleep(0.1)
    assert (answer[0], b"expired" in answer[1]) == (403, True)


def test_boto3_sees_the_names_of_one_tree_and_nothing_that_its_key_does_not_open(stage: Stage):
    client = stage.boto()
    stranger = stage.regions.away.client(Keys(stage.keys.access, "not the secret of this key"))

    assert [one["Name"] for one in client.list_buckets()["Buckets"]] == ["data"]
    for bucket, _ in NAMES:
        assert client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert code_of(lambda: client.get_object(Bucket="elsewhere", Key="x")) == (403, "AccessDenied")
    assert code_of(lambda: stranger.get_object(Bucket="data", Key=BIG)) == (403, "SignatureDoesNotMatch")


# ---- aws-cli -------------------------------------------------------------------------------------------------------


def test_aws_cli_lists_a_tree(stage: Stage):
    listed = stage.aws("s3", "ls", "--recursive", "--page-size", "3", "s3://ns/data/tree/").splitlines()
    rolled = stage.aws("s3", "ls", "s3://data/tree/").splitlines()

    assert [line.split(maxsplit=3)[2:] for line in listed] == [[str(SIZES[key]), f"data/{key}"] for key in KEYS]
    assert [line.split()[-1] for line in rolled] == ["a/", "b/", "empty", "last"]


def test_aws_cli_copies_a_tree_byte_for_byte(stage: Stage, tmp_path: Path):
    stage.aws("s3", "cp", "--recursive", "--only-show-errors", "s3://causeway/data/tree/", str(tmp_path))

    for key in KEYS:
        assert (tmp_path / key.removeprefix("tree/")).read_bytes() == whole(key)


def test_aws_cli_reads_ranges_and_heads(stage: Stage, tmp_path: Path):
    target = tmp_path / "part"
    key = ("--bucket", "ns", "--key", f"data/{BIG}")
    got = json.loads(stage.aws("s3api", "get-object", *key, "--range", "bytes=1048570-3145730", str(target)))
    head = json.loads(stage.aws("s3api", "head-object", *key))

    assert target.read_bytes() == whole(BIG)[1048570:3145731]
    assert (got["ETag"], got["ContentLength"], head["ContentLength"]) == (head["ETag"], 2097161, SIZES[BIG])
    with pytest.raises(ChildProcessError, match="304"):
        stage.aws("s3api", "get-object", *key, "--if-none-match", head["ETag"], str(target))


def test_aws_cli_presigns_with_sigv4_and_is_told_so_where_it_would_not(stage: Stage):
    presign = ("s3", "presign", "--expires-in", "60", f"s3://data/{BIG}")
    # In the oldest regions this client presigns with version 2 unless told otherwise.
    old = stage.aws(*presign, "--region", "us-east-1").strip()
    new = stage.aws(*presign, "--region", "eu-central-1").strip()

    status, body = stage.fetch(old)
    assert (status, b"s3v4" in body) == (400, True), body
    assert stage.fetch(new) == (200, whole(BIG))


def test_aws_cli_lists_by_both_versions_of_the_call(stage: Stage):
    wanted = [f"data/{key}" for key in KEYS]
    for call in ("list-objects", "list-objects-v2"):
        args = ("s3api", call, "--bucket", "causeway", "--prefix", "data/tree/", "--page-size", "2")

        told = json.loads(stage.aws(*args))

        assert [entry["Key"] for entry in told["Contents"]] == wanted


# ---- pyarrow -------------------------------------------------------------------------------------------------------


def test_pyarrow_reads_a_partitioned_dataset(stage: Stage, tmp_path: Path):
    numbers = list(range(20_000))
    table = pa.table({"day": [f"d{n % 4}" for n in numbers], "n": numbers, "text": [f"row {n}" * 3 for n in numbers]})
    ds.write_dataset(table, tmp_path / "table", format="parquet", partitioning=["day"], partitioning_flavor="hive")
    origin = stage.regions.store.client()
    prefix = f"table-{stage.directory.name}"
    for path in sorted((tmp_path / "table").rglob("*.parquet")):
        key = f"{prefix}/{path.relative_to(tmp_path / 'table').as_posix()}"
        origin.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    arrow = fs.S3FileSystem(
        access_key=stage.keys.access,
        secret_key=stage.keys.secret,
        endpoint_override=stage.regions.away.address,
        scheme=stage.url.partition(":")[0],
        region="us-east-1",
        tls_ca_file_path=stage.authority,
    )

    read = ds.dataset(f"ns/data/{prefix}", filesystem=arrow, format="parquet", partitioning="hive")

    assert sorted(read.to_table(columns=["n"])["n"].to_pylist()) == numbers
    third = read.to_table(filter=ds.field("day") == "d3").sort_by("n")
    assert third["n"].to_pylist() == numbers[3::4]
    assert third["text"].to_pylist() == [f"row {n}" * 3 for n in numbers[3::4]]
