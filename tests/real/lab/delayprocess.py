"""The long line's own process: two TUN devices, and each packet from one comes out of the other some time later.

The delay is per packet, never per stream, so TCP sees a true round trip: its windows and its slow start are real. With
a rate, packets leave one after another at that rate, behind a queue of bounded delay (more is dropped).
It holds the devices open and counts IP bytes; commands come as lines on stdin, answers go out as JSON lines.
"""

import argparse
import fcntl
import json
import os
import select
import struct
import sys
import time
from collections import deque
from typing import Any

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_PACKET_BYTES = 65536
# Enough that a bulk reader of four times the quota does not fill it; a full one drops, as a router does.
_QUEUE_SECONDS = 0.5
_MERGE_SECONDS = 0.001


def open_tun(name: str) -> int:
    """Makes a TUN device; it lives as long as the returned file is open, in whatever namespace it is moved to."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


class Way:
    """One direction: packets in, due times, packets out; `delivered` is (monotonic seconds, IP bytes)."""

    def __init__(self, source: int, target: int, delay: float, rate: float) -> None:
        self.source, self.target = source, target
        self.delay, self.rate = delay, rate
        self.free_at = 0.0
        self.queue: deque[tuple[float, bytes]] = deque()
        self.delivered: list[list[float]] = []
        self.dropped = 0

    def take(self, now: float) -> None:
        """Reads what is there and says when it is due."""
        while True:
            try:
                packet = os.read(self.source, _PACKET_BYTES)
            except OSError:
                return  # Nothing more; or the namespace is gone, and the line is being torn down.
            sent = max(now, self.free_at) + (len(packet) / self.rate if self.rate else 0.0)
            if sent - now > _QUEUE_SECONDS:
                self.dropped += 1
                continue
            self.free_at = sent
            self.queue.append((sent + self.delay, packet))

    def give(self, now: float) -> None:
        """Writes what is due."""
        while self.queue and self.queue[0][0] <= now:
            _, packet = self.queue[0]
            try:
                os.write(self.target, packet)
            except BlockingIOError:
                return
            except OSError:
                self.dropped += 1  # The device is down, or the packet is not for it.
            self.queue.popleft()
            self._count(len(packet), now)

    def _count(self, nbytes: int, now: float) -> None:
        if self.delivered and now - self.delivered[-1][0] < _MERGE_SECONDS:
            self.delivered[-1][1] += nbytes
        else:
            self.delivered.append([now, nbytes])

    def report(self) -> dict[str, Any]:
        return {"delivered": self.delivered, "dropped": self.dropped, "queued": len(self.queue)}


def forward(ways: list[Way]) -> None:
    """Runs until stdin ends: the test has gone."""
    stdin = sys.stdin.fileno()
    while True:
        now = time.monotonic()
        due = min((way.queue[0][0] for way in ways if way.queue), default=now + 1.0)
        ready, _, _ = select.select([stdin, *(way.source for way in ways)], [], [], max(0.0, due - now))
        now = time.monotonic()
        for way in ways:
            if way.source in ready:
                way.take(now)
            way.give(now)
        if stdin in ready and not obey(ways):
            return


def obey(ways: list[Way]) -> bool:
    """Answers one command; False at the end of stdin."""
    command = os.read(sys.stdin.fileno(), 4096).decode().strip()
    if command == "reset":
        for way in ways:
            way.delivered.clear()
            way.dropped = 0
    if command:
        print(json.dumps([way.report() for way in ways] if command == "report" else command), flush=True)
    return bool(command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("devices", nargs=2)
    parser.add_argument("--delay", type=float, default=0.040, help="seconds each way")
    parser.add_argument("--rate", type=float, default=0.0, help="bytes/s each way; 0: no limit")
    args = parser.parse_args()
    first, second = (open_tun(name) for name in args.devices)
    print(json.dumps("ready"), flush=True)
    forward([Way(first, second, args.delay, args.rate), Way(second, first, args.delay, args.rate)])


if __name__ == "__main__":
    main()
