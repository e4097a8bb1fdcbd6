"""Which operation a request is, from method, target and query alone.

What is not served is `NotImplemented`, never silence: a sub-resource that this version does not know may not be
answered as if it had not been asked for.
"""

from enum import StrEnum
from typing import Final

from gateway.s3.request import Target


class Operation(StrEnum):
    """S3's own names, and two of ours; they are the `operation` label of the metrics and of the access log."""

    GET_OBJECT = "GetObject"
    HEAD_OBJECT = "HeadObject"
    LIST_OBJECTS_V2 = "ListObjectsV2"
    LIST_OBJECTS = "ListObjects"
    LIST_BUCKETS = "ListBuckets"
    HEAD_BUCKET = "HeadBucket"
    LIST_OBJECT_VERSIONS = "ListObjectVersions"
    GET_OBJECT_ATTRIBUTES = "GetObjectAttributes"
    GET_BUCKET_LOCATION = "GetBucketLocation"
    GET_BUCKET_VERSIONING = "GetBucketVersioning"
    GET_BUCKET_ACL = "GetBucketAcl"
    GET_OBJECT_ACL = "GetObjectAcl"
    GET_OBJECT_TAGGING = "GetObjectTagging"
    NOT_SERVED = "NotImplemented"
    UNREADABLE = "Unreadable"


SUBRESOURCES: Final = frozenset(
    """accelerate acl analytics append attributes cors delete encryption intelligent-tiering inventory legal-hold
    lifecycle location logging metadataConfiguration metadataTable metrics notification object-lock ownershipControls
    policy policyStatus publicAccessBlock renameObject replication requestPayment restore retention select
    select-type session tagging torrent uploadId uploads versioning versions website""".split()  # noqa: SIM905 - forty lines of quotes are no easier to read
)
"""Query names that ask for something other than the object or the list (S3 API reference, all operations)."""

_SERVED_OF_BUCKET: Final = {
    "location": Operation.GET_BUCKET_LOCATION,
    "versioning": Operation.GET_BUCKET_VERSIONING,
    "acl": Operation.GET_BUCKET_ACL,
    "versions": Operation.LIST_OBJECT_VERSIONS,
}
_SERVED_OF_OBJECT: Final = {
    "acl": Operation.GET_OBJECT_ACL,
    "tagging": Operation.GET_OBJECT_TAGGING,
    "attributes": Operation.GET_OBJECT_ATTRIBUTES,
}


def operation_of(method: bytes, target: Target) -> Operation:
    """Returns the operation that a request asks for, `NOT_SERVED` where this version has none."""
    if method == b"GET":
        return _of_object(target) if target.key else _of_bucket(target)
    if method == b"HEAD" and target.bucket and target.query.keys().isdisjoint(SUBRESOURCES):
        return Operation.HEAD_OBJECT if target.key else Operation.HEAD_BUCKET
    return Operation.NOT_SERVED


def _of_object(target: Target) -> Operation:
    query = target.query
    if not query or query.keys().isdisjoint(SUBRESOURCES):
        return Operation.GET_OBJECT
    return _only(query, _SERVED_OF_OBJECT)


def _of_bucket(target: Target) -> Operation:
    query = target.query
    if not query.keys().isdisjoint(SUBRESOURCES):
        return _only(query, _SERVED_OF_BUCKET) if target.bucket else Operation.NOT_SERVED
    if not target.bucket:
        return Operation.LIST_BUCKETS
    return Operation.LIST_OBJECTS_V2 if query.get("list-type") == "2" else Operation.LIST_OBJECTS


def _only(query: dict[str, str], served: dict[str, Operation]) -> Operation:
    asked = query.keys() & SUBRESOURCES
    return served.get(asked.pop(), Operation.NOT_SERVED) if len(asked) == 1 else Operation.NOT_SERVED
