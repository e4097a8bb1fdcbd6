"""What the door needs of the parts beneath it: a path's bytes, its metadata and lists, and who asks.

`gateway.files.Files` is the real one.
"""

from dataclasses import dataclass
from typing import Protocol

from namespace.keys import AccessKey
from regioncache.opened import Opened
from regioncache.origins.base import ListPage, Part, Payer
from regioncache.pages import Wanted


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, already authenticated, and who pays."""

    key: AccessKey
    payer: Payer


@dataclass(frozen=True, slots=True)
class ListPath:
    """A list of the paths that begin with `prefix`, strictly after `after`, rolled up at `delimiter` behind `prefix`.

    Keys, prefixes and `next_after` of the page are paths too.
    """

    prefix: str
    after: str = ""
    delimiter: str = ""
    limit: int = 1000


class Files(Protocol):
    """Paths under `/ns`. Grants for single paths are the door's to check; lists show only what the key may see."""

    def open_now(self, caller: Caller, path: str, wanted: Wanted) -> Opened | None:
        """Answers from memory and the kernel's cache alone; None where that is not enough."""
        ...

    async def open(self, caller: Caller, path: str, wanted: Wanted) -> Opened:
        """Opens a read and waits for its first piece."""
        ...

    async def stat(self, caller: Caller, path: str, *, newest: bool = False, checksums: bool = False) -> Opened:
        """What is known of the object; no bytes. `newest`: asked anew, unless the mount's objects never change.

        `checksums`: asked anew where those that the object was stored with are not known.
        """
        ...

    async def part(self, caller: Caller, path: str, number: int, *, newest: bool = False) -> tuple[Opened, Part | None]:
        """What is known of the object, and where its part `number` lies; None: it was uploaded whole, and 1 is all."""
        ...

    async def list(self, caller: Caller, ask: ListPath) -> ListPage:
        """One page of a list."""
        ...
