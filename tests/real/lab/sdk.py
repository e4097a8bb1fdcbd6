"""The test's handle on an SDK's clients (`sdkprocess`): what they read while something is done to the nodes."""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.real.lab.federation import S3_PORT, Federation, Machine
from tests.real.lab.load import ROOT
from tests.real.lab.process import child
from tests.real.lab.reads import Thing
from tests.real.lab.regions import BUCKET


@dataclass(slots=True)
class Clients:
    """What came of them, once the `with` has ended. `longest` is the seconds of the slowest read."""

    faults: tuple[str, ...] = ()
    count: int = 0
    bytes: int = 0
    longest: float = 0.0


@contextmanager
def clients(running: Federation, at: Sequence[Machine], things: Sequence[Thing], *, threads: int) -> Iterator[Clients]:
    """Clients that know all the nodes' addresses by one name read all the time that the `with` runs."""
    begun = running.directory / "clients.begun"
    plan = {
        "addresses": [machine.host.address for machine in at],
        "port": S3_PORT,
        "access": running.key.access,
        "secret": running.key.secret,
        "begun": str(begun),
        "threads": threads,
        "things": [{"bucket": BUCKET, "key": one.key, "size": one.size, "shift": one.shift} for one in things],
    }
    path = running.directory / "clients.plan"
    path.write_text(json.dumps(plan))
    args = [sys.executable, "-m", "tests.real.lab.sdkprocess", "--plan", str(path)]
    netns = running.clusters[at[0].place.region].readers.netns
    made = Clients()
    with child("clients", args, running.directory, netns=netns, env={"PYTHONPATH": str(ROOT)}) as process:
        process.wait_until(begun.exists)
        yield made
        process.process.send_signal(signal.SIGTERM)
        if process.process.wait(120) != 0:
            raise ChildProcessError(process.tail())
        told = json.loads(process.log.read_text().splitlines()[-1])
    made.faults, made.count = tuple(told["faults"]), told["count"]
    made.bytes, made.longest = told["bytes"], told["longest"]
