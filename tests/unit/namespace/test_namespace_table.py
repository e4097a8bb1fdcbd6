"""The table of mounts against a search through all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.errors import BadPath, KeyTooLong
from namespace.model import Mount
from namespace.table import Table

_PARTS = ["a", "ab", "b", "a-b", "é"]
_places = st.lists(st.sampled_from(_PARTS), min_size=1, max_size=3).map(lambda parts: "/".join(["/ns", *parts]))
_mounts = st.dictionaries(_places, st.sampled_from(["", "p/", "a/b/"]), max_size=8).map(
    lambda found: [Mount(path=path, bucket="data", prefix=prefix) for path, prefix in found.items()]
)
_asked = st.lists(st.sampled_from([*_PARTS, "", "..x", "x"]), max_size=5).map(lambda parts: "/".join(["/ns", *parts]))


def _mount(path: str, prefix: str = "") -> Mount:
    return Mount(path=path, bucket="data", prefix=prefix)


def _searched(mounts: list[Mount], path: str) -> tuple[Mount, str] | None:
    """The oracle: of all mounts whose components begin the path's, the longest."""
    parts = path.split("/")
    fit = [mount for mount in mounts if parts[: len(mount.path.split("/"))] == mount.path.split("/")]
    if not fit:
        return None
    mount = max(fit, key=lambda each: len(each.path))
    rest = parts[len(mount.path.split("/")) :]
    return mount, mount.prefix + "/".join(rest) if rest else ""


@given(_mounts, _asked)
def test_the_longest_prefix_of_whole_components_wins(mounts: list[Mount], path: str) -> None:
    assert Table(mounts).find(path) == _searched(mounts, path)


@given(_mounts, _asked)
def test_children_are_the_names_that_mounts_have_beneath_a_path(mounts: list[Mount], path: str) -> None:
    parts = path.removesuffix("/").split("/")
    expected = {mount.path.split("/")[len(parts)] for mount in mounts if _strictly_beneath(mount, parts)}

    assert Table(mounts).children(path) == tuple(sorted(expected, key=lambda name: name + "/"))


@given(_mounts, _asked)
def test_parents_of_mounts_exist(mounts: list[Mount], path: str) -> None:
    parts = path.removesuffix("/").split("/")
    expected = parts == ["", "ns"] or any(mount.path.split("/")[: len(parts)] == parts for mount in mounts)

    assert Table(mounts).exists(path) == expected


@given(_mounts, _asked)
def test_mounts_under_a_path_come_in_key_order(mounts: list[Mount], path: str) -> None:
    parts = path.removesuffix("/").split("/")
    expected = [mount for mount in mounts if mount.path.split("/")[: len(parts)] == parts]

    assert list(Table(mounts).mounts_under(path)) == sorted(expected, key=lambda mount: (mount.path + "/").encode())


@given(_mounts, _asked, st.text("ab/-", max_size=3), st.lists(_asked, max_size=5))
def test_names_come_only_from_where_they_begin(mounts: list[Mount], path: str, more: str, names: list[str]) -> None:
    """Whatever begins with a string is found in the mount that holds it, or in one of the mounts inside."""
    beginning = path + more if len(path) > 3 else path
    table = Table(mounts)

    within = table.within(beginning)

    for name in [*names, path, path + more, path + "/a/b", path + more + "a/b"]:
        found = table.find(name) if name.startswith("/ns/") and name.startswith(beginning) else None
        if found is None or not found[1]:
            continue
        mount, key = found
        assert mount in within.mounts or (mount is within.mount and key.startswith(within.prefix))
    assert all(f"{mount.path}/".startswith(beginning) for mount in within.mounts)


@given(_mounts, _asked)
def test_a_key_is_hidden_if_its_path_belongs_to_another_mount(mounts: list[Mount], rest: str) -> None:
    table = Table(mounts)
    for mount in mounts:
        key = mount.prefix + rest.removeprefix("/ns/")
        hidden = any(key == place or key.startswith(place + "/") for place in table.hidden(mount))

        found = table.find(mount.path + "/" + key.removeprefix(mount.prefix))

        assert found is not None
        assert hidden == (found[0] is not mount)


def test_a_mount_hides_what_its_parent_has_there_once() -> None:
    outer = _mount("/ns/a", "p/")
    table = Table([_mount("/ns/a/b/c"), outer, _mount("/ns/a/b"), _mount("/ns/ab")])

    assert table.hidden(outer) == ("p/b",)


def test_a_key_is_exact() -> None:
    table = Table([_mount("/ns/a", "p/")])

    assert [table.find(f"/ns/a/{rest}")[1] for rest in ("b//c", "a/../b", "dir/", "", "%2e%2e")] == [  # type: ignore[index]
        "p/b//c",
        "p/a/../b",
        "p/dir/",
        "p/",
        "p/%2e%2e",
    ]


@pytest.mark.parametrize("rest", ["../b", "..", "x/../../b", "x//../../b", "./../b"])
@pytest.mark.parametrize("prefix", ["", "p/"])
def test_dots_never_lead_out_of_a_mount(prefix: str, rest: str) -> None:
    table = Table([_mount("/ns/a", prefix)])

    with pytest.raises(BadPath, match="out of mount /ns/a"):
        table.find(f"/ns/a/{rest}")


def test_the_path_of_a_mount_itself_names_no_object() -> None:
    mount = _mount("/ns/a", "p/")

    assert Table([mount]).find("/ns/a") == (mount, "")


def test_the_limit_of_a_key_counts_the_prefix_of_its_mount() -> None:
    table = Table([_mount("/ns/a", "p/")])

    assert table.find("/ns/a/" + "k" * 1022) is not None
    with pytest.raises(KeyTooLong):
        table.find("/ns/a/" + "k" * 1023)


@pytest.mark.parametrize("path", ["/nsa", "/ns/a/\0", "/ns/a/\ud800"])
def test_a_path_that_cannot_be_exact_is_not_looked_up(path: str) -> None:
    with pytest.raises(BadPath):
        Table([_mount("/ns/a")]).find(path)


def _strictly_beneath(mount: Mount, parts: list[str]) -> bool:
    mounted = mount.path.split("/")
    return len(mounted) > len(parts) and mounted[: len(parts)] == parts


components = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3)
places = st.sets(components.map(lambda parts: "/ns/" + "/".join(parts)), max_size=6)


@given(places, places, places)
def test_a_table_that_was_changed_finds_what_a_new_one_finds(before: set[str], gone: set[str], put: set[str]) -> None:
    def mounts(paths: set[str], bucket: str) -> dict[str, Mount]:
        return {path: Mount(path=path, bucket=bucket) for path in sorted(paths)}

    after = {path: mount for path, mount in mounts(before, "old").items() if path not in gone} | mounts(put, "new")
    table = Table(mounts(before, "old").values())

    changed = table.changed(sorted(gone & before), list(mounts(put, "new").values()))

    new = Table(after.values())
    for path in ("/ns", "/ns/a", "/ns/a/b", "/ns/b/a/ab/x", "/ns/ab/ab", "/ns/x"):
        assert changed.find(path) == new.find(path)
        assert changed.children(path) == new.children(path)
        assert changed.mounts_under(path) == new.mounts_under(path)
    assert table.mounts_under("/ns") == Table(mounts(before, "old").values()).mounts_under("/ns")
