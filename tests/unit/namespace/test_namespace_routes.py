"""Routes: which sources a region has, in which order, and why."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.model import Bucket, Endpoint, Endpoints, Line, Mount, Region, Topology
from namespace.routes import Way, candidates, routes, unreached

_NAMES = ("home", "us", "gpu", "eu")
_INTERNAL = "http://10.0.0.5:9000"
_EXTERNAL = "https://s3.example.com"
_PARENTS: dict[str, str | None] = {"us": None, "gpu": "us", "eu": None}


def _topology(
    *,
    lines: dict[str, tuple[str, str]] | None = None,
    private: tuple[str, ...] = (),
    nodes: tuple[str, ...] = _NAMES,
    parents: dict[str, str | None] = _PARENTS,
    internal: str | None = "",
    external: str | None = None,
    allowed: bool = False,
    granted: tuple[str, ...] = (),
) -> Topology:
    """A topology of four regions with one bucket at home in `home`.

    `internal` and `external` are the endpoints' lines, empty for not said; None: there is no such endpoint.
    """
    found = {"l-us": ("home", "us"), "l-gpu": ("us", "gpu")} if lines is None else lines
    return Topology(
        regions={name: _region(name, nodes, parents.get(name), granted) for name in _NAMES},
        lines={
            name: Line(name=name, between=ends, capacity=1.0, carries="private" if name in private else "public")
            for name, ends in found.items()
        },
        buckets={
            "data": Bucket(
                name="data",
                provider="s3",
                bucket="real",
                region="home",
                endpoints=Endpoints(
                    internal=None if internal is None else _endpoint("internal", internal),
                    external=None if external is None else _endpoint("external", external),
                ),
            )
        },
        mounts={"/ns/data": Mount(path="/ns/data", bucket="data", external=allowed)},
    )


def _region(name: str, nodes: tuple[str, ...], parent: str | None, granted: tuple[str, ...]) -> Region:
    own: dict[str, Any] = {"trust": "granted", "paths": ("/ns/data",)} if name in granted else {}
    return Region(name=name, nodes=(f"{name}:9100",) if name in nodes else (), parent=parent, **own)


def _endpoint(scope: Literal["internal", "external"], line: str) -> Endpoint:
    return Endpoint(url=_INTERNAL if scope == "internal" else _EXTERNAL, scope=scope, line=line or None)


def _seen(topology: Topology, caller: str) -> list[tuple[str, str | None]]:
    """Each way as (region or endpoint's scope, line)."""
    ways = routes(topology, topology.mounts["/ns/data"], caller)
    return [(way.endpoint.scope if way.endpoint else way.region, way.line) for way in ways]


def _reasons(topology: Topology, caller: str) -> dict[str, str]:
    return {each.what: each.why for each in candidates(topology, topology.mounts["/ns/data"], caller)}


def test_at_home_the_bucket_is_read_by_its_internal_endpoint() -> None:
    assert _seen(_topology(), "home") == [("internal", None)]


def test_at_home_the_external_endpoint_is_the_second_if_the_mount_allows_it() -> None:
    assert _seen(_topology(external="", allowed=True), "home") == [("internal", None), ("external", None)]


def test_from_elsewhere_the_home_region_reads_over_the_line_between() -> None:
    assert _seen(_topology(), "us") == [("home", "l-us")]


def test_a_line_that_carries_private_addresses_reaches_the_internal_endpoint() -> None:
    assert _seen(_topology(private=("l-us",)), "us") == [("home", "l-us"), ("internal", "l-us")]


def test_an_internal_endpoint_that_names_its_line_is_reached_over_it() -> None:
    assert _seen(_topology(internal="l-us"), "us") == [("home", "l-us"), ("internal", "l-us")]


def test_a_home_region_without_nodes_is_no_source() -> None:
    topology = _topology(nodes=("us",), private=("l-us",))

    assert _seen(topology, "us") == [("internal", "l-us")]
    assert _reasons(topology, "us")["nodes of home"] == "the home region home has no nodes"


def test_the_external_endpoint_comes_last_over_the_line_between() -> None:
    topology = _topology(private=("l-us",), external="", allowed=True)

    assert _seen(topology, "us") == [("home", "l-us"), ("internal", "l-us"), ("external", "l-us")]


def test_the_external_endpoint_needs_the_mount_to_allow_it() -> None:
    topology = _topology(external="")

    assert _seen(topology, "us") == [("home", "l-us")]
    assert "say external: true" in _reasons(topology, "us")[f"external endpoint {_EXTERNAL}"]


def test_a_metered_line_is_named_by_the_endpoint_that_is_reached_over_it() -> None:
    lines = {"l-us": ("home", "us"), "metered": ("home", "us")}
    topology = _topology(lines=lines, external="metered", allowed=True, parents={})

    assert _seen(topology, "us") == [("home", "l-us"), ("external", "metered")]


def test_an_endpoint_that_says_none_crosses_no_line() -> None:
    assert _seen(_topology(lines={}, external="none", allowed=True, parents={}), "eu") == [("external", None)]


def test_an_endpoint_with_no_line_and_none_said_is_no_source() -> None:
    topology = _topology(lines={}, external="", allowed=True, parents={})

    assert _seen(topology, "eu") == []
    assert "does not say line: none" in _reasons(topology, "eu")[f"external endpoint {_EXTERNAL}"]
    assert "does not say line: none" in _reasons(topology, "eu")[f"internal endpoint {_INTERNAL}"]


def test_an_endpoint_whose_line_leads_elsewhere_is_no_source() -> None:
    topology = _topology(internal="l-us", lines={"l-us": ("home", "us"), "l-eu": ("home", "eu")}, private=("l-eu",))

    assert _seen(topology, "eu") == [("home", "l-eu")]
    assert _reasons(topology, "eu")[f"internal endpoint {_INTERNAL}"] == "its line l-us does not touch eu"


def test_misses_go_to_the_parent_before_the_home_region() -> None:
    lines = {"l-us": ("home", "us"), "l-gpu": ("us", "gpu"), "direct": ("gpu", "home")}

    assert _seen(_topology(lines=lines), "gpu") == [("us", "l-gpu"), ("home", "direct")]


def test_the_chain_of_parents_ends_at_home() -> None:
    lines = {"a": ("gpu", "us"), "b": ("us", "home"), "c": ("home", "eu"), "d": ("gpu", "home"), "e": ("gpu", "eu")}
    topology = _topology(lines=lines, parents={"gpu": "us", "us": "home", "home": "eu"})

    assert _seen(topology, "gpu") == [("us", "a"), ("home", "d")]
    assert _seen(topology, "us") == [("home", "b")]
    assert _seen(topology, "home") == [("internal", None)]


def test_a_granted_region_reads_through_other_caches_only() -> None:
    topology = _topology(granted=("gpu",), external="none", allowed=True)

    assert _seen(topology, "gpu") == [("us", "l-gpu")]
    assert "is granted" in _reasons(topology, "gpu")[f"external endpoint {_EXTERNAL}"]


def test_a_granted_region_has_no_way_to_a_mount_it_was_not_given() -> None:
    topology = _topology(granted=("gpu",))
    other = Mount(path="/ns/other", bucket="data")

    assert routes(topology, other, "gpu") == ()
    assert candidates(topology, other, "gpu")[0].why == "region gpu is granted other paths only"


def test_a_mount_that_a_region_cannot_reach_is_worth_a_warning() -> None:
    topology = _topology(lines={"l-us": ("home", "us")}, parents={})

    assert unreached(topology) == [
        (("mounts", "/ns/data"), "region 'gpu' has no way to it; see `explain`"),
        (("mounts", "/ns/data"), "region 'eu' has no way to it; see `explain`"),
    ]


def test_a_way_is_either_nodes_or_an_endpoint() -> None:
    with pytest.raises(ValueError, match="has nodes if it is a region"):
        Way("region", "home")
    with pytest.raises(ValueError, match="an endpoint if it is an endpoint"):
        Way("endpoint", "home", nodes=("a:1",))


_pairs = st.sampled_from([(one, other) for one in _NAMES for other in _NAMES if one != other])
_lines = st.lists(_pairs, max_size=6).map(lambda pairs: {f"l{index}": pair for index, pair in enumerate(pairs)})


@st.composite
def _topologies(draw: st.DrawFn) -> Topology:
    lines = draw(_lines)
    said = st.sampled_from([None, "", "none", *(name for name, ends in lines.items() if "home" in ends)])
    # A parent stands earlier in a drawn order, so that there is no cycle.
    order = draw(st.permutations(_NAMES))
    parents = {name: draw(st.sampled_from([None, *order[:index]])) for index, name in enumerate(order)}
    internal, external = draw(st.tuples(said, said).filter(lambda both: both != (None, None)))
    return _topology(
        lines=lines,
        private=tuple(name for name in lines if draw(st.booleans())),
        nodes=tuple(name for name in _NAMES if draw(st.booleans())),
        parents=parents,
        internal=internal,
        external=external,
        allowed=draw(st.booleans()),
        granted=tuple(name for name in _NAMES[1:] if draw(st.booleans())),
    )


def _as_the_design_says(topology: Topology, caller: str) -> list[tuple[str, str | None]]:
    """The oracle: sections 4 to 6 of the design, word by word, by looking through everything."""
    between = [line for line in topology.lines.values() if {caller, "home"} == set(line.between)]
    bucket, mount = topology.buckets["data"], topology.mounts["/ns/data"]
    found: list[tuple[str, str | None]] = []
    shield = None if caller == "home" else topology.regions[caller].parent
    while shield is not None and shield != "home":
        found.append((shield, None))
        shield = topology.regions[shield].parent
    if caller != "home":
        found.append(("home", None))
    with_line = []
    for region, _ in found:
        joining = [line.name for line in topology.lines.values() if set(line.between) == {caller, region}]
        if joining and topology.regions[region].nodes:
            with_line.append((region, joining[0]))
    ways: list[tuple[str, str | None]] = list(with_line)
    if topology.regions[caller].trust == "granted":
        return ways
    for endpoint in (bucket.endpoints.internal, bucket.endpoints.external):
        if endpoint is None or (endpoint.scope == "external" and not mount.external):
            continue
        if caller == "home" or endpoint.line == "none":
            ways.append((endpoint.scope, None))
        elif endpoint.line is not None:
            ways += [(endpoint.scope, line.name) for line in between if line.name == endpoint.line]
        else:
            fit = [line.name for line in between if endpoint.scope == "external" or line.carries == "private"]
            ways += [(endpoint.scope, name) for name in fit[:1]]
    return ways


@given(_topologies(), st.sampled_from(_NAMES))
def test_routes_are_those_of_the_design(topology: Topology, caller: str) -> None:
    assert _seen(topology, caller) == _as_the_design_says(topology, caller)


@given(_topologies(), st.sampled_from(_NAMES))
def test_nothing_is_reached_without_a_line_that_leads_there(topology: Topology, caller: str) -> None:
    for way in routes(topology, topology.mounts["/ns/data"], caller):
        if way.line is not None:
            assert set(topology.lines[way.line].between) == {caller, way.region}
        else:
            assert way.endpoint is not None
            assert caller == way.region or way.endpoint.line == "none"


@given(_topologies())
def test_passing_a_read_on_from_region_to_region_never_comes_round(topology: Topology) -> None:
    def deepest(region: str) -> int:
        ways = routes(topology, topology.mounts["/ns/data"], region)
        return max((1 + deepest(way.region) for way in ways if way.kind == "region"), default=0)

    assert max(deepest(region) for region in _NAMES) < len(_NAMES)


@given(_topologies(), st.sampled_from(_NAMES))
def test_every_source_that_is_none_says_why(topology: Topology, caller: str) -> None:
    seen = candidates(topology, topology.mounts["/ns/data"], caller)

    assert all(each.why for each in seen)
    assert len({each.what for each in seen}) == len(seen)
