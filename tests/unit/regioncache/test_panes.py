"""Panes are used again only when nobody looks into them any more."""

from regioncache.pages import MIB
from regioncache.panes import Panes, kept_beside


def test_a_pane_is_used_again_when_its_last_view_is_gone() -> None:
    panes = Panes()
    pane = panes.take()
    view = memoryview(pane)[10:20]
    dropped = id(pane)
    panes.give(pane)
    del pane

    assert id(panes.take()) != dropped, "somebody looks into it"
    del view
    assert id(panes.take()) == dropped


def test_a_pane_that_is_looked_into_for_long_does_not_hold_up_the_others() -> None:
    panes = Panes()
    seen, free = panes.take(), panes.take()
    view, freed = memoryview(seen), id(free)
    panes.give(seen)
    panes.give(free)
    del seen, free

    panes.take()

    assert id(panes.take()) == freed
    del view


def test_only_so_many_panes_lie_dropped() -> None:
    panes = Panes(kept=2)
    for pane in [panes.take() for _ in range(5)]:
        panes.give(pane)

    assert repr(panes) == "Panes(2 dropped)"


def test_what_lies_dropped_is_a_small_part_of_the_memory_and_a_window_at_most() -> None:
    assert [kept_beside(budget * MIB) for budget in (16, 64, 256, 512, 4096)] == [8, 8, 32, 64, 64]
