"""Addresses of hosts: kept for a while, looked up again when they fail, by a thread of each host's own.

A resolver that hangs holds up that host alone, and not even that where an address is known from before: the loop's own
look-ups share a few threads, which one dead name server would take from all.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FRESH_SECONDS = 30.0
"""Stores give their names lives of 5 to 60 s. Older addresses serve on while new ones are looked up."""
DOUBTED_SECONDS = 2.0
"""For new addresses, where none of those known could be connected to."""
BAD_SECONDS = 60.0
"""An address that failed is tried last for so long."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a socket is made and connected with."""

    family: int
    kind: int
    proto: int
    where: tuple[object, ...]


LookUp = Callable[[str, int], list[Address]]
"""Blocks. Raises OSError."""


def by_system(host: str, port: int, flags: int = 0) -> list[Address]:
    """Looks a name up as the system does (hosts file, DNS); blocks. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:  # a label longer than DNS has
        raise socket.gaierror(socket.EAI_NONAME, f"{host[:80]!r} is no host's name") from error
    return [Address(family, kind, proto, where) for family, kind, proto, _, where in found]


@dataclass(slots=True)
class _Known:
    """Mutable: replaced by a look-up that succeeds. `doubted` when none of them could be connected to."""

    addresses: list[Address]
    at: float
    doubted: bool = False
    bad: dict[Address, float] = field(default_factory=dict)


_Found = list[Address] | OSError


class Names:
    """Mutable state: what is `_known` by host and port, and the look-ups `_asking`, one a host at most."""

    def __init__(self, look_up: LookUp = by_system, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: dict[tuple[str, int], _Known] = {}
        self._asking: dict[tuple[str, int], asyncio.Future[_Found]] = {}

    def __repr__(self) -> str:
        return f"<Names of {len(self._known)} hosts, {len(self._asking)} being looked up>"

    async def of(self, host: str, port: int) -> list[Address]:
        """Returns the addresses to try, in order, those that failed of late at the end; at least one.

        Raises: OSError, where the host has none and none is known from before.
        """
        with contextlib.suppress(socket.gaierror):
            return by_system(host, port, socket.AI_NUMERICHOST)  # an address already: nobody is asked
        known = self._known.get((host, port))
        if known is None:
            found = await asyncio.shield(self._ask(host, port))
            if isinstance(found, OSError):
                raise OSError(*found.args) from found
            return found
        if known.doubted or self._clock() - known.at > FRESH_SECONDS:
            asking = self._ask(host, port)
            if known.doubted:
                await asyncio.wait({asking}, timeout=DOUBTED_SECONDS)
                known = self._known[host, port]
        return self._in_order(known)

    def failed(self, host: str, port: int, address: Address) -> None:
        """An address could not be connected to; where it was the last good one, all are doubted."""
        known = self._known.get((host, port))
        if known is not None:
            now = self._clock()
            known.bad[address] = now + BAD_SECONDS
            known.doubted = all(known.bad.get(one, now) > now for one in known.addresses)

    def worked(self, host: str, port: int, address: Address) -> None:
        """An address was connected to."""
        known = self._known.get((host, port))
        if known is not None and known.bad:
            known.bad.pop(address, None)
            known.doubted = False

    def _in_order(self, known: _Known) -> list[Address]:
        if not known.bad:
            return known.addresses
        now = self._clock()
        return sorted(known.addresses, key=lambda one: known.bad.get(one, now) > now)

    def _ask(self, host: str, port: int) -> "asyncio.Future[_Found]":
        """The look-up under way, begun if there is none."""
        asking = self._asking.get((host, port))
        if asking is None:
            loop = asyncio.get_running_loop()
            asking = self._asking[host, port] = loop.create_future()
            # A thread that hangs must not keep the process from ending.
            threading.Thread(target=self._run, args=(loop, host, port), name=f"name {host}", daemon=True).start()
        return asking

    def _run(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> None:
        found: _Found
        try:
            found = self._look_up(host, port) or OSError(f"{host} has no address")
        except OSError as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(self._found, host, port, found)

    def _found(self, host: str, port: int, found: _Found) -> None:
        asking, known, now = self._asking.pop((host, port)), self._known.get((host, port)), self._clock()
        if not isinstance(found, OSError):
            bad = {} if known is None else {one: until for one, until in known.bad.items() if one in found}
            self._known[host, port] = _Known(found, now, bad=bad)
        elif known is not None:
            known.at = now  # what is known serves on, and is looked up again by and by
        if not asking.done():
            asking.set_result(found)
