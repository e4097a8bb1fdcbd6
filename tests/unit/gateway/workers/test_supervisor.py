"""The supervisor's process: what it loads, what it tells workers, and that a node has one."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import pytest

from gateway.cli.supervising import fixed_changes
from gateway.cli.up import _without_files
from gateway.config import parse
from gateway.workers import link
from gateway.workers.locks import FILE, NodeRuns, held
from gateway.workers.order import VARIABLE, Order, settings_text, taken
from gateway.workers.sockets import Sockets
from gateway.workers.supervisor import Child, Plan, Supervisor

ORDER = Order(1, "a1b2", "/etc/causeway/node.yaml", 10, 11, 12, 13, 14, 15)
NODE = "region: a\nnode: n1\nworkers: 2\ncache: {paths: [/c]}\netcd: [http://127.0.0.1:2379]\n"


def loaded_by(modules: str) -> list[str]:
    """All modules that a process has once it has imported these."""
    program = f"import sys, {modules}; print(*sys.modules)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_a_supervisor_loads_nothing_that_serves() -> None:
    modules = loaded_by("gateway.cli.supervising, gateway.cli.up")

    assert "gateway.workers.supervisor" in modules
    assert not {"grpc", "google.protobuf", "uvloop", "aiohttp", "httptools", "gateway.app"} & set(modules)


def test_a_node_of_one_process_loads_no_supervisor() -> None:
    modules = loaded_by("gateway.app")

    assert not [one for one in modules if one.startswith("gateway.workers.")]


def test_a_worker_loads_what_the_admin_port_is_made_of_when_its_doors_are_open() -> None:
    modules = loaded_by("gateway.app, gateway.workers.part")

    assert "gateway.workers.whole" in modules
    assert not {"aiohttp", "gateway.admin.server"} & set(modules)


def test_an_order_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, ORDER.environment()[VARIABLE])

    assert taken() == ORDER
    assert taken() is None


def test_settings_are_read_whole_by_each_worker_that_shares_the_file() -> None:
    file = os.memfd_create("settings")
    os.write(file, NODE.encode())
    second = os.dup(file)

    assert settings_text(Order(0, "", "", file, 0, 0, 0, 0, 0)) == NODE
    assert settings_text(Order(1, "", "", second, 0, 0, 0, 0, 0)) == NODE


def test_a_second_supervisor_of_a_folder_is_refused_and_names_the_first(tmp_path: Path) -> None:
    paths = (tmp_path / "a", tmp_path / "b")
    first = held(paths)

    with pytest.raises(NodeRuns, match=f"{paths[0]} is of a node that runs already.* pid {os.getpid()}"):
        held(paths)

    for one in first:
        os.close(one)
    again = held(paths)
    assert (tmp_path / "a" / FILE).read_text() == f"{os.getpid()}\n"
    for one in again:
        os.close(one)


def test_a_reload_names_what_it_cannot_change() -> None:
    before = parse(NODE, "node.yaml", Path("/"))
    moved = parse(NODE.replace("/c", "/d").replace("workers: 2", "workers: 3"), "node.yaml", Path("/"))
    larger = parse(NODE + "memory: 256MiB\n", "node.yaml", Path("/"))

    assert fixed_changes(before, moved) == ["workers", "cache.paths"]
    assert fixed_changes(before, larger) == []


def test_files_of_the_first_start_go_to_no_worker_that_comes_later() -> None:
    line = ["up", "--topology", "t.yaml", "--config", "n.yaml", "--policy=p.yaml", "--workers", "2"]

    assert _without_files(line) == ["up", "--config", "n.yaml", "--workers", "2"]


@pytest.mark.anyio
async def test_a_worker_that_dies_soon_is_told_lost_to_a_sibling_that_lives_with_the_process_that_it_was() -> None:
    plan, nowhere = Plan(parse(NODE, "node.yaml", Path("/")), NODE, "node.yaml", lambda *_: ()), socket()
    supervisor = Supervisor(plan, lambda: plan, Sockets(nowhere, nowhere, nowhere, (nowhere,) * 3), (), print)
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    with _worker("a1", "true") as dead, _worker("b2", "true") as gone, _worker("c3", "cat") as alive:
        for number, (child, _) in enumerate((dead, gone, alive)):
            supervisor.children[number] = child
        for child, _ in (dead, gone):
            child.process.wait()
        sibling = link.Link(alive[1])
        sibling.on_ended = lambda *word: heard.put_nowait(word)

        supervisor._tell_lost(0)

        assert await heard.get() == ("n1/0", "a1")
        sibling.close()
    nowhere.close()


@contextmanager
def _worker(process: str, program: str) -> Iterator[tuple[Child, socket]]:
    """A child that is no worker, with the worker's end of its link."""
    ours, theirs = link.pair()
    with subprocess.Popen([program], stdin=subprocess.PIPE) as started:
        yield Child(started, ours, process, -1), theirs
    ours.close()
    theirs.close()
