"""`causeway up` as a process of its own: from the first start to the signal."""

import os
import re
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[4]
SECRET = "a-secret-between-two-regions"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "b.secret").write_text(SECRET)
    path = tmp_path / "node.yaml"
    path.write_text(
        'region: a\nnode: n1\nmemory: 64MiB\nlisten: {s3: "127.0.0.1:0", peer: "127.0.0.1:0", admin: "127.0.0.1:0"}\n'
        "secrets: {b: {file: b.secret}}\ncache: {paths: [cache], size: 1GiB}\n"
    )
    return path


def command(config: Path, *more: object) -> list[str]:
    return [sys.executable, "-m", "gateway", "up", "--config", str(config), "--log-level", "debug", *map(str, more)]


@contextmanager
def up(config: Path, *more: object) -> Iterator[subprocess.Popen[str]]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command(config, *more), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_node_starts_serves_health_and_stops_at_a_signal(config: Path) -> None:
    with up(config) as process:
        line = ready_line(process)
        admin = re.search(r"admin (http://127\.0\.0\.1:\d+)", line)
        assert admin is not None, line
        with urllib.request.urlopen(f"{admin[1]}/healthz") as reply:
            assert reply.read() == b"alive\n"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)

    assert process.returncode == 0, log
    assert "waits for its first `causeway apply TOPOLOGY POLICY`" in line
    token = config.parent / "cache" / "admin.token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert SECRET not in line + log
    assert token.read_text().strip() not in line + log


def test_a_node_that_has_its_files_is_ready_and_is_so_after_a_restart(config: Path, tmp_path: Path) -> None:
    topology = tmp_path / "topology.yaml"
    topology.write_text("regions: {a: {}, b: {}}\nlines: {a-b: {between: [a, b], capacity: 1Gbps}}\n")

    lines = []
    for more in (("--topology", topology), ()):
        with up(config, *more) as process:
            lines.append(ready_line(process))
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)

    assert all("revision 1: s3 http://" in line for line in lines), lines


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "region: a\nworkers: 2\ncache: {paths: [c]}\n",
            "node.yaml:2:10: workers: several workers are members of a cluster",
        ),
        ("region: a\ncache: {paths: [c]}\nsecrets: {b: {file: none}}\n", "secrets.b: secret file "),
        ('region: a\ncache: {paths: [c]}\nlisten: {s3: "192.0.2.1:1"}\n', "node n1 cannot start: "),
    ],
)
def test_a_node_that_cannot_start_says_why_in_one_line(config: Path, text: str, told: str) -> None:
    config.write_text(text.replace("region: a", "region: a\nnode: n1") if "cannot" in told else text)

    with up(config) as process:
        _, log = process.communicate(timeout=60)

    assert process.returncode == 1
    assert told in log
    assert "Traceback" not in log
