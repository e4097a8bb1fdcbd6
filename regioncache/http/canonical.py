"""What SigV4 signs, as bytes: canonical queries and headers, times, and the keys derived from a secret.

Source: AWS's "Create a signed AWS API request". S3's rules hold: paths are not normalised and encoded once.
"""

import calendar
import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from urllib.parse import quote_from_bytes, unquote_to_bytes

from regioncache.http.messages import Header

ALGORITHM = b"AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256().hexdigest().encode()
"""The payload hash of a request without a body."""
UNSIGNED_PAYLOAD = b"UNSIGNED-PAYLOAD"

_HMAC_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class SigningKey:
    """HMAC-SHA256 under one key, both pads hashed beforehand (RFC 2104 4): 0.6 us a message, hmac.digest takes 1.5."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (hashlib.sha256(key).digest() if len(key) > _HMAC_BLOCK_BYTES else key).ljust(_HMAC_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER))
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        """Returns the MAC, 32 bytes."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def hexdigest(self, message: bytes) -> bytes:
        """Returns the MAC as 64 lower-case hex digits."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest().encode()


class SigningKeys:
    """Keys derived from secrets, for one day, region and service each; bounded, the oldest goes first."""

    def __init__(self, limit: int = 4096) -> None:
        """Args:
        limit: keys kept; one costs about 1 KiB, and 10 us to derive again.
        """
        self._limit = limit
        self._keys: dict[tuple[str, bytes], SigningKey] = {}

    def key(self, secret: str, scope: bytes) -> SigningKey:
        """Returns the key of `scope`, which is `date/region/service/aws4_request`."""
        found = self._keys.get((secret, scope))
        return found if found is not None else self._derive(secret, scope)

    def __len__(self) -> int:
        return len(self._keys)

    def _derive(self, secret: str, scope: bytes) -> SigningKey:
        key = b"AWS4" + secret.encode()
        for part in scope.split(b"/"):
            key = SigningKey(key).digest(part)
        if len(self._keys) >= self._limit:
            del self._keys[next(iter(self._keys))]
        made = self._keys[secret, scope] = SigningKey(key)
        return made


def amz_date(now: float) -> bytes:
    """Returns seconds since the epoch as `20260131T235959Z`."""
    at = datetime.fromtimestamp(int(now), UTC)
    return b"%04d%02d%02dT%02d%02d%02dZ" % at.timetuple()[:6]


def seconds_of(date: bytes) -> int:
    """Returns the seconds since the epoch of `20260131T235959Z`.

    Raises:
        ValueError: it is nothing like that.
    """
    if len(date) != 16 or date[8:9] != b"T" or date[15:] != b"Z":
        raise ValueError("not a date")
    day, hour, minute, second = date[:8], date[9:11], date[11:13], date[13:15]
    if not (day.isdigit() and hour.isdigit() and minute.isdigit() and second.isdigit()):
        raise ValueError("not a date")
    numbers = (int(day[:4]), int(day[4:6]), int(day[6:]), int(hour), int(minute), int(second))
    if not (1 <= numbers[1] <= 12 and 1 <= numbers[2] <= 31 and numbers[3] < 24 and max(numbers[4], int(second)) < 60):
        raise ValueError("not a date")
    return calendar.timegm(numbers)


def canonical_query(query: bytes, without: bytes = b"") -> bytes:
    """Returns the query's parameters in the order of their encoded names and values, but for those named `without`."""
    if b"&" not in query and not without:
        return query if b"=" in query or not query else query + b"="
    pairs = [part.partition(b"=") for part in query.split(b"&") if part]
    return b"&".join([name + b"=" + value for name, _, value in sorted(pairs) if name != without or not without])


def canonical_value(value: bytes) -> bytes:
    """Returns a header's value with every run of blanks as one space."""
    if b"  " in value or b"\t" in value or value[:1] == b" " or value[-1:] == b" ":
        return b" ".join(value.split())
    return value


def canonical_headers(names: Iterable[bytes], value: Callable[[bytes], bytes]) -> bytes:
    """Returns the lines `name:value` of `names`, in their order, each ended by a line feed."""
    return b"".join([b"%b:%b\n" % (name, value(name)) for name in names])


def joined_values(headers: Iterable[Header], name: bytes) -> bytes:
    """Returns the values of all headers called `name`, joined by commas."""
    return b",".join([canonical_value(value) for key, value in headers if key == name])


def string_to_sign(date: bytes, scope: bytes, canonical_request: bytes) -> bytes:
    """Returns what the signing key signs."""
    digest = hashlib.sha256(canonical_request).hexdigest().encode()
    return b"%b\n%b\n%b\n%b" % (ALGORITHM, date, scope, digest)


def reencoded_path(path: bytes) -> bytes:
    """Returns the path in AWS's own encoding: everything but unreserved characters and slashes as %XX."""
    return quote_from_bytes(unquote_to_bytes(path), safe="/-_.~").encode()


def reencoded_query(query: bytes) -> bytes:
    """Returns the query in AWS's own encoding; a plus sign is a space, as S3 reads it."""
    parts = [part.partition(b"=") for part in query.split(b"&") if part]
    return b"&".join([_reencoded(name) + b"=" + _reencoded(value) for name, _, value in parts])


def _reencoded(text: bytes) -> bytes:
    return quote_from_bytes(unquote_to_bytes(text.replace(b"+", b" ")), safe="-_.~").encode()
