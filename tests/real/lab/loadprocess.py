"""The raw client's own process: N kept connections work off a plan of ready-made GETs and check what they are sent.

The plan is JSON lines (`load.Get`); the result is one JSON object on stdout. Nothing is signed or built while it runs.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import re
import signal
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

from tests.fakes.ramp import is_ramp

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RETRY = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)
_MERGE_SECONDS = 0.005
_AGAIN_SECONDS = 0.2
_FAULTS = 20


@dataclass(slots=True)
class Step:
    """One request of the plan. `at` < 0: the bytes are not checked; `cut` >= 0: the connection is reset there."""

    head: bytes
    status: int
    size: int
    at: int
    shift: int
    cut: int


@dataclass(slots=True)
class Result:
    """What happened, over all connections."""

    statuses: Counter[int] = field(default_factory=Counter)
    bytes: int = 0
    cut: int = 0
    faults: list[str] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    ended_at: list[float] = field(default_factory=list)
    timeline: list[list[float]] = field(default_factory=list)

    def came(self, nbytes: int, now: float) -> None:
        self.bytes += nbytes
        if self.timeline and now - self.timeline[-1][0] < _MERGE_SECONDS:
            self.timeline[-1][1] += nbytes
        else:
            self.timeline.append([now, nbytes])

    def fault(self, text: str) -> None:
        if len(self.faults) < _FAULTS:
            self.faults.append(text)


class Plan:
    """Hands out steps: each once, or round and round until a time, or until `end`."""

    def __init__(self, steps: list[Step], until: float | None) -> None:
        self._steps, self._until = steps, until
        self._at = 0

    def goes_on(self) -> bool:
        """Whether its time is not over."""
        return self._until is not None and time.monotonic() < self._until

    def end(self) -> None:
        """From now on nothing is handed out; what is under way is read to its end."""
        self._until = -math.inf

    def next(self) -> Step | None:
        if self._until is not None:
            if time.monotonic() >= self._until:
                return None
            self._at %= len(self._steps)
        if self._at >= len(self._steps):
            return None
        self._at += 1
        return self._steps[self._at - 1]


class Reader(asyncio.Protocol):
    """One connection: sends a step's request, reads its answer, goes on with the next."""

    def __init__(self, plan: Plan, result: Result, args: argparse.Namespace) -> None:
        self._plan, self._result, self._begun = plan, result, args.begun
        self._rate, self._heeds = args.rate, args.heed
        self.over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._head = b""
        self._left = -1
        self._at = 0
        self._status = 0
        self._step: Step | None = None
        self._asked = self._first = self._pause = 0.0
        self._began, self._read = time.monotonic(), 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name.
        self._ask()

    def _ask(self) -> None:
        self._step = self._plan.next()
        if self._step is None:
            self._end(more=False)
            return
        self._head, self._left, self._at = b"", -1, 0
        self._asked = time.monotonic()
        self._transport.write(self._step.head)

    def data_received(self, data: bytes) -> None:
        if self._step is None:
            self._result.fault("bytes behind the last answer")
            return
        now = time.monotonic()
        if self._left < 0:
            data = self._take_head(data, now)
            if self._left < 0:
                return
        if data:
            self._take_body(data, now, self._step)
        if self._step is not None and 0 <= self._step.cut <= self._at:
            self._result.cut += 1
            self._end(more=True)
        elif self._left == 0:
            self._answered(now, self._step)
        if self._rate and data:
            self._pace(len(data), now)

    def _take_head(self, data: bytes, now: float) -> bytes:
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        head, rest = self._head[:end], self._head[end + 4 :]
        found = _LENGTH.search(head)
        self._status = int(head[9:12])
        self._left = int(found.group(1)) if found else 0
        self._first = now - self._asked
        told = _RETRY.search(head) if self._heeds else None
        self._pause = float(told.group(1)) if told else 0.0
        assert self._step is not None
        if self._status != self._step.status or (self._step.size >= 0 and self._left != self._step.size):
            asked = self._step.head.partition(b"\r\n")[0].decode()
            self._result.fault(f"{asked}: answer {self._status} of {self._left} bytes: {rest[:300]!r}")
        return rest

    def _take_body(self, data: bytes, now: float, step: Step) -> None:
        if len(data) > self._left:
            self._result.fault(f"{len(data) - self._left} bytes behind the body")
        if step.at >= 0 and self._status == step.status and not is_ramp(data, step.at + self._at, step.shift):
            self._result.fault(f"wrong bytes in {step.head.partition(b' HTTP')[0]!r} from {step.at + self._at} on")
        self._at += len(data)
        self._left -= len(data)
        self._result.came(len(data), now)

    def _answered(self, now: float, step: Step) -> None:
        if self._begun is not None and not self._result.ended_at:
            self._begun.touch()
        self._result.statuses[self._status] += 1
        self._result.first.append(self._first)
        self._result.last.append(now - self._asked)
        self._result.ended_at.append(now)
        if not self._pause:
            self._ask()
            return
        self._step = None
        asyncio.get_running_loop().call_later(self._pause, self._ask_again)

    def _ask_again(self) -> None:
        if not self._transport.is_closing():
            self._ask()

    def _pace(self, nbytes: int, now: float) -> None:
        """Reads on when the rate allows what was read so far: time spent waiting for the server is made up for."""
        self._read += nbytes
        ahead = self._began + self._read / self._rate - now
        if ahead > 0:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(ahead, self._resume)

    def _resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _end(self, more: bool) -> None:
        self._step = None
        sock = self._transport.get_extra_info("socket")
        if more:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        if not self.over.done():
            self.over.set_result(more)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._step is not None:
            asked = self._step.head.partition(b"\r\n")[0].decode()
            self._result.fault(f"{asked}: connection lost with {self._left} bytes to come: {exc!r}")
        if not self.over.done():
            self.over.set_result(True)


async def connection(args: argparse.Namespace, plan: Plan, result: Result) -> None:
    """One of the N connections, made anew when it was cut or lost, until the plan is at its end."""
    loop = asyncio.get_running_loop()
    host, _, port = args.to.rpartition(":")
    more = True
    while more:
        sock = socket.socket()
        sock.setblocking(False)
        if args.receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, args.receive_buffer)
        try:
            await loop.sock_connect(sock, (host, int(port)))
        except ConnectionError as fault:
            sock.close()
            if args.patient and plan.goes_on():
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            result.fault(f"cannot connect to {args.to}: {fault}")
            return
        reader: Reader
        _, reader = await loop.create_connection(lambda: Reader(plan, result, args), sock=sock)
        more = await reader.over


def load_plan(path: str) -> list[Step]:
    """Reads the plan and makes each request's bytes."""
    steps = []
    with Path(path).open() as lines:
        for line in lines:
            one: dict[str, Any] = json.loads(line)
            headers = "".join(f"{name}: {value}\r\n" for name, value in one["headers"].items())
            head = f"{one['method']} {one['target']} HTTP/1.1\r\n{headers}\r\n".encode()
            steps.append(Step(head, one["status"], one["size"], one["at"], one["shift"], one["cut"]))
    return steps


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", required=True, help="host:port")
    parser.add_argument("--plan", required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--begins", type=float, default=0.0, help="monotonic seconds to begin at; 0: at once")
    parser.add_argument("--seconds", type=float, default=0.0, help="go round the plan until then; 0: once through it")
    parser.add_argument("--rate", type=float, default=0.0, help="bytes/s a connection reads on average at most; 0: any")
    parser.add_argument("--receive-buffer", type=int, default=0)
    parser.add_argument("--heed", action="store_true", help="wait as long as Retry-After says, as SDKs do")
    parser.add_argument(
        "--patient", action="store_true", help="connect again where nobody listens, until the time ends"
    )
    parser.add_argument("--lasting", action="store_true", help="go round the plan until SIGTERM")
    parser.add_argument("--begun", type=Path, help="a file that is made at the first answer")
    args = parser.parse_args()
    steps, result = load_plan(args.plan), Result()
    asyncio.get_running_loop().set_exception_handler(_die)
    await asyncio.sleep(max(0.0, args.begins - time.monotonic()))
    started, cpu = time.monotonic(), time.process_time()
    plan = Plan(steps, math.inf if args.lasting else started + args.seconds if args.seconds else None)
    if args.lasting:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, plan.end)
    await asyncio.gather(*(connection(args, plan, result) for _ in range(args.connections)))
    told = {name: getattr(result, name) for name in ("bytes", "cut", "faults", "first", "last", "ended_at", "timeline")}
    told |= {"statuses": dict(result.statuses), "started": started, "ended": time.monotonic()}
    json.dump({**told, "cpu": time.process_time() - cpu}, sys.stdout)


def _die(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A fault of the client's own must not look like a server that is silent."""
    loop.default_exception_handler(context)
    os._exit(1)


if __name__ == "__main__":
    uvloop.run(main())
