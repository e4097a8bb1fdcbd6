"""A region that works by other files than ours is told of once for each difference."""

from regioncache.peers.digests import Digests


def ours(digest: str = "a1") -> Digests:
    digests = Digests()
    digests.adopt(digest)
    return digests


def test_the_same_files_are_no_news() -> None:
    assert not ours("a1").hear("idc-bj", b"a1")


def test_other_files_are_news_once() -> None:
    digests = ours("a1")

    first, second = digests.hear("idc-bj", b"b2"), digests.hear("idc-bj", b"b2")

    assert first
    assert not second
    assert digests.of("idc-bj") == "b2"


def test_another_difference_is_news_again() -> None:
    digests = ours("a1")
    digests.hear("idc-bj", b"b2")

    assert digests.hear("idc-bj", b"c3")


def test_a_node_without_files_is_no_difference() -> None:
    assert not ours("a1").hear("idc-bj", b"")
    assert not ours("").hear("idc-bj", b"b2")


def test_what_is_no_digest_is_not_remembered() -> None:
    digests = ours("a1")

    digests.hear("idc-bj", b"x" * 1000)
    digests.hear("idc-bj", None)

    assert digests.of("idc-bj") == ""
