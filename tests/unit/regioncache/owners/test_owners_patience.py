"""How long an owner is waited for."""

from regioncache.owners.patience import LONGEST_PAUSE, Patience


def test_what_fails_at_once_is_asked_again_soon_then_less_often() -> None:
    patience, now, pauses = Patience(10.0, 0.0), 0.0, list[float]()

    while (pause := patience.pause(now)) is not None:
        pauses.append(pause)
        now += pause

    assert pauses[:3] == [0.05, 0.1, 0.2]
    assert max(pauses) == LONGEST_PAUSE
    assert sum(pauses) == 10.0


def test_progress_starts_the_waiting_afresh() -> None:
    patience = Patience(10.0, 0.0)
    patience.pause(9.0)

    patience.progress(9.5)

    assert patience.pause(19.0) == 0.05
    assert patience.pause(19.5) is None
