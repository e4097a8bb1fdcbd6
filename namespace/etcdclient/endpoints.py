"""Which server is asked next: the one that answered last, then the others in turn, those that failed last of all."""


class Endpoints:
    """The servers of one cluster, by index. A core: told the time, opens nothing."""

    def __init__(self, count: int, first: int = 0, rest_seconds: float = 5.0) -> None:
        """Args:
        count: of servers.
        first: the one to begin with; members of a region that begin with different ones share the load.
        rest_seconds: how long a server that failed is asked after all others.
        """
        self.preferred = first % count
        self._count = count
        self._rest_seconds = rest_seconds
        self._failed_at: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"Endpoints({self.preferred} of {self._count}, {sorted(self._failed_at)} failed)"

    def order(self, now: float) -> list[int]:
        """Returns all servers in the order to ask them."""
        turn = [(self.preferred + step) % self._count for step in range(self._count)]
        return sorted(turn, key=lambda index: self._rank(index, now))

    def answered(self, index: int) -> None:
        """Notes that a server did what it was asked, and stays with it."""
        self._failed_at.pop(index, None)
        self.preferred = index

    def failed(self, index: int, now: float) -> None:
        """Notes that a server did not answer, and turns to the next."""
        self._failed_at[index] = now
        if index == self.preferred:
            self.preferred = self.order(now)[0]

    def _rank(self, index: int, now: float) -> float:
        """0 for those that may be asked; of those that failed lately, the one that failed longest ago first."""
        failed_at = self._failed_at.get(index)
        if failed_at is None or now - failed_at >= self._rest_seconds:
            return 0.0
        return self._rest_seconds - (now - failed_at)
