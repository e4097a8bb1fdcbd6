"""What can go wrong with etcd, each saying what the caller can do."""

from namespace.errors import NamespaceError


class EtcdError(NamespaceError):
    """Base of all faults of this client."""


class EtcdUnavailable(EtcdError):
    """No server answered in time, and nothing was changed: go on with what is known, and ask again."""


class EtcdUncertain(EtcdError):
    """A write was sent and no answer came, or a repeated transaction's compares no longer hold: it may or may not have
    happened. Read what it would have written before it is tried again."""


class EtcdRefused(EtcdError):
    """etcd says no, and will say so again: the message names what to mend (user, permission, certificate, request)."""


class NoSpace(EtcdRefused):
    """etcd's space quota is used up; it takes no writes until it was compacted, defragmented and disarmed. Reads and
    watches and keep-alives go on."""


class TooLarge(EtcdRefused):
    """One operation is above what etcd takes in a request (1.5 MiB): split the value."""


class LeaseGone(EtcdError):
    """The lease has run out or was revoked, and its keys with it: register anew."""


class Compacted(EtcdError):
    """The history asked for is no longer kept: read the whole anew. `revision` is the oldest that can be had."""

    def __init__(self, message: str, revision: int = 0) -> None:
        super().__init__(message)
        self.revision = revision


class DataLost(EtcdError):
    """etcd is not the one it was: another cluster's id, an older revision, or its mark was replaced. Read the whole
    anew, and take nothing for newer because its revision is higher."""
