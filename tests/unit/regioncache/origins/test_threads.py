"""Threads for calls that may hang: bounded, waited for while there is life, and left at once."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest

from regioncache.errors import SlowDown
from regioncache.origins.threads import Left, Signs, Silent, Threads

pytestmark = pytest.mark.anyio
LONG, SHORT = 60.0, 0.02


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """Calls that wait for it hang until the test is over."""
    event = threading.Event()
    yield event
    event.set()


class Thing:
    """Something that a call brings and that ends on a thread."""

    ended: list[str]

    def __init__(self, ended: list[str]) -> None:
        self.ended = ended

    def __del__(self) -> None:
        self.ended.append(threading.current_thread().name)


async def until(done: Callable[[], object]) -> None:
    """Lets the loop turn until the test's condition holds."""
    while not done():
        await asyncio.sleep(0.001)


async def test_a_call_runs_on_a_thread_of_its_own_and_its_answer_comes_back() -> None:
    threads = Threads("nas", 2)

    assert await threads.run(lambda _: threading.current_thread().name, LONG) == "nas"


async def test_a_fault_comes_back_as_it_was_raised() -> None:
    def fails(_: Signs) -> None:
        raise OSError(5, "broken")

    with pytest.raises(OSError, match="broken"):
        await Threads("nas", 1).run(fails, LONG)


async def test_no_more_threads_than_said_hang_and_the_loop_goes_on(hung: threading.Event) -> None:
    threads, begun = Threads("nas", 3), list[int]()

    def hangs(_: Signs) -> None:
        begun.append(1)
        hung.wait()

    asking = [asyncio.create_task(threads.run(hangs, LONG)) for _ in range(10)]
    await until(lambda: len(begun) == 3)

    assert repr(threads) == "<Threads nas 3 busy, 7 calls waiting>"
    hung.set()
    await asyncio.gather(*asking)
    assert len(begun) == 10


async def test_a_call_that_hangs_is_told_and_others_go_on(hung: threading.Event) -> None:
    threads = Threads("nas", 2)

    with pytest.raises(Silent, match="nas"):
        await threads.run(lambda _: hung.wait(), SHORT)

    assert await threads.run(lambda _: 7, LONG) == 7


async def test_where_all_threads_hang_who_waits_for_one_is_told_too(hung: threading.Event) -> None:
    threads = Threads("nas", 1)
    first = asyncio.create_task(threads.run(lambda _: hung.wait(), LONG))
    await asyncio.sleep(0)

    with pytest.raises(Silent):
        await threads.run(lambda _: 7, SHORT)

    hung.set()
    assert await first


async def test_a_long_call_that_gives_signs_of_life_is_waited_for(hung: threading.Event) -> None:
    threads, signs = Threads("nas", 1), list[Signs]()

    def long(own: Signs) -> str:
        signs.append(own)
        hung.wait()
        return "done"

    asking = asyncio.create_task(threads.run(long, SHORT))
    await until(lambda: signs)
    for _ in range(20):
        # Timers of one loop fire in their order: this one always before the asker's patience is over.
        signs[0].give()
        await asyncio.sleep(SHORT / 4)
    hung.set()

    assert await asking == "done"


async def test_a_call_that_was_left_stops_at_its_next_sign(hung: threading.Event) -> None:
    threads, begun, stopped = Threads("nas", 1), threading.Event(), threading.Event()

    def long(signs: Signs) -> None:
        begun.set()
        hung.wait()
        try:
            signs.give()
        except Left:
            stopped.set()
            raise

    asking = asyncio.create_task(threads.run(long, LONG))
    await until(begun.is_set)
    asking.cancel()
    await asyncio.wait({asking})
    hung.set()

    await until(stopped.is_set)


async def test_a_call_that_was_left_before_its_turn_is_not_made(hung: threading.Event) -> None:
    threads, made = Threads("nas", 1), list[int]()
    first = asyncio.create_task(threads.run(lambda _: hung.wait(), LONG))
    await asyncio.sleep(0)
    left = asyncio.create_task(threads.run(lambda _: made.append(1), LONG))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait({left})
    hung.set()
    await first

    assert await threads.run(lambda _: 7, LONG) == 7
    assert made == []


async def test_what_comes_for_nobody_ends_on_a_thread(hung: threading.Event) -> None:
    threads, ended, begun = Threads("nas", 1), list[str](), threading.Event()

    def late(_: Signs) -> Thing:
        begun.set()
        hung.wait()
        return Thing(ended)

    asking = asyncio.create_task(threads.run(late, LONG))
    await until(begun.is_set)
    asking.cancel()
    await asyncio.wait({asking})
    hung.set()

    await until(lambda: ended)
    assert ended == ["nas"]


async def test_what_is_let_go_ends_on_a_thread() -> None:
    threads, ended = Threads("nas", 1), list[str]()

    threads.let_go(Thing(ended))

    await until(lambda: ended)
    assert ended == ["nas"]


async def test_what_a_call_brought_belongs_to_its_asker_alone() -> None:
    threads, ended = Threads("nas", 1), list[str]()
    thing = await threads.run(lambda _: Thing(ended), LONG)
    seen = weakref.ref(thing)
    assert await threads.run(lambda _: 7, LONG) == 7

    del thing

    gc.collect()
    assert seen() is None


async def test_too_many_that_wait_are_sent_away(hung: threading.Event) -> None:
    threads = Threads("nas", 1, waiting=2)
    begun = threading.Event()

    def hangs(_: Signs) -> None:
        begun.set()
        hung.wait()

    first = asyncio.create_task(threads.run(hangs, LONG))
    await until(begun.is_set)
    waiting = [asyncio.create_task(threads.run(lambda _: 7, LONG)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(SlowDown, match="wait already"):
        await threads.run(lambda _: 7, LONG)

    hung.set()
    assert await asyncio.gather(first, *waiting) == [None, 7, 7]


def test_a_process_whose_calls_hang_for_good_ends_all_the_same() -> None:
    program = """
import asyncio, os
from regioncache.origins.threads import Silent, Threads

async def main():
    ends = os.pipe()
    try:
        await Threads("nas", 2).run(lambda _: os.read(ends[0], 1), 0.01)
    except Silent:
        print("left")

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")
