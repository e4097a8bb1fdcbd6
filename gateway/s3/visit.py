"""One request on its way through the door: what is told about it when it is over."""

from collections.abc import Callable
from typing import Protocol

from gateway.logs import Access
from gateway.metrics import DoorCounters
from gateway.s3.base import Caller
from gateway.s3.operations import Operation
from gateway.s3.request import NO_QUERY, Target
from regioncache.http.messages import Reply, Request
from regioncache.opened import Opened

DOOR = "s3"
CLIENT_GONE = 499
"""The code, in metrics and log only, of a request whose client went away before there was a reply (as nginx counts)."""
_NOWHERE = Target("", "", "", NO_QUERY)


class AccessSink(Protocol):
    """Where requests are told of; `gateway.logs.AccessLog` is the real one."""

    def wants(self, code: int) -> bool:
        """Whether a request answered with `code` shall be told."""
        ...

    def tell(self, access: Access) -> None:
        """Tells of one."""
        ...


class Accounts:
    """Where a finished visit is counted and told."""

    __slots__ = ("counters", "log", "timer")

    def __init__(self, counters: DoorCounters, log: AccessSink, timer: Callable[[], float]) -> None:
        self.counters = counters
        self.log = log
        self.timer = timer


class Visit:
    """One request. What is known grows on the way; `done` closes the read and tells of it, once."""

    __slots__ = (
        "_accounts", "_first_seconds", "began", "caller", "id", "opened", "operation", "region", "request", "status",
        "target",
    )  # fmt: skip

    def __init__(self, accounts: Accounts, request: Request, request_id: str) -> None:
        self._accounts = accounts
        self.began = accounts.timer()
        self.request = request
        self.id = request_id
        self.operation = Operation.UNREADABLE
        self.target = _NOWHERE
        self.caller: Caller | None = None
        self.opened: Opened | None = None
        self.region = ""  # that the request was signed for
        self.status = 0
        self._first_seconds = 0.0

    @property
    def asked_for(self) -> bytes:
        """The path as it was sent, behind its bucket where that stood in the Host; without the query."""
        path = self.request.target.partition(b"?")[0]
        return b"/%b%b" % (self.target.bucket.encode(), path) if self.target.virtual else path

    def reply(self, reply: Reply) -> Reply:
        """The reply is made: its first byte leaves now."""
        self.status = reply.status
        self._first_seconds = self._accounts.timer() - self.began
        reply.done = self.done
        return reply

    def let_go(self) -> None:
        """Gives back what was opened; safe to call twice."""
        opened, self.opened = self.opened, None
        if opened is not None:
            opened.close()

    def abandon(self) -> None:
        """The client is gone before there was a reply."""
        self.status = CLIENT_GONE
        self._first_seconds = self._accounts.timer() - self.began
        self.done(0)

    def done(self, nbytes: int) -> None:
        """The reply was sent, or the connection is lost after `nbytes` of its body."""
        if self.opened is not None:
            self.let_go()
        accounts, operation, status = self._accounts, self.operation, self.status
        seconds = accounts.timer() - self.began
        accounts.counters.request(DOOR, operation, status)
        accounts.counters.first(DOOR, operation, self._first_seconds)
        accounts.counters.last(DOOR, operation, seconds)
        if self.caller is not None:
            accounts.counters.sent(self.caller.payer.tenant, nbytes)
        if accounts.log.wants(status):
            accounts.log.tell(self._access(nbytes, seconds))

    def _access(self, nbytes: int, seconds: float) -> Access:
        return Access(
            door=DOOR,
            operation=self.operation,
            code=self.status,
            path=self.asked_for.decode("latin-1"),
            client=self.request.client,
            key_id=self.caller.key.id if self.caller is not None else "",
            nbytes=nbytes,
            seconds=seconds,
            request_id=self.id,
        )
