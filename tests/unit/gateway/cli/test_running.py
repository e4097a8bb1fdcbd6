"""A node's life: one line when it is ready, a stop in good order, an exit code that says why."""

import asyncio
import gc
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.admin.answers import Status
from gateway.admin.token import TokenUnusable
from gateway.applying import File
from gateway.cli.faults import CommandFault
from gateway.cli.running import REPLACED, Start, Stop, allow_files, run
from gateway.config import NodeSettings, parse
from namespace.references import SecretUnreadable
from namespace.store.embedded import EmbeddedStore
from tests.fakes.operations import FakeOperations

TOPOLOGY = File("t.yaml", "regions: {a: {}, b: {}}\nlines: {a-b: {between: [a, b], capacity: 1Gbps}}\n")
POLICY = File("p.yaml", "lines: {a-b: {quota: 500Mbps}}\n")


class Signalled(FakeOperations):
    """Gets a signal as soon as it is asked for its status, which the ready line does last."""

    number = signal.SIGTERM

    def status(self) -> Status:
        os.kill(os.getpid(), self.number)
        return super().status()


class FakeRunning:
    """A node that counts its stops; while it stops, more signals may come."""

    def __init__(self, operations: FakeOperations, during_stop: signal.Signals | None = None) -> None:
        self.operations = operations
        self.stops = 0
        self.cut = False
        self._during_stop = during_stop

        self.why: str | None = None

    async def given_up(self) -> str:
        return await asyncio.Future() if self.why is None else self.why

    async def stop(self) -> None:

        self.stops += 1
        if self._during_stop is not None:
            os.kill(os.getpid(), self._during_stop)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cut = True
                raise


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "namespace.db")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What `run` takes out of the collector's sight is put back."""
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Signals come through, also where the tests run under nohup or behind a shell that has them ignored."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGTERM)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def settings(tmp_path: Path) -> NodeSettings:
    return parse("region: a\nnode: n1\ncache: {paths: [c]}\n", "node.yaml", tmp_path)


def started(node: FakeRunning) -> Start:
    async def start(_settings: NodeSettings) -> FakeRunning:
        return node

    return start


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)])
def test_a_signal_stops_the_node_and_is_the_exit_code(
    store: EmbeddedStore, settings: NodeSettings, number: signal.Signals, code: int
) -> None:
    operations = Signalled(store)
    operations.number = number
    node = FakeRunning(operations)

    assert run(started(node), settings, ()) == code

    assert node.stops == 1


def test_a_node_whose_name_was_taken_stops_and_says_so_by_its_exit_code(
    store: EmbeddedStore, settings: NodeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    node = FakeRunning(FakeOperations(store))
    node.why = "another process registered as member n1"

    assert run(started(node), settings, ()) == REPLACED == 3

    assert node.stops == 1
    assert capsys.readouterr().err == "causeway: another process registered as member n1\n"


def test_under_nohup_a_terminal_that_goes_stops_nothing(store: EmbeddedStore, settings: NodeSettings) -> None:
    class HungUp(Signalled):
        def status(self) -> Status:
            os.kill(os.getpid(), signal.SIGHUP)
            return super().status()

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        node = FakeRunning(HungUp(store))
        code = run(started(node), settings, ())
    finally:
        signal.signal(signal.SIGHUP, before)

    assert (code, node.stops) == (0, 1)


def test_a_second_signal_cuts_the_stop_short(store: EmbeddedStore, settings: NodeSettings) -> None:
    node = FakeRunning(Signalled(store), during_stop=signal.SIGTERM)

    assert run(started(node), settings, ()) == 0

    assert node.cut


@pytest.mark.anyio
async def test_a_terminal_that_goes_hangs_up_twice_and_cuts_nothing() -> None:
    stop = Stop()
    stop.signalled(signal.SIGHUP)
    stop.cut = asyncio.ensure_future(stop.asked.wait())

    stop.signalled(signal.SIGHUP)
    assert not stop.cut.cancelling()

    stop.signalled(signal.SIGTERM)
    assert stop.cut.cancelling()


def test_a_signal_before_the_node_stands_ends_its_start(settings: NodeSettings) -> None:

    ended = []

    async def start(_settings: NodeSettings) -> FakeRunning:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        raise AssertionError

    assert run(start, settings, ()) == 0

    assert ended == [True]


def test_one_line_says_where_it_listens_and_what_it_waits_for(
    store: EmbeddedStore, settings: NodeSettings, capfd: pytest.CaptureFixture[str]
) -> None:
    run(started(FakeRunning(Signalled(store))), settings, ())

    assert capfd.readouterr().out == (
        "causeway: node n1 of a is up and waits for its first `causeway apply TOPOLOGY POLICY`: "
        "s3 http://127.0.0.1:9000\n"
    )


def test_what_the_start_made_is_not_looked_at_by_the_collector_again(
    store: EmbeddedStore, settings: NodeSettings
) -> None:
    aside = gc.get_freeze_count()

    run(started(FakeRunning(Signalled(store))), settings, ())

    assert gc.get_freeze_count() > aside


def test_the_first_start_applies_the_files_given(
    store: EmbeddedStore, settings: NodeSettings, capfd: pytest.CaptureFixture[str]
) -> None:
    run(started(FakeRunning(Signalled(store))), settings, (TOPOLOGY, POLICY))

    assert store.revision() == 1
    assert store.history()[0].author == "first start"
    assert "is ready, revision 1: s3 http://127.0.0.1:9000" in capfd.readouterr().out


def test_a_later_start_keeps_what_is_in_force(store: EmbeddedStore, settings: NodeSettings) -> None:
    run(started(FakeRunning(Signalled(store))), settings, (TOPOLOGY, POLICY))

    run(started(FakeRunning(Signalled(store))), settings, (TOPOLOGY,))

    assert store.revision() == 1


def test_faulty_first_files_stop_the_node_again(store: EmbeddedStore, settings: NodeSettings) -> None:
    node = FakeRunning(FakeOperations(store))

    with pytest.raises(CommandFault, match=r"t.yaml:1:\d+: regions"):
        run(started(node), settings, (File("t.yaml", "regions: {a: {parent: moon}}\n"),))

    assert node.stops == 1


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError(98, "Address already in use"), "node n1 cannot start: Address already in use"),
        (TokenUnusable("token file x is open to other users; chmod 600 x"), "chmod 600 x"),
        (SecretUnreadable("environment variable S is not set"), "environment variable S is not set"),
    ],
)
def test_a_start_that_fails_says_why(settings: NodeSettings, fault: Exception, told: str) -> None:
    async def start(_settings: NodeSettings) -> FakeRunning:
        raise fault

    with pytest.raises(CommandFault, match=told):
        run(start, settings, ())


def test_a_fault_of_ours_keeps_its_traceback(settings: NodeSettings) -> None:
    async def start(_settings: NodeSettings) -> FakeRunning:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(start, settings, ())


def test_a_node_may_open_more_files_than_a_shell_begins_with() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, before[1]), before[1]))
    try:
        allow_files()

        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(65_536, before[1]), before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
