"""S3-FIFO: what is asked for again stays, what is read once leaves, and the bytes always add up."""

from hypothesis import given
from hypothesis import strategies as st

from regioncache.store.evict import EPOCH_TOUCHES, S3Fifo
from regioncache.store.queues import Links


class Cache:
    """A cache of numbered entries over the core, as a path uses it."""

    def __init__(self, capacity: int) -> None:
        self.links = Links()
        self.fifo = S3Fifo(self.links)
        self.capacity = capacity
        self.keys: list[int] = []
        self.held: set[int] = set()

    def read(self, key: int, weight: int = 1) -> bool:
        while key >= len(self.keys):
            self.keys.append(len(self.keys))
            self.links.grow()
        if key in self.held:
            self.fifo.touch(key)
            return True
        while self.held and self.fifo.used + weight > self.capacity:
            victim = self.fifo.evict(self.capacity, self.keys)
            assert victim is not None
            self.held.remove(victim)
        self.fifo.admit(key, weight, key)
        self.held.add(key)
        return False

    def pass_time(self) -> None:
        """Touches so far away no longer count as one use."""
        for _ in range(EPOCH_TOUCHES):
            self.fifo.touch(next(iter(self.held)))


def test_a_scan_does_not_push_out_what_is_asked_for_again() -> None:
    cache = Cache(100)
    for key in range(50):
        cache.read(key)
    cache.pass_time()
    for key in range(50):
        cache.read(key)

    for key in range(1000, 3000):
        cache.read(key)

    assert sum(key in cache.held for key in range(50)) == 50


def test_reading_one_entry_step_by_step_counts_once() -> None:
    cache = Cache(10)
    cache.read(0)
    for _ in range(100):
        cache.read(0)

    for key in range(1, 12):
        cache.read(key)

    assert 0 not in cache.held


def test_what_comes_back_soon_after_it_left_goes_to_the_main_queue() -> None:
    cache = Cache(10)
    for key in range(12):
        cache.read(key)
    assert 0 not in cache.held
    cache.read(0)

    for key in range(100, 150):
        cache.read(key)

    assert 0 in cache.held


def test_a_held_entry_is_no_victim() -> None:
    cache = Cache(10)
    for key in range(10):
        cache.read(key)
    for key in range(1, 10):
        cache.fifo.hold(key)

    assert cache.fifo.evict(10, cache.keys) == 0
    assert cache.fifo.evict(10, cache.keys) is None

    cache.fifo.release(5)
    assert cache.fifo.evict(10, cache.keys) == 5


def test_a_removed_entry_is_held_no_longer() -> None:
    cache = Cache(10)
    cache.read(0)
    cache.fifo.hold(0)
    cache.fifo.remove(0)

    cache.fifo.admit(0, 1, 0)

    assert cache.fifo.evict(10, cache.keys) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "remove", "reweigh", "hold", "evict"]), st.integers(0, 20), st.integers(1, 40)
        )
    )
)
def test_the_bytes_add_up_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    cache = Cache(100)
    weights: dict[int, int] = {}
    for what, key, weight in steps:
        if what == "read":
            if not cache.read(key, weight):
                weights[key] = weight
        elif what == "evict":
            victim = cache.fifo.evict(cache.capacity, cache.keys)
            if victim is not None:
                cache.held.remove(victim)
        elif key in cache.held and what == "remove":
            cache.fifo.remove(key)
            cache.held.remove(key)
        elif key in cache.held and what == "reweigh":
            cache.fifo.reweigh(key, weight)
            weights[key] = weight
        elif key in cache.held:
            cache.fifo.hold(key)
            cache.fifo.release(key)
        assert len(cache.fifo) == len(cache.held)
        assert cache.fifo.used == sum(weights[held] for held in cache.held)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40)), max_size=300))
def test_it_never_holds_more_than_it_may(reads: list[tuple[int, int]]) -> None:
    cache = Cache(100)
    for key, weight in reads:
        cache.read(key, weight)

        assert cache.fifo.used <= 100
