"""Which reads a bench makes, and what it says of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bench.plan import Done, Found, Planned, again, planned, summary, times


def done(read: Planned, first: float, whole: float | None, **more: object) -> Done:
    return Done(read, len(read) if whole is not None else 3, first, whole, **more)  # type: ignore[arg-type]


def test_without_ranges_each_object_is_read_whole() -> None:
    reads = planned([Found("/ns/a", 10), Found("/ns/b", 0)], None, 1000, 1)

    assert reads == [Planned("/ns/a", 0, 10, True), Planned("/ns/b", 0, 0, True)]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=8), st.integers(1, 4000))
def test_ranges_cover_every_byte_once(sizes: list[int], range_bytes: int) -> None:
    reads = planned([Found(f"/ns/{at}", size) for at, size in enumerate(sizes)], range_bytes, 1 << 40, 1)

    for at, size in enumerate(sizes):
        mine = [read for read in reads if read.path == f"/ns/{at}"]
        assert [read.start for read in mine] == list(range(0, max(size, 1), range_bytes))
        assert sum(map(len, mine)) == size
        assert all(len(read) <= range_bytes for read in mine if not read.whole)


def test_no_more_is_planned_than_the_bytes_allowed() -> None:
    found = [Found(f"/ns/{at}", 100) for at in range(50)]

    assert len(planned(found, None, 1000, 1)) == 10
    assert len(planned([Found("/ns/huge", 1 << 40)], 1 << 20, 10 << 20, 1)) == 10


def test_a_larger_object_than_allowed_is_read_all_the_same_and_cut_off() -> None:
    assert len(planned([Found("/ns/huge", 1 << 40)], None, 1, 1)) == 1


def test_every_reader_has_a_read() -> None:
    assert len(planned([Found("/ns/a", 10), Found("/ns/b", 10), Found("/ns/c", 10)], None, 1000, 7)) == 9


def test_a_random_order_is_the_same_each_time_and_leaves_nothing_out() -> None:
    orders = [planned([Found("/ns/a", 10_000)], 10, 1 << 30, 1, at_random=True) for _ in range(2)]

    assert orders[0] == orders[1]
    assert orders[0] != sorted(orders[0], key=lambda read: read.start)
    assert len(set(orders[0])) == 1000


def test_the_warm_pass_reads_what_the_cold_one_had() -> None:
    whole, cut, failed = (Planned(f"/ns/{name}", 100, 200, False) for name in "abc")

    reads = again([done(whole, 0.1, 0.2), Done(cut, 30), Done(failed, 0, fault="NoSuchKey")])

    assert reads == [whole, Planned("/ns/b", 100, 130, False)]


def test_a_summary_tells_reads_that_were_cut_off_from_those_that_failed() -> None:
    read = Planned("/ns/a", 0, 100, True)
    every = [
        done(read, 0.1, 0.2, source="line", line="bj", waited_seconds=0.05, slowed_down=2),
        done(read, 0.3, 0.4, source="page"),
        Done(read, 7),
        Done(read, 0, fault="first"),
        Done(read, 0, fault="second"),
    ]

    told = summary("cold", every, 2.0)

    assert (told.reads, told.cut_off, told.failed, told.slowed_down) == (2, 1, 2, 2)
    assert (told.nbytes, told.rate, told.fault) == (207, 103.5, "first")
    assert told.sources == {"line": 1, "page": 1}
    assert (told.waited, told.waited_seconds.most, told.lines) == (1, 0.05, ("bj",))


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000])
def test_percentiles_are_the_nearest_rank(count: int) -> None:
    told = times(float(at) for at in range(1, count + 1))

    assert (told.p50, told.p99, told.most) == (math.ceil(count / 2), math.ceil(count * 99 / 100), count)


def test_nothing_is_no_time() -> None:
    assert times([]).most == 0.0
