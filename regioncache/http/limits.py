"""What one HTTP server or client bears: every buffer, count and wait of theirs has its bound here."""

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the server."""

    head_bytes: int = 64 * KIB
    """Request line and headers together; beyond: 431. S3 clients send under 4 KiB, presigned URLs under 8."""

    headers: int = 128
    """Header lines of a request; beyond: 431. User metadata comes as headers, 2 KiB of it at most."""

    head_seconds: float = 20.0
    """From a request's first byte to the end of its head (slowloris), and for the TLS handshake."""

    idle_seconds: float = 75.0
    """A kept connection without a request; longer than the pools of the SDKs keep theirs (60 s)."""

    body_seconds: float = 30.0
    """The longest pause in a request's body while its handler waits for it."""

    body_rate: float = 1024.0
    """Bytes/s that a body must keep, on average over the time its handler waits, after `body_seconds` of grace."""

    write_seconds: float = 60.0
    """A reader that takes not one byte for so long is cut off; a slow reader that takes some is not."""

    linger_seconds: float = 2.0
    """How long input is thrown away after an early refusal, so that the reset does not overtake the reply."""

    held_bytes: int = 256 * KIB
    """Body bytes that wait for the handler; beyond, the socket is not read."""

    connections: int = 4096
    """Open connections. One more makes those go that have been without a request for longest; where all have one it is
    answered 503 and closed, and beyond twice as many closed without a word."""

    handshakes: int = 1024
    """TLS handshakes under way; one more waits in the kernel, and those that dawdle make room. A core does some 1,000 a
    second."""

    backlog: int = 1024
    """Connections that the kernel keeps for us to accept."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"the server's limit {name} must be above 0, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds of the client."""

    head_bytes: int = 64 * KIB
    """Status line and headers of an answer; beyond, `BadHttp`."""

    connections: int = 256
    """Connections to one base, used and idle together; one more waits for its turn."""

    idle: int = 64
    """Unused connections kept per base and receive buffer."""

    idle_seconds: float = 20.0
    """How long an unused connection is kept; S3 stores close theirs after 20 to 60 s."""

    connect_seconds: float = 10.0
    """For a turn in the pool, name, TCP and TLS together."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"the client's limit {name} must be above 0, not {getattr(self, name)}")
