"""`causeway demo` as a person runs it: what it shows, what it refuses to call right, and that nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.real.lab.nodes import PROGRAM
from tests.real.lab.process import Child, child, family
from tests.real.lab.s3 import ACCESS, SECRET, S3Server, versitygw

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SMALL = ("--files", "20", "--size", "4MB", "--table", "500KB")
TINY = ("--files", "5", "--size", "100KB", "--table", "50KB")


@contextmanager
def demo(directory: Path, *args: str, env: dict[str, str] | None = None) -> Iterator[Child]:
    """Runs the demonstration with a temporary directory of its own, `directory/tmp`."""
    temporary = directory / "tmp"
    temporary.mkdir()
    with child("demo", [PROGRAM, "demo", *args], directory, env={"TMPDIR": str(temporary), **(env or {})}) as process:
        yield process


def said(process: Child, *words: str) -> Callable[[], bool]:
    return lambda: all(word in process.log.read_text() for word in words)


def ends(process: Child) -> int:
    return process.process.wait(240)


def left_behind(directory: Path, pids: list[int]) -> list[str]:
    """Files, and processes of `pids` that still run."""
    running = [f"pid {pid}" for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
    return [*(path.name for path in (directory / "tmp").iterdir()), *running]


def child_named(process: Child, words: str) -> int:
    """The demonstration's child whose command line holds `words`."""
    found = []
    for pid in family(process.pid):
        with suppress(psutil.NoSuchProcess):  # A reader that has just done its part.
            found += [pid] if words in " ".join(psutil.Process(pid).cmdline()) else []
    return found[-1]


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[S3Server]:
    (tmp_path / "origin").mkdir()
    with versitygw(tmp_path / "origin") as server:
        yield server


def test_it_shows_right_bytes_once_within_the_quota_and_leaves_nothing(tmp_path: Path):
    with demo(tmp_path, *SMALL) as process:
        code = ends(process)
        text = process.log.read_text()

    assert (code, left_behind(tmp_path, [])) == (0, []), text
    rows = {line[:40].strip(): line[40:].split() for line in text.splitlines()}
    table = {name: cells for name, cells in rows.items() if cells}
    assert any(name.startswith("every byte against") and cells[-2:] == ["all", "right"] for name, cells in rows.items())
    assert table["once_ratio"][-2:] == ["1.000", "1.000"], text
    assert table["hit rate, by bytes"][-1] == "100.0%", text


def test_a_store_of_ones_own_is_signed_for_and_is_empty_afterwards(tmp_path: Path, origin: S3Server):
    keys = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
    with demo(tmp_path, *TINY, "--origin", origin.url, env=keys) as process:
        code = ends(process)
        text = process.log.read_text()

    assert code == 0, text
    assert SECRET not in text
    assert origin.client().list_buckets()["Buckets"] == []


def test_a_bucket_that_exists_keeps_what_was_there(tmp_path: Path, origin: S3Server):
    s3 = origin.client()
    s3.create_bucket(Bucket="mine")
    s3.put_object(Bucket="mine", Key="kept", Body=b"kept")
    keys = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
    with demo(tmp_path, *TINY, "--origin", origin.url, "--bucket", "mine", env=keys) as process:
        code = ends(process)

    assert code == 0
    assert [found["Key"] for found in s3.list_objects_v2(Bucket="mine")["Contents"]] == ["kept"]


def test_a_store_that_refuses_the_keys_is_one_clear_line(tmp_path: Path, origin: S3Server):
    keys = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": "not the secret"}
    with demo(tmp_path, *TINY, "--origin", origin.url, env=keys) as process:
        code = ends(process)
        last = process.log.read_text().strip().splitlines()[-1]

    assert code == 1
    assert last.startswith(f"causeway: {origin.url}, bucket causeway-demo-")
    assert last.endswith("check --origin and its keys")


def test_ctrl_c_takes_everything_down(tmp_path: Path):
    with demo(tmp_path, *SMALL) as process:
        process.wait_until(said(process, "aws-use1, its node"), 120)
        pids = family(process.pid)
        process.process.send_signal(signal.SIGINT)
        code = ends(process)

    assert (code, left_behind(tmp_path, pids)) == (130, [])


def test_a_bucket_that_dies_is_told_as_that(tmp_path: Path):
    # Kept, it does not end by itself before the bucket does.
    with demo(tmp_path, *SMALL, "--keep") as process:
        process.wait_until(said(process, "idc-bj, its node"), 120)
        pids = family(process.pid)
        os.kill(child_named(process, "moto.server"), signal.SIGKILL)
        code = ends(process)
        text = process.log.read_text()

    assert (code, left_behind(tmp_path, pids)) == (1, [])
    assert "causeway: bucket (pid " in text, text
    assert "was ended by SIGKILL" in text


def test_what_is_kept_says_how_to_try_it_and_ends_with_a_killed_node(tmp_path: Path):
    with demo(tmp_path, *TINY, "--keep") as process:
        process.wait_until(said(process, "Ctrl-C ends everything"), 120)
        text = process.log.read_text()
        pids = family(process.pid)
        listed = subprocess.run(
            ["sh", "-c", f"{_line(text, 'export CAUSEWAY_ADMIN')}; {PROGRAM} ls /ns/demo/table"],
            capture_output=True,
            text=True,
            check=False,
        )
        os.kill(child_named(process, f"{os.sep}aws-use1{os.sep}node.yaml"), signal.SIGKILL)
        code = ends(process)
        ended = process.log.read_text()

    assert "/ns/demo/table/day=2026-01-10/" in listed.stdout, listed.stderr
    assert (code, left_behind(tmp_path, pids)) == (1, [])
    assert "causeway: node aws-use1 (pid " in ended
    assert "was ended by SIGKILL" in ended


def test_its_processes_end_with_it_even_when_it_is_killed(tmp_path: Path):
    with demo(tmp_path, *TINY, "--keep") as process:
        process.wait_until(said(process, "Ctrl-C ends everything"), 120)
        children = [psutil.Process(pid) for pid in family(process.pid) if pid != process.pid]
        process.kill()
        gone, alive = psutil.wait_procs(children, timeout=60)

    assert len(children) == 4, children
    assert alive == [], gone


def test_the_reader_sees_a_byte_that_differs(tmp_path: Path, origin: S3Server):
    """The reader knows an S3 endpoint only, so the store itself stands in for the node."""
    s3 = origin.client()
    s3.create_bucket(Bucket="tree")
    source = tmp_path / "source"
    source.write_bytes(bytes(range(250)) * 4000)
    changed = bytearray(source.read_bytes())
    changed[700_000] ^= 1
    s3.put_object(Bucket="tree", Key="demo/files/right", Body=source.read_bytes())
    s3.put_object(Bucket="tree", Key="demo/files/wrong", Body=bytes(changed))
    plan = {
        "endpoint": origin.url,
        "bucket": "tree",
        "files": [[f"demo/files/{name}", str(source), 1_000_000] for name in ("right", "wrong")],
        "table": "demo/table",
        "table_file": str(tmp_path / "none"),
        "table_bytes": 0,
        "total_bytes": 2_000_000,
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))

    progress = _read(tmp_path / "plan.json")

    wrong = [fault for fault in progress["faults"] if not fault.startswith("demo/table")]
    assert wrong == [f"demo/files/wrong: bytes 524288 to 786432 differ from {source}"]


def _read(plan: Path) -> dict[str, list[str]]:
    env = {**os.environ, "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.demo.reader", str(plan)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        progress = {"done": False}
        while not progress["done"]:
            reader.stdin.write(b"\n")
            reader.stdin.flush()
            progress = json.loads(reader.stdout.readline())
            time.sleep(0.05)
        reader.stdin.close()
    return progress


def _line(text: str, beginning: str) -> str:
    return next(line.strip() for line in text.splitlines() if line.strip().startswith(beginning))
