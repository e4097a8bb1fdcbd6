"""Lists as S3 writes them, and the options of a list's query."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.s3.codes import Refusal
from gateway.s3.dates import IsoDates
from gateway.s3.listing import list_query, max_keys, read_token, token_of
from gateway.s3.listxml import render
from regioncache.origins.base import Listed, ListPage

S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"
PLAIN = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


def page(query: dict[str, str], *, v2: bool = True, next_after: str | None = None, key: str = "a&b") -> etree._Element:
    entry = Listed(key=key, size=7, etag='"e"', last_modified=1255369850.25)
    asked = list_query(query, v2=v2)
    return etree.fromstring(render("train", asked, ListPage((entry,), ("p<q/",), next_after), 0, IsoDates()))


def text(root: etree._Element, path: str) -> str | None:
    return root.findtext("/".join(S3 + part for part in path.split("/")))


def refusal_of(query: dict[str, str]) -> str:
    with pytest.raises(Refusal) as refused:
        list_query(query, v2=True)
    return refused.value.code


def test_a_page_of_version_2_has_all_that_s3_gives() -> None:
    root = page({"prefix": "a&", "delimiter": "<", "start-after": "0", "max-keys": "2"}, next_after="p<q/")

    assert root.tag == f"{S3}ListBucketResult"
    assert [(child.tag.removeprefix(S3), child.text) for child in root if not len(child)] == [
        ("Name", "train"),
        ("Prefix", "a&"),
        ("KeyCount", "2"),
        ("StartAfter", "0"),
        ("NextContinuationToken", token_of("p<q/")),
        ("MaxKeys", "2"),
        ("Delimiter", "<"),
        ("IsTruncated", "true"),
    ]
    contents = root.find(f"{S3}Contents")
    assert contents is not None
    assert [(child.tag.removeprefix(S3), child.text) for child in contents] == [
        ("Key", "a&b"),
        ("LastModified", "2009-10-12T17:50:50.250Z"),
        ("ETag", '"e"'),
        ("Size", "7"),
        ("StorageClass", "STANDARD"),
    ]
    assert text(root, "CommonPrefixes/Prefix") == "p<q/"


def test_a_page_of_version_1_has_marker_next_marker_and_owner() -> None:
    root = page({"marker": "0", "delimiter": "/"}, v2=False, next_after="p<q/")

    assert text(root, "Marker") == "0"
    assert text(root, "NextMarker") == "p<q/"
    assert text(root, "Contents/Owner/ID") == "causeway"
    assert text(root, "KeyCount") is None


@pytest.mark.parametrize(("key", "marker"), [("a", "p<q/"), ("z", "z")])
def test_the_next_marker_is_the_last_key_or_common_prefix_of_the_page(key: str, marker: str) -> None:
    root = page({"delimiter": "/"}, v2=False, next_after="p<q/\U0010ffff", key=key)

    assert text(root, "NextMarker") == marker


@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize(
    ("begin", "after"),
    [
        ("x/a/", "x/a/\U0010ffff"),
        ("x/a/b", "x/a/b"),
        ("x/a", "x/a"),
        ("x/", "x/"),
        ("x", "x"),
        ("a/", "a/"),
        ("x/a/b/", "x/a/b/"),
        ("", ""),
    ],
)
def test_a_list_that_begins_after_a_common_prefix_passes_over_all_beneath_it(begin: str, after: str, v2: bool) -> None:
    name = "start-after" if v2 else "marker"

    query = list_query({"prefix": "x/", "delimiter": "/", name: begin}, v2=v2)

    assert (query.after, query.start_after) == (after, begin)
    assert list_query({"prefix": "x/", name: begin}, v2=v2).after == begin


def test_the_owner_comes_in_version_2_only_when_asked_for() -> None:
    assert text(page({}), "Contents/Owner/ID") is None
    assert text(page({"fetch-owner": "true"}), "Contents/Owner/ID") == "causeway"


def test_url_encoding_covers_keys_prefixes_and_markers() -> None:
    query = {"encoding-type": "url", "prefix": "a b", "delimiter": "+", "marker": "m m"}

    root = page(query, v2=False, next_after="q\x01/n", key="q/a b+\x01%\u00e9")

    assert text(root, "EncodingType") == "url"
    assert text(root, "Prefix") == "a%20b"
    assert text(root, "Delimiter") == "%2B"
    assert text(root, "Marker") == "m%20m"
    assert text(root, "NextMarker") == "q/a%20b%2B%01%25%C3%A9"
    assert text(root, "Contents/Key") == "q/a%20b%2B%01%25%C3%A9"
    assert text(root, "CommonPrefixes/Prefix") == "p%3Cq/"


def test_what_xml_cannot_hold_is_a_character_reference_never_another_name() -> None:
    query = list_query({}, v2=True)
    entry = Listed(key="a\x01b\rc\n", size=0, etag='"e"', last_modified=0)

    xml = render("train", query, ListPage((entry,)), 0, IsoDates())

    assert b"<Key>a&#1;b&#13;c\n</Key>" in xml
    parsed = etree.fromstring(xml, etree.XMLParser(recover=True, resolve_entities=False))
    assert (parsed.findtext(f"{S3}Contents/{S3}Key") or "").endswith("b\rc\n")


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")))
def test_every_name_that_xml_can_hold_comes_back(key: str) -> None:
    assert (text(page({}, key=key), "Contents/Key") or "") == key


@given(PLAIN)
def test_a_token_brings_back_where_the_list_goes_on(after: str) -> None:
    query = list_query({"continuation-token": token_of(after), "start-after": "zzz"}, v2=True)

    assert query.after == after


@pytest.mark.parametrize(
    "token", ["", "junk", "bm9uZQ==", token_of("a") + "=", token_of("a")[:-1], "é", token_of("\0")]
)
def test_a_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_token(token)

    assert refused.value.code == "InvalidArgument"


def test_a_token_stands_before_start_after_and_a_marker_is_for_version_1() -> None:
    assert list_query({"start-after": "s", "marker": "m"}, v2=True).after == "s"
    assert list_query({"start-after": "s", "marker": "m"}, v2=False).after == "m"


@pytest.mark.parametrize(
    ("value", "keys"), [("", 1000), ("0", 0), ("1", 1), ("1000", 1000), ("1001", 1000), ("2147483647", 1000)]
)
def test_max_keys_is_at_most_a_thousand(value: str, keys: int) -> None:
    assert max_keys(value) == keys


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "2147483648", "9" * 5000, "\u0661", " 1"])
def test_max_keys_that_is_no_number_is_refused(value: str) -> None:
    assert refusal_of({"max-keys": value}) == "InvalidArgument"


def test_another_encoding_type_is_refused() -> None:
    assert refusal_of({"encoding-type": "base64"}) == "InvalidArgument"


def test_an_empty_delimiter_is_none() -> None:
    assert text(page({"delimiter": ""}), "Delimiter") is None
