"""Which ways are away: what was refused, what was not answered three times in a row."""

from hypothesis import given
from hypothesis import strategies as st

from regioncache.health import FIRST_PROBE_SECONDS, LAST_PROBE_SECONDS, Health

WAY = ("data", "endpoint", "http://origin")
OTHER = ("data", "region", "idc-bj")


def test_a_refused_connection_takes_a_way_at_once_and_an_answer_brings_it_back() -> None:
    health = Health()
    health.refused(WAY, 10.0)
    assert health.away(WAY)
    assert health.away_since() == {WAY: 10.0}

    health.answered(WAY)

    assert not health.away(WAY)
    assert health.may_ask(WAY, 10.0)


def test_three_questions_in_a_row_without_an_answer_take_a_way() -> None:
    health = Health()
    health.unanswered(WAY, 1.0)
    health.unanswered(WAY, 2.0)
    assert not health.away(WAY)

    health.unanswered(WAY, 3.0)

    assert health.away(WAY)


def test_an_answer_between_starts_the_count_again() -> None:
    health = Health()
    for _ in range(10):
        health.unanswered(WAY, 1.0)
        health.unanswered(WAY, 2.0)
        health.answered(WAY)

    assert not health.away(WAY)


def test_one_probe_at_a_time_goes_out() -> None:
    health = Health()
    health.refused(WAY, 0.0)

    assert not health.may_ask(WAY, 0.4)
    assert health.retry_after(WAY, 0.4) > 0
    assert health.may_ask(WAY, 0.6)
    assert not health.may_ask(WAY, 0.6)


def test_probes_become_rarer_up_to_a_limit() -> None:
    health = Health()
    now, pauses = 0.0, []
    health.refused(WAY, now)
    for _ in range(12):
        pause = health.retry_after(WAY, now)
        pauses.append(pause)
        now += pause
        assert health.may_ask(WAY, now)
        health.refused(WAY, now)

    assert pauses == sorted(pauses)
    assert pauses[-1] == LAST_PROBE_SECONDS


def test_requests_that_one_cut_took_together_do_not_put_the_first_probe_off() -> None:
    health = Health()
    for n in range(100):
        health.refused(WAY, 0.001 * n)
    health.unanswered(WAY, 0.2)

    assert health.retry_after(WAY, 0.2) <= FIRST_PROBE_SECONDS
    assert health.may_ask(WAY, FIRST_PROBE_SECONDS)


def test_a_way_that_is_away_says_nothing_about_another() -> None:
    health = Health()
    health.refused(WAY, 0.0)

    assert not health.away(OTHER)
    assert health.may_ask(OTHER, 0.0)
    assert health.retry_after(OTHER, 0.0) == 0.0


@given(st.lists(st.sampled_from(["answered", "refused", "unanswered"]), max_size=30))
def test_a_way_is_away_exactly_after_a_refusal_or_three_silences_since_its_last_answer(events: list[str]) -> None:
    health = Health()
    for now, event in enumerate(events):
        if event == "answered":
            health.answered(WAY)
        elif event == "refused":
            health.refused(WAY, float(now))
        else:
            health.unanswered(WAY, float(now))

    since = events[len(events) - events[::-1].index("answered") :] if "answered" in events else events
    assert health.away(WAY) == ("refused" in since or since.count("unanswered") >= 3)
