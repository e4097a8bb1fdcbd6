"""A directory as a bucket, with real nodes and boto3: read at home and from another region, whose line is counted."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from regioncache.origins.filefacts import SETTLED_SECONDS
from tests.fakes.ramp import ramp
from tests.real.conftest import Note
from tests.real.lab.load import list_all
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.proxy import CountingProxy, counting_proxy
from tests.real.lab.regions import AWAY, BUCKET, HOME, LINE, policy
from tests.real.lab.sign import Keys

pytestmark = pytest.mark.real
KIB, MIB, TIB = 1 << 10, 1 << 20, 1 << 40
FILES = {
    "a/empty": 0,
    "a/one": 1,
    "a/two words": 1000,
    "a/数据.parquet": MIB + 1,
    "big.bin": 9 * MIB + 7,
    "z": 300 * KIB,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """The running pair over a directory; `keys` by region, `line` counts between the nodes."""

    nas: Path
    nodes: dict[str, Node]
    keys: dict[str, Keys]
    line: CountingProxy

    def client(self, region: str) -> Any:
        return self.nodes[region].client(self.keys[region])

    def settle(self) -> None:
        """Waits until no flight is under way on either side."""
        for each in self.nodes.values():
            while each.metric("causeway_flights"):
                each.process.check()


def topology(nas: Path, home_peer: str) -> dict[str, Any]:
    return {
        "regions": {HOME: {"provider": "idc", "nodes": [home_peer]}, AWAY: {"provider": "aws"}},
        "lines": {LINE: {"between": [HOME, AWAY], "capacity": "10Gbps"}},
        "buckets": {"nas-bj": {"provider": "file", "region": HOME, "endpoints": {"internal": nas.as_uri()}}},
        "mounts": {"/ns/data": {"bucket": "nas-bj", "consistency": {"max_age": "1h"}}},
    }


def fill(nas: Path) -> None:
    """Writes the files, and waits until they are settled: until then nothing of them is kept."""
    for key, size in FILES.items():
        (nas / key).parent.mkdir(parents=True, exist_ok=True)
        (nas / key).write_bytes(ramp(0, size))
    with (nas / "huge").open("wb") as file:
        file.truncate(5 * TIB)
        os.pwrite(file.fileno(), ramp(0, 5000), 5 * TIB - 5000)
    while time.time() - (nas / "huge").stat().st_ctime <= SETTLED_SECONDS:
        time.sleep(0.05)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("directories")
    nas = directory / "nas"
    nas.mkdir()
    fill(nas)
    here, there = Place(HOME, directory / HOME), Place(AWAY, directory / AWAY)
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(counting_proxy(here.peer, directory, name="line-proxy", frames=True))
        nodes = {
            HOME: stack.enter_context(node(here, far=[AWAY])),
            AWAY: stack.enter_context(node(there, far=[HOME])),
        }
        for each in nodes.values():
            each.apply(topology(nas, line.address), policy("10Gbps"))
        keys = {name: each.key("reader", "rec", "/ns/data") for name, each in nodes.items()}
        yield Stage(nas, nodes, keys, line)


@pytest.mark.parametrize("region", [HOME, AWAY])
def test_boto3_reads_heads_and_lists_a_directory(stage: Stage, region: str) -> None:
    client = stage.client(region)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 2})
    listed = {entry["Key"]: entry for page in pages for entry in page["Contents"]}

    assert list(listed) == sorted([*FILES, "huge"], key=str.encode)
    for key, size in FILES.items():
        got, head = client.get_object(Bucket=BUCKET, Key=key), client.head_object(Bucket=BUCKET, Key=key)
        assert got["Body"].read() == ramp(0, size)
        assert got["ETag"] == head["ETag"] == listed[key]["ETag"]
        assert head["ContentLength"] == listed[key]["Size"] == size
        assert head["ContentType"] == "application/octet-stream"
        assert head["LastModified"] == listed[key]["LastModified"].replace(microsecond=0)


def test_ranges_and_conditions_hold(stage: Stage) -> None:
    client = stage.client(AWAY)
    etag = client.head_object(Bucket=BUCKET, Key="big.bin")["ETag"]

    got = client.get_object(Bucket=BUCKET, Key="big.bin", Range="bytes=5000000-5000999", IfMatch=etag)

    assert got["Body"].read() == ramp(5_000_000, 5_001_000)
    with pytest.raises(ClientError, match="304"):
        client.get_object(Bucket=BUCKET, Key="big.bin", IfNoneMatch=etag)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.get_object(Bucket=BUCKET, Key="big.bin", IfMatch='"other"')


def test_both_ends_of_five_tib_are_read_and_each_moves_one_page(stage: Stage) -> None:
    client = stage.client(AWAY)
    assert client.head_object(Bucket=BUCKET, Key="huge")["ContentLength"] == 5 * TIB
    for span, body in (("bytes=0-9", b"\0" * 10), ("bytes=-5000", ramp(0, 5000))):
        stage.line.reset()

        assert client.get_object(Bucket=BUCKET, Key="huge", Range=span)["Body"].read() == body

        stage.settle()
        assert stage.line.report().payload_of("GET", "huge") == MIB


@pytest.mark.parametrize(("key", "code"), [("a//one", "InvalidURI"), ("a/missing", "NoSuchKey"), ("a/", "NoSuchKey")])
def test_a_key_that_is_no_file_is_told_in_s3s_words(stage: Stage, key: str, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        stage.client(AWAY).get_object(Bucket=BUCKET, Key=key)

    assert caught.value.response["Error"]["Code"] == code


def test_a_hundred_thousand_files_in_one_directory_are_listed(stage: Stage, note: Note) -> None:
    folder, count = stage.nas / "many", 100_000
    folder.mkdir()
    for number in range(count):
        os.close(os.open(folder / f"{number:06}", os.O_CREAT | os.O_WRONLY))
    while time.time() - folder.stat().st_ctime <= SETTLED_SECONDS:
        time.sleep(0.05)
    home = stage.nodes[HOME].process
    before, cpu = home.resident_bytes(), home.cpu_seconds()

    keys, seconds = list_all(stage.nodes[HOME].address, BUCKET, "many/", stage.keys[HOME])

    grown = home.resident_bytes() - before
    note(
        f"{count} files of one directory listed at home",
        f"{seconds:.1f} s, {home.cpu_seconds() - cpu:.1f} s of the node's CPU, {grown / MIB:.0f} MiB more resident",
        "each once, in order",
    )
    assert keys == [b"many/%06d" % number for number in range(count)]
