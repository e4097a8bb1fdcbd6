"""What may leave for something new: never more than it takes the place of, and nothing where others filled the disk."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.pages import MIB
from regioncache.store.base import StoreSettings
from regioncache.store.space import Space

DISK = 1000 * MIB
WRITES = st.lists(st.integers(1, 64 * MIB), min_size=1, max_size=30)


@given(st.integers(0, DISK), st.integers(0, 600 * MIB), st.integers(1, 64 * MIB), st.integers(0, 64 * MIB))
def test_within_its_size_a_cache_gives_up_no_more_than_is_written(
    free: int, held: int, nbytes: int, coming: int
) -> None:
    space = Space(900 * MIB)
    space.look(free, DISK, coming)

    short = space.short(nbytes, held, full=False)

    assert short is None or short <= nbytes


@given(st.integers(0, 10 * MIB - 1), st.integers(0, 2000 * MIB), st.integers(1, 64 * MIB))
def test_nothing_leaves_where_less_than_a_hundredth_is_free(free: int, held: int, nbytes: int) -> None:
    space = Space(900 * MIB)
    space.look(free, DISK, 0)

    assert space.short(nbytes, held, full=False) is None


def test_a_path_that_was_full_keeps_again_only_at_twice_the_room() -> None:
    space = Space(900 * MIB)
    space.look(15 * MIB, DISK, 0)

    assert space.short(MIB, 100 * MIB, full=True) is None
    space.look(20 * MIB, DISK, 0)
    assert space.short(MIB, 100 * MIB, full=True) == MIB


@given(st.integers(100 * MIB, DISK), WRITES)
def test_a_cache_alone_with_steady_others_never_takes_the_last_twentieth(free: int, writes: list[int]) -> None:
    space, held = Space(DISK), 0
    for nbytes in writes:
        if space.stale:
            space.look(free - held, DISK, 0)
        short = space.short(nbytes, held, full=False)
        if short is not None and short > 0 and short <= held:
            held -= short
            space.changed()
            space.look(free - held, DISK, 0)
            short = space.short(nbytes, held, full=False)
        if short is not None and short <= 0:
            held += nbytes
            space.admitted(nbytes)

    assert free - held >= 50 * MIB


@given(WRITES)
def test_what_others_take_of_the_last_twentieth_never_shrinks_nor_grows_the_cache(writes: list[int]) -> None:
    space, held = Space(900 * MIB), 200 * MIB
    for taken, nbytes in enumerate(writes):
        space.look(45 * MIB - taken * MIB, DISK, 0)
        short = space.short(nbytes, held, full=False)
        assert short == nbytes
        held += nbytes - short

    assert held == 200 * MIB


def test_the_own_size_is_kept_however_much_is_free() -> None:
    space = Space(100 * MIB)
    space.look(900 * MIB, DISK, 0)

    assert space.short(10 * MIB, 95 * MIB, full=False) == 5 * MIB
    assert not space.narrow


@pytest.mark.parametrize(
    ("size", "disk_bytes", "limit"),
    [(500, 1000, 500), (2000, 1000, 950), (2000, 0, 2000), (0.9, 1000, 900), (0.9, 0, 0)],
)
def test_a_path_is_not_said_to_take_more_than_its_file_system_could(size: float, disk_bytes: int, limit: int) -> None:
    assert StoreSettings((Path("/cache"),), size=size).limit(disk_bytes) == limit
