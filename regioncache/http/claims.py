"""AWS Signature Version 4, checked: what a request claims, and whether the signature holds.

Two steps, since the secret is looked up between them: `claim` reads who says to have signed what, `check` recomputes
it. Nothing about a checked signature is remembered; only derived keys and lists of header names are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hmac import compare_digest
from operator import itemgetter
from urllib.parse import unquote_to_bytes

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
    reencoded_path,
    reencoded_query,
    seconds_of,
    string_to_sign,
)
from regioncache.http.messages import Request
from regioncache.http.sigv4 import LONGEST_PRESIGNED_SECONDS

SKEW_SECONDS = 15 * 60
"""S3's tolerance between the client's clock and ours."""
_HEX = frozenset(b"0123456789abcdef")
_REMEMBERED = 1024
"""Texts remembered in their parsed form: who signs (it changes daily) and which headers; clients repeat a few dozen."""
_STREAMING = frozenset(
    (
        b"STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
    )
)
"""All that S3 knows (S3 API reference, Authenticating requests, x-amz-content-sha256)."""
_NEED_NO_SIGNATURE = frozenset((b"x-amz-date", b"x-amz-content-sha256", b"x-amz-user-agent"))
"""The first two are signed as what they say even where they are not listed."""


class SignatureFault(Exception):
    """Base: the request is not let in. The door has S3's code for each."""


class BadAuthorization(SignatureFault):
    """What claims to be a signature cannot be read (400 AuthorizationHeaderMalformed)."""


class BadAuthorizationQuery(SignatureFault):
    """The same in a presigned URL (400 AuthorizationQueryParametersError)."""


class OtherSignature(SignatureFault):
    """A signature of another kind than Version 4 (400 InvalidRequest)."""


class BadPayloadHash(SignatureFault):
    """x-amz-content-sha256 is none of the forms that exist (400 InvalidArgument)."""


class PayloadMismatch(SignatureFault):
    """x-amz-content-sha256 is not the hash of what was sent (400 XAmzContentSHA256Mismatch)."""


class SignatureMismatch(SignatureFault):
    """The signature is not that of this request under this secret (403 SignatureDoesNotMatch)."""


class ClockSkewed(SignatureFault):
    """The request's date is more than 15 minutes from ours (403 RequestTimeTooSkewed)."""


class SignatureExpired(SignatureFault):
    """A presigned URL after its time, or before it (403 AccessDenied)."""


class HeadersNotSigned(SignatureFault):
    """An x-amz-* header, or the host, is not covered by the signature (403 AccessDenied)."""


@dataclass(frozen=True, slots=True)
class Signing:
    """Who says to have signed which headers, and for what."""

    key_id: str
    scope: bytes
    """`date/region/service/aws4_request`."""
    region: str
    names: tuple[bytes, ...]
    """The signed headers, in the client's order."""
    listed: bytes
    """The same as it was sent."""
    template: bytes
    """The canonical headers, with %b where each value goes."""
    values: Callable[[dict[bytes, bytes]], bytes | tuple[bytes, ...]]
    """Gets those values out of a request's headers."""


@dataclass(slots=True)
class Claim:
    """What a request says of its signature; not yet believed."""

    signing: Signing
    date: bytes
    signature: bytes
    payload: bytes | None
    """x-amz-content-sha256: a hash, UNSIGNED-PAYLOAD, STREAMING-*; None: absent, the body's own hash was signed."""
    expires: int | None = None
    """Seconds a presigned URL lives; None for a signature in the headers."""
    token: bytes | None = None
    """The session token, for stores that give temporary credentials."""

    @property
    def key_id(self) -> str:
        """Whose secret to look up."""
        return self.signing.key_id


class Verifier:
    """Reads and checks the signatures of one service."""

    def __init__(self, service: bytes = b"s3", keys: SigningKeys | None = None) -> None:
        self._service = service
        self._keys = keys or SigningKeys()
        self._parsed: dict[bytes, Signing] = {}
        self._date = (b"", 0)

    @property
    def remembered(self) -> int:
        """Authorization texts kept in their parsed form; bounded."""
        return len(self._parsed)

    def claim(self, request: Request) -> Claim | None:
        """Returns what the request claims, or None if it carries no signature at all.

        Raises: BadAuthorization, BadAuthorizationQuery, OtherSignature, BadPayloadHash, HeadersNotSigned.
        """
        value = request.first.get(b"authorization")
        mark = request.target.find(b"?")
        query = request.target[mark:] if mark >= 0 else b""
        presigned = b"X-Amz-Signature=" in query
        if value is None:
            if presigned:
                return self._from_query(query[1:], request)
            if b"Signature=" in query and b"AWSAccessKeyId=" in query:
                raise OtherSignature("only Signature Version 4 is accepted")
            if b"X-Amz-Credential=" in query or b"X-Amz-Algorithm=" in query:
                raise BadAuthorizationQuery("a presigned URL needs X-Amz-Signature beside its other X-Amz- parameters")
            return None
        if presigned:
            raise BadAuthorization("signed both in the headers and in the query: only one is allowed")
        return self._from_header(request, value)

    def check(self, claim: Claim, request: Request, secret: str, now: float, body_sha256: bytes = EMPTY_SHA256) -> None:
        """Returns if the signature holds now.

        Args:
            secret: of `claim.key_id`.
            now: seconds since the epoch.
            body_sha256: hex digits, of the body, where `claim.payload` is None.

        Raises: ClockSkewed, SignatureExpired, HeadersNotSigned, SignatureMismatch, BadAuthorization.
        """
        self._check_time(claim, now)
        signing = claim.signing
        names = signing.names
        first = request.first
        for name in first:
            if name[:6] == b"x-amz-" and name not in names and name not in _NEED_NO_SIGNATURE:
                raise HeadersNotSigned(f"the header {name.decode('latin-1')} is not covered by the signature")
        tail = b"\n%b\n%b\n%b" % (_lines(request, signing), signing.listed, claim.payload or body_sha256)
        path, _, query = request.target.partition(b"?")
        without = b"" if claim.expires is None else b"X-Amz-Signature"
        canonical = b"%b\n%b\n%b" % (request.method, path, canonical_query(query, without) if query else b"")
        key = self._keys.key(secret, signing.scope)
        if compare_digest(key.hexdigest(string_to_sign(claim.date, signing.scope, canonical + tail)), claim.signature):
            return
        # Some SDKs sign AWS's own encoding of what they send in another (`(`, `+`, `%2f`): the same key, so the same
        # permission.
        other = b"%b\n%b\n%b" % (request.method, reencoded_path(path), canonical_query(reencoded_query(query), without))
        if other == canonical or not compare_digest(
            key.hexdigest(string_to_sign(claim.date, signing.scope, other + tail)), claim.signature
        ):
            raise SignatureMismatch(f"the signature of key {claim.key_id!r} does not fit the request")

    def _check_time(self, claim: Claim, now: float) -> None:
        date, at = self._date
        if claim.date != date:  # most requests come in the same second as the one before
            try:
                at = seconds_of(claim.date)
            except ValueError as error:
                fault = BadAuthorization if claim.expires is None else BadAuthorizationQuery
                raise fault("the signature's date is not like 20260131T235959Z") from error
            self._date = (claim.date, at)
        if claim.expires is None:
            if abs(now - at) > SKEW_SECONDS:
                raise ClockSkewed("the request's date and this server's clock are more than 15 minutes apart")
        elif now > at + claim.expires:
            raise SignatureExpired("the presigned URL has expired")
        elif at - now > SKEW_SECONDS:
            raise SignatureExpired("the presigned URL is not valid yet")

    def _from_header(self, request: Request, value: bytes) -> Claim:
        first = request.first
        start, _, signature = value.rpartition(b"Signature=")
        signing = self._parsed.get(start)
        if signing is None:
            signing, signature = self._authorization(value, start)
        date = first.get(b"x-amz-date") or _from_http_date(first.get(b"date"))
        if date[:8] != signing.scope[:8]:
            raise BadAuthorization("the credential's date is not the day of the request's date")
        payload = first.get(b"x-amz-content-sha256")
        if payload is not None and not _is_payload(payload):
            raise BadPayloadHash("x-amz-content-sha256 is no SHA-256, UNSIGNED-PAYLOAD or known STREAMING- form")
        return Claim(signing, date, signature, payload, None, first.get(b"x-amz-security-token"))

    def _authorization(self, value: bytes, start: bytes) -> tuple[Signing, bytes]:
        """Takes `AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...` apart, in any order."""
        kind, _, rest = value.partition(b" ")
        if kind != ALGORITHM:
            raise OtherSignature("only Signature Version 4 (AWS4-HMAC-SHA256) is accepted")
        parts = dict(part.strip().partition(b"=")[::2] for part in rest.split(b","))
        signing = self._signing(parts.get(b"Credential", b""), parts.get(b"SignedHeaders", b""), BadAuthorization)
        signature = parts.get(b"Signature", b"")
        if value == b"%bSignature=%b" % (start, signature):
            if len(self._parsed) >= _REMEMBERED:
                del self._parsed[next(iter(self._parsed))]
            self._parsed[start] = signing
        return signing, signature

    def _from_query(self, query: bytes, request: Request) -> Claim:
        found: dict[bytes, bytes] = {}
        for part in query.split(b"&"):
            name, _, value = part.partition(b"=")
            if name[:6] == b"X-Amz-":
                if name in found:
                    raise BadAuthorizationQuery(f"{name.decode('latin-1')} is given twice")
                found[name] = unquote_to_bytes(value)
        if found.get(b"X-Amz-Algorithm") != ALGORITHM:
            raise BadAuthorizationQuery("X-Amz-Algorithm only supports AWS4-HMAC-SHA256")
        expires = found.get(b"X-Amz-Expires", b"")
        if not expires.isdigit() or len(expires) > 6 or not 1 <= int(expires) <= LONGEST_PRESIGNED_SECONDS:
            raise BadAuthorizationQuery(f"X-Amz-Expires must be 1 to {LONGEST_PRESIGNED_SECONDS} seconds")
        signing = self._signing(
            found.get(b"X-Amz-Credential", b""), found.get(b"X-Amz-SignedHeaders", b""), BadAuthorizationQuery
        )
        date = found.get(b"X-Amz-Date", b"")
        if date[:8] != signing.scope[:8]:
            raise BadAuthorizationQuery("the credential's date is not the day of the request's date")
        payload = found.get(b"X-Amz-Content-Sha256") or UNSIGNED_PAYLOAD
        if b"x-amz-content-sha256" in signing.names:
            payload = request.first.get(b"x-amz-content-sha256", payload)
        if not _is_payload(payload):
            raise BadPayloadHash("X-Amz-Content-Sha256 is no SHA-256 or UNSIGNED-PAYLOAD")
        signature = found.get(b"X-Amz-Signature", b"")
        return Claim(signing, date, signature, payload, int(expires), found.get(b"X-Amz-Security-Token"))

    def _signing(self, credential: bytes, listed: bytes, fault: type[SignatureFault]) -> Signing:
        """Reads `key/date/region/service/aws4_request` and the list of signed headers."""
        key_id, _, scope = credential.partition(b"/")
        parts = scope.split(b"/")
        if len(parts) != 4 or parts[3] != b"aws4_request" or not key_id.isascii() or not key_id:
            raise fault("the credential is not KEY/DATE/REGION/SERVICE/aws4_request")
        if parts[2] != self._service:
            raise fault(f"the credential is for another service than {self._service.decode()}")
        names = tuple(listed.split(b";"))
        if not all(names) or listed != listed.lower() or len(set(names)) != len(names):
            raise fault("SignedHeaders is not a list of lower-case header names")
        if b"host" not in names:
            raise HeadersNotSigned("the signature does not cover the host")
        template = b"".join([name.replace(b"%", b"%%") + b":%b\n" for name in names])
        return Signing(key_id.decode(), scope, parts[1].decode("latin-1"), names, listed, template, itemgetter(*names))


def _lines(request: Request, signing: Signing) -> bytes:
    """The canonical headers: the common case is one lookup and one copy."""
    first = request.first
    try:
        lines: bytes = signing.template % signing.values(first)
    except KeyError as missing:
        raise SignatureMismatch(f"the signed header {missing} did not arrive") from None
    if len(first) != len(request.headers):
        return canonical_headers(signing.names, lambda name: joined_values(request.headers, name))
    if b"  " in lines or b"\t" in lines:
        return canonical_headers(signing.names, lambda name: canonical_value(first[name]))
    return lines


def _from_http_date(value: bytes | None) -> bytes:
    """The request's date where the client sends only Date, as old SDKs do."""
    if value is None:
        raise BadAuthorization("a signed request needs x-amz-date")
    try:
        return amz_date(parsedate_to_datetime(value.decode("latin-1")).timestamp())
    except (ValueError, TypeError, OverflowError) as error:
        raise BadAuthorization("the Date header is no date") from error


def _is_payload(value: bytes) -> bool:
    if value == EMPTY_SHA256:
        return True
    if len(value) == 64:
        return _HEX.issuperset(value)
    return value == UNSIGNED_PAYLOAD or value in _STREAMING
