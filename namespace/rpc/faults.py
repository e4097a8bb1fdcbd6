"""Faults between our processes, and what each is on the wire: one table, read in both directions."""

import json
from collections.abc import Iterable, Mapping

import grpc
import grpc.aio

from namespace.errors import NamespaceError

# Beyond the sentence of a fault: what the other side needs to act on it, as the revision that came between.
FIELDS_KEY = "causeway-fault-bin"


class RpcFault(NamespaceError):
    """Base of all faults of a call. `fields` travel with it: short texts by name."""

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


class Unreachable(RpcFault):
    """Nobody is there, or not any more: ask somebody else, or again later. What was asked may have been done."""


class TooSlow(RpcFault):
    """No answer in time. What was asked may have been done."""


class Untrusted(RpcFault):
    """The signature is missing or wrong, or the clocks are too far apart: the message says which and the remedy."""


class Forbidden(RpcFault):
    """We are known, and this is not for us."""


class Absent(RpcFault):
    """What was asked for does not exist there."""


class Wrong(RpcFault):
    """The question makes no sense; asked again it will make none."""


class Conflicting(RpcFault):
    """Another change came between: read anew, then decide again."""


class NotHere(RpcFault):
    """This process is not the one to ask now (no leader, not ready): `fields` may name who is."""


class Full(RpcFault):
    """A bound was reached there, or a message is too large: less, or later."""


class NotSpoken(RpcFault):
    """The other side does not know this method: an older or a newer version."""


class Broken(RpcFault):
    """A fault of the other side's program; its log says more."""


_CODES: tuple[tuple[type[RpcFault], grpc.StatusCode], ...] = (
    (Unreachable, grpc.StatusCode.UNAVAILABLE),
    (TooSlow, grpc.StatusCode.DEADLINE_EXCEEDED),
    (Untrusted, grpc.StatusCode.UNAUTHENTICATED),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (Absent, grpc.StatusCode.NOT_FOUND),
    (Wrong, grpc.StatusCode.INVALID_ARGUMENT),
    (Conflicting, grpc.StatusCode.ABORTED),
    (NotHere, grpc.StatusCode.FAILED_PRECONDITION),
    (Full, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (NotSpoken, grpc.StatusCode.UNIMPLEMENTED),
    (Broken, grpc.StatusCode.INTERNAL),
)
_FAULTS = {code: kind for kind, code in _CODES} | {grpc.StatusCode.CANCELLED: Unreachable}


def code_of(fault: RpcFault) -> grpc.StatusCode:
    """Returns the status of a fault."""
    return next((code for kind, code in _CODES if isinstance(fault, kind)), grpc.StatusCode.INTERNAL)


def trailing(fault: RpcFault) -> tuple[tuple[str, bytes], ...]:
    """Returns the metadata that carry a fault's fields."""
    return ((FIELDS_KEY, json.dumps(fault.fields).encode()),) if fault.fields else ()


def fault_of(error: grpc.aio.AioRpcError, address: str) -> RpcFault:
    """Returns what a failed call to an address means to us."""
    said = error.details() or error.code().name
    return _FAULTS.get(error.code(), Broken)(f"{address}: {said}", _fields(error.trailing_metadata() or ()))


def _fields(metadata: Iterable[tuple[str, str | bytes]]) -> Mapping[str, str]:
    for key, value in metadata:
        if key == FIELDS_KEY:
            try:
                found = json.loads(value)
            except ValueError:
                return {}
            if isinstance(found, dict):
                return {str(name): str(text) for name, text in found.items()}
    return {}
