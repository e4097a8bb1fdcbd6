"""How many connections each door may hold: descriptors are shared with the cache's files and with who is asked.

Without this share a stranger's idle connections would leave none to ask an origin with, or to say `healthz`.
"""

import resource
from dataclasses import dataclass

import structlog

from gateway.admin.visitors import MOST as MOST_ADMINS
from regioncache.http.limits import Limits
from regioncache.openfiles import open_files

MOST = Limits().connections
_APART = 32
"""Listeners, ledger, namespace, the loop's own, standard streams: some 25 at rest."""
_LEAST = 8
_MOST_PEERS = 1024
"""Nodes keep at most 256 connections to one node of another region."""


@dataclass(frozen=True, slots=True)
class Connections:
    """Most open connections by door. Each door holds up to twice as many for a moment, to refuse them in words, and the
    S3 door a quarter as many in TLS handshakes."""

    s3: int
    peer: int
    admin: int

    def short(self, allowed: int) -> str:
        """Returns what an operator should hear of it; empty where there is nothing to say."""
        if self.s3 >= MOST:
            return ""
        return (
            f"this process may open {allowed} files, so the S3 door takes {self.s3} connections at once instead of"
            f" {MOST}; raise the limit (ulimit -n, LimitNOFILE=) to 16384 or more"
        )


def shared_out(allowed: int, cache_files: int) -> Connections:
    """Returns the doors' shares of `allowed` descriptors, of which the cache keeps up to `cache_files` open."""
    # An eighth asks origins and other nodes, and serves the admin port.
    left = max(0, allowed - cache_files - _APART - min(1024, allowed // 8))
    peer = max(_LEAST, min(_MOST_PEERS, left // 8))
    admin = max(_LEAST, min(MOST_ADMINS, allowed // 32))  # of that eighth, with as many handshakes a half of it
    return Connections(max(_LEAST, min(MOST, (left - 2 * peer) * 4 // 9)), peer, admin)


def connections(paths: int) -> Connections:
    """Returns the doors' shares of what this process may open, with so many cache paths; tells of a low limit."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    shares = shared_out(allowed, open_files(allowed, paths) * 2 * paths)
    if short := shares.short(allowed):
        structlog.stdlib.get_logger("causeway").warning(short)
    return shares
