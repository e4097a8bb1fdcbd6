"""The collector is out of the way of a start, and back after it."""

import gc
from collections.abc import Iterator

import pytest

from gateway.cli import garbage


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_a_start_is_not_held_up_by_the_collector_and_one_that_waits_all_night_is_collected():
    garbage.hold_off()

    assert gc.isenabled()
    assert gc.get_threshold()[0] == garbage.START_OBJECTS


def test_what_was_loaded_is_never_looked_at():
    garbage.keep_loaded()

    assert gc.get_freeze_count() > 1000
    assert gc.collect() == 0


def test_a_started_node_looks_for_what_requests_make():
    garbage.hold_off()

    garbage.set_aside()

    assert gc.get_threshold() == (5000, 3, 10)
    assert gc.get_freeze_count() > 1000
