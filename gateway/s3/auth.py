"""Who asks: the signature is checked on every request, then the key's day and class. No verified signature is kept.

S3's codes tell what to mend: the clock, the key, the secret or the form of the signature.
"""

from collections.abc import Callable
from typing import Final

from gateway.s3.asked import OVERRIDES
from gateway.s3.base import Caller
from gateway.s3.codes import Refusal
from gateway.s3.dates import IsoDates
from gateway.s3.visit import Visit
from namespace.keys import AccessKey, Keys
from regioncache.http.arriving import NO_BODY
from regioncache.http.canonical import EMPTY_SHA256, seconds_of
from regioncache.http.claims import SKEW_SECONDS, Claim, ClockSkewed, PayloadMismatch, SignatureExpired, Verifier
from regioncache.http.messages import Request
from regioncache.origins.base import Payer

_LAST_SECOND: Final = 253_402_300_799
"""9999-12-31T23:59:59Z: no date of S3 lies behind it."""
_HASH_LETTERS: Final = 64
_CALLERS: Final = 4096
"""Callers remembered, one a key and class; when it is full it starts anew. It only saves making values again."""


class Authenticator:
    """Turns a signed request into a caller."""

    __slots__ = ("_callers", "_iso", "_keys", "_now", "_verifier")

    def __init__(self, keys: Keys, now: Callable[[], float]) -> None:
        """Args:
        now: the wall clock, seconds since the epoch; signatures are dated by it.
        """
        self._keys = keys
        self._now = now
        self._verifier = Verifier()
        self._iso = IsoDates()
        self._callers: dict[tuple[str, str], Caller] = {}

    def caller(self, visit: Visit) -> Caller:
        """Returns who asks, and notes in `visit` the region that the request was signed for.

        Raises:
            Refusal: there is no signature, the key is unknown, expired or used with a token, or the time is not now.
            SignatureFault: the signature cannot be read, or does not hold.
        """
        request = visit.request
        claim = self._verifier.claim(request)
        if claim is None:
            raise _anonymous(visit.target.query)
        key = self._keys.find(claim.key_id)
        if key is None:
            raise Refusal("InvalidAccessKeyId", details=(("AWSAccessKeyId", claim.key_id),))
        now = self._now()
        try:
            self._verifier.check(claim, request, key.secret, now)
        except (ClockSkewed, SignatureExpired) as fault:
            raise self._untimely(claim, fault, now) from fault
        _match_empty_body(claim.payload, request)
        if claim.token is not None:
            raise Refusal("InvalidToken", "keys of this gateway have no session token; sign without one")
        # After the signature: only who knows the secret learns that the key was good once.
        if key.until is not None and key.expired(now):
            raise Refusal("ExpiredToken")
        visit.region = claim.signing.region
        asked = request.first.get(b"x-causeway-class")
        return self._caller(key, key.cls if asked is None else key.class_of(asked.decode("latin-1")))

    def _caller(self, key: AccessKey, cls: str) -> Caller:
        known = self._callers.get((key.id, cls))
        if known is not None and known.key is key:
            return known
        if len(self._callers) >= _CALLERS:
            self._callers.clear()
        made = self._callers[key.id, cls] = Caller(key, Payer(key.tenant, cls))
        return made

    def _untimely(self, claim: Claim, fault: ClockSkewed | SignatureExpired, now: float) -> Refusal:
        at = seconds_of(claim.date)
        server = ("ServerTime", self._iso(now))
        if claim.expires is None:
            skew = ("MaxAllowedSkewMilliseconds", str(SKEW_SECONDS * 1000))
            return Refusal("RequestTimeTooSkewed", details=(("RequestTime", self._iso(at)), server, skew))
        message = "Request has expired" if at < now else str(fault)
        expires = ("Expires", self._iso(min(at + claim.expires, _LAST_SECOND)))
        return Refusal("AccessDenied", message, (("X-Amz-Expires", str(claim.expires)), expires, server))


def _anonymous(query: dict[str, str]) -> Refusal:
    """Nobody reads without a key; who asks for overrides besides is told so in S3's own words."""
    if any(name in OVERRIDES for name in query):
        message = "Request specific response headers cannot be used for anonymous GET requests."
        return Refusal("InvalidRequest", message)
    return Refusal("AccessDenied")


def _match_empty_body(payload: bytes | None, request: Request) -> None:
    """Raises PayloadMismatch where the hash of a body was told and none came; what comes, its reader must check."""
    if payload is None or payload == EMPTY_SHA256 or request.body is not NO_BODY:
        return
    if len(payload) == _HASH_LETTERS:
        raise PayloadMismatch(f"the body is empty, and its hash was told as {payload.decode()}")
