"""What waits for a collector is bounded, and nobody waits for it."""

import threading
from collections.abc import Sequence

import pytest

from gateway.telemetry.outbox import Bounds, Outbox


class FarEnd:
    """Takes batches, or stands still until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.arrives = True
        self.fault: Exception | None = None
        self.began = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.changes: list[bool] = []

    def send(self, batch: Sequence[int]) -> bool:
        self.began.set()
        self.goes_on.wait(30)
        self.batches.append(list(batch))
        if self.fault is not None:
            raise self.fault
        return self.arrives


def an_outbox(far: FarEnd, limit: int = 10, batch: int = 4) -> Outbox[int]:
    return Outbox("test", far.send, far.changes.append, Bounds(limit, batch, 3600.0))


def test_what_waits_at_the_end_is_sent_in_batches() -> None:
    far = FarEnd()
    outbox = an_outbox(far)
    for item in range(10):
        outbox.put(item)

    outbox.end()
    outbox.start()

    assert outbox.join(30)
    assert far.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert (outbox.posted.sent, outbox.posted.dropped) == (10, 0)


def test_a_full_batch_leaves_without_the_wait() -> None:
    far = FarEnd()
    outbox = an_outbox(far)
    outbox.start()

    for item in range(4):
        outbox.put(item)

    assert far.began.wait(30)
    outbox.end()
    assert outbox.join(30)


def test_while_the_far_end_stands_still_what_finds_no_room_is_dropped_and_counted() -> None:
    far = FarEnd()
    far.goes_on.clear()
    outbox = an_outbox(far)
    outbox.start()
    for item in range(4):
        outbox.put(item)
    assert far.began.wait(30)

    for item in range(25):
        outbox.put(item)

    assert (len(outbox), outbox.posted.dropped) == (10, 15)
    far.goes_on.set()
    outbox.end()
    assert outbox.join(30)


def test_the_end_does_not_wait_for_a_far_end_that_stands_still() -> None:
    far = FarEnd()
    far.goes_on.clear()
    outbox = an_outbox(far)
    outbox.put(1)
    outbox.start()
    outbox.end()
    assert far.began.wait(30)

    assert not outbox.join(0.0)

    far.goes_on.set()
    assert outbox.join(30)


@pytest.mark.parametrize("fault", [None, ValueError("no such host")])
def test_a_far_end_that_is_away_is_told_once_and_so_is_its_return(fault: Exception | None) -> None:
    far = FarEnd()
    far.arrives, far.fault = False, fault
    outbox = an_outbox(far)
    for item in range(8):
        outbox.put(item)
    outbox._empty()

    far.arrives, far.fault = True, None
    outbox.put(9)
    outbox._empty()

    assert far.changes == [True, False]
    assert (outbox.posted.sent, outbox.posted.dropped) == (1, 8)


def test_at_the_end_a_far_end_that_is_away_is_tried_once() -> None:
    far = FarEnd()
    far.arrives = False
    outbox = an_outbox(far)
    for item in range(10):
        outbox.put(item)

    outbox.end()
    outbox.start()

    assert outbox.join(30)
    assert (len(far.batches), outbox.posted.dropped) == (1, 10)
