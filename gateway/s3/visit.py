"""One request on its way through the door: what is told about it when it is over."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from gateway.logs import Access
from gateway.metrics import DoorCounters
from gateway.s3.base import Caller
from gateway.s3.operations import Operation
from gateway.s3.request import NO_QUERY, Target
from regioncache.http.messages import Reply, Request
from regioncache.opened import Opened
from regioncache.tracing import Beginning, Tracing, Trail, trace_id

DOOR = "s3"
CLIENT_GONE = 499
"""The code, in metrics and log only, of a request whose client went away before there was a reply (as nginx counts)."""
_NOWHERE = Target("", "", "", NO_QUERY)


class ServerFault(Exception):
    """Ends the trail of a request that was answered with 500 or more."""


class AccessSink(Protocol):
    """Where requests are told of; `gateway.logs.AccessLog` is the real one."""

    def wants(self, code: int) -> bool:
        """Whether a request answered with `code` shall be told."""
        ...

    def tell(self, access: Access) -> None:
        """Tells of one."""
        ...


class Accounts:
    """Where a finished visit is counted and told, and which are traced; None: none."""

    __slots__ = ("counters", "log", "timer", "tracing")

    def __init__(
        self, counters: DoorCounters, log: AccessSink, timer: Callable[[], float], tracing: Tracing | None = None
    ) -> None:
        self.tracing = tracing
        self.counters = counters
        self.log = log
        self.timer = timer


class Visit:
    """One request. What is known grows on the way; `done` closes the read and tells of it, once."""

    __slots__ = (
        "_accounts", "_first_seconds", "began", "caller", "id", "opened", "operation", "region", "request", "status",
        "target", "trail",
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
        self.trail: Trail | None = None

    def trace(self, begin: Beginning) -> Caller:
        """Begins the stretch of this request and returns the caller, in whose name the read leaves its trail."""
        caller = self.caller
        assert caller is not None, "who asks is known before anything is traced"
        key, payer = caller.key, caller.payer
        self.trail = begin(
            f"{DOOR}.{self.operation}",
            {
                "causeway.path": self.target.path,
                "causeway.request_id": self.id,
                "causeway.tenant": payer.tenant,
                "causeway.class": payer.cls,
                "http.request.method": self.request.method.decode("latin-1"),
                "client.address": self.request.client,
            },
        )
        self.caller = Caller(key, replace(payer, trail=self.trail))
        return self.caller

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
        if self.trail is not None:
            self._end_trail(self.trail, nbytes)
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

    def _end_trail(self, trail: Trail, nbytes: int) -> None:
        told: dict[str, str | int | float] = {"http.response.status_code": self.status, "causeway.bytes": nbytes}
        if self.opened is not None:
            told["causeway.source"] = self.opened.source
            if self.opened.stale_seconds is not None:
                told["causeway.stale_seconds"] = self.opened.stale_seconds
        self.let_go()
        trail.note(told)
        trail.end(ServerFault(self.status) if self.status >= 500 else None)

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
            trace="" if self.trail is None else trace_id(self.trail),
        )
