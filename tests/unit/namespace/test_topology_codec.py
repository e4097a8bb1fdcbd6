"""Plain data to a topology: the design's example, and every fault with its place."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from namespace.checks import not_kept
from namespace.codec import Units, topology
from namespace.consistency import Immutable, MaxAge, Validate
from policy import units, yamlfile

_EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "topology.yaml"
_UNITS = Units(rate=units.rate, size=units.size, duration=units.duration)
_GOOD: dict[str, Any] = {
    "regions": {"bj": {"nodes": ["10.0.0.1:9100"]}, "us": {"nodes": ["10.1.0.1:9100"]}, "gpu": {"parent": "us"}},
    "lines": {
        "bj-us": {"between": ["bj", "us"], "capacity": "10Gbps", "carries": "private"},
        "us-gpu": {"between": ["us", "gpu"], "capacity": "1Gbps"},
    },
    "buckets": {
        "data": {
            "provider": "s3",
            "bucket": "real",
            "region": "bj",
            "endpoints": {"internal": "http://10.0.0.5:9000", "external": {"url": "https://s3.example.com"}},
            "credentials": {"env": "DATA"},
        }
    },
    "mounts": {"/ns/data": {"bucket": "data"}},
}
_GRANTED = {"trust": "granted", "paths": ["/ns/data"]}
_EMPTY: dict[str, Any] = {}


def _with(*at: str, value: object) -> dict[str, Any]:
    """The good topology with one value put at a place."""
    changed = deepcopy(_GOOD)
    inner = changed
    for step in at[:-1]:
        inner = inner.setdefault(step, {})
    inner[at[-1]] = value
    return changed


def _faults(value: object) -> dict[tuple[int | str, ...], str]:
    with pytest.raises(ValidationError) as caught:
        topology(value, _UNITS)
    return {error["loc"]: error["msg"] for error in caught.value.errors()}


def test_the_example_of_the_design_is_complete() -> None:
    document = yamlfile.parse(_EXAMPLE.read_text("utf-8"), "topology.yaml")

    loaded = topology(document.value, _UNITS)

    assert loaded.regions["gpu-7"].paths == ("/ns/train",)
    assert loaded.lines["bj-use1"].capacity == 10e9 / 8
    assert loaded.lines["bj-use1"].office == "aws-use1"
    assert loaded.buckets["train-bj"].page == 1 << 20
    assert loaded.buckets["train-bj"].credentials.name == "TRAIN_BJ"
    assert loaded.mounts["/ns/train"].consistency == MaxAge(60.0)
    assert loaded.mounts["/ns/train"].stale_if_down == 30 * 86400
    assert loaded.mounts["/ns/train/public"].consistency == Immutable()
    assert loaded.mounts["/ns/ckpt"].consistency == Validate()
    assert loaded.mounts["/ns/ckpt"].copies == 2


def test_what_the_example_asks_of_later_versions_is_named() -> None:
    document = yamlfile.parse(_EXAMPLE.read_text("utf-8"), "topology.yaml")

    found = dict(not_kept(topology(document.value, _UNITS)))

    assert set(found) == {("mounts", "/ns/ckpt", "mode")}
    assert all(message.startswith("not kept by this version: ") for message in found.values())


@pytest.mark.parametrize(
    ("at", "value", "loc"),
    [
        (("buckets", "data", "provider"), "gcs", ("buckets", "data", "provider")),
        (("mounts", "/ns/data", "mode"), "rw", ("mounts", "/ns/data", "mode")),
    ],
)
def test_what_a_later_version_keeps_is_right_and_named(
    at: tuple[str, ...], value: object, loc: tuple[int | str, ...]
) -> None:
    loaded = topology(_with(*at, value=value), _UNITS)

    assert [place for place, _ in not_kept(loaded)] == [loc]


def test_this_version_keeps_all_of_the_read_side() -> None:
    assert not_kept(topology(_GOOD, _UNITS)) == []


def test_a_region_may_name_several_of_its_nodes() -> None:
    loaded = topology(_with("regions", "bj", "nodes", value=["a:1", "https://b:2"]), _UNITS)

    assert loaded.regions["bj"].nodes == ("a:1", "https://b:2")
    assert not_kept(loaded) == []


def test_sections_keep_the_order_of_the_document() -> None:
    loaded = topology(_GOOD, _UNITS)

    assert list(loaded.regions) == ["bj", "us", "gpu"]


def test_sections_may_be_left_empty() -> None:
    loaded = topology({"regions": {"here": {}}, "lines": None}, _UNITS)

    assert loaded.lines == {}
    assert loaded.mounts == {}


@pytest.mark.parametrize(
    ("at", "value", "loc", "said"),
    [
        (("more",), {}, ("more",), "unknown key 'more'; known: regions, lines"),
        (("regions",), {}, ("regions",), "at least one region"),
        (("lines",), [], ("lines",), "a mapping by name"),
        (("mounts",), [], ("mounts",), "a mapping by path"),
        (("regions", "bad name"), {}, ("regions", "bad name"), "no name"),
        (("regions", "a>b"), {}, ("regions", "a>b"), "no name"),
        (("regions", "bj", "name"), "x", ("regions", "bj", "name"), "the key of the region says it"),
        (("regions", "bj", "nodes"), ["10.0.0.1"], ("regions", "bj", "nodes", 0), "HOST:PORT"),
        (("regions", "bj", "nodes"), ["a:0"], ("regions", "bj", "nodes", 0), "HOST:PORT"),
        (("regions", "bj", "nodes"), ["https://a"], ("regions", "bj", "nodes", 0), "https://HOST:PORT"),
        (("regions", "bj", "nodes"), ["https://a:9100/b"], ("regions", "bj", "nodes", 0), "https://HOST:PORT"),
        (("regions", "bj", "nodes"), ["ftp://a:9100"], ("regions", "bj", "nodes", 0), "https://HOST:PORT"),
        (("regions", "bj", "nodes"), ["https://10.1.0.1:9100"], ("regions", "us", "nodes", 0), "under region 'bj'"),
        (("regions", "bj", "nodes"), ["10.1.0.1:9100"], ("regions", "us", "nodes", 0), "under region 'bj' already"),
        (("regions", "bj", "nodes"), "10.0.0.1:9100", ("regions", "bj", "nodes"), "a list"),
        (
            ("regions", "gpu", "parent"),
            "nowhere",
            ("regions", "gpu", "parent"),
            "region 'nowhere' is not under 'regions'",
        ),
        (("regions", "gpu", "parent"), "gpu", ("regions", "gpu", "parent"), "its own parent"),
        (("regions", "us", "parent"), "gpu", ("regions", "us", "parent"), "us -> gpu -> us"),
        (
            ("regions", "gpu", "parent"),
            "bj",
            ("regions", "gpu", "parent"),
            "no line is between 'gpu' and its parent 'bj'",
        ),
        (("regions", "gpu", "trust"), "granted", ("regions", "gpu", "paths"), "name them"),
        (("regions", "gpu", "paths"), ["/ns/data"], ("regions", "gpu", "paths"), "only a region with 'trust: granted'"),
        (
            ("regions", "gpu"),
            {**_GRANTED, "paths": ["/ns/d"]},
            ("regions", "gpu", "paths", 0),
            "nothing is mounted at '/ns/d'",
        ),
        (("regions", "gpu"), {**_GRANTED, "paths": ["data"]}, ("regions", "gpu", "paths"), "begins with /ns/"),
        (("regions", "bj"), _GRANTED, ("buckets", "data", "region"), "holds no credentials"),
        (("regions", "us"), _GRANTED, ("regions", "gpu", "parent"), "a trusted region reads through a trusted one"),
        (("lines", "none"), {"between": ["bj", "us"], "capacity": "1Gbps"}, ("lines", "none"), "rename it"),
        (("lines", "bj-us", "between"), ["bj", "xx"], ("lines", "bj-us", "between", 1), "known: bj, gpu, us"),
        (("lines", "bj-us", "between"), ["bj", "bj"], ("lines", "bj-us", "between"), "both are 'bj'"),
        (("lines", "bj-us", "between"), ["bj"], ("lines", "bj-us", "between"), "[REGION, REGION]"),
        (("lines", "bj-us", "capacity"), "10 parsec", ("lines", "bj-us", "capacity"), "'10 parsec' is not a rate"),
        (("lines", "bj-us", "capacity"), 10, ("lines", "bj-us", "capacity"), "has a unit"),
        (("lines", "bj-us", "capacity"), "0bps", ("lines", "bj-us", "capacity"), "greater than 0"),
        (("lines", "bj-us", "price_per_gb"), -1, ("lines", "bj-us", "price_per_gb"), "greater than or equal to 0"),
        (("lines", "bj-us", "carries"), "all", ("lines", "bj-us", "carries"), "'private' or 'public'"),
        (("lines", "bj-us", "office"), "gpu", ("lines", "bj-us", "office"), "at an end of the line: bj or us"),
        (("lines", "bj-us"), {"between": ["bj", "us"]}, ("lines", "bj-us"), "'capacity' is missing"),
        (("lines", "bj-us", "price"), 1, ("lines", "bj-us", "price"), "known: between, capacity"),
        (("buckets", "data", "provider"), "s4", ("buckets", "data", "provider"), "'s3'"),
        (("buckets", "data", "bucket"), "a/b", ("buckets", "data", "bucket"), "no bucket's name"),
        (("buckets", "data", "region"), "xx", ("buckets", "data", "region"), "region 'xx' is not under"),
        (("buckets", "data", "page"), "48KiB", ("buckets", "data", "page"), "power of two"),
        (("buckets", "data", "page"), "32KiB", ("buckets", "data", "page"), "64KiB to 16MiB"),
        (("buckets", "data", "page"), "32MiB", ("buckets", "data", "page"), "64KiB to 16MiB"),
        (("buckets", "data", "endpoints"), _EMPTY, ("buckets", "data", "endpoints"), "at least one endpoint"),
        (
            ("buckets", "data", "endpoints", "internal"),
            "s3.x",
            ("buckets", "data", "endpoints", "internal", "url"),
            "no URL",
        ),
        (
            ("buckets", "data", "endpoints", "internal"),
            "file:///srv",
            ("buckets", "data", "endpoints", "internal"),
            "scheme http or https",
        ),
        (
            ("buckets", "data", "endpoints", "internal"),
            "http://h/real",
            ("buckets", "data", "endpoints", "internal"),
            "has no path",
        ),
        (
            ("buckets", "data", "endpoints", "external", "line"),
            "xx",
            ("buckets", "data", "endpoints", "external", "line"),
            "line 'xx' is not under 'lines'",
        ),
        (
            ("buckets", "data", "endpoints", "external", "line"),
            "us-gpu",
            ("buckets", "data", "endpoints", "external", "line"),
            "does not touch 'bj'",
        ),
        (
            ("buckets", "data", "endpoints", "external", "scope"),
            "internal",
            ("buckets", "data", "endpoints", "external"),
            "unknown key 'scope'",
        ),
        (("buckets", "data", "credentials"), {"env": "1X"}, ("buckets", "data", "credentials"), "by reference only"),
        (("buckets", "data", "credentials"), {"file": ""}, ("buckets", "data", "credentials"), "by reference only"),
        (("mounts", "/ns/ns"), {"bucket": "data"}, ("mounts", "/ns/ns"), "means the whole tree"),
        (("mounts", "/ns/causeway"), {"bucket": "data"}, ("mounts", "/ns/causeway"), "means the whole tree"),
        (("mounts", "/ns/ns/x"), {"bucket": "data"}, ("mounts", "/ns/ns/x"), "means the whole tree"),
        (("mounts", "/ns"), {"bucket": "data"}, ("mounts", "/ns"), "beneath it"),
        (("mounts", "/ns/a/"), {"bucket": "data"}, ("mounts", "/ns/a/"), "component"),
        (("mounts", "/ns/../a"), {"bucket": "data"}, ("mounts", "/ns/../a"), "component"),
        (("mounts", "/x"), {"bucket": "data"}, ("mounts", "/x"), "begins with /ns/"),
        (("mounts", "/ns/data"), None, ("mounts", "/ns/data"), "a mapping of bucket, prefix"),
        (("mounts", "/ns/data", "bucket"), "xx", ("mounts", "/ns/data", "bucket"), "bucket 'xx' is not under"),
        (("mounts", "/ns/data", "prefix"), "a", ("mounts", "/ns/data", "prefix"), "write 'a/'"),
        (("mounts", "/ns/data", "external"), "yes", ("mounts", "/ns/data", "external"), "boolean"),
        (("mounts", "/ns/data", "consistency"), "strong", ("mounts", "/ns/data", "consistency"), "{max_age: 60s}"),
        (("mounts", "/ns/data", "consistency"), {"max_age": 5}, ("mounts", "/ns/data", "consistency"), "has a unit"),
        (("mounts", "/ns/data", "stale_if_down"), "soon", ("mounts", "/ns/data", "stale_if_down"), "not a duration"),
        (("mounts", "/ns/data", "write"), "back", ("mounts", "/ns/data", "write"), "say mode: rw"),
        (
            ("mounts", "/ns/data"),
            {"bucket": "data", "mode": "rw", "copies": 2},
            ("mounts", "/ns/data", "copies"),
            "goes with 'write: back'",
        ),
    ],
)
def test_a_fault_stands_in_its_place_with_its_remedy(
    at: tuple[str, ...], value: object, loc: tuple[int | str, ...], said: str
) -> None:
    faults = _faults(_with(*at, value=value))

    assert said in faults.get(loc, f"nothing; there are {faults}")


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_what_is_no_mapping_is_no_topology(value: object) -> None:
    assert "a topology is a mapping" in _faults(value)[()]


def test_a_key_that_is_no_text_is_a_fault() -> None:
    assert "write it in quotes" in _faults(_with("regions", 7, value={}))[("regions", 7)]  # type: ignore[arg-type]


def test_every_fault_is_told_at_once() -> None:
    wrong = _with("lines", "bj-us", "capacity", value="fast")
    wrong["regions"]["us"]["parent"] = "gpu"
    wrong["buckets"]["data"] |= {"page": "3B", "region": "mars", "credentials": {"key": "x"}}
    wrong["mounts"] |= {"/ns/ns": {"bucket": "none"}, "/ns/b": {"consistency": 1}}

    assert set(_faults(wrong)) == {
        ("lines", "bj-us", "capacity"),
        ("regions", "us", "parent"),
        ("buckets", "data", "page"),
        ("buckets", "data", "region"),
        ("buckets", "data", "credentials"),
        ("mounts", "/ns/ns"),
        ("mounts", "/ns/ns", "bucket"),
        ("mounts", "/ns/b"),
        ("mounts", "/ns/b", "consistency"),
    }


@pytest.mark.parametrize("cycle", [["a", "b"], ["a", "b", "c"], ["c", "a", "b", "d"]])
def test_a_cycle_of_parents_is_told_once(cycle: list[str]) -> None:
    regions = {name: {"parent": above} for name, above in zip(cycle, [*cycle[1:], cycle[0]], strict=True)}
    pairs = zip(cycle, [*cycle[1:], cycle[0]], strict=True)
    lines = {f"l{i}": {"between": list(pair), "capacity": "1Gbps"} for i, pair in enumerate(pairs)}

    faults = _faults({"regions": {**regions, "beneath": {}}, "lines": lines})

    assert list(faults) == [("regions", cycle[0], "parent")]
    assert " -> ".join([*cycle, cycle[0]]) in faults["regions", cycle[0], "parent"]


@pytest.mark.parametrize(
    "secret", [{"key": "AKIA", "secret": "HUSHHUSH"}, "HUSHHUSH", ["HUSHHUSH"], {"env": "HUSH-HUSH"}]
)
def test_a_literal_credential_is_refused_and_never_repeated(secret: object) -> None:
    with pytest.raises(ValidationError) as caught:
        topology(_with("buckets", "data", "credentials", value=secret), _UNITS)

    assert "HUSH" not in str(caught.value)
    assert "HUSH" not in repr(caught.value.errors())


def test_a_credential_in_a_url_is_refused_and_never_repeated() -> None:
    wrong = _with("buckets", "data", "endpoints", "internal", value="http://me:HUSHHUSH@10.0.0.5:9000")

    with pytest.raises(ValidationError) as caught:
        topology(wrong, _UNITS)

    assert "holds no credentials" in str(caught.value)
    assert "HUSH" not in repr(caught.value.errors())


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [({"env": "X_1"}, "env", "X_1"), ({"file": "a.key"}, "file", "a.key"), ("role", "role", ""), ("none", "none", "")],
)
def test_credentials_are_references(given: object, kind: str, name: str) -> None:
    reference = topology(_with("buckets", "data", "credentials", value=given), _UNITS).buckets["data"].credentials

    assert (reference.kind, reference.name) == (kind, name)


def test_the_same_store_under_two_names_is_a_fault() -> None:
    twice = deepcopy(_GOOD)
    twice["buckets"]["again"] = {**twice["buckets"]["data"], "credentials": "none"}

    assert "store of bucket 'data'" in _faults(twice)["buckets", "again", "bucket"]


def test_the_same_real_name_in_two_regions_is_two_stores() -> None:
    both = deepcopy(_GOOD)
    both["buckets"]["other"] = {**both["buckets"]["data"], "region": "us", "endpoints": {"internal": "http://10.1.0.5"}}

    loaded = topology(both, _UNITS)

    assert loaded.buckets["data"].id != loaded.buckets["other"].id


def test_an_external_endpoint_that_no_line_reaches_says_so_aloud() -> None:
    alone = deepcopy(_GOOD)
    del alone["lines"], alone["regions"]["gpu"]["parent"]
    at = ("buckets", "data", "endpoints", "external")

    assert "line: none" in _faults(alone)[at]
    alone["buckets"]["data"]["endpoints"]["external"]["line"] = "none"
    assert topology(alone, _UNITS).lines == {}


def test_a_mount_allows_only_an_external_endpoint_that_is_there() -> None:
    wrong = _with("mounts", "/ns/data", "external", value=True)
    del wrong["buckets"]["data"]["endpoints"]["external"]

    assert "no external endpoint" in _faults(wrong)["mounts", "/ns/data", "external"]
