"""Questions are asked once for all who wait, and go on when they have left."""

import asyncio

import pytest

from regioncache.errors import NoSuchObject
from regioncache.questions import Questions
from tests.fakes.clock import FakeClock, settle

pytestmark = pytest.mark.anyio


class Oracle:
    """Answers when it is told to, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.speak = asyncio.Event()

    async def __call__(self) -> int:
        self.asked += 1
        mine = self.asked
        await self.speak.wait()
        return mine


async def test_those_who_ask_the_same_share_one_question() -> None:
    questions: Questions[int] = Questions()
    oracle = Oracle()

    tasks = {questions.ask("k", oracle) for _ in range(10)}
    oracle.speak.set()

    assert [await task for task in tasks] == [1]
    assert len(questions) == 0


async def test_other_subjects_are_other_questions() -> None:
    questions: Questions[int] = Questions()
    oracle = Oracle()

    tasks = [questions.ask(subject, oracle) for subject in "abc"]
    oracle.speak.set()

    assert sorted([await task for task in tasks]) == [1, 2, 3]


async def test_who_needs_a_fresh_answer_asks_anew_and_later_ones_join_that() -> None:
    questions: Questions[int] = Questions()
    oracle = Oracle()
    old = questions.ask("k", oracle)

    fresh = questions.ask("k", oracle, join=False)

    assert fresh is not old
    assert questions.ask("k", oracle) is fresh
    oracle.speak.set()
    assert (await old, await fresh) == (1, 2)


async def test_a_question_goes_on_when_those_who_asked_have_left() -> None:
    questions: Questions[int] = Questions()
    oracle = Oracle()
    asker = asyncio.ensure_future(asyncio.shield(questions.ask("k", oracle)))
    await settle()

    asker.cancel()
    await asyncio.gather(asker, return_exceptions=True)
    oracle.speak.set()

    assert await questions.ask("k", oracle) == 1


async def test_a_fault_is_told_to_all_and_not_remembered() -> None:
    questions: Questions[int] = Questions()

    async def fail() -> int:
        raise NoSuchObject("k")

    first = questions.ask("k", fail)
    assert questions.ask("k", fail) is first
    with pytest.raises(NoSuchObject):
        await first
    oracle = Oracle()
    oracle.speak.set()

    assert await questions.ask("k", oracle) == 1


async def test_a_question_is_as_old_as_it_has_no_answer_whoever_joins_it() -> None:
    clock = FakeClock()
    questions: Questions[int] = Questions(clock)
    oracle = Oracle()
    task = questions.ask("k", oracle)
    clock.advance(5)

    assert questions.age(questions.ask("k", oracle)) == 5
    oracle.speak.set()
    await task
    assert questions.age(task) == 0


async def test_stopping_ends_what_is_under_way() -> None:
    questions: Questions[int] = Questions()
    oracle = Oracle()
    task = questions.ask("k", oracle)
    await settle()

    await questions.stop()

    assert task.cancelled()
    assert len(questions) == 0
