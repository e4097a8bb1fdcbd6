"""Credentials by reference: either form is read, and no message tells what was in it."""

import asyncio
import threading
from pathlib import Path

import pytest

from regioncache.http.sigv4 import Credentials
from regioncache.origins.credentials import (
    REFUSED_SECONDS,
    REREAD_SECONDS,
    SURE_SECONDS,
    NoCredentials,
    Renewed,
    from_env,
    from_file,
    of_role,
    parse,
    unsigned,
)
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("KEY:sec:ret\n", Credentials("KEY", "sec:ret")),
        ('{"access_key": "KEY", "secret_key": "s"}', Credentials("KEY", "s")),
        ('{"access_key": "KEY", "secret_key": "s", "session_token": "t"}', Credentials("KEY", "s", "t")),
    ],
)
def test_either_form_is_read(text: str, found: Credentials) -> None:
    assert parse(text, "here") == found


@pytest.mark.parametrize(
    "text",
    ["", "KEY", ":secret", "KEY:", "{", "[]", '{"access_key": "KEY-hush"}', '{"access_key": 5, "secret_key": "hush"}'],
)
def test_what_is_neither_is_refused_by_the_name_of_its_place_alone(text: str) -> None:
    with pytest.raises(NoCredentials, match="the file x") as told:
        parse(text, "the file x")

    assert "hush" not in str(told.value)


async def test_an_environment_variable_is_read_once_it_is_named() -> None:
    assert await from_env("B", {"B": "KEY:s"})() == Credentials("KEY", "s")
    with pytest.raises(NoCredentials, match="B is not set"):
        from_env("B", {})


async def test_a_file_is_read_again_after_a_while(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "key"
    file.write_text("KEY:one")
    current = from_file(file, clock)
    file.write_text("KEY:two")
    assert await current() == Credentials("KEY", "one")

    clock.advance(REREAD_SECONDS + 1)

    assert await current() == Credentials("KEY", "two")


async def test_a_file_that_is_half_written_when_it_is_read_again_changes_nothing(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "key"
    file.write_text("KEY:one")
    current = from_file(file, clock)
    for broken in ("", None):
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        clock.advance(REREAD_SECONDS + 1)
        assert await current() == Credentials("KEY", "one")

    file.write_text("KEY:two")
    clock.advance(REREAD_SECONDS + 1)
    assert await current() == Credentials("KEY", "two")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoCredentials, match="cannot be read"):
        from_file(tmp_path / "nowhere")


async def test_an_open_bucket_has_none() -> None:
    assert await unsigned() is None


class Service:
    """A metadata service that gives numbered credentials, when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.at_once = 0
        self.most_at_once = 0
        self.away = False
        self.threads: set[int] = set()
        self.let = threading.Event()
        self.let.set()

    def ask(self) -> Credentials:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.threads.add(threading.get_ident())
        self.let.wait()
        self.at_once -= 1
        if self.away:
            raise NoCredentials("nobody is there")
        return Credentials("KEY", f"{self.asked}")


async def until_asked(service: Service, times: int) -> None:
    while service.asked < times or service.at_once:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)


async def test_a_role_is_asked_on_a_thread_once_for_all_who_wait() -> None:
    service = Service()
    service.let.clear()
    current = Renewed(service.ask, FakeClock())
    waiting = [asyncio.create_task(current()) for _ in range(20)]
    while not service.asked:
        await asyncio.sleep(0.001)
    service.let.set()

    assert set(await asyncio.gather(*waiting)) == {Credentials("KEY", "1")}

    assert service.asked == 1
    assert threading.get_ident() not in service.threads


async def test_those_held_serve_while_new_ones_are_asked_for() -> None:
    clock, service = FakeClock(), Service()
    current = Renewed(service.ask, clock)
    await current()
    service.let.clear()
    clock.advance(REREAD_SECONDS + 1)

    for _ in range(5):
        assert await current() == Credentials("KEY", "1")

    service.let.set()
    await until_asked(service, 2)
    while await current() != Credentials("KEY", "2"):
        await asyncio.sleep(0.001)
    assert (service.asked, service.most_at_once) == (2, 1)


async def test_after_a_long_silence_new_ones_are_waited_for_since_the_old_may_have_ended() -> None:
    clock, service = FakeClock(), Service()
    current = Renewed(service.ask, clock)
    await current()
    clock.advance(SURE_SECONDS + 1)

    assert await current() == Credentials("KEY", "2")


async def test_where_none_are_to_be_had_the_old_go_on_and_the_service_is_left_alone_for_a_while() -> None:
    clock, service = FakeClock(), Service()
    current = Renewed(service.ask, clock)
    await current()
    service.away = True
    clock.advance(SURE_SECONDS + 1)

    for _ in range(5):
        assert await current() == Credentials("KEY", "1")
    assert service.asked == 2

    service.away = False
    clock.advance(REREAD_SECONDS + 1)
    assert await current() == Credentials("KEY", "3")


async def test_a_role_that_never_gave_any_is_told_and_asked_again() -> None:
    service = Service()
    service.away = True
    current = Renewed(service.ask, FakeClock())
    for _ in range(2):
        with pytest.raises(NoCredentials, match="nobody is there"):
            await current()

    service.away = False

    assert await current() == Credentials("KEY", "3")


async def test_who_gives_up_waiting_leaves_the_question_to_the_others() -> None:
    service = Service()
    service.let.clear()
    current = Renewed(service.ask, FakeClock())
    first, second = asyncio.create_task(current()), asyncio.create_task(current())
    while not service.asked:
        await asyncio.sleep(0.001)
    first.cancel()
    await asyncio.wait({first})
    service.let.set()

    assert await second == Credentials("KEY", "1")
    assert service.asked == 1


async def test_the_machines_own_credentials_are_those_that_boto3_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "KEY"), ("SECRET_ACCESS_KEY", "s"), ("SESSION_TOKEN", "t")):
        monkeypatch.setenv(f"AWS_{name}", value)

    assert await of_role()() == Credentials("KEY", "s", "t")


# Refused by the store.


async def test_a_file_is_read_at_once_when_what_it_held_is_refused(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "key"
    file.write_text("KEY:one")
    current = from_file(file, clock)
    file.write_text("KEY:two")
    clock.advance(REFUSED_SECONDS + 1)

    assert await current(Credentials("KEY", "one")) == Credentials("KEY", "two")


async def test_who_was_refused_with_older_ones_gets_those_that_others_have_found(tmp_path: Path) -> None:
    clock, service = FakeClock(), Service()
    current = Renewed(service.ask, clock)
    first = await current()
    clock.advance(REFUSED_SECONDS + 1)
    assert await current(first) == Credentials("KEY", "2")

    assert await current(first) == Credentials("KEY", "2")
    assert service.asked == 2


async def test_a_hundred_who_were_refused_at_once_ask_once() -> None:
    clock, service, forgotten = FakeClock(), Service(), [0]

    def forget() -> None:
        forgotten[0] += 1

    current = Renewed(service.ask, clock, forget)
    refused = await current()
    clock.advance(REFUSED_SECONDS + 1)
    service.let.clear()
    waiting = [asyncio.create_task(current(refused)) for _ in range(100)]
    while service.asked < 2:
        await asyncio.sleep(0.001)
    service.let.set()

    assert set(await asyncio.gather(*waiting)) == {Credentials("KEY", "2")}
    assert (service.asked, forgotten) == (2, [1])


async def test_those_that_were_refused_go_on_where_no_others_are_to_be_had() -> None:
    clock, service = FakeClock(), Service()
    current = Renewed(service.ask, clock)
    refused = await current()
    service.away = True
    clock.advance(REFUSED_SECONDS + 1)

    for _ in range(10):
        assert await current(refused) == refused

    assert service.asked == 2
