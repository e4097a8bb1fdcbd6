"""How entries are to be kept: entries under the same rules are one group, whose bytes are counted together. A core.

Each entry carries its group's number. What a group means (pinned, ttl, quota, priority) stands here alone, so that a
change of it is immediate, whatever the number of entries.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from regioncache.pages import ObjectId

Priority = Literal["low", "normal", "high"]
PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high")
"""In the order in which entries of the same age leave."""
MOST_GROUPS = 65_535
"""An entry's group number has two bytes, and the last number means that it is unknown."""
PLAIN_NUMBER = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """Bytes that all groups naming the account may have together, over all cache paths of a process."""

    account: str
    nbytes: int

    def __post_init__(self) -> None:
        if self.nbytes <= 0:
            raise ValueError(f"account {self.account!r} has a quota of {self.nbytes} bytes; give it more than none")


@dataclass(frozen=True, slots=True)
class Keep:
    """How the entries of one group are kept."""

    name: str = ""
    """Which group it is, over restarts too; the same name may mean something else later. Empty: under no rule."""
    pinned: bool = False
    """Its entries are neither evicted nor expire; a newer version still takes their place."""
    ttl: float | None = None
    """Seconds since an entry was last brought, after which it goes; None: never."""
    quota: Quota | None = None
    priority: Priority = "normal"

    def __post_init__(self) -> None:
        if self.ttl is not None and not self.ttl > 0:
            raise ValueError(f"group {self.name!r} has a ttl of {self.ttl} s; give it more than none")
        if not self.name and (self.pinned or self.ttl or self.quota or self.priority != "normal"):
            raise ValueError("the group without a name is under no rule; name one that sets anything")


PLAIN = Keep()
"""Under no rule."""


class Grouping(Protocol):
    """Says of every object how it is to be kept: the policy, the mounts and the pins as they are now.

    Called on the event loop, at each admission and once for each entry when it changed: some microseconds at most.
    """

    @property
    def digest(self) -> str:
        """Of all that the names given depend on: where two have the same, they name the same group for each object.

        Empty: it names no group but the plain one. What a name means (`named`) is no part of it.
        """
        ...

    @property
    def pins(self) -> bool:
        """Whether it may pin anything."""
        ...

    def keep_of(self, oid: ObjectId) -> Keep:
        """How the object is to be kept."""
        ...

    def named(self, name: str) -> Keep | None:
        """What the name of a group means now; None: no object is in such a group any more."""
        ...


class Ungrouped:
    """The grouping without rules."""

    digest = ""
    pins = False

    def keep_of(self, oid: ObjectId) -> Keep:
        """See `Grouping`."""
        return PLAIN

    def named(self, name: str) -> Keep | None:
        """See `Grouping`."""
        return None if name else PLAIN


@dataclass(frozen=True, slots=True)
class GroupUse:
    """What a group has: bytes on disk and entries (extents and packed objects)."""

    keep: Keep
    nbytes: int
    entries: int


@dataclass(slots=True)
class Account:
    """What the groups under one quota have together. `coming`: bytes that were let in and are not entered yet."""

    name: str
    limit: int
    used: int = 0
    coming: int = 0

    def over(self, nbytes: int) -> int:
        """How many bytes must leave for `nbytes` more; none where it is not above 0."""
        return self.used + self.coming + nbytes - self.limit


class Groups:
    """Mutable state: the groups by number and by name, their bytes and entries, the accounts."""

    __slots__ = (
        "_accounts",
        "_by_number",
        "_limit",
        "_numbers",
        "account_of",
        "entries",
        "heard",
        "keeps",
        "ttls",
        "used",
    )

    def __init__(self, limit: int = MOST_GROUPS) -> None:
        """Args: limit: most groups at once; beyond, what is new is kept as under no rule."""
        self._limit = limit
        self._numbers: dict[str, int] = {"": PLAIN_NUMBER}
        self._accounts: dict[str, Account] = {}
        self.keeps: list[Keep] = [PLAIN]
        """By number, as the following."""
        self.used: list[int] = [0]
        self.entries: list[int] = [0]
        self.account_of: list[Account | None] = [None]
        self.ttls: list[float | None] = [None]
        self.heard: list[Callable[[int], None]] = []
        """Told of each group that means something else than before."""

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        pinned = sum(keep.pinned for keep in self.keeps)
        return f"Groups({len(self._numbers)} groups, {pinned} pinned, {len(self._accounts)} accounts)"

    @property
    def pinned_bytes(self) -> int:
        """Bytes on disk of all pinned groups."""
        return sum(used for used, keep in zip(self.used, self.keeps, strict=True) if keep.pinned)

    def __iter__(self) -> Iterator[GroupUse]:
        """What each group has."""
        for number in self._numbers.values():
            yield GroupUse(self.keeps[number], self.used[number], self.entries[number])

    def accounts(self) -> list[Account]:
        """Those that a group names."""
        return list(self._accounts.values())

    def number(self, keep: Keep) -> int | None:
        """Returns the group's number; the group is made where it is new, and changed where it meant something else.

        None: there are as many groups as can be, and each has entries.
        """
        number = self._numbers.get(keep.name)
        if number is None:
            number = self._vacant()
            if number is None:
                return None
            self.place(number, keep)
        elif self.keeps[number] != keep:
            self._mean(number, keep)
        return number

    def find(self, name: str) -> int | None:
        """The number of the group of that name, if there is one."""
        return self._numbers.get(name)

    def numbers(self) -> list[int]:
        """Those of all groups."""
        return list(self._numbers.values())

    def members(self, account: Account) -> list[int]:
        """The groups under the account."""
        return [number for number in self._numbers.values() if self.account_of[number] is account]

    def place(self, number: int, keep: Keep) -> None:
        """Gives a number to a group that has none: at the start, the one it had before."""
        missing = number + 1 - len(self.keeps)
        if missing > 0:
            self.keeps.extend([PLAIN] * missing)
            self.account_of.extend([None] * missing)
            for counts in (self.used, self.entries):
                counts.extend([0] * missing)
            self.ttls.extend([None] * missing)
        if self._numbers.get(self.keeps[number].name) == number:
            del self._numbers[self.keeps[number].name]
        self._numbers[keep.name] = number
        self._mean(number, keep)

    def forget(self, number: int) -> None:
        """An empty group that nothing will be put into any more."""
        if number != PLAIN_NUMBER and not self.entries[number]:
            del self._numbers[self.keeps[number].name]
            self._mean(number, PLAIN)

    def charge(self, number: int, nbytes: int, entries: int) -> None:
        """The group has so many more bytes and entries, or fewer where negative."""
        self.used[number] += nbytes
        self.entries[number] += entries
        account = self.account_of[number]
        if account is not None:
            account.used += nbytes

    def _mean(self, number: int, keep: Keep) -> None:
        before, quota = self.account_of[number], keep.quota
        self.keeps[number] = keep
        self.ttls[number] = None if keep.pinned else keep.ttl
        account = None if quota is None else self._account(quota)
        if account is not before:
            self.account_of[number] = account
            if account is not None:
                account.used += self.used[number]
            if before is not None:
                before.used -= self.used[number]
                if not self.members(before):
                    del self._accounts[before.name]
        for hear in self.heard:
            hear(number)

    def _account(self, quota: Quota) -> Account:
        account = self._accounts.setdefault(quota.account, Account(quota.account, quota.nbytes))
        account.limit = quota.nbytes
        return account

    def _vacant(self) -> int | None:
        """A number never given, or else one whose group has nothing: only then are numbers given again."""
        if len(self.keeps) < self._limit:
            return len(self.keeps)
        empty = (number for number, entries in enumerate(self.entries) if number and not entries)
        return next(empty, None)
