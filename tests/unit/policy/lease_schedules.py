"""Random schedules of faults for a line's leases, each from one seed, and the search for the least part that fails."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from policy.leases.messages import Want
from policy.model import LinePolicy
from policy.shares import Leaf
from tests.unit.policy.lease_simulator import Lab

LEAVES = tuple(Leaf("other", cls) for cls in ("interactive", "training", "prefetch", "backfill"))
SECONDS = 60.0
QUOTA = 100_000_000.0
Keys = dict[str, str]
Step = tuple[float, str, Callable[[Lab], None]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens when; `settings` is the weather of the whole run."""

    seed: int
    nodes: int
    policy: LinePolicy
    loss: float
    late: float
    clock_errors: float
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        what = "; ".join(f"{moment:.2f} {name}" for moment, name, _ in self.steps)
        weather = f"loss {self.loss:.2f} late {self.late:.2f} hold {self.policy.hold:.0f}"
        return f"seed {self.seed}, {self.nodes} nodes, {weather}: {what}"


def schedule(seed: int) -> Schedule:
    """Returns the schedule of a seed."""
    random = Random(seed)
    nodes = random.randint(2, 4)
    keys = {
        "hold": random.choice(("1s", "5s", "20s", "30s")),
        "static_for": random.choice(("5s", "20s", "1h")),
        "burst": random.choice(("10ms", "300ms")),
    }
    steps = []
    for _ in range(random.randint(6, 30)):
        make = random.choices(
            (_wants, _cut, _heal, _restart, _stop_office, _resign, _reload, _thrift), (8, 5, 3, 3, 1, 1, 1, 3)
        )[0]
        steps.append((random.uniform(0.0, SECONDS), *make(random, nodes, keys)))
    steps.sort(key=lambda step: step[0])
    calm = random.random() < 0.4
    loss, late = (0.0, 0.0) if calm else (random.choice((0.0, 0.05, 0.3)), random.choice((0.0, 0.02, 0.2)))
    return Schedule(seed, nodes, _policy(1.0, keys), loss, late, random.choice((0.0, 0.001)), tuple(steps))


def run(plan: Schedule, **parts: Callable[..., object]) -> Lab:
    """Runs a schedule to its first fault, or to its end."""
    lab = Lab(plan.seed, plan.policy, plan.nodes, tick=0.1, clock_errors=plan.clock_errors, **parts)  # type: ignore[arg-type]
    lab.world.loss, lab.world.late, lab.world.repeats = plan.loss, plan.late, plan.loss / 2
    for moment, _, step in plan.steps:
        lab.world.at(moment, lambda step=step: step(lab))  # type: ignore[misc]
    while lab.world.now < SECONDS and not lab.faults:
        lab.run(1.0)
    return lab


def least(plan: Schedule, **parts: Callable[..., object]) -> Schedule:
    """Returns a part of a schedule that fails too and of which no step can be left out."""
    index = 0
    while index < len(plan.steps):
        fewer = Schedule(
            plan.seed,
            plan.nodes,
            plan.policy,
            plan.loss,
            plan.late,
            plan.clock_errors,
            plan.steps[:index] + plan.steps[index + 1 :],
        )
        if run(fewer, **parts).faults:
            plan = fewer
        else:
            index += 1
    return plan


def _policy(part: float, keys: Keys) -> LinePolicy:
    return LinePolicy.model_validate({"quota": f"{QUOTA * part}B/s", **keys})


Made = tuple[str, Callable[[Lab], None]]


def _wants(random: Random, nodes: int, keys: Keys) -> Made:
    node = f"node-{random.randrange(nodes)}"
    leaves = random.sample(LEAVES, random.randint(0, 3))
    wants = {leaf: Want(QUOTA * random.choice((0.01, 0.3, 2)), random.random() < 0.7) for leaf in leaves}
    return f"{node} wants {[leaf.cls for leaf in leaves]}", lambda lab: lab.nodes[node].want(wants)


def _thrift(random: Random, nodes: int, keys: Keys) -> Made:
    node, greedy = f"node-{random.randrange(nodes)}", random.random() < 0.5
    return f"{node} {'debits' if greedy else 'saves'}", lambda lab: setattr(lab.nodes[node], "greedy", greedy)


def _cut(random: Random, nodes: int, keys: Keys) -> Made:
    """Cuts any subset of all parties from the others."""
    parties = [f"node-{index}" for index in range(nodes)] + ["office-a", "office-b", "etcd"]
    apart = random.sample(parties, random.randint(1, len(parties) - 1))
    one_way = random.random() < 0.3

    def cut(lab: Lab) -> None:
        for one in apart:
            for other in parties:
                if other not in apart:
                    lab.world.cut(one, other, one_way=one_way)

    return f"cut {apart}{' one way' if one_way else ''}", cut


def _heal(random: Random, nodes: int, keys: Keys) -> Made:
    return "heal", lambda lab: lab.world.heal()


def _restart(random: Random, nodes: int, keys: Keys) -> Made:
    node, down = f"node-{random.randrange(nodes)}", random.choice((0.0, 0.5, 5.0))

    def restart(lab: Lab) -> None:
        lab.kill(node)
        lab.world.after(down, lambda: _begin(lab, node))

    return f"restart {node}", restart


def _begin(lab: Lab, node: str) -> None:
    before = lab.nodes[node]
    lab.start(node).wants = before.wants


def _stop_office(random: Random, nodes: int, keys: Keys) -> Made:
    return "stop the office", lambda lab: lab.stop_office()


def _resign(random: Random, nodes: int, keys: Keys) -> Made:
    """Another office is elected at once; the former does not know."""
    return "elect another", lambda lab: lab.elect_another()


def _reload(random: Random, nodes: int, keys: Keys) -> Made:
    part = random.choice((0.8, 1.0, 1.2))
    return f"quota x {part}", lambda lab: lab.adopt(_policy(part, keys))
