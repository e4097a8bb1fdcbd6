"""Bounds of the client: every wait and every buffer has one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EtcdLimits:
    """Seconds and sizes; the defaults fit etcd's own (heartbeat 100 ms, election 1 s)."""

    call_seconds: float = 8.0
    """A call, all its attempts together. An election takes 1 to 3 s; what is longer is an outage."""
    attempt_seconds: float = 2.0
    """One attempt of a call that may be repeated."""
    connect_seconds: float = 1.0
    """Until a server accepts a connection; then the next is asked."""
    pause_seconds: float = 0.1
    """After all servers failed, before they are asked again."""
    silent_seconds: float = 10.0
    """Of silence of a watch, before it is probed. A quiet prefix is silent for days; a stopped server too."""
    probe_seconds: float = 3.0
    """For the answers to a probe; then the watch goes to another server."""
    page_keys: int = 4000
    """Keys of one page of a snapshot; halved where they are too many bytes. etcd before 3.5 walks over all that follow
    for each page: 100,000 keys take 2.2 s in pages of 500."""
    message_bytes: int = 32 << 20
    """Largest answer. etcd bounds what is asked (1.5 MiB), not what it answers."""
    watch_answers: int = 16
    """Answers of a watch that wait for their reader; above that etcd is left waiting."""
