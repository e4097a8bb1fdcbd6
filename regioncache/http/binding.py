"""Sockets bound to an address, as servers and supervisors want them."""

import socket


def bound(address: tuple[str, int]) -> socket.socket:
    """Returns a socket bound to `address`, at once after another process left it too. Raises OSError."""
    host, port = address
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock
