"""Requests and replies as handlers see them. Header names are lower-case bytes; targets and values are exact bytes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from regioncache.pages import FilePart

Header = tuple[bytes, bytes]
Headers = Sequence[Header]
Buffer = bytes | bytearray | memoryview


class Body(Protocol):
    """A request's body, as it arrives."""

    async def read(self, limit: int) -> bytes:
        """Returns the whole body; raises `BodyTooLarge` as soon as more than `limit` bytes are told or seen."""
        ...

    async def piece(self) -> bytes:
        """Returns the next bytes as they came, b"" at the end; raises `BadBody` where the framing is broken."""
        ...


@dataclass(slots=True)
class Request:
    """One parsed request. `target` is exactly what the request line held; `client` the peer's address.

    `first` is filled from `headers` when the request is made: a later change of `headers` does not show in `header`.
    """

    method: bytes
    target: bytes
    headers: list[Header]
    body: Body
    client: str = ""
    tls: bool = False
    first: dict[bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.first = dict(reversed(self.headers))

    def header(self, name: bytes) -> bytes | None:
        """The first value of `name` (lower case), or None."""
        return self.first.get(name)


@dataclass(slots=True)
class Reply:
    """One reply. Either `body` is complete, or `stream` gives it piece by piece.

    `length` is the Content-Length of a stream; a stream without one is sent chunked, each piece one chunk. The server
    adds Content-Length, Date and Connection; everything else is the handler's. A stream that raises, or ends before
    `length`, closes the connection short: the client must see that the reply is not whole. Pieces of a stream must
    stay valid and unchanged until the next one is asked for, a `body` until `done`: by then they have left this
    process. `pull`, beside a stream, gives the next piece of the two at once, or None where the stream must be asked:
    as long as it gives, no task is needed; a part with a `last` ends the reply. A reply to HEAD carries its `length`
    and sends no body.
    `encoded` are header lines ready for the wire, each ended by CRLF, added as they are: for heads that are the same
    for every reply.
    `done`, if set, is called once when the reply is sent or the connection is lost, with the body bytes sent.
    """

    status: int
    headers: Headers = ()
    body: Buffer = b""
    stream: AsyncIterator[Buffer] | None = None
    length: int | None = None
    done: Callable[[int], None] | None = field(default=None)
    encoded: bytes = b""
    pull: Callable[[], FilePart | None] | None = None


Handler = Callable[[Request], Reply | Awaitable[Reply]]
"""Answers one request. A plain `Reply` is written at once, without a task: that is the hit path of small objects."""


class BodyTooLarge(Exception):
    """The request's body is larger than the handler takes (413, or S3's EntityTooLarge)."""


class BadBody(Exception):
    """The request's body breaks HTTP's framing (400); the connection is closed after the reply."""
