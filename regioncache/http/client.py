"""An HTTP/1.1 client that reads only when it is told to: exact targets, any header, a receive buffer of one's own."""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Protocol

from regioncache.http.answer import Answer
from regioncache.http.ask import Ask, Base
from regioncache.http.dial import Dialled, dial
from regioncache.http.faults import AnswerCutShort, AnswerTimeout, BadHttp, ConnectFailed, NoTurn
from regioncache.http.handshakes import Contexts, contexts
from regioncache.http.heads import END, BadAnswerHead, parse_answer
from regioncache.http.limits import ClientLimits
from regioncache.http.names import Names
from regioncache.http.pool import Pool, Turn
from regioncache.http.wire import Wire

__all__ = ["Answer", "Ask", "Base", "Client", "ClientStatistics", "Connection"]

_HEAD_PULL_BYTES = 16 * 1024
"""Asked of the socket while the head is awaited: heads have under 2 KiB, small bodies come along in the same read."""
_REPEATABLE = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"))
_JOINED_BYTES = 64 * 1024


class _Home(Protocol):
    """Where a connection goes when its user is done with it."""

    def take_back(self, connection: "Connection") -> None: ...
    def gone(self, connection: "Connection") -> None: ...


class Connection:
    """A connection, one user at a time."""

    __slots__ = ("_closed", "_home", "base", "fresh", "receive_buffer", "round_trip", "wanted_buffer", "wire")

    def __init__(self, base: Base, wanted_buffer: int, dialled: Dialled, home: _Home) -> None:
        self.base = base
        self.wanted_buffer = wanted_buffer
        self.receive_buffer = dialled.receive_buffer
        """SO_RCVBUF as the kernel tells it (it doubles what was set, for its own bookkeeping); 0 = left alone."""
        self.round_trip = dialled.round_trip
        """Seconds, as the kernel measured it when the connection was opened; 0 = unknown."""
        self.wire: Wire = dialled.wire
        self.fresh = True
        """Never used for a request."""
        self._home = home
        self._closed = False

    @property
    def broken(self) -> bool:
        """Whether it can carry no further request."""
        return self.wire.broken

    def release(self) -> None:
        """Gives it back unused, or used up to the last byte of an answer."""
        self._home.take_back(self)

    def close(self) -> None:
        """Ends it. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._home.gone(self)

    def end(self, reusable: bool) -> None:
        """Its answer is over."""
        if reusable:
            self.release()
        else:
            self.close()


class _Exchange:
    """One request on one connection, up to the answer's head."""

    __slots__ = ("_ask", "_connection", "_head", "heard", "was_fresh")

    def __init__(self, ask: Ask, head: bytes, connection: Connection) -> None:
        self._ask = ask
        self._head = head
        self._connection = connection
        self.was_fresh = connection.fresh
        self.heard = False
        connection.fresh = False

    async def run(self, limit: int) -> Answer:
        """Sends the request and reads the head; whatever else happens, the connection is closed."""
        try:
            return await self._run(limit)
        except BaseException:
            self._connection.close()
            raise

    async def _run(self, limit: int) -> Answer:
        ask, connection = self._ask, self._connection
        if len(ask.body) < _JOINED_BYTES:
            connection.wire.send(self._head + ask.body)
        else:
            connection.wire.send(self._head)
            connection.wire.send(ask.body)
        to_head = ask.method == b"HEAD"
        due = asyncio.get_running_loop().time() + ask.answer_seconds
        data = b""
        while True:
            data, end = await self._read_head(data, limit, due)
            try:
                head = parse_answer(data[:end], to_head)
            except BadAnswerHead as error:
                raise BadHttp(f"{ask.base}: {error}") from error
            data = data[end:]
            if head.status >= 200:
                break
        bodyless = to_head or head.status in (204, 304)
        return Answer(
            head, bodyless, data, connection.wire, ask.stall_seconds, connection.receive_buffer, connection.end
        )

    async def _read_head(self, data: bytes, limit: int, due: float) -> tuple[bytes, int]:
        """Returns what came, and where the head ends in it."""
        loop = asyncio.get_running_loop()
        while (end := data.find(END)) < 0:
            if len(data) >= limit:
                raise BadHttp(f"{self._ask.base}: the answer's head is longer than {limit} bytes")
            into = memoryview(bytearray(min(_HEAD_PULL_BYTES, limit - len(data))))
            try:
                got = await self._connection.wire.pull(into, max(0.0, due - loop.time()))
            except AnswerTimeout as error:
                raise AnswerTimeout(f"{self._ask.base} did not answer in {self._ask.answer_seconds} s") from error
            if not got:
                raise AnswerCutShort(f"{self._ask.base} closed the connection before its answer")
            self.heard = True
            data += into[:got]
        return data, end + len(END)


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """Connections now; requests, connections opened and requests sent again since the start."""

    open: int
    idle: int
    waiting: int
    requests: int
    opened: int
    repeated: int


class Client:
    """Asks other servers, over kept connections."""

    def __init__(
        self,
        limits: ClientLimits | None = None,
        tls: ssl.SSLContext | Contexts | None = None,
        names: Names | None = None,
    ) -> None:
        """Args:
        tls: for https, of each new connection; None = the system's certificate authorities.
        names: of hosts; None = as the system knows them.
        """
        self._names = names or Names()
        self._limits = limits or ClientLimits()
        self._tls = None if tls is None else contexts(tls)
        self._pool: Pool[Connection] = Pool(self._limits.connections, self._limits.idle, self._limits.idle_seconds)
        self._expiry: asyncio.TimerHandle | None = None
        self._closed = False
        self._requests = 0
        self._opened = 0
        self._repeated = 0

    async def connect(self, base: Base, receive_buffer: int = 0) -> Connection:
        """Returns a connection for one request, an idle one first; to be used by `request`, or released.

        Raises: ConnectFailed.
        """
        kept, broken = self._pool.take(base, receive_buffer)
        for connection in broken:
            connection.close()
        return kept or await self._open(base, receive_buffer)

    async def request(self, ask: Ask, connection: Connection | None = None) -> Answer:
        """Sends `ask` and returns its answer once the head is there; the connection belongs to this call from now on.

        A kept connection that turns out to be closed, with no byte of an answer seen, is replaced once by a new one.

        Raises: ConnectFailed, AnswerTimeout, AnswerCutShort, BadHttp.
        """
        try:
            head = ask.encode()
        except ValueError:
            if connection is not None:
                connection.release()
            raise
        self._requests += 1
        if connection is None:
            connection = await self.connect(ask.base, ask.receive_buffer)
        if connection.broken:
            connection = await self._replace(connection)
        first = _Exchange(ask, head, connection)
        try:
            return await first.run(self._limits.head_bytes)
        except AnswerCutShort:
            if first.was_fresh or first.heard or ask.method not in _REPEATABLE:
                raise
        connection = await self._replace(connection)
        return await _Exchange(ask, head, connection).run(self._limits.head_bytes)

    def close(self) -> None:
        """Closes what is idle now, and the rest as it is given back."""
        self._closed = True
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for connection in self._pool.empty():
            connection.close()

    def statistics(self) -> ClientStatistics:
        """Plain numbers."""
        opened, idle, waiting = self._pool.counts()
        return ClientStatistics(opened, idle, waiting, self._requests, self._opened, self._repeated)

    def take_back(self, connection: Connection) -> None:
        """A connection is free again."""
        if self._closed or connection.broken:
            connection.close()
            return
        connection.wire.rest()
        loop = asyncio.get_running_loop()
        for surplus in self._pool.give(connection, loop.time()):
            surplus.close()
        if self._expiry is None:
            self._expiry = loop.call_later(self._limits.idle_seconds, self._expire)

    def gone(self, connection: Connection) -> None:
        """A connection is to be closed for good."""
        connection.wire.close()
        self._pool.left(connection.base)

    async def _replace(self, connection: Connection) -> Connection:
        self._repeated += 1
        connection.close()
        return await self._open(connection.base, connection.wanted_buffer)

    async def _open(self, base: Base, buffer: int) -> Connection:
        its_turn = False
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                kept = await self._room(base, buffer)
                its_turn = True
                return kept or await self._dial(base, buffer)
        except TimeoutError as error:
            seconds = self._limits.connect_seconds
            if not its_turn:
                raise NoTurn(
                    f"all {self._limits.connections} connections to {base} are in use for {seconds} s"
                ) from error
            raise ConnectFailed(f"no connection to {base} in {seconds} s") from error

    async def _dial(self, base: Base, buffer: int) -> Connection:
        """Opens a connection in the room that was claimed."""
        try:
            if base.scheme == "https" and self._tls is None:
                self._tls = contexts(ssl.create_default_context())
            context = None if self._tls is None or base.scheme == "http" else self._tls()
            dialled = await dial(base, buffer, context, self._limits.connect_seconds, self._names)
        except BaseException:
            self._pool.left(base)
            raise
        self._opened += 1
        return Connection(base, buffer, dialled, self)

    async def _room(self, base: Base, buffer: int) -> Connection | None:
        """Waits for room to open a connection, or for one that is given back."""
        if self._closed:
            raise ConnectFailed("the client is closed")
        if self._pool.claim(base):
            return None
        idle = self._pool.oldest_idle(base)
        if idle is not None:
            idle.close()
            if self._pool.claim(base):
                return None
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        waiting = Turn[Connection](base, buffer, lambda given: _tell(turn, given))
        self._pool.wait(waiting)
        try:
            return await turn
        except BaseException:
            self._pool.give_up(waiting)
            self._pass_on(base, turn)
            raise

    def _pass_on(self, base: Base, turn: "asyncio.Future[Connection | None]") -> None:
        """The waiter went at the very moment its turn came: what it was given is not lost."""
        if not turn.done() or turn.cancelled():
            return
        connection = turn.result()
        if connection is None:
            self._pool.left(base)
        else:
            connection.release()

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        for connection in self._pool.expire(loop.time()):
            connection.close()
        again = self._pool.counts()[1] > 0
        self._expiry = loop.call_later(self._limits.idle_seconds / 2, self._expire) if again else None


def _tell(turn: "asyncio.Future[Connection | None]", given: Connection | None) -> bool:
    if turn.done():
        return False
    turn.set_result(given)
    return True
