"""One way's share of a node: bounded places, bounded waiting, and nothing more for a way that owes answers."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.isolation import DELAYS, OLDEST_EVERY, PARTS, SILENT_SECONDS, Asking, Bounds, Kind, Share, Turn
from regioncache.lines.crossing import NoLine

BOUNDS = Bounds(reads=12, questions=4, unheard=3, waiting=20)
INTERACTIVE, TRAINING, PREFETCH = 0, 1, 2


def filled(bounds: Bounds = BOUNDS, kind: Kind = "read", rank: int = INTERACTIVE) -> tuple[Share, list[Turn]]:
    """A share whose places of a kind are all taken."""
    share, active = Share(bounds), []
    while (turn := share.come(kind, rank, 0.0)) is not None and turn.state == "active":
        active.append(turn)
    assert turn is not None
    share.leave(turn)
    return share, active


@dataclass(frozen=True, slots=True)
class Waited:
    """A crossing that its line made wait."""

    waited: float


def asked(share: Share, count: int, now: float = 0.0) -> list[Asking]:
    return [share.asked(now, NoLine()) for _ in range(count)]


def test_so_many_are_let_in_then_they_wait_then_they_are_refused() -> None:
    share, active = filled()

    waiting = [share.come("read", INTERACTIVE, 0.0) for _ in range(20)]

    assert len(active) == 12
    assert {turn.state for turn in waiting if turn} == {"waiting"}
    assert share.come("read", INTERACTIVE, 0.0) is None
    assert (share.waiting, share.refused) == (20, 1)


def test_a_question_does_not_wait_for_reads() -> None:
    share, _ = filled()
    turn = share.come("question", TRAINING, 0.0)

    assert turn is not None
    assert turn.state == "active"


def test_loads_leave_places_to_the_more_urgent() -> None:
    share, loads = filled(rank=PREFETCH)
    assert len(loads) == int(12 * PARTS[PREFETCH])
    assert share.come("read", PREFETCH, 0.0) is not None  # waits

    training = [share.come("read", TRAINING, 0.0) for _ in range(2)]
    person = [share.come("read", INTERACTIVE, 0.0) for _ in range(2)]

    assert [turn.state for turn in training + person if turn] == ["active"] * 4


def test_who_leaves_makes_place_for_the_most_urgent() -> None:
    share, active = filled()
    late = [share.come("read", rank, 0.0) for rank in (PREFETCH, TRAINING, INTERACTIVE)]

    share.leave(active[0])

    assert share.admitted(0.0) == [late[INTERACTIVE - 1]]


def test_nobody_starves_behind_the_more_urgent() -> None:
    share, active = filled()
    load = share.come("read", PREFETCH, 0.0)
    for _ in range(OLDEST_EVERY):
        person = share.come("read", INTERACTIVE, 0.0)
        assert person is not None
        share.leave(active.pop(0))
        active += share.admitted(0.0)
        if load in active:
            return
    pytest.fail(f"{OLDEST_EVERY} came before it")


def test_a_way_that_owes_answers_gets_no_further_requests_until_it_speaks() -> None:
    share = Share(BOUNDS)
    owed = asked(share, BOUNDS.unheard)
    assert not share.holds_back(SILENT_SECONDS / 2)
    late = share.come("read", INTERACTIVE, SILENT_SECONDS)
    assert late is not None
    assert late.state == "waiting"
    assert share.admitted(SILENT_SECONDS) == []

    share.answered(owed[0], SILENT_SECONDS)
    share.over(owed[0])

    assert share.admitted(SILENT_SECONDS) == [late]


def test_a_slow_way_that_goes_on_answering_is_not_held_back() -> None:
    share = Share(BOUNDS)
    owed = asked(share, 10)
    share.answered(owed[0], 5.0)
    share.over(owed[0])

    assert not share.holds_back(5.0 + SILENT_SECONDS / 2)
    assert share.silent_for(5.1) == pytest.approx(0.1)


def test_waiting_for_a_line_is_no_silence_of_the_far_end() -> None:
    share = Share(BOUNDS)
    for _ in range(10):
        share.asked(0.0, Waited(9.5))

    assert share.silent_for(10.0) == pytest.approx(0.5)
    assert not share.holds_back(10.0)
    assert share.overdue(10.0, 2.0) == []


def test_each_silence_is_counted_once() -> None:
    share = Share(BOUNDS)
    owed = asked(share, 2)

    assert share.overdue(1.9, 2.0) == []
    assert share.overdue(2.0, 2.0) == owed
    assert share.overdue(3.0, 2.0) == []


def test_nothing_is_silent_where_nothing_is_asked() -> None:
    share = Share(BOUNDS)
    (owed,) = asked(share, 1)
    share.over(owed)

    assert share.silent_for(100.0) == 0.0
    assert Share(BOUNDS).statistics(100.0).silent_seconds == 0.0


def test_who_waits_for_a_way_that_goes_is_sent_away() -> None:
    share, _ = filled()
    waiting = [share.come("read", TRAINING, 0.0), share.come("question", TRAINING, 0.0)]
    assert waiting[0] is not None

    assert share.dismissed() == [waiting[0]]
    assert share.waiting == 0
    share.leave(waiting[0])


def test_answers_are_counted_by_the_time_they_took() -> None:
    share = Share(BOUNDS)
    for seconds in (0.001, 0.3, 60.0):
        (owed,) = asked(share, 1, now=100.0)
        share.answered(owed, 100.0 + seconds)
        share.over(owed)

    counts = share.statistics(160.0).delays.counts
    assert [at for at, count in enumerate(counts) if count] == [0, DELAYS.index(0.5), len(DELAYS)]
    assert share.delays.total == pytest.approx(60.301)


@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "leave", "ask", "answer", "dismiss"]), st.integers(0, 5)), max_size=200
    ),
    st.integers(1, 12),
)
def test_whatever_happens_the_bounds_are_kept_and_nobody_waits_where_there_is_place(
    events: list[tuple[str, int]], reads: int
) -> None:
    share = Share(replace(BOUNDS, reads=reads))
    present: list[Turn] = []
    owed: list[Asking] = []
    for now, (event, pick) in enumerate(events):
        kind: Kind = "question" if pick % 2 else "read"
        if event == "come":
            turn = share.come(kind, pick, float(now))
            present += [turn] if turn is not None else []
        elif event == "leave" and present:
            share.leave(present.pop(pick % len(present)))
        elif event == "ask":
            owed += asked(share, 1, float(now))
        elif event == "answer" and owed:
            one = owed.pop(pick % len(owed))
            share.answered(one, float(now))
            share.over(one)
        elif event == "dismiss":
            sent = share.dismissed()
            present = [turn for turn in present if turn not in sent]
        share.admitted(float(now))

        seen = share.statistics(float(now))
        assert seen.reads == sum(turn.state == "active" and turn.kind == "read" for turn in present) <= reads
        assert seen.questions <= BOUNDS.questions
        assert seen.waiting == sum(turn.state == "waiting" for turn in present) <= 2 * BOUNDS.waiting
        if seen.waiting and not share.holds_back(float(now)):
            first = min((t for t in present if t.state == "waiting"), key=lambda t: (t.rank, t.order))
            full = seen.reads >= reads * PARTS[first.rank] if first.kind == "read" else seen.questions >= 4
            assert full or seen.questions >= 4


@given(st.integers(0, 1 << 34), st.integers(0, 1 << 20))
def test_one_way_gets_half_of_what_flights_and_descriptors_have(memory: int, descriptors: int) -> None:
    bounds = Bounds.of(memory, 768 * 1024, descriptors)

    assert 8 <= bounds.reads <= Bounds().reads
    assert bounds.reads == 8 or bounds.reads * 768 * 1024 <= memory / 2
    assert bounds.reads == 8 or bounds.reads <= descriptors / 2
