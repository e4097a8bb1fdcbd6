"""What stays the same when the topology around the bytes changes."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from namespace.fields import Credentials
from namespace.model import Bucket, Endpoint, Endpoints, Line, Mount, Provider, Region, Topology

_names = st.from_regex(r"[a-z0-9]{2,6}", fullmatch=True)


def _bucket(name: str = "data", provider: Provider = "s3", real: str = "real", region: str = "bj") -> Bucket:
    endpoint = Endpoint(url="http://10.0.0.5:9000", scope="internal")
    return Bucket(name=name, provider=provider, bucket=real, region=region, endpoints=Endpoints(internal=endpoint))


def test_a_bucket_id_is_the_same_for_ever() -> None:
    # Pages on disks carry it: if this fails, every cache would be lost.
    assert _bucket("train-bj", "s3", "bucket1", "idc-bj").id.hex() == "fcc96a76562575e1d177808ec7b1fa33"


def test_new_endpoints_credentials_and_page_size_leave_the_id() -> None:
    moved = _bucket().model_copy(
        update={
            "endpoints": Endpoints(external=Endpoint(url="https://elsewhere", scope="external")),
            "credentials": Credentials("env", "X"),
        }
    )

    assert moved.id == _bucket().id


def test_renaming_and_nesting_a_mount_leaves_the_id() -> None:
    before = Topology(
        regions={"bj": Region(name="bj")},
        buckets={"data": _bucket()},
        mounts={"/ns/data": Mount(path="/ns/data", bucket="data")},
    )
    after = Topology(
        regions={"bj": Region(name="bj")},
        buckets={"data": _bucket()},
        mounts={"/ns/new/data": Mount(path="/ns/new/data", bucket="data", prefix="a/")},
    )

    assert before.buckets["data"].id == after.buckets["data"].id


@given(st.tuples(_names, _names, _names), st.tuples(_names, _names, _names))
def test_two_buckets_have_two_ids(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    ids = {_bucket(name, "s3", real, region).id for name, real, region in (one, other)}

    assert len(ids) == len({one, other})


def test_a_letter_that_moves_to_the_next_part_makes_another_id() -> None:
    assert _bucket("ab", "s3", "cd", "ef").id != _bucket("a", "s3", "bcd", "ef").id
    assert _bucket("ab", "s3", "cd", "ef").id != _bucket("ab", "s3", "cde", "f").id


@pytest.mark.parametrize("page", [1 << power for power in range(16, 25)])
def test_a_page_is_a_power_of_two_that_divides_an_extent(page: int) -> None:
    bucket = Bucket.model_validate(
        {**deepcopy(_bucket().model_dump()), "page": page, "credentials": "none", "endpoints": {"internal": "http://h"}}
    )

    assert 64 * 1024 * 1024 % bucket.page == 0


def test_a_topology_cannot_be_changed() -> None:
    region = Region(name="bj")

    with pytest.raises(ValidationError, match="frozen"):
        region.name = "us"  # type: ignore[misc]


def test_a_line_has_two_ends() -> None:
    line = Line(name="l", between=("bj", "us"), capacity=1.0)

    assert (line.far("bj"), line.far("us")) == ("us", "bj")
    with pytest.raises(ValueError, match="does not touch 'gpu'"):
        line.far("gpu")


def test_lines_between_two_regions_are_found_from_either_side() -> None:
    lines = {
        name: Line(name=name, between=ends, capacity=1.0) for name, ends in {"a": ("x", "y"), "b": ("y", "x")}.items()
    }
    topology = Topology(regions={name: Region(name=name) for name in "xyz"}, lines=lines)

    assert [line.name for line in topology.lines_between("y", "x")] == ["a", "b"]
    assert topology.lines_between("x", "z") == ()


def test_a_granted_region_may_read_only_its_paths() -> None:
    granted = Region(name="gpu", trust="granted", paths=("/ns/train",))

    assert granted.may_read("/ns/train/a")
    assert not granted.may_read("/ns/training/a")
    assert not granted.may_read("/ns")
    assert Region(name="bj").may_read("/ns/anything")
