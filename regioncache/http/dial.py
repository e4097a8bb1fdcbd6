"""Opens connections: name, TCP with its receive buffer, TLS."""

import asyncio
import socket
import ssl
import struct
from dataclasses import dataclass

from regioncache.http.ask import Base
from regioncache.http.faults import ConnectFailed, HttpFault
from regioncache.http.tlswire import shake_hands
from regioncache.http.wire import PlainWire, Wire

_SO_RCVBUFFORCE = 33
"""socket(7): as SO_RCVBUF, but beyond net.core.rmem_max, for CAP_NET_ADMIN; Python has no name for it."""
_RTT_AT = 68
"""Where `tcpi_rtt` (microseconds, 32 bits) lies in `struct tcp_info` of linux/tcp.h."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """A connection that is open.

    `receive_buffer`: SO_RCVBUF as the kernel tells it, 0 = left alone. `round_trip`: seconds that the handshake took
    by the kernel's measure, which no busy process on either side lengthens; 0 = unknown.
    """

    wire: Wire
    receive_buffer: int
    round_trip: float


async def dial(base: Base, receive_buffer: int, tls: ssl.SSLContext | None, seconds: float) -> Dialled:
    """Connects to `base`, to one of its addresses after the other.

    Args:
        receive_buffer: SO_RCVBUF to set before connect, so that the window is never larger; 0 = leave it alone.
        tls: for https.
        seconds: for the TLS handshake; the caller bounds the whole.

    Raises: ConnectFailed.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(base.host, base.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectFailed(f"no address of {base.host}: {error}") from error
    faults: list[str] = []
    for family, kind, proto, _, address in found:
        try:
            sock, buffer = await _connected(loop, family, kind, proto, address, receive_buffer)
        except OSError as error:
            faults.append(str(error))
            continue
        round_trip = _round_trip(sock)
        wire = await PlainWire.open(sock)
        if base.scheme == "http":
            return Dialled(wire, buffer, round_trip)
        return Dialled(await _secured(wire, base, tls, seconds), buffer, round_trip)
    raise ConnectFailed(f"cannot connect to {base}: {'; '.join(faults) or 'no address'}")


async def _connected(
    loop: asyncio.AbstractEventLoop,
    family: int,
    kind: int,
    proto: int,
    address: tuple[object, ...],
    receive_buffer: int,
) -> tuple[socket.socket, int]:
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        buffer = _set_receive_buffer(sock, receive_buffer) if receive_buffer else 0
        await loop.sock_connect(sock, address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock, buffer


def _set_receive_buffer(sock: socket.socket, nbytes: int) -> int:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, nbytes)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, nbytes)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def _round_trip(sock: socket.socket) -> float:
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT_AT + 4)
    microseconds: int = struct.unpack_from("=I", told, _RTT_AT)[0] if len(told) >= _RTT_AT + 4 else 0
    return microseconds / 1e6


async def _secured(wire: PlainWire, base: Base, tls: ssl.SSLContext | None, seconds: float) -> Wire:
    if tls is None:
        wire.close()
        raise ConnectFailed(f"{base} needs a TLS context")
    try:
        return await shake_hands(wire, tls, base.host, seconds)
    except (OSError, HttpFault) as error:
        raise ConnectFailed(f"no TLS with {base}: {error}") from error
