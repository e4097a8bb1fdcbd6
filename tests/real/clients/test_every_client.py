"""Every client reads unchanged: over http and https, in path style and, where it can, in virtual-host style.

A client's process does all that it can at every door, once; each test here judges one thing of what it saw. What was
right becomes `docs/clients.md`.
"""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.real.clients.asking import Saw, ask
from tests.real.clients.client import Client
from tests.real.clients.register import CLIENTS, NOT_HAD
from tests.real.clients.stage import SCHEMES, Stage, stage
from tests.real.clients.table import DOCUMENT, Cell, document

# A client does all it does within one test, and the machine may be busy.
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def at_every_door(operation: str) -> pytest.MarkDecorator:
    """The operation of each client that has it, for each scheme and style."""
    cells = [
        pytest.param(client, Cell(client.name, style, operation, scheme), id=f"{client.name}-{scheme}-{style}")
        for client in CLIENTS
        if operation in client.operations
        for scheme in SCHEMES
        for style in client.styles
    ]
    return pytest.mark.parametrize(("client", "cell"), cells)


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("clients")) as running:
        yield running


@pytest.fixture(scope="module")
def proven() -> set[Cell]:
    """The cells that this run has shown to be right."""
    return set()


@pytest.fixture(scope="module")
def asked(on: Stage, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Client], Saw]:
    """What a client saw; it is asked once."""
    seen: dict[str, Saw] = {}

    def saw(client: Client) -> Saw:
        command = client.command()
        if command is None:
            pytest.skip(f"{client.name} is missing or of another version: `scripts/setup.sh clients` brings it")
        if client.name not in seen:
            seen[client.name] = ask(client, command, on, tmp_path_factory.mktemp(client.name))
        return seen[client.name]

    return saw


@pytest.fixture
def judge(asked: Callable[[Client], Saw], proven: set[Cell]) -> Callable[[Client, Cell], Saw]:
    """Compares what the client saw with what there is; right, it becomes a cell of the table."""

    def judged(client: Client, cell: Cell) -> Saw:
        saw = asked(client)
        assert saw.of(cell.scheme, cell.style, cell.operation) == client.expects(client)[cell.operation]
        proven.add(cell)
        return saw

    return judged


Judge = Callable[[Client, Cell], Saw]


@at_every_door("list")
def test_it_lists_every_key_with_its_size(judge: Judge, client: Client, cell: Cell) -> None:
    judge(client, cell)


@at_every_door("pages")
def test_it_lists_more_than_1000_keys_in_order(judge: Judge, client: Client, cell: Cell) -> None:
    judge(client, cell)


@at_every_door("read")
def test_it_reads_every_object_byte_for_byte(judge: Judge, client: Client, cell: Cell) -> None:
    judge(client, cell)


@at_every_door("ranges")
def test_it_reads_ranges(judge: Judge, client: Client, cell: Cell) -> None:
    saw = judge(client, cell)

    assert saw.ranged[cell.scheme] > 0


@at_every_door("conditions")
def test_it_asks_with_conditions(judge: Judge, client: Client, cell: Cell) -> None:
    judge(client, cell)


def test_the_table_of_clients_is_what_this_run_gave(proven: set[Cell]) -> None:
    """After all others; a client that was not run, or not whole, keeps its rows."""
    committed = DOCUMENT.read_text() if DOCUMENT.exists() else ""

    made = document(committed, CLIENTS, NOT_HAD, proven)

    if os.environ.get("CAUSEWAY_WRITE_CLIENTS"):
        DOCUMENT.write_text(made)
    else:
        assert made.splitlines() == committed.splitlines(), "`make clients` writes it anew"
