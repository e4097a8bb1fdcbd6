"""Questions about the newest version of an object: asked once for all who wait, and going on when they have left."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Questions(Generic[T]):
    """Tasks by subject. Mutable state: `_asking` (those that may be joined), `_tasks` (all of them)."""

    def __init__(self) -> None:
        self._asking: dict[Hashable, asyncio.Task[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def ask(self, subject: Hashable, question: Callable[[], Awaitable[T]], *, join: bool = True) -> "asyncio.Task[T]":
        """Returns the task that asks; one under way is joined, but where an answer begun before now will not do."""
        if join and subject in self._asking:
            return self._asking[subject]
        task = asyncio.ensure_future(_of(question))
        self._tasks.add(task)
        self._asking[subject] = task
        task.add_done_callback(lambda done: self._over(subject, done))
        return task

    async def stop(self) -> None:
        """Ends all questions."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _over(self, subject: Hashable, task: "asyncio.Task[T]") -> None:
        self._tasks.discard(task)
        if self._asking.get(subject) is task:
            del self._asking[subject]
        if not task.cancelled():
            task.exception()  # taken note of: an answer that nobody waits for any more may be a fault


async def _of(question: Callable[[], Awaitable[T]]) -> T:
    return await question()
