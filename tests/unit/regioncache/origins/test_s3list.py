"""ListObjectsV2's XML, read strictly."""

from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.errors import BadAnswer
from regioncache.origins.base import ListAsk
from regioncache.origins.s3list import parse_list

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def entry(key: str, size: str = "5", modified: str = "2020-09-13T12:26:40.000Z") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>&quot;e&quot;</ETag>"
        f"<Size>{size}</Size><StorageClass>GLACIER</StorageClass></Contents>"
    )


def page(*parts: str, truncated: bool = False, encoded: bool = False, namespace: str = NAMESPACE) -> bytes:
    encoding = "<EncodingType>url</EncodingType>" if encoded else ""
    body = "".join(parts)
    return (
        f'<?xml version="1.0"?><ListBucketResult {namespace}><Name>b</Name>{encoding}'
        f"<IsTruncated>{'true' if truncated else 'false'}</IsTruncated>{body}</ListBucketResult>"
    ).encode()


def prefix(name: str) -> str:
    return f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"


def test_entries_tell_key_size_tag_time_and_class() -> None:
    (found,) = parse_list(page(entry("a&amp;b")), ListAsk()).entries

    assert (found.key, found.size, found.etag, found.last_modified, found.storage_class) == (
        "a&b",
        5,
        '"e"',
        1_600_000_000.0,
        "GLACIER",
    )


def test_each_key_has_its_own_facts_and_what_stands_elsewhere_is_nobodys() -> None:
    bare = "<Contents><Size>1</Size><Key>a</Key><LastModified>2020-09-13T12:26:40Z</LastModified></Contents>"
    owned = entry("b").replace("<Size>", "<Owner><ID>i</ID><Key>no</Key><Size>9</Size></Owner><Size>")

    found = parse_list(page("<Key>no</Key>", bare, prefix("b/"), owned, "<Size>7</Size>"), ListAsk()).entries

    assert [(one.key, one.size, one.etag, one.storage_class) for one in found] == [
        ("a", 1, "", "STANDARD"),
        ("b", 5, '"e"', "GLACIER"),
    ]


def test_a_document_without_a_namespace_is_read_too() -> None:
    assert len(parse_list(page(entry("k"), prefix("p/"), namespace=""), ListAsk()).entries) == 1


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30))
def test_a_url_encoded_key_is_exactly_that_key(key: str) -> None:
    found = parse_list(page(entry(escape(quote(key))), encoded=True), ListAsk())

    assert [one.key for one in found.entries] == [key]


def test_a_plus_in_a_url_encoded_key_is_a_space_and_without_encoding_a_plus() -> None:
    assert parse_list(page(entry("a+b%2Bc"), encoded=True), ListAsk()).entries[0].key == "a b+c"
    assert parse_list(page(entry("a+b%2Bc")), ListAsk()).entries[0].key == "a+b%2Bc"


def test_a_truncated_page_says_where_the_next_one_goes_on() -> None:
    assert parse_list(page(entry("a"), entry("b"), truncated=True), ListAsk()).next_after == "b"
    beyond = parse_list(page(entry("a"), prefix("p/"), truncated=True), ListAsk(delimiter="/")).next_after
    assert beyond is not None
    assert beyond > "p/zzz"
    assert parse_list(page(entry("z"), prefix("p/"), truncated=True), ListAsk(delimiter="/")).next_after == "z"


def test_the_key_a_list_begins_after_is_not_shown_although_some_stores_do() -> None:
    found = parse_list(page(entry("a"), entry("b"), prefix("a/")), ListAsk(after="a"))

    assert [one.key for one in found.entries] == ["b"]
    assert found.prefixes == ("a/",)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<html><body>Welcome</body></html",
        page(entry("k", size="many")),
        page(entry("k", modified="yesterday")),
        page(entry("k", modified="0001-01-01T00:00:00")),
        page(entry("k", size="9" * 5000)),
        page("<Contents><Size>5</Size></Contents>"),
        page(entry("a"), entry("b").replace("<Key>b</Key>", ""), "<Key>b</Key>"),
        page(entry("%ff"), encoded=True),
        page(truncated=True),
    ],
)
def test_what_no_store_lists_is_not_used(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_list(body, ListAsk())


def test_dates_that_cannot_be_said_are_the_nearest_that_can() -> None:
    late, early = entry("a", modified="9999-12-31T23:59:59-23:00"), entry("b", modified="0001-01-01T00:00:00+23:00")

    assert [one.last_modified for one in parse_list(page(late, early), ListAsk()).entries] == [253_402_300_799.0, 0.0]


def test_entities_are_not_resolved_and_files_not_read() -> None:
    body = (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname"><!ENTITY l "lol">]>'
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>&e;&l;</Key><Size>1</Size>"
        b"<LastModified>2020-09-13T12:26:40.000Z</LastModified></Contents></ListBucketResult>"
    )
    try:
        found = parse_list(body, ListAsk())
    except BadAnswer:
        return
    assert all(not one.key for one in found.entries)


@pytest.mark.parametrize("name", ["Contents><Key", "CommonPrefixes><Prefix"])
def test_a_list_of_keys_that_were_not_asked_for_is_refused(name: str) -> None:
    outer, inner = name.split("><")
    rest = "<Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>" if outer == "Contents" else ""
    body = f"<ListBucketResult><{outer}><{inner}>secret/a/</{inner}>{rest}</{outer}></ListBucketResult>"

    with pytest.raises(BadAnswer, match="outside the prefix"):
        parse_list(body.encode(), ListAsk(prefix="open/"))
