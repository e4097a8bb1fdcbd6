"""What a supervisor does about its workers' ends, words and signals."""

import signal

from hypothesis import given
from hypothesis import strategies as st

from gateway.workers.care import (
    KILL_SECONDS,
    LIVED_SECONDS,
    MOST_DEATHS,
    REPLACED,
    Care,
    Deed,
    Died,
    End,
    Kill,
    LetGo,
    Lost,
    Over,
    Phase,
    Ready,
    Reloaded,
    Start,
)

KILLED = -int(signal.SIGKILL)


def serving(workers: int = 2) -> Care:
    """A node all of whose workers serve since 0."""
    care = Care(workers)
    care.begin(0.0)
    for number in range(workers):
        care.ready(number, 0.0)
    return care


def test_a_node_starts_all_and_is_ready_once_each_is() -> None:
    care = Care(2)

    assert care.begin(0.0) == [Start(0), Start(1)]
    assert care.ready(1, 1.0) == []
    assert care.ready(0, 1.0) == [Ready()]


def test_a_worker_that_lived_is_started_again_at_once_and_keeps_what_it_owns() -> None:
    care = serving()

    deeds = care.ended(1, KILLED, LIVED_SECONDS)

    assert deeds == [Died(1, KILLED, 0.0), Start(1)]


def test_one_that_dies_young_is_started_later_each_time_and_told_lost() -> None:
    care = serving()
    pauses, now = [], 0.0
    for _ in range(4):
        died, *deeds = care.ended(0, KILLED, now)
        assert isinstance(died, Died)
        pauses.append(died.pause)
        assert deeds == [Lost(0)]
        assert care.wait(now) == died.pause
        now += died.pause
        assert care.tick(now) == [Start(0)]

    assert pauses == sorted(set(pauses))


def test_ten_deaths_in_a_minute_end_the_node_loudly() -> None:
    care = serving()
    now, deeds = 0.0, list[Deed]()
    for _ in range(MOST_DEATHS):
        deeds = care.ended(0, KILLED, now)
        now += care.wait(now) or 0.0
        care.tick(now)

    assert deeds[-1] == End(1)
    assert care.quiet(1, now) == [LetGo(1)]
    (over,) = care.ended(1, 0, now)
    assert isinstance(over, Over)
    assert over.code == 1
    assert "10 deaths" in over.why


def test_a_worker_that_cannot_start_ends_the_node_at_its_start_and_not_later() -> None:
    care = Care(2)
    care.begin(0.0)
    assert care.ended(0, 1, 0.5) == [End(1)]

    later = serving()
    assert later.ended(0, 1, 0.5)[0] == Died(0, 1, 0.25)


def test_a_name_that_another_node_took_ends_the_node_with_that_code() -> None:
    care = serving()

    assert care.ended(0, REPLACED, 50.0) == [End(1)]
    (over,) = care.ended(1, 0, 51.0)

    assert isinstance(over, Over)
    assert over.code == REPLACED


def test_a_stop_lets_workers_go_together_once_none_has_a_running_reply() -> None:
    care = serving()

    assert care.stop(1.0) == [End(0), End(1)]
    assert care.quiet(0, 2.0) == []
    assert care.quiet(1, 3.0) == [LetGo(0), LetGo(1)]
    assert care.ended(0, 0, 4.0) == [LetGo(1)]
    assert care.ended(1, 0, 4.0) == [Over(0)]


def test_a_worker_that_dies_during_a_stop_holds_up_nobody() -> None:
    care = serving()
    care.stop(1.0)
    care.quiet(0, 2.0)

    assert care.ended(1, KILLED, 2.0) == [LetGo(0)]


def test_a_second_stop_is_passed_on_and_one_that_hangs_is_killed() -> None:
    care = serving()
    care.stop(1.0)

    assert care.stop(2.0) == [End(0), End(1)]
    assert care.tick(1.0 + KILL_SECONDS) == [Kill(0), Kill(1)]


def test_a_stop_of_a_node_whose_workers_wait_is_over_at_once() -> None:
    care = serving(1)
    care.ended(0, KILLED, 1.0)

    assert care.stop(1.1) == [Over(0)]


def test_a_reload_restarts_one_after_the_other() -> None:
    care = serving()

    assert care.reload(1.0) == [End(0)]
    assert care.quiet(0, 2.0) == [LetGo(0)]
    assert care.ended(0, 0, 3.0) == [Start(0)]
    assert care.ready(0, 4.0) == [End(1)]
    assert care.ended(1, 0, 5.0) == [Start(1)]
    assert care.ready(1, 6.0) == [Reloaded()]


def test_a_reload_during_a_reload_restarts_those_again_that_read_the_former_settings() -> None:
    care = serving()
    care.reload(1.0)
    care.ended(0, 0, 2.0)

    assert care.reload(2.5) == []  # worker 0 is on its way, by the former
    assert care.ready(0, 3.0) == [End(0)]
    care.ended(0, 0, 4.0)
    assert care.ready(0, 5.0) == [End(1)]
    care.ended(1, 0, 6.0)
    assert care.ready(1, 7.0) == [Reloaded()]


def test_a_death_during_a_reload_is_waited_for() -> None:
    care = serving(3)
    care.reload(20.0)
    care.ended(2, KILLED, 20.0)
    care.ended(0, 0, 20.0)

    assert care.ready(0, 21.0) == []
    assert care.ready(2, 22.0) == [End(1)]


@given(
    st.lists(st.tuples(st.sampled_from(["ready", "quiet", "end", "die", "reload", "tick", "stop"]), st.integers(0, 2)))
)
def test_of_a_reload_no_more_than_one_worker_is_away_and_a_stop_ends(story: list[tuple[str, int]]) -> None:
    care, running, now = Care(3), set[int](), 0.0

    def do(deeds: list[Deed]) -> bool:
        running.update(deed.number for deed in deeds if isinstance(deed, Start))
        ending = [one for one in care.charges if one.phase in {Phase.ENDING, Phase.QUIET}]
        assert len(ending) <= 1 or any(isinstance(deed, End) for deed in deeds) or stopped
        return any(isinstance(deed, Over) for deed in deeds)

    stopped = False
    do(care.begin(now))
    for what, number in story:
        now += 1.0
        if what == "stop":
            stopped = True
            if do(care.stop(now)):
                return
        elif what in {"reload", "tick"}:
            do(care.reload(now) if what == "reload" else care.tick(now))
        elif number in running:
            if what == "ready":
                do(care.ready(number, now))
            elif what == "quiet" and care.charges[number].phase is Phase.ENDING:
                do(care.quiet(number, now))
            elif what in {"end", "die"}:
                asked = care.charges[number].phase in {Phase.ENDING, Phase.QUIET}
                running.discard(number)
                before = len([one for one in care.charges if one.phase is not Phase.GONE])
                stopped = stopped or before == 0
                if do(care.ended(number, 0 if asked else KILLED, now)):
                    return
                stopped = stopped or care._stopping
    stopped = True
    over = do(care.stop(now))
    while running:
        number = running.pop()
        over = do(care.ended(number, 0, now))
    assert over
