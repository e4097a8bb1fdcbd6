"""The stage of the benches: the origin with its objects, and Causeway in the origin's own region, no line between.

Servers run on core 0, clients and the origin on core 1.
"""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.regions import BUCKET, HOME, credentials
from tests.real.lab.s3 import S3Server, versitygw, write_ramp
from tests.real.lab.sign import Keys

SERVER_CORE, CLIENT_CORE = 0, 1
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# A file has at most 65,000 names on ext4; a round number below.
_NAMES = 50_000


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory on a real disk (not /tmp, which may be memory), gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="causeway-bench-", dir="/var/tmp", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextlib.contextmanager
def origin(directory: Path) -> Iterator[S3Server]:
    """The origin with an empty bucket `data`."""
    with versitygw(directory, cpu=CLIENT_CORE) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@contextlib.contextmanager
def causeway(directory: Path, store: S3Server, memory: str = "256MiB", cache: str = "40GiB") -> Iterator[Node]:
    """One node in the bucket's region; `/ns/data` is the bucket, so `s3://data/KEY` is the origin's KEY."""
    place = Place(HOME, directory / "causeway")
    with node(place, memory=memory, cache=cache, cpu=SERVER_CORE, env=credentials()) as running:
        running.apply(own_region(store.url))
        yield running


def own_region(url: str) -> dict[str, Any]:
    """The topology of one region and its bucket."""
    bucket = {
        "provider": "s3",
        "bucket": BUCKET,
        "region": HOME,
        "endpoints": {"internal": url},
        "credentials": {"env": "LAB_BUCKET"},
    }
    return {
        "regions": {HOME: {"provider": "idc"}},
        "buckets": {"data-bj": bucket},
        "mounts": {"/ns/data": {"bucket": "data-bj", "consistency": {"max_age": "1h"}}},
    }


def origin_keys(store: S3Server) -> Keys:
    """What a reader of the origin itself (or of a cache that passes signatures on) signs with."""
    return Keys(store.access, store.secret)


def put_many(store: S3Server, prefix: str, count: int, size: int, different: int) -> list[tuple[str, int]]:
    """`count` keys of `size` ramp bytes under `prefix`, of `different` contents; returns (key, shift) of each.

    Keys of the same content are names of one file, so that 10,000 objects cost the disk of a few.
    """
    root = store.root
    if root is None:
        raise ValueError("only versitygw keeps objects as files")
    (root / BUCKET / prefix).mkdir(parents=True, exist_ok=True)
    different = max(different, -(-count // _NAMES))
    made, first = [], dict[int, Path]()
    for number, shift in zip(range(count), itertools.cycle(range(different)), strict=False):
        key = f"{prefix}{number:06}"
        if shift in first:
            os.link(first[shift], root / BUCKET / key)
        else:
            making = root.parent / "making"
            first[shift] = store.put_file(BUCKET, key, write_ramp(making, size, shift))
        made.append((key, shift))
    return made


def again(store: S3Server, source: str, copy: str) -> None:
    """A second name of an object: for a cache another object, for the disk the same bytes."""
    root = store.root or Path()
    (root / BUCKET / copy).parent.mkdir(parents=True, exist_ok=True)
    os.link(root / BUCKET / source, root / BUCKET / copy)
