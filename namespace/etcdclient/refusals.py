"""What an error of a call to etcd means: whether it happened, whether another server may do better, what to tell.

etcd's own words stand in the status details (its api/v3rpc/rpctypes); the codes alone say too little.
"""

from dataclasses import dataclass
from enum import Enum

import grpc
import grpc.aio

from namespace.etcdclient.errors import Compacted, EtcdError, EtcdRefused, EtcdUnavailable, LeaseGone, NoSpace, TooLarge


class Verdict(Enum):
    """What is known of a call that failed."""

    REFUSED = "refused"
    """It did not happen, and no server will say otherwise."""
    ELSEWHERE = "elsewhere"
    """It did not happen; another server, or this one later, may do it."""
    TOKEN = "token"  # noqa: S105 - a name
    """It did not happen: the token that says who asks has run out."""
    DOUBTFUL = "doubtful"
    """Nobody knows whether it happened."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An error of a call, and what to raise for it."""

    verdict: Verdict
    error: EtcdError


_TOKEN = ("invalid auth token", "revision of auth store is old", "user name is empty")
_NOT_DONE = ("no leader", "too many requests", "not capable", "not ready to serve", "learner")


def judged(fault: grpc.aio.AioRpcError, server: str, *, sent: bool = True) -> Judged:
    """Returns what a failed call means.

    Args:
        fault: of gRPC.
        server: its URL, for messages.
        sent: False where the call cannot have reached the server.
    """
    code, said = fault.code(), (fault.details() or "").removeprefix("etcdserver: ")
    if any(one in said for one in _TOKEN):
        return Judged(Verdict.TOKEN, EtcdRefused(f"etcd at {server} does not know us: {said}"))
    for matches, error in _REFUSALS:
        if matches in said:
            return Judged(Verdict.REFUSED, error(f"etcd at {server}: {said}{_REMEDIES.get(error, '')}"))
    if code in _REFUSING:
        return Judged(Verdict.REFUSED, EtcdRefused(f"etcd at {server} refuses: {said} ({code.name})"))
    away = EtcdUnavailable(f"etcd at {server} does not answer: {said or code.name}")
    untouched = not sent or any(one in said for one in _NOT_DONE)
    return Judged(Verdict.ELSEWHERE if untouched else Verdict.DOUBTFUL, away)


_REFUSALS: tuple[tuple[str, type[EtcdError]], ...] = (
    ("required revision has been compacted", Compacted),
    ("database space exceeded", NoSpace),
    ("requested lease not found", LeaseGone),
    ("request is too large", TooLarge),
    ("too many operations", TooLarge),
    ("larger than max", TooLarge),
)
_REMEDIES: dict[type[EtcdError], str] = {
    NoSpace: "; compact its history, defragment it, then `etcdctl alarm disarm`, or give it --quota-backend-bytes",
    TooLarge: "; split it",
    LeaseGone: "; register anew",
}
_REFUSING = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
}
