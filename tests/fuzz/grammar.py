"""Requests to the S3 door made by a grammar, signed as they should be, half of them then spoilt.

A request is a method, a target (path or virtual-host style, a subresource, a presigned query), headers and a body, each
drawn from what clients send and what nobody should.
"""

import datetime
import random
from dataclasses import dataclass
from urllib.parse import quote

from tests.fuzz.mutate import mutated
from tests.real.lab.sign import Keys, canonical_query, signed_headers

METHODS = (*["GET"] * 12, *["HEAD"] * 4, "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "BREW")
KEYS = (
    *["small", "large"] * 4,
    "gone",
    "a b/ü",
    "a//b",
    "dir/",
    "../up",
    "%41",
    "x" * 1024,
    "x" * 1025,
    "\U0001f600",
    "",
)
BUCKETS = (*["data"] * 10, "ns", "causeway", "nobucket", "Da-ta", "")
QUERIES = (
    *[""] * 20,
    *("list-type=2", "list-type=2&prefix=a&delimiter=/", "list-type=2&max-keys=0", "versions", "location"),
    *("acl", "tagging", "attributes", "uploads", "partNumber=1", "partNumber=0", "versionId=null", "versionId=7"),
    *("response-content-type=text/plain", "list-type=2&continuation-token=AAAA", "max-keys=-1", "delete", "policy"),
    *("list-type=2&encoding-type=url&start-after=%00", "x=" + "y" * 9000, "&".join(f"a{n}=b" for n in range(70))),
)
RANGES = ("bytes=0-9", "bytes=-5", "bytes=5-", "bytes=9-1", "bytes=0-1,3-4", "bytes=99999999999999999999-", "lines=1-2")
HEADERS = (
    ("If-Match", ('"x"', "*", 'W/"x"', "")),
    ("If-None-Match", ('"x"', "*")),
    ("If-Modified-Since", ("Sun, 06 Nov 1994 08:49:37 GMT", "never", "Sun, 06 Nov 99999 99:99:99 GMT")),
    ("Range", RANGES),
    ("x-amz-checksum-mode", ("ENABLED", "no")),
    ("x-amz-object-attributes", ("ETag,ObjectSize", "All")),
    ("x-amz-server-side-encryption-customer-algorithm", ("AES256",)),
    ("x-causeway-class", ("backfill", "interactive", "bulk")),
    ("Accept-Encoding", ("gzip", "identity;q=0")),
    ("traceparent", ("00-" + "1" * 32 + "-" + "2" * 16 + "-01", "zz")),
    ("Expect", ("100-continue", "the best")),
    ("Connection", ("close", "keep-alive", "upgrade")),
    ("X-Long", ("v" * 9000,)),
    ("Host", ("elsewhere",)),
    ("Transfer-Encoding", ("chunked", "gzip, chunked", "identity")),
    ("Content-Length", ("0", "5", "-1", "99999999999999999999", "5, 5")),
)
BODIES = (b"", b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"\0" * 4096)
VERSIONS = (*["HTTP/1.1"] * 37, "HTTP/1.0", "HTTP/2.0", "HTTP/0.9")


@dataclass(frozen=True, slots=True)
class Sent:
    """The bytes of one or more requests, and whether the first is as a client would send it."""

    data: bytes
    whole: bool


def request(draw: random.Random, keys: Keys, host: str) -> Sent:
    """Returns one request, or a few in a row."""
    first, whole = _one(draw, keys, host)
    if draw.random() < 0.5:
        first, whole = mutated(draw, first), False
    match draw.randrange(12):
        case 0:
            return Sent(first[: draw.randint(0, len(first))], False)
        case 1:
            return Sent(first + _one(draw, keys, host)[0], whole)
        case 2:
            return Sent(first + mutated(draw, first), whole)
    return Sent(first, whole)


def _one(draw: random.Random, keys: Keys, host: str) -> tuple[bytes, bool]:
    method, version = draw.choice(METHODS), draw.choice(VERSIONS)
    bucket, key, query = draw.choice(BUCKETS), draw.choice(KEYS), draw.choice(QUERIES)
    path = f"/{quote(bucket)}" + (f"/{quote(key, safe='/~')}" if key else "")
    fields = dict(part.partition("=")[::2] for part in query.split("&") if part)
    target = f"{path}?{canonical_query(fields)}" if fields else path
    headers = signed_headers(method, host, target, keys, _moment(draw))
    lines = [f"{name}: {value}" for name, value in headers.items() if name != "authorization" or draw.random() < 0.95]
    for name, values in draw.sample(HEADERS, draw.choice((0, 0, 0, 0, 0, 1, 1, 2, 5))):
        lines.append(f"{name}: {draw.choice(values)}")
    if draw.random() < 0.05:
        target = f"http://{host}{target}"
    body = draw.choice(BODIES) if method in {"PUT", "POST"} else b""
    if body and not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([f"{method} {target} {version}", *lines]) + "\r\n\r\n"
    return head.encode() + body, True


def _moment(draw: random.Random) -> datetime.datetime:
    """When it was signed: mostly now."""
    off = draw.choice((*[0] * 27, 600, -3600, 86_400 * 400))
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=off)
