"""Paths as the doors see them: what a list shows, against a brute force over everything there is."""

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.files import Files
from gateway.s3.base import Caller, ListPath
from namespace import paths
from namespace.codec import topology
from namespace.keys import AccessKey
from namespace.resolver import Place, Resolver
from namespace.routes import Way
from policy import units
from policy.match import Rules
from policy.model import CacheRule
from regioncache.errors import NoSuchObject, OriginUnavailable
from regioncache.health import Health
from regioncache.lines.crossing import NoLine
from regioncache.listpages import ListPages
from regioncache.lists import Lists
from regioncache.origins.base import Payer, Source
from regioncache.recent import Recent
from regioncache.service import RegionCache
from regioncache.sources import Route, Sources, way_id
from tests.fakes.clock import FakeClock, settle
from tests.fakes.faulty import Faulty, stall, status_500
from tests.fakes.origin import FakeOrigin

pytestmark = pytest.mark.anyio


@dataclass(slots=True)
class Tree:
    """Mounts over fake buckets, and the files of it. `mounts` maps a path to (prefix, keys of its bucket)."""

    mounts: dict[str, tuple[str, list[str]]]
    consistency: object = "immutable"
    clock: FakeClock = field(default_factory=FakeClock)
    origins: dict[str, Faulty] = field(default_factory=dict)
    resolver: Resolver = field(default_factory=lambda: Resolver("home"))

    def files(self, *rules: CacheRule) -> Files:
        buckets, mounts = {}, {}
        for number, (path, (prefix, keys)) in enumerate(self.mounts.items()):
            name = f"b{number}"
            origin = FakeOrigin()
            for key in keys:
                origin.put(key, len(key))
            self.origins[name] = Faulty(origin)
            buckets[name] = {
                "provider": "s3",
                "bucket": f"real-{number}",
                "region": "home",
                "endpoints": {"internal": f"http://127.0.0.1:{number + 1}"},
                "credentials": "none",
            }
            mounts[path] = {"bucket": name, "prefix": prefix, "consistency": self.consistency}
        made = topology({"regions": {"home": {"provider": "idc"}}, "buckets": buckets, "mounts": mounts}, units)
        self.resolver.adopt(made, 1)
        sources = Sources(Health(), self._route, self.clock)
        cache = RegionCache.__new__(RegionCache)  # lists do not come near it
        return Files(self.resolver, lambda: Rules(rules), cache, self._lists(sources), Recent())

    def _lists(self, sources: Sources) -> Lists:
        return Lists(sources, ListPages(), itertools.count().__next__, self.clock, self.clock.time)

    def _route(self, place: Place, way: Way) -> Route:
        source: Source = self.origins[place.bucket.name]
        return Route(way_id(place.bucket.name, way), "origin", None, source, lambda payer, kind: NoLine())

    def visible(self, key: AccessKey) -> list[str]:
        """Every path that is an object and that the key may read."""
        found = []
        for path, (prefix, keys) in self.mounts.items():
            for name in keys:
                if name.startswith(prefix) and name != prefix:
                    at = f"{path}/{name[len(prefix) :]}"
                    place = self.resolver.find(at)
                    if place is not None and place.mount.path == path and key.may_read(at):
                        found.append(at)
        return found


def caller(*read: str) -> Caller:
    return Caller(AccessKey("KEY", "s" * 20, "reader", "rec", read=read), Payer("rec"))


async def listed(files: Files, who: Caller, prefix: str, delimiter: str, limit: int) -> list[str]:
    """Every name of a list, page by page; asserts that pages are in order, not too long and never empty in vain."""
    found: list[str] = []
    after = ""
    for _ in range(1000):
        page = await files.list(who, ListPath(prefix, after, delimiter, limit))
        names = sorted([entry.key for entry in page.entries] + list(page.prefixes))
        assert len(names) <= limit
        found += names
        if page.next_after is None:
            return found
        assert page.next_after > after
        after = page.next_after
    raise AssertionError("the list has no end")


def expected(tree: Tree, key: AccessKey, prefix: str, delimiter: str) -> tuple[set[str], set[str]]:
    """The names there must be, and those there may be besides: places of grants where nothing lies."""

    def rolled(path: str) -> str | None:
        at = path.find(delimiter, len(prefix)) if delimiter else -1
        return None if at < 0 else path[: at + len(delimiter)]

    must = {rolled(path) or path for path in tree.visible(key) if path.startswith(prefix)}
    for path in tree.mounts:
        place = f"{path}/"
        if place.startswith(prefix) and key.may_show(place) and rolled(place) is not None:
            must.add(rolled(place) or "")
    may = {rolled(grant) or "" for grant in key.read if grant.startswith(prefix)}
    return must, may - {""}


parts = st.sampled_from(["a", "b", "ab", "a.b", "", "b!"])
keys = st.lists(st.lists(parts, min_size=1, max_size=3).map("/".join), max_size=8, unique=True).map(
    lambda names: [name for name in names if name]
)
PLACES = ["/ns/a", "/ns/a/b", "/ns/a/b/a", "/ns/ab", "/ns/b", "/ns/a/ab", "/ns/c/a"]
GRANTS = [*PLACES, "/ns", "/ns/a/a", "/ns/a/b/b", "/ns/a/a.b", "/ns/b/a/b", "/ns/ab/b"]
PREFIXES = ["/ns/", "/ns/a", "/ns/a/", "/ns/a/a", "/ns/a/b", "/ns/a/b/", "/ns/b/a/", "/ns/ab", "/ns/c", "/ns/zz"]


@st.composite
def trees(draw: st.DrawFn) -> dict[str, tuple[str, list[str]]]:
    mounted = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4, unique=True))
    made = {}
    for path in mounted:
        prefix = draw(st.sampled_from(["", "p/"]))
        made[path] = (prefix, [prefix + key for key in draw(keys)])
    return made


@given(
    trees(),
    st.lists(st.sampled_from(GRANTS), min_size=1, max_size=3, unique=True),
    st.sampled_from(PREFIXES),
    st.sampled_from(["", "/", "b", "b/", "/b", "a/b", "b/b", "/a/", "b/ab"]),
    st.integers(1, 4),
)
@example({"/ns/a": ("", ["b", "b!", "b/x", "c"]), "/ns/a/b": ("", ["k"])}, ["/ns"], "/ns/a/", "", 1)
@example({"/ns/a": ("", ["a/x", "ab", "a"])}, ["/ns/a/a"], "/ns/a/a", "", 2)
@example({"/ns/a": ("", ["c"]), "/ns/a/b": ("p/", ["p/b", "p/bc", "p/c", "p/d/b/b"])}, ["/ns"], "/ns/a/", "b/b", 1)
@example({"/ns/a": ("", ["a/b", "ab", "b"])}, ["/ns/a/a"], "/ns/a/", "a/b", 1)
@example({"/ns/a": ("", ["a/b/x", "ab", "a"])}, ["/ns/a/a", "/ns/a/a/b", "/ns/a/ab"], "/ns/a/", "", 2)
async def test_a_list_shows_what_the_key_may_see_in_order_once_and_nothing_else(
    mounts: dict[str, tuple[str, list[str]]], grants: list[str], prefix: str, delimiter: str, limit: int
) -> None:
    tree = Tree(mounts)
    files, who = tree.files(), caller(*grants)

    found = await listed(files, who, prefix, delimiter, limit)
    await settle(3)

    must, may = expected(tree, who.key, prefix, delimiter)
    assert found == sorted(set(found))
    assert must <= set(found)
    assert set(found) - must <= may


async def test_an_entry_tells_the_objects_path_and_its_facts() -> None:
    files = Tree({"/ns/a": ("p/", ["p/x/y"])}).files()

    page = await files.list(caller("/ns"), ListPath("/ns/a/"))

    assert [(entry.key, entry.size) for entry in page.entries] == [("/ns/a/x/y", 5)]


async def test_the_root_asks_no_bucket() -> None:
    tree = Tree({"/ns/a": ("", ["k"]), "/ns/b/c": ("", ["k"])})
    files = tree.files()

    assert await listed(files, caller("/ns"), "/ns/", "/", 1000) == ["/ns/a/", "/ns/b/"]
    assert all(origin.asked == 0 for origin in tree.origins.values())


async def test_a_list_within_a_grant_asks_no_other_part_of_the_bucket() -> None:
    tree = Tree({"/ns/a": ("", [f"k{n:04}" for n in range(3000)] + ["z/1"])})
    files = tree.files()

    assert await listed(files, caller("/ns/a/z"), "/ns/a/", "", 1000) == ["/ns/a/z/1"]
    assert tree.origins["b0"].asked == 1


async def test_what_a_mount_hides_is_passed_over_without_reading_it() -> None:
    tree = Tree({"/ns/a": ("", [f"b/{n:04}" for n in range(5000)] + ["c"]), "/ns/a/b": ("", ["k"])})
    files = tree.files()

    assert await listed(files, caller("/ns"), "/ns/a/", "", 1000) == ["/ns/a/b/k", "/ns/a/c"]
    assert tree.origins["b0"].asked <= 3


async def test_the_page_after_is_asked_for_while_the_one_before_is_read() -> None:
    tree = Tree({"/ns/a": ("", [f"k{n:04}" for n in range(30)])})
    files = tree.files()

    first = await files.list(caller("/ns"), ListPath("/ns/a/", limit=10))
    await settle()
    assert tree.origins["b0"].asked == 1
    await files.list(caller("/ns"), ListPath("/ns/a/", first.next_after or "", limit=10))
    await settle()

    assert tree.origins["b0"].asked == 3


async def test_the_page_after_is_asked_for_before_the_reader_is_given_his_own() -> None:
    tree = Tree({"/ns/a": ("", [f"k{n:04}" for n in range(30)])})
    files = tree.files()
    first = await files.list(caller("/ns"), ListPath("/ns/a/", limit=10))

    await files.list(caller("/ns"), ListPath("/ns/a/", first.next_after or "", limit=10))

    assert tree.origins["b0"].asked == 3


async def test_all_of_a_list_is_asked_for_once_however_many_walk_it() -> None:
    tree = Tree({"/ns/a": ("", [f"k{n:04}" for n in range(30)])})
    files = tree.files()

    walked = await asyncio.gather(*(listed(files, caller("/ns"), "/ns/a/", "", 5) for _ in range(8)))

    assert [len(names) for names in walked] == [30] * 8
    assert tree.origins["b0"].asked == 6


async def test_a_delimiter_across_a_mounts_border_does_not_bring_what_it_rolls_up() -> None:
    keys = [f"b/{n:05}" for n in range(4000)] + ["c"]
    tree = Tree({"/ns/a": ("", []), "/ns/a/b": ("", keys)})
    files = tree.files()

    assert await listed(files, caller("/ns"), "/ns/a/", "b/b", 1000) == ["/ns/a/b/b", "/ns/a/b/c"]
    assert tree.origins["b1"].asked == 2


async def test_new_objects_of_an_immutable_mount_show_after_a_while() -> None:
    tree = Tree({"/ns/a": ("", ["k"])})
    files = tree.files()
    await listed(files, caller("/ns"), "/ns/a/", "", 10)
    tree.origins["b0"].source.put("l", 1)  # type: ignore[attr-defined]
    tree.clock.advance(61)

    assert await listed(files, caller("/ns"), "/ns/a/", "", 10) == ["/ns/a/k", "/ns/a/l"]


async def test_one_bucket_that_fails_fails_the_list_and_leaves_nothing_running() -> None:
    tree = Tree({"/ns/a": ("", ["k"]), "/ns/b": ("", ["k"]), "/ns/c": ("", ["k"])}, consistency="validate")
    files = tree.files()
    slow = stall()
    tree.origins["b0"].next(slow)
    tree.origins["b1"].next(status_500())
    listing = asyncio.create_task(files.list(caller("/ns"), ListPath("/ns/")))
    await slow.reached.wait()
    slow.released.set()

    with pytest.raises(OriginUnavailable):
        await listing

    assert await listed(files, caller("/ns"), "/ns/", "", 10) == ["/ns/a/k", "/ns/b/k", "/ns/c/k"]


async def test_a_page_of_no_names_is_empty() -> None:
    files = Tree({"/ns/a": ("", ["k"])}).files()

    page = await files.list(caller("/ns"), ListPath("/ns/a/", limit=0))

    assert (page.entries, page.prefixes, page.next_after) == ((), (), None)


@pytest.mark.parametrize("path", ["/ns/nowhere/k", "/ns/a", "/ns/a/", "/ns"])
def test_what_is_no_object_is_no_place(path: str) -> None:
    files = Tree({"/ns/a": ("", ["k"])}).files()

    with pytest.raises(NoSuchObject):
        files.place(path)


@pytest.mark.parametrize("path", ["/ns/a", "/ns/a/"])
def test_a_mount_that_is_asked_for_as_an_object_is_called_a_mount(path: str) -> None:
    files = Tree({"/ns/a": ("", ["k"])}).files()

    with pytest.raises(NoSuchObject, match="it is a mount"):
        files.place(path)


@pytest.mark.parametrize("key", ["k", "x//y", "dir/", "x/../k", "."])
def test_a_path_is_exactly_its_key(key: str) -> None:
    files = Tree({"/ns/a": ("p/", [])}).files()

    assert files.place(f"/ns/a/{key}").key == f"p/{key}"


def test_the_rules_say_what_is_kept() -> None:
    rule = CacheRule.model_validate({"match": "/ns/a/tmp/**", "admit": "never"})
    files = Tree({"/ns/a": ("", [])}).files(rule)

    assert not files.terms(files.place("/ns/a/tmp/k")).keep
    assert files.terms(files.place("/ns/a/k")).keep
    assert paths.covers("/ns/a/tmp", "/ns/a/tmp/k")
