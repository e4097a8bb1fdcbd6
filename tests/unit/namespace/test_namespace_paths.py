"""Paths: exact or refused, compared by whole components."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace import paths
from namespace.errors import BadPath, KeyTooLong

_components = st.lists(st.sampled_from(["a", "ab", "b", "..", "é", ""]), max_size=4)


@pytest.mark.parametrize(
    "path", ["/ns", "/ns/", "/ns/a//b", "/ns/a/../b", "/ns/a/.", "/ns/dir/", "/ns/é", "/ns/%2e%2e"]
)
def test_a_path_under_ns_is_taken_as_it_stands(path: str) -> None:
    paths.check(path)


@pytest.mark.parametrize("path", ["", "/", "/nsa", "ns/a", "//ns/a", "/NS/a", "/ns\0", "/ns/a\0b", "/ns/\ud800"])
def test_a_path_that_cannot_be_exact_is_refused(path: str) -> None:
    with pytest.raises(BadPath):
        paths.check(path)


def test_decoding_keeps_every_character() -> None:
    assert paths.decode("a//../é /".encode()) == "a//../é /"


@pytest.mark.parametrize("raw", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"a\0b"])
def test_bytes_that_are_no_name_are_refused(raw: bytes) -> None:
    with pytest.raises(BadPath):
        paths.decode(raw)


@pytest.mark.parametrize("key", ["a" * 1024, "é" * 512, "", "𝄞" * 256])
def test_a_key_of_1024_bytes_is_taken(key: str) -> None:
    paths.check_key(key)


@pytest.mark.parametrize("key", ["a" * 1025, "é" * 513, "𝄞" * 257])
def test_a_key_of_more_than_1024_bytes_is_too_long(key: str) -> None:
    with pytest.raises(KeyTooLong, match=r"1,0\d\d bytes"):
        paths.check_key(key)


@pytest.mark.parametrize("key", ["a\0", "\udc80"])
def test_a_key_that_cannot_be_sent_is_refused(key: str) -> None:
    with pytest.raises(BadPath):
        paths.check_key(key)


@pytest.mark.parametrize("place", ["/ns//a", "/ns/a/", "/ns/./a", "/ns/a/..", "/other", "/ns/" + "a" * 1025])
def test_a_place_has_whole_components_only(place: str) -> None:
    with pytest.raises(BadPath):
        paths.check_place(place)


@given(_components, _components)
def test_covering_is_a_prefix_of_components(place: list[str], path: list[str]) -> None:
    covered = paths.covers("/".join(["/ns", *place]), "/".join(["/ns", *path]))

    assert covered == (path[: len(place)] == place)


@given(_components, st.text(max_size=10))
def test_what_is_joined_to_a_place_lies_beneath_it(place: list[str], key: str) -> None:
    above = "/".join(["/ns", *place])

    assert paths.covers(above, paths.joined(above, key))
