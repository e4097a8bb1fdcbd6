"""The listening sockets of a node with several workers: bound once, by the supervisor, and inherited by every worker.

They stay while workers come and go: who connects meanwhile waits in the kernel's queue and is refused nothing.
"""

import socket
from dataclasses import dataclass

from gateway.config import Address, ListenSettings
from gateway.workers.shares import beside
from regioncache.http.binding import bound

BACKLOG = 1024
"""Connections that the kernel keeps until a worker takes them; as the S3 door's own."""


class AddressTaken(Exception):
    """A door's address cannot be used; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """`own` are the workers' own addresses for peers, by number: behind that of `peer`, which all share."""

    s3: socket.socket
    admin: socket.socket
    peer: socket.socket
    own: tuple[socket.socket, ...]

    @classmethod
    def open(cls, listen: ListenSettings, workers: int) -> "Sockets":
        """Binds them all, and listens. Raises AddressTaken."""
        opened: list[socket.socket] = []
        try:
            for door, address in _addresses(listen, workers):
                opened.append(_listening(door, address))
        except BaseException:
            for one in opened:
                one.close()
            raise
        s3, admin, peer, *own = opened
        return cls(s3, admin, peer, tuple(own))

    def close(self) -> None:
        """Closes them here; they live on in workers."""
        for one in (self.s3, self.admin, self.peer, *self.own):
            one.close()


def _addresses(listen: ListenSettings, workers: int) -> list[tuple[str, Address]]:
    peer = listen.peer.address
    shared = [("s3", listen.s3.address), ("admin", listen.admin.address), ("peer", peer)]
    return shared + [("peer", beside(peer, 1 + number)) for number in range(workers)]


def _listening(door: str, address: Address) -> socket.socket:
    try:
        sock = bound((address.host, address.port))
        sock.listen(BACKLOG)
    except OSError as fault:
        raise AddressTaken(
            f"listen.{door}: {address} cannot be listened at: {fault.strerror}; with several workers each has an"
            " address of its own for peers, at the ports behind that of `listen.peer`"
        ) from fault
    return sock
