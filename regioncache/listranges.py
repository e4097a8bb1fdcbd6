"""Which pages of one list have a key in their range, whatever their lengths and wherever they begin.

Pages overlap: clients ask from the beginning of a list for one key and for a thousand, and from any key on. All keys
in order are cut where a page begins or ends; each piece knows the pages over it, so that a key is found by a bisection.
"""

from bisect import bisect_left
from typing import NamedTuple

from namespace.paths import KEY_BYTES

END = "\U0010ffff" * (KEY_BYTES // 4 + 1)
"""Behind every key."""


class PageName(NamedTuple):
    """Of a page within its list: where it begins (strictly after `after`), and how many keys were asked for."""

    after: str
    limit: int


class Ranges:
    """Mutable state: `_cuts`, in order, and for each the pages over the keys behind it up to the next cut, itself
    included; what lies behind the last cut is covered by none."""

    def __init__(self) -> None:
        self._cuts: list[str] = []
        self._over: list[tuple[PageName, ...]] = []

    def __bool__(self) -> bool:
        return bool(self._cuts)

    def __repr__(self) -> str:
        return f"<Ranges {list(zip(self._cuts, self._over, strict=True))!r}>"

    def find(self, key: str) -> tuple[PageName, ...]:
        """The pages whose range has the key, in the order in which they were added."""
        at = bisect_left(self._cuts, key) - 1
        return self._over[at] if at >= 0 else ()

    def add(self, page: PageName, upto: str | None) -> None:
        """Adds a page that is not here, whose range ends with the key `upto` (None: with the list)."""
        last = END if upto is None else upto
        if page.after < last:
            first = self._cut(page.after)
            for at in range(first, self._cut(last)):
                self._over[at] += (page,)

    def remove(self, page: PageName, upto: str | None) -> None:
        """Removes a page that was added with this end."""
        last = END if upto is None else upto
        if page.after < last:
            begin, end = bisect_left(self._cuts, page.after), bisect_left(self._cuts, last)
            for at in range(begin, end):
                self._over[at] = tuple(one for one in self._over[at] if one != page)
            self._heal(end)
            self._heal(begin)

    def _cut(self, key: str) -> int:
        at = bisect_left(self._cuts, key)
        if at == len(self._cuts) or self._cuts[at] != key:
            self._cuts.insert(at, key)
            self._over.insert(at, self._over[at - 1] if at else ())
        return at

    def _heal(self, at: int) -> None:
        """Takes a cut away that parts nothing any more."""
        if self._over[at] == (self._over[at - 1] if at else ()):
            del self._cuts[at], self._over[at]
