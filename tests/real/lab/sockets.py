"""What the kernel keeps of a TCP socket of this network namespace, asked for by its two addresses (sock_diag(7))."""

import socket
import struct
from pathlib import Path

Address = tuple[str, int]
_SOCK_DIAG, _BY_FAMILY, _REQUEST, _ERROR = 4, 20, 1, 2  # linux/netlink.h, linux/sock_diag.h
_MEMORY = 7  # linux/inet_diag.h: INET_DIAG_SKMEMINFO, of which the second figure is the receive buffer
_HEADER = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBBxI2s2s16s16sIII")
_ANSWER_BYTES = 72
_ANY_STATE, _ANY_COOKIE = 0xFFFFFFFF, 0xFFFFFFFF


def receive_buffer(own: Address, peer: Address) -> int:
    """Returns the receive buffer in bytes (as read back: twice what was asked for), 0 where there is none any more."""
    (own_host, own_port), (peer_host, peer_port) = (_packed(*one) for one in (own, peer))
    of_tcp = (socket.AF_INET, socket.IPPROTO_TCP, 1 << (_MEMORY - 1), _ANY_STATE)
    asked = _ASKED.pack(*of_tcp, own_port, peer_port, own_host, peer_host, 0, _ANY_COOKIE, _ANY_COOKIE)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(asked), _BY_FAMILY, _REQUEST, 0, 0) + asked)
        answer = kernel.recv(4096)
    _, kind, *_ = _HEADER.unpack_from(answer)
    return 0 if kind == _ERROR else _second_of(answer, _MEMORY)


def largest_by_itself() -> int:
    """Returns what a receive buffer grows to that nobody has set, bytes (tcp_rmem, tcp(7))."""
    return int(Path("/proc/sys/net/ipv4/tcp_rmem").read_text().split()[2])


def _packed(host: str, port: int) -> tuple[bytes, bytes]:
    return socket.inet_aton(host), struct.pack("!H", port)


def _second_of(answer: bytes, attribute: int) -> int:
    """The second 32-bit figure of an attribute; attributes follow the answer, each at a multiple of four."""
    at = _HEADER.size + _ANSWER_BYTES
    while at + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == attribute:
            figures: tuple[int, int] = struct.unpack_from("=II", answer, at + 4)
            return figures[1]
        at += (length + 3) & ~3
    return 0  # It is closed, and waits out its end.
