"""Which operation a request is."""

import pytest

from gateway.s3.operations import SUBRESOURCES, Operation, operation_of
from gateway.s3.request import parse

SERVED = {"location", "versioning", "versions", "acl", "tagging", "attributes"}


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        (b"GET", b"/", Operation.LIST_BUCKETS),
        (b"GET", b"/train", Operation.LIST_OBJECTS),
        (b"GET", b"/train?list-type=2&prefix=a", Operation.LIST_OBJECTS_V2),
        (b"GET", b"/train/?list-type=1", Operation.LIST_OBJECTS),
        (b"GET", b"/train?location", Operation.GET_BUCKET_LOCATION),
        (b"GET", b"/train?versioning", Operation.GET_BUCKET_VERSIONING),
        (b"GET", b"/train?acl=", Operation.GET_BUCKET_ACL),
        (b"GET", b"/train?versions&prefix=a", Operation.LIST_OBJECT_VERSIONS),
        (b"GET", b"/train/a?attributes", Operation.GET_OBJECT_ATTRIBUTES),
        (b"GET", b"/train/a?acl", Operation.GET_OBJECT_ACL),
        (b"GET", b"/train/a?tagging", Operation.GET_OBJECT_TAGGING),
        (b"GET", b"/train/a", Operation.GET_OBJECT),
        (b"GET", b"/train/a?x-id=GetObject", Operation.GET_OBJECT),
        (b"GET", b"/train/a?versionId=null", Operation.GET_OBJECT),
        (b"GET", b"/train/a?response-content-type=text%2Fplain", Operation.GET_OBJECT),
        (b"HEAD", b"/train/a", Operation.HEAD_OBJECT),
        (b"HEAD", b"/train", Operation.HEAD_BUCKET),
    ],
)
def test_reads_are_known_by_method_target_and_query(method: bytes, target: bytes, operation: Operation) -> None:
    assert operation_of(method, parse(target)) is operation


@pytest.mark.parametrize("method", [b"PUT", b"POST", b"DELETE", b"PATCH", b"OPTIONS"])
@pytest.mark.parametrize("target", [b"/", b"/train", b"/train/a", b"/train/a?uploads", b"/train?delete"])
def test_writes_are_not_served(method: bytes, target: bytes) -> None:
    assert operation_of(method, parse(target)) is Operation.NOT_SERVED


@pytest.mark.parametrize("name", sorted(SUBRESOURCES - SERVED))
def test_a_subresource_not_served_is_never_answered_as_the_thing_itself(name: str) -> None:
    query = name.encode() + b"=1"

    assert operation_of(b"GET", parse(b"/train?" + query)) is Operation.NOT_SERVED
    assert operation_of(b"GET", parse(b"/train/a?" + query)) is Operation.NOT_SERVED
    assert operation_of(b"HEAD", parse(b"/train/a?" + query)) is Operation.NOT_SERVED


def test_two_subresources_at_once_are_not_served() -> None:
    assert operation_of(b"GET", parse(b"/train/a?acl&tagging")) is Operation.NOT_SERVED


@pytest.mark.parametrize(
    "target", [b"/train/a?versions", b"/train/a?location", b"/train?attributes", b"/train?tagging"]
)
def test_a_subresource_of_the_other_kind_is_not_served(target: bytes) -> None:
    assert operation_of(b"GET", parse(target)) is Operation.NOT_SERVED
