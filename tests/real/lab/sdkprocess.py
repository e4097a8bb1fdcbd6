"""An SDK's clients as people run them: boto3 with its own retries, one name, the addresses of several nodes.

The name has one address for each node, as a DNS name with several A records; urllib3 goes on to the next when one
refuses. Each thread reads objects whole, round and round until SIGTERM, and checks their bytes; the result is one JSON
object.
"""

import argparse
import json
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.fakes.ramp import is_ramp

NAME = "s3.region.test"


def answer_by(addresses: list[str]) -> None:
    """Makes the name mean all the addresses, in another order each time, as DNS servers do."""
    real, draw = socket.getaddrinfo, random.Random(0)

    def looked_up(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != NAME:
            return real(host, port, *args, **more)
        shuffled = draw.sample(addresses, len(addresses))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port))) for address in shuffled]

    socket.getaddrinfo = looked_up


class Told:
    """What all threads saw."""

    def __init__(self, begun: Path) -> None:
        self._begun = begun
        self.faults: list[str] = []
        self.count = self.bytes = 0
        self.longest = 0.0
        self._lock = threading.Lock()

    def read(self, nbytes: int, seconds: float) -> None:
        with self._lock:
            if not self.count:
                self._begun.touch()
            self.count += 1
            self.bytes += nbytes
            self.longest = max(self.longest, seconds)

    def fault(self, text: str) -> None:
        with self._lock:
            self.faults.append(text)


def read_on(client: Any, things: list[dict[str, Any]], over: threading.Event, told: Told, seed: int) -> None:
    """Reads until it is over; an exception is a fault, and the next read goes on."""
    draw = random.Random(seed)
    while not over.is_set():
        now = time.monotonic()
        thing = draw.choice(things)
        try:
            body = client.get_object(Bucket=thing["bucket"], Key=thing["key"])["Body"].read()
        except Exception as fault:
            told.fault(f"after {time.monotonic() - now:.1f} s, {thing['key']}: {fault!r}")
            continue
        if len(body) != thing["size"] or not is_ramp(body, 0, thing["shift"]):
            told.fault(f"wrong bytes in {thing['key']}")
        told.read(len(body), time.monotonic() - now)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True)
    plan: dict[str, Any] = json.loads(parser.parse_args().plan.read_text())
    answer_by(plan["addresses"])
    over, told = threading.Event(), Told(Path(plan["begun"]))
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    threads = []
    for seed in range(plan["threads"]):
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=f"http://{NAME}:{plan['port']}",
            aws_access_key_id=plan["access"],
            aws_secret_access_key=plan["secret"],
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )
        threads.append(threading.Thread(target=read_on, args=(client, plan["things"], over, told, seed)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump({"faults": told.faults, "count": told.count, "bytes": told.bytes, "longest": told.longest}, sys.stdout)


if __name__ == "__main__":
    main()
