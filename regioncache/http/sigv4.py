"""AWS Signature Version 4, made: in headers and in presigned URLs. Told the time; what it keeps can be made again.

Checking is in `claims`.
"""

from dataclasses import dataclass, field
from urllib.parse import quote

from regioncache.http.canonical import (
    ALGORITHM,
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    SigningKeys,
    amz_date,
    canonical_headers,
    canonical_query,
    canonical_value,
    joined_values,
    string_to_sign,
)
from regioncache.http.messages import Header, Headers

LONGEST_PRESIGNED_SECONDS = 7 * 24 * 3600
"""S3's own bound."""

_UNSIGNED = frozenset(
    (b"accept-encoding", b"authorization", b"connection", b"content-length", b"expect", b"te", b"transfer-encoding",
     b"user-agent", b"x-amzn-trace-id")
)  # fmt: skip
"""Proxies and clients change these on their way."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs."""

    key_id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    """The session token of temporary credentials."""


@dataclass(slots=True)
class Signer:
    """Signs for one service in one region. Mutable state: the second of the last signature, its date and scope."""

    credentials: Credentials
    region: str
    service: str = "s3"
    keys: SigningKeys = field(default_factory=SigningKeys, repr=False, compare=False)
    _second: int = field(default=-1, init=False, repr=False, compare=False)
    _stamp: tuple[bytes, bytes] = field(default=(b"", b""), init=False, repr=False, compare=False)

    def sign(
        self, method: bytes, target: bytes, headers: Headers, now: float, payload: bytes = EMPTY_SHA256
    ) -> list[Header]:
        """Returns the headers to send: those given, and the signature over them.

        Args:
            target: exactly what the request line will hold, percent-encoded.
            headers: lower-case names; `host` must be among them.
            now: seconds since the epoch.
            payload: the body's SHA-256 as hex digits, or UNSIGNED_PAYLOAD.

        Raises:
            ValueError: there is no `host`.
        """
        date, scope = self._stamped(now)
        signed = [*headers, (b"x-amz-date", date), (b"x-amz-content-sha256", payload)]
        if self.credentials.token is not None:
            signed.append((b"x-amz-security-token", self.credentials.token.encode()))
        values: dict[bytes, bytes] = {}
        for name, value in signed:
            if name not in _UNSIGNED:
                told = canonical_value(value)
                values[name] = b"%b,%b" % (values[name], told) if name in values else told
        if b"host" not in values:
            raise ValueError("a request is signed with its host header")
        names = sorted(values)
        lines = canonical_headers(names, values.__getitem__)
        list_of_names = b";".join(names)
        signature = self._signature(method, target, lines, list_of_names, payload, date, scope)
        value = b"%b Credential=%b/%b, SignedHeaders=%b, Signature=%b" % (
            ALGORITHM, self.credentials.key_id.encode(), scope, list_of_names, signature,
        )  # fmt: skip
        return [*signed, (b"authorization", value)]

    def presign(
        self, method: bytes, target: bytes, host: bytes, now: float, expires: int, headers: Headers = ()
    ) -> bytes:
        """Returns `target` with a signature in its query, good for `expires` seconds.

        Args:
            headers: more headers that the user of the URL must send; lower-case names.

        Raises:
            ValueError: `expires` is not within 1 second and 7 days.
        """
        if not 1 <= expires <= LONGEST_PRESIGNED_SECONDS:
            raise ValueError(f"a presigned URL lives 1 to {LONGEST_PRESIGNED_SECONDS} seconds, not {expires}")
        date, scope = self._stamped(now)
        signed = [*headers, (b"host", host)]
        names = b";".join(sorted({name for name, _ in signed}))
        path, mark, query = target.partition(b"?")
        query += b"&" if mark and query else b""
        query += self._parameters(date, scope, names, expires)
        target = b"%b?%b" % (path, query)
        lines = canonical_headers(names.split(b";"), lambda name: joined_values(signed, name))
        signature = self._signature(method, target, lines, names, UNSIGNED_PAYLOAD, date, scope)
        return b"%b&X-Amz-Signature=%b" % (target, signature)

    def _parameters(self, date: bytes, scope: bytes, names: bytes, expires: int) -> bytes:
        credential = quote(f"{self.credentials.key_id}/{scope.decode()}", safe="-_.~").encode()
        found = b"X-Amz-Algorithm=%b&X-Amz-Credential=%b&X-Amz-Date=%b&X-Amz-Expires=%d&X-Amz-SignedHeaders=%b" % (
            ALGORITHM, credential, date, expires, names.replace(b";", b"%3B"),
        )  # fmt: skip
        if self.credentials.token is not None:
            found += b"&X-Amz-Security-Token=" + quote(self.credentials.token, safe="-_.~").encode()
        return found

    def _stamped(self, now: float) -> tuple[bytes, bytes]:
        """The date and the scope of signatures made at `now`."""
        if int(now) != self._second:
            date = amz_date(now)
            scope = b"%b/%b/%b/aws4_request" % (date[:8], self.region.encode(), self.service.encode())
            self._second, self._stamp = int(now), (date, scope)
        return self._stamp

    def _signature(
        self, method: bytes, target: bytes, lines: bytes, names: bytes, payload: bytes, date: bytes, scope: bytes
    ) -> bytes:
        path, _, query = target.partition(b"?")
        request = b"%b\n%b\n%b\n%b\n%b\n%b" % (method, path, canonical_query(query), lines, names, payload)
        return self.keys.key(self.credentials.secret, scope).hexdigest(string_to_sign(date, scope, request))
