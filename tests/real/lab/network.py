"""Regions as network namespaces: a router each, hosts behind it, lines between routers, cut and healed as one likes.

Every host is a namespace of its own with an address of its own, so that one can be cut off alone. All that hosts send
passes their region's router, where `cut` drops what is for somebody, silently, as a firewall or a dead fibre does.
Only declared lines join regions, and nothing joins them to the machine: a test's own thread enters by `within`.
"""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.real.lab.counters import Interface
from tests.real.lab.longline import forwarder
from tests.real.lab.namespaces import ip, mark, namespace, needs_root, sweep, tc
from tests.real.lab.process import within

_TBF_LATENCY = "50ms"


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of a region: a namespace with one address; `interface` counts at it."""

    name: str
    netns: str
    address: str
    region: "Site"
    interface: Interface

    @property
    def span(self) -> str:
        """Its address as a prefix."""
        return f"{self.address}/32"


@dataclass(frozen=True, slots=True)
class Site:
    """A region's network: the router's namespace and the prefix of all its hosts."""

    name: str
    netns: str
    number: int

    @property
    def span(self) -> str:
        return f"10.{self.number}.0.0/16"

    @property
    def address(self) -> str:
        """The router's."""
        return f"10.{self.number}.0.1"

    @property
    def region(self) -> "Site":
        return self


@dataclass(frozen=True, slots=True)
class Cable:
    """What joins two regions. `towards(site)` counts what arrives there: the wire's bytes, with all headers."""

    ends: tuple[Site, Site]
    interfaces: tuple[Interface, Interface]

    def towards(self, site: Site) -> Interface:
        """The interface at that site's end: `received()` is what the cable brought."""
        return self.interfaces[self.ends.index(site)]


class Network:
    """All regions of a laboratory."""

    def __init__(self, beginning: str, stack: contextlib.ExitStack) -> None:
        self._mark, self._stack = beginning, stack
        self._numbers, self._prios, self._hosts = count(101), count(100), count(11)
        self._cuts: dict[tuple[str, int], list[str]] = {}

    def site(self, name: str) -> Site:
        """A region with its router, and nobody in it."""
        made = Site(name, self._stack.enter_context(namespace(f"{self._mark}-{name}")), next(self._numbers))
        within(made.netns, _forward)()
        ip("addr", "add", f"{made.address}/32", "dev", "lo", netns=made.netns)
        return made

    def host(self, site: Site, name: str) -> Host:
        """A machine in a region."""
        number = next(self._hosts)
        netns = self._stack.enter_context(namespace(f"{self._mark}-{site.name}-{name}"))
        address, device = f"10.{site.number}.0.{number}", f"h{number}"
        ip("link", "add", device, "netns", site.netns, "type", "veth", "peer", "name", "eth0", "netns", netns)
        ip("addr", "add", f"{address}/32", "peer", f"{site.address}/32", "dev", "eth0", netns=netns)
        ip("addr", "add", f"{site.address}/32", "peer", f"{address}/32", "dev", device, netns=site.netns)
        ip("link", "set", "eth0", "up", netns=netns)
        ip("link", "set", device, "up", netns=site.netns)
        ip("route", "add", "default", "via", site.address, netns=netns)
        return Host(name, netns, address, site, self._interface(netns, "eth0"))

    def join(self, one: Site, other: Site, *, rate: float = 0.0, delay: float = 0.0) -> Cable:
        """Lays a line between two regions.

        Args:
            rate: Of the wire, each way, in bytes/s; 0: as fast as it goes.
            delay: Seconds each way, by packet; such a line is a TUN device's and costs more CPU.
        """
        devices = (f"l-{other.name}"[:15], f"l-{one.name}"[:15])
        if delay:
            self._lay_long(one, other, devices, rate, delay)
        else:
            _lay_short(one, other, devices, rate)
        for site, device, far in ((one, devices[0], other), (other, devices[1], one)):
            ip("addr", "add", f"{site.address}/32", "peer", f"{far.address}/32", "dev", device, netns=site.netns)
            ip("link", "set", device, "up", netns=site.netns)
            ip("route", "add", far.span, "via", far.address, "dev", device, netns=site.netns)
        ends = self._interface(one.netns, devices[0]), self._interface(other.netns, devices[1])
        return Cable((one, other), ends)

    def cut_one_way(self, source: Host | Site, target: Host | Site, *, port: int | None = None) -> Callable[[], None]:
        """From now on what `source` sends to `target` is lost, and nothing tells it so; returns what heals that.

        With `port` only TCP to that port is lost, and what goes back from it is not.
        """
        router, prio = source.region.netns, next(self._prios)
        rule = ["from", source.span, "to", target.span, *(["ipproto", "tcp", "dport", str(port)] if port else [])]
        ip("rule", "add", "prio", str(prio), *rule, "blackhole", netns=router)
        self._cuts[router, prio] = rule

        def heal() -> None:
            if self._cuts.pop((router, prio), None) is not None:
                ip("rule", "del", "prio", str(prio), netns=router)

        return heal

    def cut(self, one: Host | Site, other: Host | Site) -> Callable[[], None]:
        """Nothing passes between the two, either way; returns what heals that."""
        ways = [self.cut_one_way(one, other), self.cut_one_way(other, one)]

        def heal() -> None:
            for way in ways:
                way()

        return heal

    def heal(self) -> None:
        """Ends all cuts."""
        for router, prio in list(self._cuts):
            ip("rule", "del", "prio", str(prio), netns=router)
            del self._cuts[router, prio]

    def _lay_long(self, one: Site, other: Site, devices: tuple[str, str], rate: float, delay: float) -> None:
        made = [f"cw{uuid.uuid4().hex[:8]}{end}" for end in "ab"]
        self._stack.enter_context(forwarder(made, delay, rate))
        for site, first, device in ((one, made[0], devices[0]), (other, made[1], devices[1])):
            ip("link", "set", first, "netns", site.netns, "name", device)
            ip("link", "set", device, "txqueuelen", "10000", netns=site.netns)

    def _interface(self, netns: str, device: str) -> Interface:
        made = Interface(netns, device)
        self._stack.callback(made.close)
        return made


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Makes an empty network; all of it is gone after the `with`, and what dead runs have left is gone before."""
    needs_root()
    sweep()
    with contextlib.ExitStack() as stack:
        yield Network(mark(), stack)


def _forward() -> None:
    """Makes the namespace a router that takes a packet whatever way its answer would go: cuts are in one direction."""
    settings = Path("/proc/sys/net/ipv4")
    for name in ("all", "default"):
        (settings / "conf" / name / "rp_filter").write_text("0")
    (settings / "ip_forward").write_text("1")


def _lay_short(one: Site, other: Site, devices: tuple[str, str], rate: float) -> None:
    first, second = devices
    ip("link", "add", first, "netns", one.netns, "type", "veth", "peer", "name", second, "netns", other.netns)
    for site, device in ((one, first), (other, second)):
        # Else a counter sees one header for each 64 KiB that go through, and is 4 % low.
        ip("link", "set", device, "gso_max_segs", "1", netns=site.netns)
        if rate:
            limit = ("rate", f"{round(rate * 8)}bit", "burst", str(bucket_bytes(rate)), "latency", _TBF_LATENCY)
            tc("qdisc", "add", "dev", device, "root", "tbf", *limit, netns=site.netns)


def bucket_bytes(rate: float) -> int:
    """What a line limited to `rate` (bytes/s) lets through at once: 10 ms of it, and a sender's 64 KiB twice."""
    return max(2 * 65536, round(rate / 100))


def wire_sent(site: Site, device: str) -> int:
    """Bytes that the limiter of a device let through: the wire's own count, beside that of the far end's interface."""
    words = tc("-s", "qdisc", "show", "dev", device, netns=site.netns).split()
    return int(words[words.index("Sent") + 1])
