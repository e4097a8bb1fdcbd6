"""The program: quick to start, plain about faults, quiet when its reader goes."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.cli.main import COMMANDS
from tests.unit.gateway.cli.conftest import TOKEN, Command, FakeNode

ROOT = Path(__file__).parents[4]
HEAVY = ("pydantic", "rich", "aiohttp", "uvloop", "boto3", "structlog", "prometheus_client", "lxml", "yaml", "asyncio")


def test_help_names_every_command(causeway: Command) -> None:
    ended = causeway("--help")

    assert ended.code == 0
    assert all(f"\n  {name} " in ended.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_help(causeway: Command, name: str) -> None:
    ended = causeway(name, "--help")

    assert ended.code == 0
    assert ended.out.startswith(f"Usage: causeway {name}")


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from gateway.cli.main import run; run(['--help']); "
        f"sys.exit(', '.join(name for name in {HEAVY!r} if name in sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert done.stderr.strip() == ""


def test_the_version_is_that_of_the_distribution(causeway: Command) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert causeway("--version").out == f"causeway, version {declared}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["stat"], ["ls", "--nonsense"], ["apply"], ["check", "/no/such/file"]]
)
def test_wrong_usage_is_exit_code_2(causeway: Command, arguments: list[str]) -> None:
    ended = causeway(*arguments)

    assert ended.code == 2
    assert "Error: " in ended.err


def test_a_node_that_is_not_there_is_one_line_with_the_remedy(
    causeway: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSEWAY_ADMIN", "http://127.0.0.1:1")
    monkeypatch.setenv("CAUSEWAY_TOKEN", TOKEN)

    ended = causeway("status")

    assert ended.code == 1
    assert ended.err == (
        "causeway: no node answers at http://127.0.0.1:1 (Connection refused); "
        "start it by `causeway up`, or name another by CAUSEWAY_ADMIN\n"
    )


def test_a_wrong_token_says_where_the_right_one_is(
    causeway: Command, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSEWAY_TOKEN", "another-token-of-that-length")

    ended = causeway("status")

    assert ended.code == 1
    assert "admin.token in the first cache path" in ended.err


def test_no_token_at_all_names_both_ways(causeway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAUSEWAY_TOKEN", raising=False)

    ended = causeway("status", "--admin", "http://127.0.0.1:1")

    assert ended.code == 1
    assert "set CAUSEWAY_TOKEN, or name the node's settings by --config" in ended.err


@pytest.mark.parametrize("url", ["127.0.0.1:9200", "ftp://h", "http://", "http://h:99999999", "http://h/path"])
def test_a_url_that_is_none_is_refused(causeway: Command, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CAUSEWAY_TOKEN", TOKEN)

    ended = causeway("status", "--admin", url)

    assert ended.code == 1
    assert "no URL of an admin port" in ended.err


def test_the_settings_name_the_port_and_the_token(
    causeway: Command, node: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CAUSEWAY_ADMIN")
    monkeypatch.delenv("CAUSEWAY_TOKEN")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "admin.token").write_text(TOKEN)
    (tmp_path / "cache" / "admin.token").chmod(0o600)
    address = node.url.removeprefix("http://")
    (tmp_path / "node.yaml").write_text(f'region: a\nlisten: {{admin: "{address}"}}\ncache: {{paths: [cache]}}\n')

    ended = causeway("status", "--config", tmp_path / "node.yaml")

    assert ended.code == 0
    assert "n1 in a" in ended.out


def test_settings_with_faults_are_told_with_their_places(causeway: Command, tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text("region: a\nworkers: 4\n")

    ended = causeway("status", "--config", tmp_path / "node.yaml")

    assert ended.code == 1
    assert "node.yaml:2:10: workers: several workers are members of a cluster" in ended.err
    assert "cache" in ended.err


def command_line(node: FakeNode, *arguments: str) -> tuple[list[str], dict[str, str]]:
    return (
        [sys.executable, "-c", "from gateway.cli.main import main; main()", *arguments],
        {"CAUSEWAY_ADMIN": node.url, "CAUSEWAY_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"},
    )


def test_a_reader_that_goes_away_ends_the_command_quietly(node: FakeNode) -> None:
    arguments, environment = command_line(node, "cat", "/ns/train/a")
    node.operations.sizes["/ns/train/a"] = 50_000_000

    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(10)) == 10
        process.stdout.close()
        told = process.stderr.read()

    assert process.returncode == 141
    assert told == b""


def test_ctrl_c_ends_the_command_without_a_traceback(node: FakeNode) -> None:
    arguments, environment = command_line(node, "cat", "/ns/train/a")
    node.operations.sizes["/ns/train/a"] = 50_000_000

    # Ctrl-C is ignored in what a shell starts in the background, these tests perhaps, and that is inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        signal.signal(signal.SIGINT, before)
        assert process.stdout is not None
        # It has begun, and waits for us to read on.
        assert len(process.stdout.read(10)) == 10
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)

    assert process.returncode == 130
    assert told == b"\n"


@pytest.mark.parametrize(
    "asked",
    [
        ("status",),
        ("keys", "ls"),
        ("history",),
        ("keys", "add", "joe", "--tenant", "rec", "--read", "/ns/train"),
        ("apply", "TOPOLOGY"),
    ],
    ids=lambda asked: " ".join(asked[:2]),
)
def test_every_command_finds_its_node_in_the_same_way(
    causeway: Command, node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    topology = tmp_path / "topology.yaml"
    topology.write_text("regions: {a: {}}\n")
    words = [topology if word == "TOPOLOGY" else word for word in asked]
    monkeypatch.setenv("CAUSEWAY_ADMIN", "http://127.0.0.1:1")
    assert causeway(*words).code == 1

    assert causeway(*words, "--admin", node.url).code == 0


@pytest.mark.parametrize("command", ["pin", "unpin", "free", "ls", "stat", "explain", "refresh"])
def test_a_path_that_is_no_text_is_refused_in_one_line(causeway: Command, node: FakeNode, command: str) -> None:
    ended = causeway(command, "/ns/train/\udcff")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(r"causeway: '/ns/train/\udcff' is not UTF-8")
    assert ended.err.count("\n") == 1
    assert node.operations.asked == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("top", "--interval", "nan"), "nan is no number of seconds"),
        (("bench", "/ns/train", "--seconds", "NaN"), "NaN is no number of seconds"),
        (("bench", "/ns/train", "--class", "a\nb"), r"'a\nb' is not known; known: interactive, training"),
    ],
)
def test_what_no_option_can_mean_is_wrong_usage(causeway: Command, line: tuple[str, ...], told: str) -> None:
    ended = causeway(*line)

    assert ended.code == 2
    assert told in ended.err
