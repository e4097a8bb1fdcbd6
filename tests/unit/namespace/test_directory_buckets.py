"""Buckets of provider `file`: what a directory's bucket may say, and who reads it by which way."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from namespace import fields
from namespace.checks import not_kept
from namespace.codec import Units, topology
from namespace.fields import Credentials
from namespace.routes import candidates, routes
from policy import units, yamlfile

_EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "directory.yaml"
_UNITS = Units(rate=units.rate, size=units.size, duration=units.duration)
_GOOD: dict[str, Any] = {
    "regions": {"bj": {"nodes": ["10.0.0.1:9100"]}, "us": {"nodes": ["10.1.0.1:9100"]}},
    "lines": {"bj-us": {"between": ["bj", "us"], "capacity": "10Gbps", "carries": "private"}},
    "buckets": {"nas": {"provider": "file", "region": "bj", "endpoints": {"internal": "file:///mnt/nas/train"}}},
    "mounts": {"/ns/nas": {"bucket": "nas"}},
}


def _nas(**more: object) -> dict[str, Any]:
    changed = deepcopy(_GOOD)
    changed["buckets"]["nas"] |= more
    return changed


def _faults(value: object) -> dict[tuple[int | str, ...], str]:
    with pytest.raises(ValidationError) as caught:
        topology(value, _UNITS)
    return {error["loc"]: error["msg"] for error in caught.value.errors()}


def test_a_directory_needs_no_name_of_its_own_and_no_credentials() -> None:
    loaded = topology(_GOOD, _UNITS)

    assert loaded.buckets["nas"].bucket == ""
    assert loaded.buckets["nas"].credentials == Credentials("none")
    assert not_kept(loaded) == []


def test_no_credentials_may_be_said_aloud() -> None:
    assert topology(_nas(credentials="none"), _UNITS).buckets["nas"].credentials == Credentials("none")


def test_the_name_of_the_export_is_part_of_the_identity_and_its_directory_is_not() -> None:
    plain = topology(_nas(), _UNITS).buckets["nas"].id

    assert topology(_nas(endpoints={"internal": "file:///elsewhere"}), _UNITS).buckets["nas"].id == plain
    assert topology(_nas(bucket="nas1:/train"), _UNITS).buckets["nas"].id != plain


@pytest.mark.parametrize(
    ("more", "loc", "said"),
    [
        ({"credentials": "role"}, ("credentials",), "leave 'credentials' out"),
        ({"credentials": {"env": "NAS"}}, ("credentials",), "the node's own rights"),
        ({"endpoints": {"internal": "http://10.0.0.5"}}, ("endpoints", "internal"), "as file:///mnt/nas/train"),
        ({"endpoints": {"internal": "file://nas1/train"}}, ("endpoints", "internal"), "three slashes"),
        ({"endpoints": {"internal": "file:/mnt/../etc"}}, ("endpoints", "internal"), "names no directory"),
        ({"endpoints": {"internal": "file:///"}}, ("endpoints", "internal"), "names no directory beneath /"),
        ({"endpoints": {"internal": "file:///a//b"}}, ("endpoints", "internal"), "names no directory"),
        ({"endpoints": {"internal": "file:///a%00b"}}, ("endpoints", "internal"), "names no directory"),
        ({"endpoints": {"external": "file:///mnt/nas"}}, ("endpoints", "external"), "internal endpoint alone"),
        (
            {"endpoints": {"internal": {"url": "file:///mnt/nas", "line": "bj-us"}}},
            ("endpoints", "internal", "line"),
            "leave 'line' out",
        ),
        (
            {"endpoints": {"internal": {"url": "file:///mnt/nas", "line": "none"}}},
            ("endpoints", "internal", "line"),
            "leave 'line' out",
        ),
    ],
)
def test_a_fault_of_a_directory_stands_in_its_place_with_its_remedy(
    more: dict[str, object], loc: tuple[str, ...], said: str
) -> None:
    faults = _faults(_nas(**more))

    assert list(faults) == [("buckets", "nas", *loc)]
    assert said in faults["buckets", "nas", *loc]


def test_a_store_that_has_names_must_be_named() -> None:
    s3 = {"provider": "s3", "region": "bj", "endpoints": {"internal": "http://10.0.0.5"}}

    assert _faults({**_GOOD, "buckets": {"nas": s3}}) == {("buckets", "nas"): "'bucket' is missing"}


def test_one_directory_is_one_bucket_however_it_is_called() -> None:
    twice = deepcopy(_GOOD)
    twice["buckets"]["again"] = {**_GOOD["buckets"]["nas"], "bucket": "other"}
    twice["buckets"]["again"]["endpoints"] = {"internal": "file:///mnt/nas/train/"}

    assert "mount 'nas' again" in _faults(twice)["buckets", "again", "endpoints"]


@pytest.mark.parametrize("prefix", ["a//", "./", "../", "/"])
def test_a_prefix_that_no_key_of_a_directory_has_is_a_fault(prefix: str) -> None:
    changed = deepcopy(_GOOD)
    changed["mounts"]["/ns/nas"]["prefix"] = prefix

    assert "is a directory" in _faults(changed)["mounts", "/ns/nas", "prefix"]


def test_a_directory_is_read_at_home_and_elsewhere_through_the_home_regions_nodes() -> None:
    loaded = topology(_GOOD, _UNITS)
    mount = loaded.mounts["/ns/nas"]

    assert [(way.kind, way.line) for way in routes(loaded, mount, "bj")] == [("endpoint", None)]
    assert [(way.kind, way.line) for way in routes(loaded, mount, "us")] == [("region", "bj-us")]
    assert "home region bj" in candidates(loaded, mount, "us")[-1].why


def test_a_percent_encoded_directory_is_the_bytes_that_it_stands_for() -> None:
    assert fields.directory("file:///mnt/my%20nas/%E6%95%B0/") == "/mnt/my nas/数"


def test_the_example_is_complete_and_kept_by_this_version() -> None:
    loaded = topology(yamlfile.parse(_EXAMPLE.read_text("utf-8"), "directory.yaml").value, _UNITS)

    assert loaded.buckets["nas-bj"].provider == "file"
    assert not_kept(loaded) == []
    assert [way.kind for way in routes(loaded, loaded.mounts["/ns/train"], "aws-use1")] == ["region"]
