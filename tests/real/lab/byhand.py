"""`make lab`: three regions of the laboratory to look at and to break by hand, until Ctrl-C."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.real.lab.federation import ADMIN_PORT, THREE_REGIONS, Cluster, Federation, Plan, federation
from tests.real.lab.nodes import PROGRAM
from tests.real.lab.reads import Thing
from tests.real.lab.regions import BUCKET

MIB = 1 << 20
AWS = Path(sys.executable).with_name("aws")
THINGS = [*(Thing(f"small/{n:03}", 100_000 + n, n) for n in range(100)), Thing("large/model.bin", 256 * MIB, 7)]


def show(running: Federation) -> str:
    """How to reach everything, as commands that work when they are copied."""
    key, home = running.key, running.home
    text = [
        "",
        f"The bucket {BUCKET!r} is in {home.name}; its {len(THINGS)} objects are below /ns/{BUCKET} everywhere.",
        f"  export AWS_ACCESS_KEY_ID={key.access} AWS_SECRET_ACCESS_KEY={key.secret} AWS_DEFAULT_REGION=us-east-1",
        "",
    ]
    for cluster in running.clusters.values():
        text += _show_region(running, cluster)
    if running.service is not None:
        text += [
            f"namespace service, watched by all: gRPC at {running.service.address}",
            f"  what it says  tail -f {running.service.log}",
            "",
        ]
    text += ["Lines (the quota is Causeway's to keep; the wire carries three times as much):"]
    for name, line in running.plan.lines.items():
        one, other = (running.clusters[end].site for end in line.between)
        text += [
            f"  {name}: {' to '.join(line.between)}, {line.quota} each way",
            f"    cut one way   ip -n {one.netns} rule add prio 99 from {one.span} to {other.span} blackhole",
            f"    heal          ip -n {one.netns} rule del prio 99",
        ]
    return "\n".join([*text, "", "Ctrl-C ends all of it.", ""])


def _show_region(running: Federation, cluster: Cluster) -> list[str]:
    inside = f"ip netns exec {cluster.readers.netns}"
    parent = running.plan.parents.get(cluster.name)
    first = cluster.machines[0]
    text = [f"{cluster.name}{f', child of {parent}' if parent else ''}"]
    text += [f"  read          {inside} {AWS} --endpoint-url http://{first.address} s3 ls s3://{BUCKET}/"]
    text += [f"  a shell       {inside} bash"]
    if cluster.etcd is not None and cluster.etcd_host is not None:
        text += [f"  etcd          ip netns exec {cluster.etcd_host.netns} etcdctl --endpoints {cluster.etcd.urls[0]}"]
    for machine in cluster.machines:
        text += [
            f"  {machine.name}       S3 http://{machine.address}, admin http://127.0.0.1:{ADMIN_PORT} inside; "
            f"pid {machine.node.process.pid}, log {machine.node.process.log}",
            f"    ask it      ip netns exec {machine.host.netns} {PROGRAM} status --config {machine.place.config}",
        ]
    return [*text, ""]


@contextmanager
def running(plan: Plan) -> Iterator[Federation]:
    """The regions over a bucket with some data, in a temporary directory that goes with them."""
    directory = Path(tempfile.mkdtemp(prefix="causeway-lab-"))
    try:
        with federation(directory, plan) as made:
            made.put(THINGS)
            yield made
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    print(f"starting {', '.join(THREE_REGIONS.regions)} ...", flush=True)
    try:
        with running(replace(THREE_REGIONS, service=True)) as made:
            print(show(made), flush=True)
            signal.pause()
    except pytest.skip.Exception as missing:
        print(f"lab: {missing}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nall of it is gone", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
