"""Who calls, shown by the secret of two regions: an HMAC over the method, both regions and the date. A core.

It shows that the caller has the pair's secret; what it says is not covered, so where the network is not trusted, calls
go over TLS. A signature is good for five minutes either way, as SigV4's: clocks may be that far apart.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from namespace.errors import NamespaceError

SKEW_SECONDS = 300
REGION, DATE, SIGNATURE = "causeway-region", "causeway-date", "causeway-signature"
# Part of what is signed, so that no signature made for another purpose with the same secret is taken for one.
_PURPOSE = "causeway-rpc-1"

Metadata = tuple[tuple[str, str], ...]


class BadSignature(NamespaceError):
    """The call does not show who makes it; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs calls from our region to another (or the same)."""

    ours: str
    theirs: str
    secret: str = field(repr=False)

    def sign(self, path: str, now: float) -> Metadata:
        """Returns the metadata of a call; `now` is seconds since the epoch."""
        date = str(int(now))
        return (
            (REGION, self.ours),
            (DATE, date),
            (SIGNATURE, signature(self.secret, path, self.ours, self.theirs, date)),
        )


@dataclass(frozen=True, slots=True)
class Trust:
    """Who may call us: regions that we have a secret with. Frozen; the secrets are asked each time."""

    ours: str
    secret_of: Callable[[str], str | None] = field(repr=False)

    def caller(self, path: str, metadata: Mapping[str, str], now: float) -> str:
        """Returns the region that calls; raises BadSignature. `now` is seconds since the epoch."""
        region, date, said = (metadata.get(key, "") for key in (REGION, DATE, SIGNATURE))
        if not region or not said or not date.isascii() or not date.isdigit() or len(date) > 12:
            raise BadSignature(
                "the call is not signed: it wants the secret of both regions, under `secrets` of node.yaml"
            )
        secret = self.secret_of(region)
        # Also compared where there is no secret: what regions we know is not told by how long an answer takes.
        right = signature(secret or "-", path, region, self.ours, date)
        if not hmac.compare_digest(right, said) or secret is None:
            raise BadSignature(
                f"the signature of region {region!r} for {self.ours!r} is wrong: both sides need the same secret under"
                f" `secrets` of node.yaml (there {self.ours!r}, here {region!r})"
            )
        apart = now - int(date)
        if abs(apart) > SKEW_SECONDS:
            raise BadSignature(
                f"the clocks of {region!r} and {self.ours!r} are {abs(apart):.0f} s apart, {SKEW_SECONDS} s are"
                " allowed: set them (NTP)"
            )
        return region


def signature(secret: str, path: str, caller: str, callee: str, date: str) -> str:
    """Returns the HMAC-SHA256 of one call, in hexadecimal digits."""
    # Lengths keep ("a", "bc") and ("ab", "c") apart.
    parts = "".join(f"{len(part)}:{part}" for part in (_PURPOSE, path, caller, callee, date))
    return hmac.new(secret.encode(), parts.encode(), hashlib.sha256).hexdigest()
