"""From the bytes of a request line to a bucket, a key and a query: exactly those, or a 400.

Keys are opaque (design, section 7): `a//b`, `..`, `%2e%2e` and a `/` at the end are decoded once and tidied never.
The bucket is the first component, or stands in the Host (`hosts`); `ns` and `causeway` are the whole tree.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.s3.codes import Refusal
from namespace.paths import KEY_BYTES, RESERVED, ROOT

TREE = f"{ROOT}/"

QUERY_BYTES = 16 * 1024
"""A presigned list whose prefix, delimiter, start-after and token each have 1,024 encoded bytes has some 12 KiB."""
QUERY_FIELDS = 64
BUCKET_LETTERS = 255

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(slots=True)
class Target:
    """What a request is about. `key` is empty for a bucket, `bucket` too for the service.

    `root` is the path that keys of the bucket are beneath, with its `/`: `/ns/train/`, or `/ns/` for the whole tree.
    `virtual`: the bucket stood in the Host, not in the request line.
    """

    bucket: str
    key: str
    root: str
    query: dict[str, str]
    virtual: bool = False

    @property
    def path(self) -> str:
        """The path under `/ns`: the bucket's root, then the exact key."""
        return self.root + self.key


NO_QUERY: dict[str, str] = {}


def parse(target: bytes) -> Target:
    """Returns what the request line means.

    Raises:
        Refusal: InvalidURI, InvalidBucketName or KeyTooLongError.
    """
    path, _, query = target.partition(b"?")
    if path[:1] != b"/":
        # The server turned absolute-form targets into paths already.
        raise Refusal("InvalidURI", "the request's target does not begin with /")
    if b"%" in path:
        # Split first: a %2F is a character of the name that it stands in.
        bucket_bytes, _, key_bytes = path[1:].partition(b"/")
        bucket, key = decode(bucket_bytes), decode(key_bytes)
    else:
        bucket, _, key = _text(path)[1:].partition("/")
    if len(key) > KEY_BYTES // 4:  # Four bytes a character at most: shorter ones need no counting.
        check_length(key, bucket)
    if not bucket or "/" in bucket or len(bucket) > BUCKET_LETTERS:
        if path != b"/":
            raise Refusal("InvalidBucketName", "a request for an object names its bucket first: /BUCKET/KEY")
        root = TREE
    else:
        root = TREE if bucket in RESERVED else f"{TREE}{bucket}/"
    return Target(bucket, key, root, parse_query(query) if query else NO_QUERY)


def parse_virtual(target: bytes, bucket: str) -> Target:
    """Returns what a request line means whose bucket stood in the Host: all behind its first `/` is the key.

    Raises:
        Refusal: InvalidURI, InvalidBucketName or KeyTooLongError.
    """
    path, _, query = target.partition(b"?")
    if path[:1] != b"/":
        raise Refusal("InvalidURI", "the request's target does not begin with /")
    if "/" in bucket or not bucket.isascii() or len(bucket) > BUCKET_LETTERS:
        raise Refusal("InvalidBucketName", details=(("BucketName", bucket[:BUCKET_LETTERS]),))
    key = decode(path[1:])
    check_length(key, bucket)
    root = TREE if bucket in RESERVED else f"{TREE}{bucket}/"
    return Target(bucket, key, root, parse_query(query) if query else NO_QUERY, virtual=True)


def decode(part: bytes) -> str:
    """Decodes percent escapes once, then UTF-8; raises `Refusal` InvalidURI for what is no text, and for NUL."""
    if b"%" in part:
        if _BROKEN_ESCAPE.search(part):
            raise Refusal("InvalidURI", "a % in the URI is not followed by two hexadecimal digits")
        part = unquote_to_bytes(part)
    return _text(part)


def check_length(key: str, bucket: str) -> None:
    """Raises `Refusal` KeyTooLongError for a key of more than 1,024 bytes.

    In the buckets of the whole tree the first component is not counted: what `s3://train` holds is in `s3://ns` too.
    """
    below = key.partition("/")[2] if bucket in RESERVED else key
    size = len(below.encode())
    if size > KEY_BYTES:
        raise Refusal("KeyTooLongError", details=(("Size", str(size)), ("MaxSizeAllowed", str(KEY_BYTES))))


def parse_query(query: bytes) -> dict[str, str]:
    """Returns the query's fields, the first of each name; a `+` is a space, as in S3.

    Raises:
        Refusal: InvalidURI, for a query over `QUERY_BYTES` or of more than `QUERY_FIELDS` fields too.
    """
    if len(query) > QUERY_BYTES:
        raise Refusal("InvalidURI", f"the query has {len(query)} bytes; at most {QUERY_BYTES} are read")
    parts = query.split(b"&")
    if len(parts) > QUERY_FIELDS:
        raise Refusal("InvalidURI", f"the query has {len(parts)} fields; at most {QUERY_FIELDS} are read")
    fields: dict[str, str] = {}
    for part in parts:
        if part:
            name, _, value = part.partition(b"=")
            fields.setdefault(decode(name.replace(b"+", b" ")), decode(value.replace(b"+", b" ")))
    return fields


def _text(part: bytes) -> str:
    try:
        text = part.decode()
    except UnicodeDecodeError as fault:
        raise Refusal("InvalidURI", f"the URI is not UTF-8: {fault.reason} at byte {fault.start}") from fault
    if "\0" in text:
        raise Refusal("InvalidURI", "a key cannot hold NUL")
    return text
