"""The files kept open, a bounded number: the one longest unused goes first (second chance, no reordering)."""

from typing import Generic, Protocol, TypeVar


class _Touched(Protocol):
    touched: bool


V = TypeVar("V", bound=_Touched)


class OpenTable(Generic[V]):
    """Open files by number. Whoever reads through one sets its `touched`; closing is the file's own affair."""

    __slots__ = ("_files", "_limit")

    def __init__(self, limit: int) -> None:
        self._files: dict[int, V] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"OpenTable({len(self._files)} of {self._limit})"

    def get(self, number: int) -> V | None:
        """The file if it is open."""
        return self._files.get(number)

    def put(self, number: int, file: V) -> V | None:
        """Takes a file in; returns the one that is let go for it, if any."""
        self._files[number] = file
        file.touched = True
        if len(self._files) <= self._limit:
            return None
        while True:
            oldest = next(iter(self._files))
            candidate = self._files.pop(oldest)
            if not candidate.touched:
                return candidate
            candidate.touched = False
            self._files[oldest] = candidate

    def pop(self, number: int) -> V | None:
        """Takes a file out."""
        return self._files.pop(number, None)

    def clear(self) -> list[V]:
        """Takes all out."""
        files = list(self._files.values())
        self._files.clear()
        return files
