"""Groups under eviction: pins stay, an account gives of its own, and priority decides who stays longer."""

import random
from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from regioncache.store.evict import EPOCH_TOUCHES, S3Fifo
from regioncache.store.groups import Groups, Keep, Priority, Quota
from regioncache.store.queues import Links


class Cache:
    """A cache of numbered entries in groups over the core, as a path uses it."""

    def __init__(self, capacity: int) -> None:
        self.links = Links()
        self.groups = Groups()
        self.fifo = S3Fifo(self.links, self.groups)
        self.capacity = capacity
        self.keys: list[int] = []
        self.held: set[int] = set()

    def group(self, keep: Keep) -> int:
        number = self.groups.number(keep)
        assert number is not None
        return number

    def read(self, key: int, group: int = 0, weight: int = 1) -> bool:
        while key >= len(self.keys):
            self.keys.append(len(self.keys))
            self.links.grow()
        if key in self.held:
            self.fifo.touch(key)
            return True
        while self.fifo.used + weight > self.capacity:
            if self.evict() is None:
                return False
        self.fifo.admit(key, weight, key, group)
        self.held.add(key)
        return False

    def evict(self, within: list[int] | None = None) -> int | None:
        victim = self.fifo.evict(self.capacity, self.keys, within)
        if victim is not None:
            self.held.remove(victim)
        return victim


def test_what_is_pinned_is_no_victim() -> None:
    cache = Cache(10)
    pinned = cache.group(Keep("a", pinned=True))
    for key in range(4):
        cache.read(key, pinned)

    for key in range(100, 200):
        cache.read(key)

    assert {0, 1, 2, 3} <= cache.held
    assert cache.fifo.pinned == 4


def test_where_all_is_pinned_nothing_leaves() -> None:
    cache = Cache(4)
    pinned = cache.group(Keep("a", pinned=True))
    for key in range(4):
        cache.read(key, pinned)

    assert cache.evict() is None
    assert cache.fifo.unlabelled == []


def test_a_pin_is_in_force_at_once_for_what_is_held() -> None:
    cache = Cache(10)
    group = cache.group(Keep("a"))
    for key in range(4):
        cache.read(key, group)

    cache.group(Keep("a", pinned=True))
    for key in range(100, 200):
        cache.read(key)
    assert {0, 1, 2, 3} <= cache.held

    cache.group(Keep("a"))
    for key in range(200, 300):
        cache.read(key)
    assert not {0, 1, 2, 3} & cache.held


def test_an_account_gives_of_its_own_the_oldest_first() -> None:
    cache = Cache(100)
    quota = Quota("train", 10)
    one, other = cache.group(Keep("one", quota=quota)), cache.group(Keep("other", quota=quota))
    for key in range(20):
        cache.read(key, (one, other, 0)[key % 3])

    (account,) = cache.groups.accounts()
    members = cache.groups.members(account)
    gone = [cache.evict(members) for _ in range(4)]

    assert gone == [0, 1, 3, 4]
    assert account.used == 10


def test_an_entry_without_a_label_is_looked_at_before_it_leaves() -> None:
    cache = Cache(10)
    pinned = cache.group(Keep("a", pinned=True))
    for key in range(10):
        cache.read(key)
    cache.links.round = 1
    cache.links.guarded = True

    assert cache.evict() is None
    assert cache.fifo.unlabelled == list(range(10))

    cache.links.labelled[0] = cache.links.labelled[1] = 1
    cache.fifo.relabel(0, pinned)
    assert cache.evict() == 1
    assert cache.evict() is None
    assert cache.fifo.unlabelled == list(range(2, 10))


def test_where_nothing_is_pinned_labels_are_not_waited_for() -> None:
    cache = Cache(10)
    for key in range(10):
        cache.read(key)
    cache.links.round = 1

    assert cache.evict() == 0


def zipf(seed: int, objects: int, reads: int) -> list[int]:
    weights = [1 / (rank + 1) ** 0.8 for rank in range(objects)]
    return random.Random(seed).choices(range(objects), weights, k=reads)


def hit_ratios(capacity: int, priorities: list[Priority], rounds: int = 60_000) -> list[float]:
    """Each subtree reads from a set of its own, alike; returns the share of hits of each."""
    cache = Cache(capacity)
    groups = [cache.group(Keep(f"{which} {name}", priority=name)) for which, name in enumerate(priorities)]
    traces = [zipf(seed, 3000, rounds) for seed in range(len(priorities))]
    hits = [0] * len(priorities)
    for step in range(rounds):
        for which, trace in enumerate(traces):
            hits[which] += cache.read(trace[step] * len(priorities) + which, groups[which])
    return [count / rounds for count in hits]


def lru_ratio(capacity: int, subtrees: int, rounds: int = 60_000) -> float:
    held: OrderedDict[int, None] = OrderedDict()
    traces = [zipf(seed, 3000, rounds) for seed in range(subtrees)]
    hits = 0
    for step in range(rounds):
        for which, trace in enumerate(traces):
            key = trace[step] * subtrees + which
            if key in held:
                hits += 1
                held.move_to_end(key)
            else:
                held[key] = None
                if len(held) > capacity:
                    held.popitem(last=False)
    return hits / (rounds * subtrees)


def test_a_higher_priority_has_more_hits_under_the_same_load_and_none_starves() -> None:
    low, normal, high = hit_ratios(900, ["low", "normal", "high"])
    lru = lru_ratio(900, 3)

    assert high > normal + 0.05
    assert normal > low + 0.05
    assert high > lru + 0.10
    assert low > 0.05


def test_what_is_of_high_priority_and_never_read_again_leaves_in_the_end() -> None:
    cache = Cache(100)
    high = cache.group(Keep("a", priority="high"))
    for key in range(90):
        cache.read(key, high)

    for key in range(1000, 2000):
        cache.read(key)

    assert not set(range(90)) & cache.held


def test_of_equal_age_the_lower_priority_leaves_first() -> None:
    cache = Cache(100)
    groups = {name: cache.group(Keep(name, priority=name)) for name in ("high", "normal", "low")}
    for key, group in enumerate(groups.values()):
        cache.read(key, group)
    for key in range(10, 20):
        cache.read(key, groups["high"])

    assert [cache.evict() for _ in range(3)] == [2, 1, 0]


KEEPS: list[Keep] = [
    Keep(),
    Keep("a", quota=Quota("x", 60)),
    Keep("b", pinned=True),
    Keep("b"),
    Keep("c", priority="high", quota=Quota("x", 60)),
    Keep("c", priority="low"),
]
STEPS = st.tuples(
    st.sampled_from(["read", "remove", "reweigh", "relabel", "mean", "evict", "hold", "within", "age"]),
    st.integers(0, 20),
    st.integers(1, 40),
    st.sampled_from(KEEPS),
)


@given(st.lists(STEPS, max_size=60))
def test_bytes_add_up_and_no_pin_leaves_whatever_happens(steps: list[tuple[str, int, int, Keep]]) -> None:
    cache = Cache(100)
    weights: dict[int, int] = {}
    of: dict[int, int] = {}
    for what, key, weight, keep in steps:
        group = cache.group(keep) if what in ("read", "relabel", "mean") else 0
        pinned = {held for held in cache.held if cache.groups.keeps[of[held]].pinned}
        if what == "read":
            if not cache.read(key, group, weight) and key in cache.held:
                weights[key], of[key] = weight, group
        elif what == "evict":
            cache.evict()
        elif what == "within":
            victim = cache.evict([group])
            assert victim is None or of[victim] == group
        elif what == "age":
            for _ in range(EPOCH_TOUCHES * bool(cache.held)):
                cache.fifo.touch(next(iter(cache.held)))
        elif key in cache.held and what == "remove":
            cache.fifo.remove(key)
            cache.held.remove(key)
            pinned.discard(key)
        elif key in cache.held and what == "reweigh":
            cache.fifo.reweigh(key, weight)
            weights[key] = weight
        elif key in cache.held and what == "relabel":
            cache.fifo.relabel(key, group)
            of[key] = group
        elif key in cache.held and what == "hold":
            cache.fifo.hold(key)
            cache.fifo.release(key)
        assert pinned <= cache.held
        used = dict.fromkeys(range(len(cache.groups.keeps)), 0)
        for held in cache.held:
            used[of[held]] += weights[held]
        assert dict(enumerate(cache.groups.used)) == used
        assert cache.fifo.used == sum(used.values()) == cache.fifo.used_by(used)
        assert cache.fifo.pinned == cache.groups.pinned_bytes
        assert len(cache.fifo) == len(cache.held) == sum(cache.groups.entries)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40), st.integers(0, 2)), max_size=300))
def test_all_but_what_is_pinned_can_be_taken_out(reads: list[tuple[int, int, int]]) -> None:
    cache = Cache(100)
    groups = [0, cache.group(Keep("b", pinned=True)), cache.group(Keep("c", priority="high"))]
    for key, weight, which in reads:
        cache.read(key, groups[which], weight)
        assert cache.fifo.used <= 100

    while cache.evict() is not None:
        pass

    assert cache.fifo.used == cache.fifo.pinned
