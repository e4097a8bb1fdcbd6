"""A request line means exactly one bucket, key and query, or is refused."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.s3 import request
from gateway.s3.codes import Refusal, said
from gateway.s3.request import parse, parse_query


def refusal_of(target: bytes) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        parse(target)
    told = said(refused.value)
    return told.status, told.code


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/train/a.jpg", "/ns/train/a.jpg"),
        (b"/ns/train/a.jpg", "/ns/train/a.jpg"),
        (b"/causeway/train/a.jpg", "/ns/train/a.jpg"),
        (b"/ckpt/ns/a", "/ns/ckpt/ns/a"),
    ],
)
def test_a_bucket_is_the_first_component_below_ns(target: bytes, path: str) -> None:
    assert parse(target).path == path


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b"a//b", "a//b"),
        (b"/a", "/a"),
        (b"a/../b", "a/../b"),
        (b"a/%2e%2e/b", "a/../b"),
        (b"..", ".."),
        (b"dir/", "dir/"),
        (b"dir//", "dir//"),
        (b"a%2Fb", "a/b"),
        (b"a%252Fb", "a%2Fb"),
        (b"a+b", "a+b"),
        (b"a%2Bb", "a+b"),
        (b"a%20b", "a b"),
        (b"%E6%95%B0%E6%8D%AE", "数据"),
        ("数据".encode(), "数据"),
        (b"a;b=c,d:e@f", "a;b=c,d:e@f"),
        (b"a%3Fb%23c", "a?b#c"),
        (b"a%0Ab", "a\nb"),
    ],
)
def test_a_key_is_decoded_once_and_never_tidied(raw: bytes, key: str) -> None:
    assert parse(b"/train/" + raw).key == key


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_every_key_comes_back_as_it_was_quoted(key: str) -> None:
    assert parse(b"/train/" + quote(key, safe="/").encode()).key == key


@pytest.mark.parametrize("raw", [b"a%00b", b"%ff", b"\xff", b"a%c0%ae", b"%ed%a0%80", b"%zz", b"%4", b"%"])
def test_what_is_no_text_or_holds_nul_is_400(raw: bytes) -> None:
    assert refusal_of(b"/train/" + raw) == (400, "InvalidURI")
    assert refusal_of(b"/" + raw + b"/key") == (400, "InvalidURI")
    assert refusal_of(b"/train?prefix=" + raw) == (400, "InvalidURI")


def test_a_key_may_have_1024_bytes_and_no_more() -> None:
    assert len(parse(b"/train/" + b"k" * 1024).key) == 1024
    assert len(parse(b"/train/" + b"%C3%A9" * 512).key) == 512

    assert refusal_of(b"/train/" + b"k" * 1025) == (400, "KeyTooLongError")
    assert refusal_of(b"/train/" + b"%C3%A9" * 512 + b"k") == (400, "KeyTooLongError")


def test_in_the_whole_tree_the_first_component_is_not_counted() -> None:
    assert parse(b"/ns/train/" + b"k" * 1024).path == "/ns/train/" + "k" * 1024

    assert refusal_of(b"/ns/train/" + b"k" * 1025) == (400, "KeyTooLongError")


@pytest.mark.parametrize("target", [b"//key", b"//", b"/a%2Fb/key", b"/" + b"b" * 256 + b"/key"])
def test_a_bucket_that_cannot_be_is_400(target: bytes) -> None:
    assert refusal_of(target) == (400, "InvalidBucketName")


@pytest.mark.parametrize("target", [b"train/key", b"http://host/train/key", b"*", b"", b"?a=b"])
def test_a_target_that_is_no_path_is_400(target: bytes) -> None:
    assert refusal_of(target) == (400, "InvalidURI")


@pytest.mark.parametrize(("target", "bucket"), [(b"/", ""), (b"/train", "train"), (b"/train/", "train")])
def test_without_a_key_it_is_the_bucket_or_the_service(target: bytes, bucket: str) -> None:
    asked = parse(target)

    assert (asked.bucket, asked.key) == (bucket, "")


def test_a_query_is_decoded_with_plus_as_space_and_the_first_of_each_name() -> None:
    fields = parse_query(b"prefix=a%2Fb+c%2B&delimiter=%2F&acl&prefix=z&&max-keys=")

    assert fields == {"prefix": "a/b c+", "delimiter": "/", "acl": "", "max-keys": ""}


def test_a_query_has_limits() -> None:
    assert refusal_of(b"/train?prefix=" + b"k" * request.QUERY_BYTES) == (400, "InvalidURI")
    assert refusal_of(b"/train?" + b"a=b&" * 64) == (400, "InvalidURI")
