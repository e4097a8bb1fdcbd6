"""The laboratory's regions: what their wires count, carry, limit, delay and lose, and that nothing is left behind."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.real.conftest import Note
from tests.real.lab.counters import Sampled, sampled
from tests.real.lab.namespaces import namespace, sweep
from tests.real.lab.network import Host, Network, bucket_bytes, network, wire_sent
from tests.real.lab.process import within

pytestmark = [pytest.mark.real, pytest.mark.root]
MIB = 1 << 20
PORT = 7
RATE = 25_000_000.0
# Ethernet, IPv4 and TCP with timestamps; the payload of a full packet at an MTU of 1500.
HEADERS, SEGMENT = 14 + 20 + 32, 1448


@contextmanager
def listening(host: Host, port: int = PORT) -> Iterator[socket.socket]:
    with within(host.netns, lambda: socket.create_server((host.address, port)))() as listener:
        listener.settimeout(20)
        yield listener


def connected(source: Host, target: Host, port: int = PORT, seconds: float = 20.0) -> socket.socket:
    """A connection made in the source's namespace; it may be used from any thread."""

    def connect() -> socket.socket:
        return socket.create_connection((target.address, port), seconds, (source.address, 0))

    return within(source.netns, connect)()


@contextmanager
def pair(source: Host, target: Host) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of one connection."""
    with listening(target) as listener, connected(source, target) as near, listener.accept()[0] as far:
        far.settimeout(20)
        yield near, far


def send(near: socket.socket, far: socket.socket, nbytes: int) -> None:
    """Sends so many bytes and waits until the other end has read them all."""
    sender = threading.Thread(target=near.sendall, args=(bytes(nbytes),))
    sender.start()
    left = nbytes
    while left:
        left -= len(far.recv(min(left, MIB)))
    sender.join()


def lost(source: Host, target: Host) -> bool:
    """Whether one datagram does not reach the other end."""
    return not passes(source, target, 0.3)


def passes(source: Host, target: Host, seconds: float = 20.0) -> bool:
    """Whether one datagram reaches the other end; it waits only for what does not come."""

    def bound() -> socket.socket:
        made = socket.socket(type=socket.SOCK_DGRAM)
        made.bind((target.address, PORT))
        made.settimeout(seconds)
        return made

    def sender() -> socket.socket:
        return socket.socket(type=socket.SOCK_DGRAM)

    with within(target.netns, bound)() as here, within(source.netns, sender)() as there:
        there.sendto(b"x", (target.address, PORT))
        try:
            return here.recv(1) == b"x"
        except TimeoutError:
            return False


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits until something is so: other runs on this machine make devices too, and sweep what is left."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def entered(pid: int, netns: str) -> bool:
    """Whether a process is in a namespace: `ip netns exec` is there before it is."""
    return Path(f"/proc/{pid}/ns/net").stat().st_ino == Path("/run/netns", netns).stat().st_ino


@pytest.fixture
def made() -> Iterator[Network]:
    with network() as empty:
        yield empty


def two_hosts(made: Network, **line: float) -> tuple[Host, Host]:
    here, there = made.site("here"), made.site("there")
    made.join(here, there, **line)
    return made.host(here, "one"), made.host(there, "two")


def test_the_counter_at_the_readers_end_is_exact_to_the_wire(made: Network) -> None:
    here, there = made.site("here"), made.site("there")
    line = made.join(here, there, rate=RATE * 4)
    one, two = made.host(here, "one"), made.host(there, "two")
    arrived = line.towards(there)
    with pair(one, two) as (near, far):
        before, packets, sent = arrived.received(), arrived.packets_received(), wire_sent(here, "l-there")
        send(near, far, 8 * MIB)
        counted, packets = arrived.received() - before, arrived.packets_received() - packets

        assert counted == wire_sent(here, "l-there") - sent
    # Each packet with all its headers: not one for each 64 KiB that a sender hands over.
    assert packets >= 8 * MIB // SEGMENT
    assert counted >= 8 * MIB + packets * HEADERS


def test_the_limiter_of_a_line_is_kept_however_much_is_sent(made: Network, note: Note) -> None:
    here, there = made.site("here"), made.site("there")
    line = made.join(here, there, rate=RATE)
    one, two = made.host(here, "one"), made.host(there, "two")
    with pair(one, two) as (near, far), sampled(line.towards(there).received) as seen:
        send(near, far, 40 * MIB)

    note("a line limited to 25 MB/s", f"{seen.total / seen.seconds / 1e6:.1f} MB/s", "<= 25 MB/s and its bucket")
    assert seen.total >= 40 * MIB
    assert seen.most_above(RATE, 1.0) <= bucket_bytes(RATE) + 64 * 1024


def test_a_long_line_delays_every_packet(made: Network) -> None:
    one, two = two_hosts(made, delay=0.040)
    with listening(two) as listener:
        begun = time.monotonic()
        with connected(one, two) as near, listener.accept()[0] as far:
            shaken = time.monotonic() - begun
            begun = time.monotonic()
            near.sendall(b"x")
            far.recv(1)
            far.sendall(b"y")
            near.recv(1)
            asked = time.monotonic() - begun

    assert shaken >= 0.080
    assert asked >= 0.080


def test_a_line_cut_in_one_direction_passes_the_other_and_is_healed(made: Network) -> None:
    one, two = two_hosts(made)

    heal = made.cut_one_way(one.region, two.region)

    assert lost(one, two)
    assert passes(two, one)
    heal()
    assert passes(one, two)


def test_a_host_is_cut_off_alone_from_its_neighbours_and_from_afar(made: Network) -> None:
    one, two = two_hosts(made)
    third = made.host(one.region, "three")

    heal = made.cut(one, third)
    beside = (lost(one, third), lost(third, one), passes(one, two), passes(third, two))
    made.cut(one, two.region)

    assert beside == (True, True, True, True)
    assert (lost(one, two), lost(two, one), passes(third, two)) == (True, True, True)
    heal()
    assert (passes(one, third), lost(one, two)) == (True, True)
    made.heal()
    assert passes(one, two)


def test_a_cut_tells_nobody_a_connection_hangs_and_goes_on_when_healed(made: Network) -> None:
    one, two = two_hosts(made)
    with pair(one, two) as (near, far):
        heal = made.cut_one_way(one, two)
        near.sendall(b"late")
        far.settimeout(0.3)
        with pytest.raises(TimeoutError):
            far.recv(4)
        heal()
        far.settimeout(20)

        assert far.recv(4) == b"late"


def test_one_port_is_cut_and_the_others_are_not(made: Network) -> None:
    one, two = two_hosts(made)
    with listening(two, 7), listening(two, 8):
        made.cut_one_way(one, two, port=8)

        connected(one, two, 7).close()
        with pytest.raises(TimeoutError):
            connected(one, two, 8, seconds=0.3)


def test_regions_without_a_line_between_them_see_nothing_of_each_other(made: Network) -> None:
    sites = [made.site(name) for name in ("a", "b", "c")]
    a, b, c = (made.host(site, "host") for site in sites)
    made.join(a.region, b.region)
    made.join(b.region, c.region)

    assert passes(a, b)
    assert passes(b, c)
    with pytest.raises(OSError, match="unreachable"):
        connected(a, c)


def test_a_torn_down_network_leaves_no_namespace_and_no_process(tmp_path: Path) -> None:
    with ExitStack() as stack:
        made = stack.enter_context(network())
        one, two = two_hosts(made, delay=0.001)
        forgotten = subprocess.Popen(["ip", "netns", "exec", one.netns, "sleep", "1000"])
        until(lambda: entered(forgotten.pid, one.netns))
        names = {one.netns, two.netns, one.region.netns, two.region.netns}
        assert names <= {path.name for path in Path("/run/netns").iterdir()}

    assert not names & {path.name for path in Path("/run/netns").iterdir()}
    assert forgotten.wait(20) == -9
    until(lambda: not list(Path("/sys/class/net").glob("cw*")))


_RUN_AND_WAIT = """
import subprocess, sys
from tests.real.lab.network import network
with network() as made:
    host = made.host(made.site("left"), "behind")
    child = subprocess.Popen(["ip", "netns", "exec", host.netns, "sleep", "1000"], stdout=subprocess.DEVNULL)
    print(host.netns, child.pid, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_run() -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """Another process with a laboratory: itself, one of its namespaces, and what it started in there."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _RUN_AND_WAIT], stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            name, pid = process.stdout.readline().split()
            yield process, name, int(pid)
        finally:
            process.kill()


def test_what_a_killed_run_left_is_swept_by_the_next_and_the_living_are_left_alone() -> None:
    with another_run() as (killed, left, orphan), another_run() as (living, kept, child):
        until(lambda: entered(orphan, left) and entered(child, kept))
        killed.kill()
        killed.wait()

        swept = sweep()

        until(lambda: not Path("/run/netns", left).exists())
        assert kept not in swept
        assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE
        assert psutil.pid_exists(child)
        living.communicate("")
        assert not Path("/run/netns", kept).exists()


def test_a_window_is_as_long_as_its_readings_are_apart() -> None:
    seen = Sampled([(0.0, 0), (0.5, 100), (1.2, 300), (2.0, 300), (2.3, 500)])

    assert seen.windows(1.0) == [(0.0, 1.2, 300), (0.5, 1.5, 200), (1.2, pytest.approx(1.1), 200)]
    assert seen.most_above(100.0, 1.0) == pytest.approx(180.0)
    assert (seen.total, seen.seconds) == (500, pytest.approx(2.3))


def test_a_namespace_goes_when_the_test_fails_inside() -> None:
    with pytest.raises(ZeroDivisionError), namespace(f"cwlab-test-{os.getpid()}"):
        raise ZeroDivisionError

    assert not Path(f"/run/netns/cwlab-test-{os.getpid()}").exists()
