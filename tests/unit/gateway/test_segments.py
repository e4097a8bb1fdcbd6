"""Which parts of which mounts make up a list."""

from gateway.segments import LAST, Segment, segments
from namespace.keys import AccessKey
from namespace.model import Mount
from namespace.table import Table


def mount(path: str, prefix: str = "") -> Mount:
    return Mount.model_construct(path=path, bucket=path.removeprefix("/ns/").replace("/", "-"), prefix=prefix)


TABLE = Table([mount("/ns/train", "p/"), mount("/ns/train/public"), mount("/ns/training"), mount("/ns/deep/er")])


def key(*read: str) -> AccessKey:
    return AccessKey("KEY", "s" * 20, "reader", "rec", read=read)


def shown(prefix: str, delimiter: str, *read: str) -> list[tuple[str, str, str | None]]:
    return [
        (part.mount.path, part.beginning, part.rolled) for part in segments(TABLE, key(*read).read, prefix, delimiter)
    ]


def test_a_list_beneath_a_mount_asks_its_bucket_and_shows_mounts_in_it_as_prefixes() -> None:
    assert shown("/ns/train/", "/", "/ns") == [
        ("/ns/train", "/ns/train/", None),
        ("/ns/train/public", "/ns/train/public/", "/ns/train/public/"),
    ]


def test_a_list_of_everything_asks_each_mount() -> None:
    assert shown("/ns/", "", "/ns") == [
        ("/ns/deep/er", "/ns/deep/er/", None),
        ("/ns/train", "/ns/train/", None),
        ("/ns/train/public", "/ns/train/public/", None),
        ("/ns/training", "/ns/training/", None),
    ]


def test_a_list_of_the_root_asks_no_bucket_at_all() -> None:
    assert {rolled for _, _, rolled in shown("/ns/", "/", "/ns")} == {"/ns/deep/", "/ns/train/", "/ns/training/"}


def test_a_beginning_within_a_name_finds_mounts_and_keys() -> None:
    assert shown("/ns/train/pub", "", "/ns") == [
        ("/ns/train", "/ns/train/pub", None),
        ("/ns/train/public", "/ns/train/public/", None),
    ]
    assert [path for path, _, _ in shown("/ns/tr", "", "/ns")] == ["/ns/train", "/ns/train/public", "/ns/training"]


def test_a_key_is_asked_for_what_it_may_see_alone() -> None:
    assert shown("/ns/", "", "/ns/train/a", "/ns/train/a/b", "/ns/training/x") == [
        ("/ns/train", "/ns/train/a", None),
        ("/ns/training", "/ns/training/x", None),
    ]
    assert shown("/ns/deep/", "", "/ns/train") == []


def test_a_grant_on_a_mounts_place_opens_nothing_of_what_it_hides() -> None:
    assert shown("/ns/", "", "/ns/train/public/x") == [("/ns/train/public", "/ns/train/public/x", None)]


def test_a_grant_that_is_the_beginning_of_other_names_shows_none_of_them() -> None:
    (part,) = segments(TABLE, key("/ns/train/a").read, "/ns/train/a", "")

    assert not part.whole
    assert part.shows("p/a")
    assert part.shows("p/a/b")
    assert not part.shows("p/ab")


def test_what_a_mount_hides_is_its_place_and_all_beneath_and_nothing_beside() -> None:
    (part, _) = segments(TABLE, key("/ns").read, "/ns/train/", "/")

    assert part.hides("p/public") == part.hides("p/public/x") == "p/public"
    assert part.hides("p/public-a") is None
    assert part.beyond_hidden("p/public/x") == f"p/public/{LAST}"
    assert part.beyond_hidden("p/public") == "p/public", "names between it and what lies beneath are not hidden"
    assert part.beyond_hidden("p/q") == "p/q"


def test_paths_and_keys_are_translated_both_ways() -> None:
    part = Segment(mount("/ns/train", "p/"), "/ns/train/ab", "p/ab")

    assert part.path("p/abc/d") == "/ns/train/abc/d"
    assert part.key("/ns/train/abc/d") == "p/abc/d"
    assert part.key("/ns/train/aa") == ""


def test_a_segment_is_over_when_the_list_goes_on_behind_it() -> None:
    part = Segment(mount("/ns/train"), "/ns/train/", "")

    assert not part.over("")
    assert not part.over("/ns/train/z")
    assert part.over("/ns/train0")
    assert part.over("/ns/z")
