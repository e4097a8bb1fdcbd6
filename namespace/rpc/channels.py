"""Channels: connections to one address, with bounds on everything, that notice within seconds when nobody is there."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio

Option = tuple[str, int | str]


@dataclass(frozen=True, slots=True)
class RpcLimits:
    """Bounds of channels and servers; a message above them is refused, never cut."""

    message_bytes: int = 4 << 20
    """Largest message either way. Pages never go by gRPC; what is larger than this is sent in parts."""
    ping_seconds: float = 6.0
    """Of silence on a connection with calls, before it is pinged. Go servers, etcd among them, close a connection that
    pings more often than each 5 s."""
    ping_answer_seconds: float = 3.0
    """Without an answer to a ping the connection is dead: half-open, or its other end stopped."""
    back_off_seconds: float = 1.0
    """The longest pause between two attempts to connect; gRPC's own 120 s would outlast any outage's end."""
    streams: int = 4096
    """Calls that a server takes on one connection at once."""


@dataclass(frozen=True, slots=True)
class RpcTls:
    """PEM texts of one side of TLS."""

    ca: bytes | None = None
    """Authorities that are trusted; None: those of gRPC for a client, clients without certificates for a server."""
    cert: bytes | None = None
    key: bytes | None = None

    def of_client(self) -> grpc.ChannelCredentials:
        """Returns what a channel connects with."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.cert)

    def of_server(self) -> grpc.ServerCredentials:
        """Returns what a server listens with; with authorities given, clients must have a certificate of theirs."""
        pair = (self.key or b"", self.cert or b"")
        return grpc.ssl_server_credentials([pair], self.ca, require_client_auth=self.ca is not None)


def channel(
    address: str,
    tls: RpcTls | None = None,
    limits: RpcLimits | None = None,
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
) -> grpc.aio.Channel:
    """Returns a channel; it connects when it is first used. Whoever gets it closes it.

    Args:
        address: `HOST:PORT`.
        tls: None: plain.
        limits: its bounds.
        interceptors: around each call, the first outermost.
    """
    options = [*_shared(limits or RpcLimits()), *_CLIENT]
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)
    return grpc.aio.secure_channel(address, tls.of_client(), options=options, interceptors=interceptors)


def server_options(limits: RpcLimits) -> list[Option]:
    """Returns the options of a server under these bounds."""
    return [
        *_shared(limits),
        ("grpc.max_concurrent_streams", limits.streams),
        # A second server on the same port would share its callers silently.
        ("grpc.so_reuseport", 0),
        # Our own clients ping each `ping_seconds`; half of it lets none be taken for an attack.
        ("grpc.http2.min_ping_interval_without_data_ms", int(limits.ping_seconds * 500)),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _shared(limits: RpcLimits) -> list[Option]:
    return [
        ("grpc.max_send_message_length", limits.message_bytes),
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.keepalive_time_ms", int(limits.ping_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", int(limits.ping_answer_seconds * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.max_reconnect_backoff_ms", int(limits.back_off_seconds * 1000)),
    ]


_CLIENT: list[Option] = [
    # Whether a call may be repeated is known to who makes it alone.
    ("grpc.enable_retries", 0),
    # Channels of one process share connections otherwise, and with them the bounds of whoever came first.
    ("grpc.use_local_subchannel_pool", 1),
    # An environment's web proxy is no way within a region.
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
]
