"""Questions about the newest version of an object: asked once for all who wait, and going on when they have left."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Questions(Generic[T]):
    """Tasks by subject. Mutable state: `_asking` (those that may be joined), `_tasks` (all, with when they began)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is monotonic seconds."""
        self._asking: dict[Hashable, asyncio.Task[T]] = {}
        self._tasks: dict[asyncio.Task[T], float] = {}
        self._clock = clock

    def __len__(self) -> int:
        return len(self._tasks)

    def ask(self, subject: Hashable, question: Callable[[], Awaitable[T]], *, join: bool = True) -> "asyncio.Task[T]":
        """Returns the task that asks; one under way is joined, but where an answer begun before now will not do."""
        if join and subject in self._asking:
            return self._asking[subject]
        task = asyncio.ensure_future(_of(question))
        self._tasks[task] = self._clock()
        self._asking[subject] = task
        task.add_done_callback(lambda done: self._over(subject, done))
        return task

    def age(self, task: "asyncio.Task[T]") -> float:
        """Seconds since a question was asked that has no answer yet; 0 for one that has."""
        begun = self._tasks.get(task)
        return 0.0 if begun is None else self._clock() - begun

    async def stop(self) -> None:
        """Ends all questions."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _over(self, subject: Hashable, task: "asyncio.Task[T]") -> None:
        self._tasks.pop(task, None)
        if self._asking.get(subject) is task:
            del self._asking[subject]
        if not task.cancelled():
            task.exception()  # taken note of: an answer that nobody waits for any more may be a fault


async def _of(question: Callable[[], Awaitable[T]]) -> T:
    return await question()
