"""Names of hosts: addresses that change are found, dead ones passed by; a resolver that hangs holds up nobody else."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator

import pytest

from regioncache.http.client import Ask, Base, Client
from regioncache.http.faults import ConnectFailed
from regioncache.http.limits import ClientLimits
from regioncache.http.messages import Reply, Request
from regioncache.http.names import BAD_SECONDS, FRESH_SECONDS, Address, Names
from regioncache.http.server import Server
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.anyio


def address(where: str, port: int = 80) -> Address:
    return Address(socket.AF_INET, socket.SOCK_STREAM, 0, (where, port))


ONE, TWO, THREE = (address(f"192.0.2.{n}") for n in (1, 2, 3))


class Resolver:
    """Answers what the test says; a host in `hangs` is not answered until it is let."""

    def __init__(self, **known: list[Address]) -> None:
        self.known = known
        self.asked: list[str] = []
        self.hangs: dict[str, threading.Event] = {}
        self.threads: set[int] = set()

    def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        self.threads.add(threading.get_ident())
        if host in self.hangs:
            self.hangs[host].wait()
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "no such host")
        return self.known[host]


async def until_asked(resolver: Resolver, names: Names, times: int) -> None:
    """Waits until so many look-ups are over."""
    while len(resolver.asked) < times or " 0 being looked up" not in repr(names):
        await asyncio.sleep(0.001)


async def test_a_name_is_looked_up_on_a_thread_once_for_all_who_wait() -> None:
    resolver = Resolver(store=[ONE])
    names = Names(resolver)

    assert await asyncio.gather(*(names.of("store", 80) for _ in range(50))) == [[ONE]] * 50

    assert resolver.asked == ["store"]
    assert threading.get_ident() not in resolver.threads


async def test_an_address_is_no_name_and_nobody_is_asked() -> None:
    resolver = Resolver()
    names = Names(resolver)

    assert [one.where[0] for one in await names.of("127.0.0.1", 80)] == ["127.0.0.1"]
    assert [one.where[0] for one in await names.of("::1", 80)] == ["::1"]
    assert resolver.asked == []


async def test_a_resolver_that_hangs_for_one_host_holds_up_no_other() -> None:
    resolver = Resolver(**{f"host{n}": [ONE] for n in range(40)}, store=[TWO])
    resolver.hangs = {f"host{n}": threading.Event() for n in range(40)}
    names = Names(resolver)
    hanging = [asyncio.create_task(names.of(f"host{n}", 80)) for n in range(40)]

    assert await names.of("store", 80) == [TWO]

    for event in resolver.hangs.values():
        event.set()
    assert await asyncio.gather(*hanging) == [[ONE]] * 40


async def test_after_a_while_new_addresses_are_looked_up_while_the_old_ones_serve() -> None:
    clock, resolver = FakeClock(), Resolver(store=[ONE])
    names = Names(resolver, clock)
    await names.of("store", 80)
    resolver.known["store"] = [TWO]
    resolver.hangs["store"] = threading.Event()
    clock.advance(FRESH_SECONDS + 1)

    assert await names.of("store", 80) == [ONE]

    resolver.hangs["store"].set()
    await until_asked(resolver, names, 2)
    assert await names.of("store", 80) == [TWO]


async def test_addresses_that_all_failed_are_looked_up_at_once() -> None:
    resolver = Resolver(store=[ONE, TWO])
    names = Names(resolver, FakeClock())
    await names.of("store", 80)
    resolver.known["store"] = [THREE]

    names.failed("store", 80, ONE)
    assert await names.of("store", 80) == [TWO, ONE]
    names.failed("store", 80, TWO)

    assert await names.of("store", 80) == [THREE]


async def test_an_address_that_failed_comes_last_for_a_while_and_first_again_after_it() -> None:
    clock, resolver = FakeClock(), Resolver(store=[ONE, TWO])
    names = Names(resolver, clock)
    await names.of("store", 80)

    names.failed("store", 80, ONE)
    assert await names.of("store", 80) == [TWO, ONE]
    clock.advance(BAD_SECONDS + 1)
    await names.of("store", 80)
    await until_asked(resolver, names, 2)

    assert await names.of("store", 80) == [ONE, TWO]


async def test_where_the_resolver_is_away_what_is_known_serves_on() -> None:
    clock, resolver = FakeClock(), Resolver(store=[ONE])
    names = Names(resolver, clock)
    await names.of("store", 80)
    del resolver.known["store"]
    clock.advance(FRESH_SECONDS + 1)

    for _ in range(3):
        assert await names.of("store", 80) == [ONE]

    await until_asked(resolver, names, 2)
    assert await names.of("store", 80) == [ONE]


@pytest.mark.parametrize("host", ["nowhere", "a" * 300])
async def test_a_host_that_is_unknown_is_told_to_everyone_and_asked_again_the_next_time(host: str) -> None:
    resolver = Resolver()
    names = Names(resolver)
    for _ in range(2):
        told = await asyncio.gather(*(names.of(host, 80) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(one, OSError) for one in told)

    assert resolver.asked == [host] * 2


# With real sockets.


def hello(request: Request) -> Reply:
    return Reply(200, body=b"hello")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = Server(hello)
    _, port = await server.listen(("127.0.0.1", 0))
    yield port
    await server.stop(0.0)


async def test_every_address_is_tried_and_a_dead_one_only_once(port: int) -> None:
    dead, alive = address("127.0.0.2", port), address("127.0.0.1", port)
    resolver = Resolver(store=[dead, alive])
    names = Names(resolver)
    client = Client(names=names)

    answer = await client.request(Ask(Base("http", "store", port), b"GET", b"/"))

    assert await answer.body(10) == b"hello"
    assert await names.of("store", port) == [alive, dead]
    client.close()


async def test_a_store_that_has_moved_is_found_at_its_new_address(port: int) -> None:
    resolver = Resolver(store=[address("127.0.0.2", port)])
    client = Client(names=Names(resolver))
    ask = Ask(Base("http", "store", port), b"GET", b"/")
    with pytest.raises(ConnectFailed):
        await client.request(ask)
    resolver.known["store"] = [address("127.0.0.1", port)]

    answer = await client.request(ask)

    assert await answer.body(10) == b"hello"
    client.close()


async def test_a_host_whose_name_hangs_takes_no_turn_of_another_host(port: int) -> None:
    resolver = Resolver(store=[address("127.0.0.1", port)], other=[])
    resolver.hangs["other"] = threading.Event()
    client = Client(ClientLimits(connections=2), names=Names(resolver))
    stuck = [asyncio.create_task(client.request(Ask(Base("http", "other", port), b"GET", b"/"))) for _ in range(10)]
    await asyncio.sleep(0)

    answer = await client.request(Ask(Base("http", "store", port), b"GET", b"/"))

    assert await answer.body(10) == b"hello"
    resolver.hangs["other"].set()
    assert all(isinstance(one, ConnectFailed) for one in await asyncio.gather(*stuck, return_exceptions=True))
    client.close()
