"""What a granted region is told of lists: all names that were granted, no other, whatever it asks and how it walks."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from namespace.codec import Units, topology
from namespace.model import Bucket, Endpoint, Endpoints, Region, Topology
from namespace.resolver import Resolver
from policy import units
from regioncache.errors import NotGranted, OriginUnavailable
from regioncache.grants import LAST, Granted, Grants
from regioncache.origins.base import Listed, ListPage
from regioncache.places import Shown

D = Bucket(
    name="d",
    provider="s3",
    bucket="bucket-d",
    region="home",
    endpoints=Endpoints(internal=Endpoint(scope="internal", url="http://d:9000")),
).id
PARTS = st.sampled_from(["a", "b", "a-", "a.", "a0", "..", "", "ab", "h"])
KEYS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


def granted(*places: str) -> Granted:
    """A region that has these places of a bucket that is mounted at /ns/m, beneath which another hides /ns/m/a/h."""
    bucket = {"provider": "s3", "region": "home", "credentials": "none"}
    written = {
        "regions": {"home": {}, "pool": {"trust": "granted", "paths": list(places), "parent": "home"}},
        "lines": {"l": {"between": ["home", "pool"], "capacity": "1Gbps"}},
        "buckets": {
            name: {**bucket, "bucket": f"bucket-{name}", "endpoints": {"internal": f"http://{name}:9000"}}
            for name in ("d", "e")
        },
        "mounts": {"/ns/m": {"bucket": "d"}, "/ns/m/a/h": {"bucket": "e"}},
    }
    made = topology(written, Units(rate=units.rate, size=units.size, duration=units.duration))
    resolver, shown = Resolver("home"), Shown(made)
    resolver.adopt(made, 1)
    found = Grants(resolver, lambda: shown).of("pool")
    assert found is not None
    return found


def page(keys: list[str], prefix: str, after: str, delimiter: str, limit: int) -> ListPage:
    """As a bucket lists: in order, rolled up, `limit` names."""
    names: dict[str, bool] = {}
    for key in sorted(keys):
        if key.startswith(prefix):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            name = key if end < 0 else key[: end + 1]
            if key > after and not (end >= 0 and after.startswith(name)):
                names[name] = end < 0
    shown = sorted(names)[:limit]
    more = len(names) > limit
    entries = tuple(Listed(name, 1, "e", 0.0, "") for name in shown if names[name])
    prefixes = tuple(name for name in shown if not names[name])
    following = (shown[-1] if names[shown[-1]] else shown[-1] + LAST) if more else None
    return ListPage(entries, prefixes, following, 0.0)


def walked(of: Granted, keys: list[str], prefix: str, delimiter: str, limit: int) -> tuple[list[str], list[str]]:
    """The names that are told, and where pages ended."""
    names, ends, after = list[str](), list[str](), ""
    for _ in range(len(keys) * 3 + 3):
        told = of.page(D, prefix, page(keys, prefix, after, delimiter, limit))
        names += [entry.key for entry in told.entries] + list(told.prefixes)
        if told.next_after is None:
            return names, ends
        assert told.next_after > after
        after = told.next_after
        ends.append(after)
    raise AssertionError("the list has no end")


def may(of: Granted, key: str) -> bool:
    try:
        of.check(D, key)
    except NotGranted:
        return False
    return True


@given(
    st.lists(KEYS.filter(bool), unique=True, max_size=12),
    st.sampled_from([("/ns/m/a",), ("/ns/m/a", "/ns/m/a-"), ("/ns/m/a/b", "/ns/m/ab"), ("/ns/m",), ("/ns/m/a/h/x",)]),
    KEYS,
    st.sampled_from(["", "/"]),
    st.integers(1, 4),
)
@example(["a-/a", "a/../b", "a/h/x", "a/z", "a0"], ("/ns/m/a",), "a", "", 1)
def test_a_walk_shows_what_is_granted_and_no_page_ends_on_another_name(
    keys: list[str], places: tuple[str, ...], prefix: str, delimiter: str, limit: int
) -> None:
    of = granted(*places)
    if not may(of, prefix):
        return

    names, ends = walked(of, keys, prefix, delimiter, limit)

    inside = [key for key in keys if key.startswith(prefix) and may(of, key)]
    under = {place.removeprefix("/ns/m").removeprefix("/") for place in places}
    if delimiter == "":
        # Another grant beside this one is listed by a question of its own.
        own = [
            key
            for key in inside
            if not any(key != prefix and prefix == p and not key.startswith(f"{p}/") for p in under)
        ]
        assert set(own) <= set(names) <= set(inside)
    assert all(may(of, name) for name in names)
    assert len(set(names)) == len(names)
    for end in ends:
        bare = end.removesuffix(LAST).removesuffix("/").removesuffix(".")
        assert may(of, end) or may(of, bare) or bare in {"a/h"} or bare.endswith("..")


def test_an_object_is_granted_by_any_of_its_paths() -> None:
    of = granted("/ns/m/a")

    assert may(of, "a/b")
    assert may(of, "a")
    assert not may(of, "ab")
    assert not may(of, "a/h/x")
    assert not may(of, "a/../b")
    assert may(of, "a/b/../c")


def test_a_region_that_nobody_knows_has_nothing() -> None:
    of = granted("/ns/m/a")
    resolver = Resolver("home")
    resolver.adopt(Topology(regions={"home": Region(name="home")}), 1)

    with pytest.raises(OriginUnavailable, match="'pool' is not in the topology of home"):
        Grants(resolver, lambda: of.shown).of("pool")
