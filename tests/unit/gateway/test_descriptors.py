"""The doors' share of what the process may open."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.descriptors import MOST, shared_out
from regioncache.openfiles import open_files, sibling_files


@given(st.integers(256, 100_000), st.integers(1, 4))
def test_doors_full_of_strangers_leave_descriptors_to_ask_origins_with(allowed: int, paths: int) -> None:
    cache = open_files(allowed, paths) * 2 * paths

    shares = shared_out(allowed, cache)

    # Both doors may hold twice their connections while they refuse, and handshakes besides; some 25 are the process's.
    left = allowed - cache - 2 * (shares.s3 + shares.peer) - shares.s3 // 4 - 25
    assert left >= min(1024, allowed // 8) or allowed < 1024
    assert 8 <= shares.admin <= max(8, allowed // 32)


@given(st.integers(256, 100_000), st.integers(1, 32))
def test_the_cache_never_has_more_than_half_of_them(allowed: int, paths: int) -> None:
    assert open_files(allowed, paths) * 2 * paths <= allowed // 2


@given(st.integers(1024, 100_000), st.integers(1, 4), st.integers(2, 8))
def test_files_of_siblings_come_out_of_the_same_half(allowed: int, paths: int, workers: int) -> None:
    own, siblings = open_files(allowed, paths, workers) * 2 * paths, sibling_files(allowed, workers) * 2

    assert own + siblings <= allowed // 2
    assert siblings >= own


def test_with_the_usual_limit_nobody_is_refused_for_it() -> None:
    shares = shared_out(65_536, open_files(65_536, 1) * 2)

    assert shares.s3 == MOST
    assert shares.short(65_536) == ""


def test_a_low_limit_is_told_with_the_remedy() -> None:
    shares = shared_out(1024, open_files(1024, 1) * 2)

    assert 64 <= shares.s3 < MOST
    assert "may open 1024 files" in shares.short(1024)
    assert "LimitNOFILE" in shares.short(1024)
