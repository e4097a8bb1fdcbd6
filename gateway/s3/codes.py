"""What the door says when it says no: ONE table from a fault to S3's code, and from a code to its HTTP status.

Codes, statuses and texts are those of the S3 API reference (Error responses, List of error codes); clients act on the
code, people read the message.
"""

from dataclasses import dataclass, field
from typing import Final

from namespace.errors import BadPath, KeyTooLong
from regioncache import errors
from regioncache.http import claims
from regioncache.http.messages import BodyTooLarge, Header

CODES: Final[dict[str, tuple[int, str]]] = {
    "AccessDenied": (403, "Access Denied"),
    "AuthorizationHeaderMalformed": (400, "The authorization header that you provided is not valid."),
    "AuthorizationQueryParametersError": (400, "The authorization query parameters that you provided are not valid."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
    "ExpiredToken": (400, "The provided access key has expired; ask an administrator for a new one."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The access key ID that you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid argument."),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (
        400,
        "The authorization mechanism that you have provided is not supported. Please use AWS4-HMAC-SHA256 "
        "(boto3 and aws-cli: signature_version = s3v4).",
    ),
    "InvalidToken": (400, "The provided token is malformed or otherwise not valid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NotImplemented": (501, "This version does not do that; it serves reads (get, head, list)."),
    "PreconditionFailed": (412, "At least one of the preconditions that you specified did not hold."),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the server's time is too large."),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature that we calculated does not match the signature that you provided. "
        "Check your secret access key and signing method.",
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}
"""Code -> (HTTP status, text used where the fault brings none)."""

FAULTS: Final[dict[type[Exception], str]] = {
    errors.KeyRefused: "InvalidURI",
    errors.NoSuchObject: "NoSuchKey",
    # The caller's key allows the path, so he may be told; only an operator can mend it, and a retry does not.
    errors.OriginForbids: "AccessDenied",
    errors.OriginNeedsMending: "AccessDenied",
    errors.OriginUnavailable: "ServiceUnavailable",
    errors.SlowDown: "SlowDown",
    # Overwritten again and again while it was opened: clients retry 503 by themselves, 409 they do not.
    errors.VersionChanged: "ServiceUnavailable",
    errors.NoSuchPart: "InvalidPartNumber",
    errors.RangeOutside: "InvalidRange",
    errors.BadAnswer: "InternalError",
    errors.NotSupported: "NotImplemented",
    BodyTooLarge: "EntityTooLarge",
    claims.BadAuthorization: "AuthorizationHeaderMalformed",
    claims.BadAuthorizationQuery: "AuthorizationQueryParametersError",
    claims.BadPayloadHash: "InvalidArgument",
    claims.ClockSkewed: "RequestTimeTooSkewed",
    claims.HeadersNotSigned: "AccessDenied",
    claims.OtherSignature: "InvalidRequest",
    claims.PayloadMismatch: "XAmzContentSHA256Mismatch",
    claims.SignatureExpired: "AccessDenied",
    claims.SignatureMismatch: "SignatureDoesNotMatch",
    BadPath: "InvalidURI",
    KeyTooLong: "KeyTooLongError",
}
"""Fault of the parts below -> code. The nearest base class counts; a fault not here is an InternalError."""

_KEPT_INSIDE: Final[dict[type[Exception], str]] = {
    errors.BadAnswer: "",
    errors.KeyRefused: (
        "The store behind this path takes no such key; where it is a directory, no part of a key is empty, '.' or '..'."
    ),
    errors.NoSuchObject: "",
    errors.NotGranted: "This region is granted other paths only.",
    errors.OriginForbids: "The gateway may not read this at its origin; an operator must mend the credentials.",
    errors.OriginNeedsMending: "The gateway cannot read this bucket until an operator mends its credentials, its "
    "address or the clock; the gateway's log says which.",
    errors.OriginUnavailable: "The origin cannot be reached and this is not cached here; try again later.",
    errors.RangeOutside: "",
    BodyTooLarge: "",
    claims.OtherSignature: "",
    claims.PayloadMismatch: "",
    claims.SignatureMismatch: "",
}
"""Faults whose own words stay inside, since they may name endpoints and hosts, or since clients know S3's text; empty:
the code's text. The others bring their own words, which name the thing and the remedy."""


class Refusal(Exception):
    """The door refuses a request with one of `CODES`; `details` become elements of the XML, `headers` of the reply."""

    def __init__(
        self,
        code: str,
        message: str = "",
        details: tuple[tuple[str, str], ...] = (),
        headers: tuple[Header, ...] = (),
    ) -> None:
        super().__init__(message or CODES[code][1])
        self.code = code
        self.details = details
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Said:
    """A fault in S3's words, ready to be written."""

    status: int
    code: str
    message: str
    details: tuple[tuple[str, str], ...] = field(default=())
    headers: tuple[Header, ...] = field(default=())


def said(fault: Exception) -> Said:
    """Returns what the door answers to `fault`. What an unknown fault says stays inside: it may name inner things."""
    if isinstance(fault, Refusal):
        return Said(CODES[fault.code][0], fault.code, str(fault), fault.details, fault.headers)
    code = next((FAULTS[kind] for kind in type(fault).__mro__ if kind in FAULTS), None)
    if code is None:
        status, message = CODES["InternalError"]
        return Said(status, "InternalError", message)
    status, text = CODES[code]
    return Said(status, code, _message(fault, text), _details(fault), _headers(fault))


def _message(fault: Exception, text: str) -> str:
    inside = next((_KEPT_INSIDE[kind] for kind in type(fault).__mro__ if kind in _KEPT_INSIDE), None)
    return (str(fault) if inside is None else inside) or text


def _details(fault: Exception) -> tuple[tuple[str, str], ...]:
    if isinstance(fault, errors.RangeOutside) and not isinstance(fault, errors.NoSuchPart):
        return (("ActualObjectSize", str(fault.size)),)
    return ()


def _headers(fault: Exception) -> tuple[Header, ...]:
    if isinstance(fault, errors.RangeOutside):
        return ((b"content-range", b"bytes */%d" % fault.size),)
    if isinstance(fault, errors.OriginNeedsMending):
        return ()  # to come again is no use
    if isinstance(fault, errors.OriginUnavailable | errors.SlowDown):
        # Retry-After is whole seconds (RFC 9110, 10.2.3); rounded up, at least one.
        return ((b"retry-after", b"%d" % max(1, -int(-fault.retry_after // 1))),)
    return ()
