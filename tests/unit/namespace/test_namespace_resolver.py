"""The resolver: one revision at a time, from memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.errors import KeyTooLong, UnknownRegion
from namespace.model import Bucket, Endpoint, Endpoints, Line, Mount, Region, Topology
from namespace.resolver import Place, Resolver
from namespace.routes import routes


def _topology(*mounts: str) -> Topology:
    endpoints = Endpoints(internal=Endpoint(url="http://10.0.0.5:9000", scope="internal"))
    return Topology(
        regions={"bj": Region(name="bj", nodes=("10.0.0.1:9100",)), "us": Region(name="us")},
        lines={"l": Line(name="l", between=("bj", "us"), capacity=1.0)},
        buckets={"data": Bucket(name="data", provider="s3", bucket="real", region="bj", endpoints=endpoints)},
        mounts={path: Mount(path=path, bucket="data", prefix="p/") for path in mounts},
    )


def _adopted(*mounts: str) -> Resolver:
    resolver = Resolver("us")
    resolver.adopt(_topology(*mounts), 1)
    return resolver


def test_before_the_first_revision_nothing_is_mounted() -> None:
    resolver = Resolver("us")

    assert (resolver.revision, resolver.find("/ns/a/b")) == (0, None)


def test_a_path_is_found_with_its_bucket_key_and_ways() -> None:
    topology = _topology("/ns/a")
    resolver = Resolver("us")
    resolver.adopt(topology, 1)

    mount = topology.mounts["/ns/a"]
    ways = routes(topology, mount, "us")
    assert resolver.find("/ns/a/b//c") == Place("/ns/a/b//c", mount, topology.buckets["data"], "p/b//c", ways)


@given(st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4))
def test_finding_agrees_with_the_table_and_the_routes(parts: list[str]) -> None:
    resolver = _adopted("/ns/a", "/ns/a/b", "/ns/ab")
    path = "/".join(["/ns", *parts])

    place, found = resolver.find(path), resolver.table.find(path)

    assert (None if place is None else (place.mount, place.key)) == found


def test_a_newer_revision_takes_the_place_of_the_older() -> None:
    resolver = _adopted("/ns/a")

    taken = resolver.adopt(_topology("/ns/b"), 2)

    assert taken
    assert resolver.find("/ns/a/x") is None
    assert resolver.find("/ns/b/x") is not None


@pytest.mark.parametrize("revision", [0, 1])
def test_a_revision_that_is_not_newer_changes_nothing(revision: int) -> None:
    resolver = _adopted("/ns/a")

    taken = resolver.adopt(_topology("/ns/b"), revision)

    assert not taken
    assert (resolver.revision, list(resolver.topology.mounts)) == (1, ["/ns/a"])


def test_a_topology_without_this_region_is_not_adopted() -> None:
    resolver = _adopted("/ns/a")

    with pytest.raises(UnknownRegion, match="'us' of this node is not in the topology; known: bj"):
        resolver.adopt(Topology(regions={"bj": Region(name="bj")}), 2)
    assert resolver.find("/ns/a/x") is not None


def test_a_key_that_no_store_takes_is_refused() -> None:
    with pytest.raises(KeyTooLong):
        _adopted("/ns/a").find("/ns/a/" + "k" * 1023)
