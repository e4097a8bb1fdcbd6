"""The namespace's faults as a call carries them, and back: whoever asks by a node sees the same sentence."""

from namespace.errors import KeyExists, NamespaceError, UnknownKey
from namespace.keeping import NamespaceAway, NotGranted, Superseded
from namespace.rpc.faults import (
    Absent,
    Broken,
    Conflicting,
    Forbidden,
    Full,
    NotHere,
    NotSpoken,
    RpcFault,
    TooSlow,
    Unreachable,
    Untrusted,
    Wrong,
)

_SENTENCE = "sentence"
_TO_CALL: tuple[tuple[type[NamespaceError], type[RpcFault]], ...] = (
    (Superseded, Conflicting),
    (KeyExists, Wrong),
    (UnknownKey, Absent),
    (NotGranted, Forbidden),
    (NamespaceAway, NotHere),
)


def to_call(fault: NamespaceError) -> RpcFault:
    """Returns what the other side is told of a fault."""
    if isinstance(fault, RpcFault):
        return fault
    kind = next((call for ours, call in _TO_CALL if isinstance(fault, ours)), Broken)
    return kind(str(fault), {_SENTENCE: str(fault)})


def from_call(fault: RpcFault) -> NamespaceError:
    """Returns what a failed call to the service means to a node."""
    sentence = fault.fields.get(_SENTENCE)
    if sentence is not None:
        kind = next((ours for ours, call in _TO_CALL if isinstance(fault, call)), NamespaceAway)
        return kind(sentence)
    match fault:
        case Unreachable() | TooSlow():
            return NamespaceAway(f"the namespace service does not answer ({fault}); it may have been done, look first")
        case Untrusted():
            return NotGranted(f"the namespace service does not know this region: {fault}")
        case Full() | NotSpoken() | Broken() | NotHere():
            return NamespaceAway(f"the namespace service cannot do that: {fault}")
    return NamespaceError(str(fault))
