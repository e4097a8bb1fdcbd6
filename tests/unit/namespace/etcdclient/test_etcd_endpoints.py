"""Which server is asked next, and how long a lease can be relied on."""

from hypothesis import given
from hypothesis import strategies as st

from namespace.etcdclient.endpoints import Endpoints
from namespace.etcdclient.leaseclock import LeaseClock


def test_the_server_that_answered_is_asked_first() -> None:
    servers = Endpoints(3)

    servers.answered(1)

    assert servers.order(0.0) == [1, 2, 0]


def test_a_server_that_failed_is_asked_last_until_it_has_rested() -> None:
    servers = Endpoints(3, rest_seconds=5.0)

    servers.failed(0, now=10.0)
    servers.failed(1, now=11.0)

    assert servers.order(12.0) == [2, 0, 1]
    assert servers.order(15.5) == [2, 0, 1]
    assert servers.order(16.5) == [2, 0, 1]
    servers.failed(2, now=16.5)
    assert servers.order(16.5)[-1] == 2


def test_a_server_that_answers_again_does_not_rest() -> None:
    servers = Endpoints(2)
    servers.failed(0, now=1.0)

    servers.answered(0)

    assert servers.order(1.0) == [0, 1]


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=12))
def test_every_server_has_its_turn(count: int, told: list[tuple[bool, int]]) -> None:
    servers = Endpoints(count)
    for now, (well, index) in enumerate(told):
        if well:
            servers.answered(index % count)
        else:
            servers.failed(index % count, float(now))

    assert sorted(servers.order(float(len(told)))) == list(range(count))


def test_a_lease_is_counted_from_the_sending_and_not_from_the_answer() -> None:
    lease = LeaseClock(8.0, sent_at=100.0)

    # Sent at 102, answered at 105.
    lease.renewed(8.0, sent_at=102.0)

    assert lease.left(105.0) == 5.0
    assert lease.left(110.0) == 0.0


def test_a_keep_alive_is_due_in_each_quarter_of_a_lease() -> None:
    lease = LeaseClock(8.0, sent_at=100.0)

    assert lease.due_in(100.0) == 2.0
    assert lease.due_in(103.0) == 0.0
    lease.renewed(8.0, sent_at=103.0)
    assert lease.due_in(103.5) == 1.5


def test_an_answer_that_was_overtaken_does_not_shorten_a_lease() -> None:
    lease = LeaseClock(8.0, sent_at=100.0)
    lease.renewed(8.0, sent_at=104.0)

    lease.renewed(8.0, sent_at=102.0)

    assert lease.left(104.0) == 8.0
