"""Conditions of a read, in RFC 9110's order."""

import pytest

from gateway.s3.codes import Refusal
from gateway.s3.conditions import Conditions, range_holds

ETAG = '"abc"'
AT = 784111777.5
SAME = b"Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = b"Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = b"Sun, 06 Nov 1994 08:49:38 GMT"


def outcome(**headers: bytes) -> str:
    try:
        return "ok" if Conditions(**headers).changed(ETAG, AT) else "NotModified"
    except Refusal as refused:
        return refused.code


@pytest.mark.parametrize("value", [b'"abc"', b"abc", b"*", b'"x", "abc"', b'"x" ,abc', b' "abc" '])
def test_if_match_passes_for_this_version(value: bytes) -> None:
    assert outcome(if_match=value) == "ok"


@pytest.mark.parametrize("value", [b'"abd"', b'W/"abc"', b"", b'"ab', b'"x","y"'])
def test_if_match_fails_for_another_version_and_for_weak_tags(value: bytes) -> None:
    assert outcome(if_match=value) == "PreconditionFailed"


@pytest.mark.parametrize("value", [b'"abc"', b"abc", b"*", b'W/"abc"', b'"x", W/"abc"'])
def test_if_none_match_says_not_modified_for_this_version(value: bytes) -> None:
    assert outcome(if_none_match=value) == "NotModified"


def test_if_none_match_passes_for_another_version() -> None:
    assert outcome(if_none_match=b'"abd"') == "ok"


@pytest.mark.parametrize(("value", "expected"), [(BEFORE, "ok"), (SAME, "NotModified"), (AFTER, "NotModified")])
def test_if_modified_since_compares_whole_seconds(value: bytes, expected: str) -> None:
    assert outcome(if_modified_since=value) == expected


@pytest.mark.parametrize(("value", "expected"), [(BEFORE, "PreconditionFailed"), (SAME, "ok"), (AFTER, "ok")])
def test_if_unmodified_since_compares_whole_seconds(value: bytes, expected: str) -> None:
    assert outcome(if_unmodified_since=value) == expected


@pytest.mark.parametrize(
    "value", [b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994", b"Sun, 06 Nov 1994 08:49:37 +0000"]
)
def test_older_forms_of_dates_are_read(value: bytes) -> None:
    assert outcome(if_modified_since=value) == "NotModified"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"yesterday",
        b"\xff\xfe",
        b"Sun, 99 Nov 1994 08:49:37 GMT",
        b"784111777",
        b"Sun, 06 Nov 1994 08:49:" + b"3" * 30,
    ],
)
def test_a_date_that_is_none_is_as_if_it_were_not_there(value: bytes) -> None:
    assert outcome(if_modified_since=value) == "ok"
    assert outcome(if_unmodified_since=value) == "ok"


def test_if_match_stands_before_if_unmodified_since() -> None:
    assert outcome(if_match=b'"abc"', if_unmodified_since=BEFORE) == "ok"


def test_if_none_match_stands_before_if_modified_since() -> None:
    assert outcome(if_none_match=b'"abd"', if_modified_since=AFTER) == "ok"


def test_a_failed_if_match_stands_before_not_modified() -> None:
    assert outcome(if_match=b'"abd"', if_none_match=b'"abc"') == "PreconditionFailed"


@pytest.mark.parametrize(
    ("value", "holds"),
    [(b'"abc"', True), (b'"abd"', False), (b'W/"abc"', False), (SAME, True), (BEFORE, False), (AFTER, False)],
)
def test_if_range_holds_only_for_exactly_this_version(value: bytes, holds: bool) -> None:
    assert range_holds(value, ETAG, AT) is holds


def test_a_weak_version_matches_weakly_only() -> None:
    assert Conditions(if_none_match=b'"abc"').changed('W/"abc"', AT) is False
    with pytest.raises(Refusal):
        Conditions(if_match=b'W/"abc"').changed('W/"abc"', AT)
    with pytest.raises(Refusal):
        Conditions(if_match=b'"abc"').changed('W/"abc"', AT)
