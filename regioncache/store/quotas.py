"""Room within a quota: an account that is full gives of its own, whichever paths that lies on."""

import asyncio

from regioncache.store.cachepath import CachePath
from regioncache.store.groups import Account, Groups

_ROUNDS = 256
"""Most rounds of eviction for one admission, as for the room of a path."""


class Quotas:
    """Mutable state: a lock by account, so that of two who want its last bytes one waits."""

    def __init__(self, paths: list[CachePath], groups: Groups) -> None:
        self._paths = paths
        self._groups = groups
        self._locks: dict[str, asyncio.Lock] = {}

    def __repr__(self) -> str:
        return f"Quotas({self._groups!r})"

    async def room(self, account: Account | None, nbytes: int) -> bool:
        """Makes room within the account and lets the bytes in: its `coming` counts them until they are entered.

        False: it cannot have so many, or all it has is pinned or on its way.
        """
        if account is None:
            return True
        if nbytes > account.limit:
            return False
        lock = self._locks.setdefault(account.name, asyncio.Lock())
        async with lock:
            for _ in range(_ROUNDS):
                short = account.over(nbytes) - self._absent(account)
                if short <= 0:
                    account.coming += nbytes
                    return True
                if not await self._evict(account, short):
                    break
        return False

    async def trim(self) -> None:
        """Lets each account give what it has above its quota, which may have been lowered."""
        for account in self._groups.accounts():
            for _ in range(_ROUNDS):
                short = account.used - self._absent(account) - account.limit
                if short <= 0 or not await self._evict(account, short):
                    break

    def _absent(self, account: Account) -> int:
        """Bytes of it that nobody can have now: their paths are out, and may come back with them."""
        out = [path for path in self._paths if path.disk.out is not None]
        return sum(path.fifo.used_by(self._groups.members(account)) for path in out) if out else 0

    async def _evict(self, account: Account, short: int) -> bool:
        members = self._groups.members(account)
        paths = [path for path in self._paths if path.disk.out is None]
        # Where it has most it has the oldest too: entries are spread over the paths by chance.
        for path in sorted(paths, key=lambda path: -path.fifo.used_by(members)):
            if await path.leaving.some(short, members, "quota"):
                return True
        return False
