"""Opens connections: name, TCP with its receive buffer, TLS."""

import asyncio
import socket
import ssl
import struct
from dataclasses import dataclass

from regioncache.http.ask import Base
from regioncache.http.faults import ConnectFailed, HttpFault
from regioncache.http.names import Address, Names
from regioncache.http.tlswire import shake_hands
from regioncache.http.wire import PlainWire, Wire

_SO_RCVBUFFORCE = 33
"""socket(7): as SO_RCVBUF, but beyond net.core.rmem_max, for CAP_NET_ADMIN; Python has no name for it."""
ADDRESS_SECONDS = 2.0
"""For one address while there are others to try: a packet that was lost is sent again after 1 s."""
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


async def dial(base: Base, receive_buffer: int, tls: ssl.SSLContext | None, seconds: float, names: Names) -> Dialled:
    """Connects to `base`, to one of its addresses after the other.

    Args:
        receive_buffer: SO_RCVBUF to set before connect, so that the window is never larger; 0 = leave it alone.
        tls: for https.
        seconds: for the TLS handshake; the caller bounds the whole.
        names: gives the addresses, and is told which of them work.

    Raises: ConnectFailed.
    """
    try:
        found = await names.of(base.host, base.port)
    except OSError as error:
        raise ConnectFailed(f"no address of {base.host}: {error}") from error
    faults: list[str] = []
    for address in found:
        try:
            async with asyncio.timeout(None if address is found[-1] else ADDRESS_SECONDS):
                sock, buffer = await _connected(address, receive_buffer)
        except OSError as error:  # TimeoutError too
            faults.append(str(error) or f"{address.where[0]} did not answer in {ADDRESS_SECONDS:g} s")
            names.failed(base.host, base.port, address)
            continue
        except asyncio.CancelledError:
            names.failed(base.host, base.port, address)  # the whole took too long: the next one begins elsewhere
            raise
        names.worked(base.host, base.port, address)
        round_trip = _round_trip(sock)
        wire = await PlainWire.open(sock)
        if base.scheme == "http":
            return Dialled(wire, buffer, round_trip)
        return Dialled(await _secured(wire, base, tls, seconds), buffer, round_trip)
    raise ConnectFailed(f"cannot connect to {base}: {'; '.join(faults) or 'no address'}")


async def _connected(address: Address, receive_buffer: int) -> tuple[socket.socket, int]:
    sock = socket.socket(address.family, address.kind, address.proto)
    try:
        sock.setblocking(False)
        buffer = _set_receive_buffer(sock, receive_buffer) if receive_buffer else 0
        await asyncio.get_running_loop().sock_connect(sock, address.where)
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
