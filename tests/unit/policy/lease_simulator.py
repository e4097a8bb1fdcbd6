"""Nodes and lease offices of one line in virtual time, and the count of what all of them debit together."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from policy.bucket import TokenBucket
from policy.errors import Superseded
from policy.leases.book import LeaseBook
from policy.leases.debtor import LONGEST_SECONDS
from policy.leases.holding import Allowance, Holding
from policy.leases.messages import Grant, Report, Want
from policy.model import CONTROL_BURST_PART, CONTROL_PART, LinePolicy
from policy.shares import Leaf
from tests.unit.policy.lease_world import SESSION_SECONDS, Clock, Etcd, World

Wants = Callable[[], dict[Leaf, Want]]
LEAST_BURST = 1e-9
KEEP_ALIVE_SECONDS = 2.0


@dataclass(slots=True)
class Meter:
    """What all nodes debited together, against the most that any interval may hold (line-rules, Burst)."""

    world: World
    policy: LinePolicy
    total: float = 0.0
    worst: float = 0.0
    _lowest: float = 0.0
    _ahead: float = 0.0
    _at: float = 0.0
    _before: list[tuple[float, LinePolicy]] = field(default_factory=list)

    def adopt(self, policy: LinePolicy) -> None:
        """Another policy; what was granted by the one before may be in force for a lease."""
        self._advance()
        self._before.append((self.world.now + LONGEST_SECONDS + 0.1, self.policy))
        self.policy = policy

    @property
    def quota(self) -> float:
        return max(policy.quota for policy in self._policies())

    @property
    def burst(self) -> float:
        return max(policy.burst_bytes for policy in self._policies())

    def debit(self, nbytes: float) -> None:
        self._advance()
        self._lowest = min(self._lowest, self._ahead)
        self._ahead += nbytes
        self.total += nbytes
        self.worst = max(self.worst, self._ahead - self._lowest - self.burst)

    def _policies(self) -> list[LinePolicy]:
        self._before = [item for item in self._before if item[0] > self.world.now]
        return [self.policy, *(policy for _, policy in self._before)]

    def _advance(self) -> None:
        self._ahead -= self.quota * (self.world.now - self._at)
        self._at = self.world.now


class Node:
    """A process of a node: a bucket that debits as the real ones do, and reports to whatever office it knows."""

    make_holding: type[Holding] = Holding

    def __init__(self, lab: "Lab", name: str, process: int, clock: Clock) -> None:
        self.lab, self.name, self.process, self.clock = lab, name, process, clock
        self.alive = True
        self.holding = self.make_holding(name, process)
        self.bucket = TokenBucket(0.0, LEAST_BURST, clock.now())
        self.wants: dict[Leaf, Want] = {}
        self.greedy = True
        self.moved = 0.0
        self.office: Office | None = None
        self._until = math.inf
        self._sent = -math.inf
        lab.world.after(0.0, self._report)
        lab.world.after(0.0, self._debit)

    @property
    def allowance(self) -> Allowance:
        return self.holding.allowance(self.clock.now())

    def hear(self, grant: Grant) -> None:
        """A grant arrives."""
        self.settle()
        if self.alive and self.holding.take(grant, self.clock.now()):
            self._apply(self.clock.now())
            if self.holding.shrunk:
                self._send()
            self.report_soon()

    def want(self, wants: dict[Leaf, Want]) -> None:
        self.wants = wants
        self.report_soon()

    def report_soon(self) -> None:
        gap = self._sent + 0.1 - self.clock.now()
        self.lab.world.after(max(0.0, gap), self._say)

    def settle(self) -> None:
        """Lets the bucket run through what the allowance was meanwhile."""
        while self._until <= self.clock.now():
            self._apply(self._until)

    def _apply(self, moment: float) -> None:
        allowed = self.holding.allowance(moment)
        self._until = allowed.until
        # The part that is never leased runs beside, in proportion: the whole quota is counted.
        burst = max(LEAST_BURST, allowed.burst / (1 - CONTROL_BURST_PART))
        self.bucket.set_rate(allowed.rate / (1 - CONTROL_PART), burst, moment)
        if not math.isinf(self._until):
            self.lab.world.at(self.clock.true(self._until), self.settle)

    def _debit(self) -> None:
        if not self.alive:
            return
        self.settle()
        level = self.bucket.level(self.clock.now())
        if self.greedy and level > 0:
            self.bucket.take(level, self.clock.now())
            self.moved += level
            self.lab.meter.debit(level)
        self.lab.world.after(self.lab.world.random.uniform(0.2, 1.0) * self.lab.tick, self._debit)

    def _report(self) -> None:
        if self.alive:
            self._say()
            self.lab.world.after(1.0, self._report)

    def _say(self) -> None:
        if self.alive and self.clock.now() - self._sent >= 0.099:
            self._send()

    def _send(self) -> None:
        self.office = self.lab.find_office(self)
        if self.office is None:
            return
        self._sent = self.clock.now()
        office, report = self.office, self.holding.report(self.office.epoch, self.wants, self.moved, self.clock.now())
        self.lab.world.send(self.name, office.name, lambda: office.hear(report, self))


class Office:
    """One time in office of one process: from its election until it stops, or is stopped."""

    def __init__(self, lab: "Lab", name: str, epoch: int, clock: Clock) -> None:
        self.lab, self.name, self.epoch, self.clock = lab, name, epoch, clock
        self.leads = True
        self.written = 0
        self.peers: dict[str, Node] = {}
        self.book = lab.make_book(lab.policy, {}, epoch, lab.etcd.roster, clock.now())
        self.book.lead(clock.now(), SESSION_SECONDS)
        self._ringing = math.inf
        lab.world.after(KEEP_ALIVE_SECONDS, self._keep_alive)
        lab.world.after(0.0, self.turn)

    def hear(self, report: Report, node: Node) -> None:
        """A report arrives."""
        if not self.leads:
            return
        try:
            self.book.report(report, self.clock.now())
        except Superseded:
            self.leads = False
            return
        self.peers[report.node] = node
        self.turn()

    def turn(self) -> None:
        """Keeps the roster and sends what is granted."""
        if not self.leads:
            return
        now = self.clock.now()
        roster = self.book.roster(now)
        if roster is not None:
            self._write(roster)
        for grant in self.book.grants(now):
            node = self.peers[grant.node]
            self.lab.world.send(self.name, grant.node, lambda grant=grant, node=node: node.hear(grant))  # type: ignore[misc]
        due = self.book.next_at(now)
        if not math.isinf(due) and (self._ringing <= now or due < self._ringing):
            self._ringing = due
            self.lab.world.at(self.clock.true(due), self._ring)

    def _ring(self) -> None:
        if self._ringing <= self.clock.now() + 1e-9:
            self._ringing = math.inf
            self.turn()

    def _write(self, roster: object) -> None:
        """Writes until it is answered; an answer may be lost though the roster lies there."""
        world = self.lab.world
        self.written += 1
        number = self.written

        def answered() -> None:
            if self.leads:
                self.book.kept(roster)  # type: ignore[arg-type]
                self.turn()

        def arrive() -> None:
            if self.lab.etcd.write(self.epoch, number, roster):  # type: ignore[arg-type]
                world.send("etcd", self.name, answered)

        def again() -> None:
            if self.leads and self.book.keeping is roster:
                world.send(self.name, "etcd", arrive)
                world.after(1.0, again)

        again()

    def _keep_alive(self) -> None:
        if not self.leads:
            return
        sent = self.clock.now()

        def arrive() -> None:
            if self.lab.etcd.renew(self.epoch):
                self.lab.world.send("etcd", self.name, lambda: self.book.lead(sent, SESSION_SECONDS))

        self.lab.world.send(self.name, "etcd", arrive)
        self.lab.world.after(KEEP_ALIVE_SECONDS, self._keep_alive)


class Lab:
    """A line, its nodes and its offices; `make_book` may build one with a planted fault."""

    def __init__(
        self,
        seed: int,
        policy: LinePolicy,
        nodes: int,
        *,
        tick: float = 0.02,
        clock_errors: float = 0.0,
        make_book: Callable[..., LeaseBook] = LeaseBook,
        make_node: Callable[..., Node] = Node,
    ) -> None:
        self.world = World(seed)
        self.policy = policy
        self.tick = tick
        self.meter = Meter(self.world, policy)
        self.etcd = Etcd(self.world)
        self.make_book, self.make_node = make_book, make_node
        self.nodes: dict[str, Node] = {}
        self.offices: list[Office] = []
        self.faults: list[str] = []
        self.clock_errors = clock_errors
        self._processes = 0
        self.candidates = ["office-a", "office-b"]
        for index in range(nodes):
            self.start(f"node-{index}")
        self.world.watchers.append(self._check)
        self.world.after(0.0, self._campaign)

    @property
    def office(self) -> Office | None:
        """The one elected last, if it still leads."""
        return self.offices[-1] if self.offices and self.offices[-1].leads else None

    def run(self, seconds: float) -> None:
        self.world.run(self.world.now + seconds)

    def start(self, name: str) -> Node:
        """Starts a process of that name; the former one is dead."""
        if name in self.nodes:
            self.kill(name)
        self._processes += 1
        node = self.nodes[name] = self.make_node(self, name, self._processes, self._clock())
        return node

    def kill(self, name: str) -> None:
        node = self.nodes[name]
        node.settle()
        node.alive = False

    def stop_office(self) -> None:
        """Kills the office process; its session runs out by itself."""
        for office in self.offices:
            office.leads = False

    def elect_another(self) -> None:
        """The session is lost in etcd when its office has stopped granting by itself; it does not know of another."""
        for office in self.offices:
            office.book.lead(office.clock.now(), 0.0)
            self.etcd.resign(office.epoch)

    def adopt(self, policy: LinePolicy) -> None:
        self.policy = policy
        self.meter.adopt(policy)
        for office in self.offices:
            office.book.adopt(policy, {}, office.clock.now())
            office.turn()

    def find_office(self, node: Node) -> Office | None:
        """What a node learns when it asks for the office: one that thinks it leads, perhaps no more the right one."""
        leading = [office for office in self.offices if office.leads]
        if len(leading) > 1 and self.world.random.random() < 0.7:
            return leading[-1]
        return self.world.random.choice(leading) if leading else None

    def _campaign(self) -> None:
        for name in self.world.random.sample(self.candidates, len(self.candidates)):
            if self.world.reaches(name, "etcd") and (epoch := self.etcd.campaign(name)) is not None:
                for office in self.offices:
                    office.leads &= office.name != name
                self.offices = [office for office in self.offices if office.leads]
                self.offices.append(Office(self, name, epoch, self._clock()))
        self.world.after(0.3, self._campaign)

    def _clock(self) -> Clock:
        error = self.clock_errors
        return Clock(self.world, self.world.random.uniform(-error, error), self.world.random.uniform(0, 1000))

    def _check(self) -> None:
        alive = [node.allowance for node in self.nodes.values() if node.alive]
        rate = sum(item.rate for item in alive) / (1 - CONTROL_PART)
        burst = sum(item.burst for item in alive) / (1 - CONTROL_BURST_PART)
        if rate > self.meter.quota * (1 + 1e-9) + 1:
            self.faults.append(f"{self.world.now:.3f}: rates {rate / self.meter.quota:.3f} x the quota {self.nodes}")
        if burst > self.meter.burst * (1 + 1e-9) + 1:
            self.faults.append(f"{self.world.now:.3f}: bursts {burst / self.meter.burst:.3f} x the burst")
        if self.meter.worst > 1:
            self.faults.append(f"{self.world.now:.3f}: {self.meter.worst:.0f} bytes above quota x T + burst")
