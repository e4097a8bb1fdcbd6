"""What `bench` says of its passes by its exit: reads that failed, or that nothing came, and how long it waited."""

import pytest

from gateway.bench.plan import Done, Pass, Planned, summary
from gateway.cli.bench import judge
from gateway.cli.faults import CommandFault

EMPTY = Planned("/ns/empty", 0, 0, True)
FULL = Planned("/ns/full", 0, 100, True)


def shown(*done: Done) -> list[Pass]:
    return [summary("cold", done, 2.0)]


def test_reads_of_empty_objects_are_reads_though_they_bring_no_byte() -> None:
    judge(shown(Done(EMPTY, 0, 0.1, 0.1)), 2.0)


def test_a_read_that_was_cut_off_brought_something() -> None:
    judge(shown(Done(FULL, 3, 0.1)), 2.0)


def test_where_nothing_came_it_says_how_often_it_was_told_to_come_again() -> None:
    with pytest.raises(CommandFault, match=r"nothing came within 2 s, 5 times told to come again"):
        judge(shown(Done(FULL, 0, slowed_down=2), Done(FULL, 0, slowed_down=3)), 2.0)


def test_the_first_failure_is_named() -> None:
    with pytest.raises(CommandFault, match=r"2 reads failed; the first: /ns/full: cut"):
        judge(shown(Done(FULL, 0, fault="/ns/full: cut"), Done(FULL, 0, fault="/ns/full: 500")), 2.0)
