"""What each command asks of a node, and what it shows."""

import json
from pathlib import Path

import pytest

from gateway.cli.faults import CommandFault
from gateway.cli.main import run
from gateway.cli.paths import ns_path
from regioncache.errors import SlowDown
from tests.fakes.ramp import ramp
from tests.unit.gateway.cli.conftest import TOKEN, Command, FakeNode, StartNode

TOPOLOGY = "regions: {a: {}, b: {}}\nlines: {a-b: {between: [a, b], capacity: 1Gbps}}\n"
POLICY = "lines: {a-b: {quota: 500Mbps}}\n"


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    path = tmp_path / "topology.yaml"
    path.write_text(TOPOLOGY)
    return path


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def test_status_shows_the_node_and_what_needs_a_hand(causeway: Command, node: FakeNode) -> None:
    ended = causeway("status")

    assert ended.code == 0
    for told in ("n1 in a, version 0.1.0", "none applied yet", "http://127.0.0.1:9000", "/d: out: Input/output error"):
        assert told in ended.out
    assert "OTHER FILES (digest other)" in ended.out
    assert "10.0.0.2:9100, does not answer" in ended.out
    assert "! cache path /d is out: replace the disk" in ended.out


@pytest.mark.parametrize(
    "command",
    [["status"], ["lines"], ["explain", "/ns/train/a"], ["history"], ["keys", "ls"], ["ls"], ["stat", "/ns/train/a"]],
)
def test_json_is_what_the_port_said(causeway: Command, node: FakeNode, command: list[str]) -> None:
    ended = causeway(*command, "--json")

    assert ended.code == 0
    json.loads(ended.out)


def test_lines_show_quota_rate_and_once(causeway: Command, node: FakeNode) -> None:
    ended = causeway("lines", "--ledger")

    assert "a-b" in ended.out
    for told in ("b>a", "8 Gbit/s", "4 Gbit/s", "50%", "0.998", "unique", "3 MiB"):
        assert told in ended.out


def test_explain_shows_source_rule_and_pages(causeway: Command, node: FakeNode) -> None:
    ended = causeway("explain", "s3://train/a")

    for told in (
        "/ns/train, max_age 60 s",
        "2 of 5 here, 1 MiB each",
        "admit: never, by /ns/train/** (policy:4)",
        "home region",
    ):
        assert told in ended.out
    assert "2 MiB here, not pinned, priority low, goes in 1 h, 512 MiB of the quota of 1 GiB used" in ended.out
    assert "also at" in ended.out
    assert "/ns/all/a" in ended.out
    assert node.operations.asked == ["explain /ns/train/a"]


def test_ls_goes_through_all_pages(causeway: Command, node: FakeNode) -> None:
    node.operations.sizes = {f"/ns/t/{at:04}": at for at in range(2500)}

    ended = causeway("ls", "/ns/t/")

    assert ended.out.splitlines() == sorted(node.operations.sizes)
    assert len(node.operations.asked) == 3


def test_ls_shows_names_that_look_like_markup(causeway: Command, node: FakeNode) -> None:
    node.operations.sizes = {"/ns/t/[bold]x[/bold]": 5}

    ended = causeway("ls", "-l", "/ns/t/")

    assert "/ns/t/[bold]x[/bold]" in ended.out
    assert "5 B" in ended.out


def test_ls_tells_whether_it_goes_beneath(causeway: Command, node: FakeNode) -> None:
    causeway("ls", "-r", "/ns/t/")

    assert node.operations.asked == ["list /ns/t/ after= limit=1000 recursive=True"]


def test_stat_shows_version_and_metadata(causeway: Command, node: FakeNode) -> None:
    ended = causeway("stat", "/ns/train/a")

    for told in ("1000000 (977 KiB)", '"v1"', "text/plain", "x-amz-meta-a"):
        assert told in ended.out


def test_an_absent_object_is_one_line(causeway: Command, node: FakeNode) -> None:
    ended = causeway("stat", "/ns/train/none")

    assert ended.code == 1
    assert ended.err == f"causeway: /ns/train/none: no such object ({node.url})\n"


def test_cat_writes_every_byte(node: FakeNode, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["cat", "/ns/train/a"]) == 0

    assert capfdbinary.readouterr().out == ramp(0, 1_000_000)


def test_cat_writes_a_part(node: FakeNode, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["cat", "/ns/train/a", "--offset", "300000", "--length", "70000"]) == 0

    assert capfdbinary.readouterr().out == ramp(300_000, 370_000)


def test_cat_of_a_reply_cut_short_is_a_fault(node: FakeNode, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    node.operations.ends_at, node.operations.stream_fault = 500_000, SlowDown("no room")

    assert run(["cat", "/ns/train/a"]) == 1

    assert b"/ns/train/a: the reply was cut short" in capfdbinary.readouterr().err


def test_refresh_says_what_was_forgotten(causeway: Command, node: FakeNode) -> None:
    ended = causeway("refresh", "/ns/train/")

    assert ended.out == "/ns/train/: 4 known versions forgotten\n"


def test_apply_puts_files_in_force_and_tells_by_name_what_changed(
    causeway: Command, node: FakeNode, topology: Path, policy: Path
) -> None:
    causeway("apply", topology, policy)
    policy.write_text(POLICY.replace("500Mbps", "600Mbps"))

    ended = causeway("apply", policy)

    assert ended.code == 0
    assert f"{node.url}: revision 2 is in force" in ended.out
    assert "  ~ policy: lines.a-b.quota = 600Mbps (was 500Mbps)\n" in ended.out


def test_apply_dry_run_changes_nothing(causeway: Command, node: FakeNode, topology: Path, policy: Path) -> None:
    ended = causeway("apply", topology, policy, "--dry-run")

    assert ended.code == 0
    assert "  + policy: lines.a-b.quota = 500Mbps\n" in ended.out
    assert node.operations.store.revision() == 0


def test_a_line_without_policy_is_warned_of(causeway: Command, node: FakeNode, topology: Path) -> None:
    ended = causeway("apply", topology)

    assert "warning: line 'a-b' has no policy: its quota is its capacity" in ended.err


def test_apply_tells_every_fault_with_its_place(
    causeway: Command, node: FakeNode, topology: Path, policy: Path
) -> None:
    policy.write_text("lines: {a-b: {quota: 5Gbps, tenants: {t: {month: 1TB}}}, c-d: {quota: 1Gbps}}\n")

    ended = causeway("apply", topology, policy)

    assert ended.code == 1
    assert f"{policy}:1:" in ended.err
    assert ended.err.count(str(policy)) == 2
    assert node.operations.store.revision() == 0


def test_apply_to_two_regions_puts_the_same_in_force(
    causeway: Command, node: FakeNode, start_node: StartNode, topology: Path, policy: Path
) -> None:
    other = start_node()

    ended = causeway("apply", topology, policy, "--to", node.url, "--to", other.url)

    assert ended.code == 0
    digests = {at.operations.store.history()[0].digest for at in (node, other)}
    assert len(digests) == 1


def test_a_region_that_is_away_keeps_every_other_unchanged(
    causeway: Command, node: FakeNode, topology: Path, policy: Path
) -> None:
    ended = causeway("apply", topology, policy, "--to", node.url, "--to", "http://127.0.0.1:1")

    assert ended.code == 1
    assert "no node answers at http://127.0.0.1:1" in ended.err
    assert "nothing was changed on any node" in ended.err
    assert node.operations.store.revision() == 0


def test_a_region_that_fails_in_between_is_told_honestly(
    causeway: Command,
    node: FakeNode,
    start_node: StartNode,
    topology: Path,
    policy: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = start_node()
    monkeypatch.setattr(type(other.operations.store), "apply", fails_at(other.operations.store.path))

    ended = causeway("apply", topology, policy, "--to", other.url, "--to", node.url)

    assert ended.code == 1
    assert f"in force at: {node.url}; not at: {other.url}" in ended.err
    assert node.operations.store.revision() == 1


def fails_at(path: Path) -> object:
    from namespace.errors import StoreBroken
    from namespace.store.embedded import EmbeddedStore

    real = EmbeddedStore.apply

    def apply(self: EmbeddedStore, files: dict[str, str], author: str, at: float) -> int:
        if self.path == path:
            raise StoreBroken("disk full")
        return real(self, files, author, at)

    return apply


def test_each_region_gets_its_own_token(
    causeway: Command,
    node: FakeNode,
    start_node: StartNode,
    topology: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CAUSEWAY_TOKEN")
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for path, token in ((right, TOKEN), (wrong, "wrong-token-wrong-token")):
        path.write_text(token)
        path.chmod(0o600)
    to = ["--to", node.url, "--to", start_node().url]

    assert causeway("apply", topology, *to, "--token-file", right, "--token-file", wrong).code == 1
    assert causeway("apply", topology, *to, "--token-file", right, "--token-file", right).code == 0
    assert causeway("apply", topology, *to, "--token-file", right).code == 0
    three = ["--token-file", right] * 3
    assert causeway("apply", topology, *to, *three).code == 2


def test_history_shows_who_applied(causeway: Command, node: FakeNode, topology: Path) -> None:
    causeway("apply", topology)

    ended = causeway("history")

    assert "admin (127.0.0.1)" in ended.out
    assert "1970-01-01 00:16:40Z" in ended.out


def test_a_key_is_printed_as_clients_read_it_and_never_again(causeway: Command, node: FakeNode) -> None:
    made = causeway(
        "keys",
        "add",
        "joe",
        "--tenant",
        "rec",
        "--read",
        "/ns/train",
        "--may-class",
        "backfill",
        "--until",
        "2030-01-01",
    )
    listed = causeway("keys", "ls")

    variables = dict(line.split("=", 1) for line in made.out.splitlines())
    key = node.operations.store.keys()[0]
    assert variables == {"AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret}
    for told in ("joe", "rec", "training", "backfill", "/ns/train", "2030-01-02 00:00:00Z"):
        assert told in listed.out
    assert key.secret not in listed.out


def test_the_same_key_goes_to_each_region(causeway: Command, node: FakeNode, start_node: StartNode) -> None:
    other = start_node()

    ended = causeway(
        "keys", "add", "joe", "--tenant", "rec", "--read", "/ns/train", "--to", node.url, "--to", other.url
    )

    assert ended.code == 0
    assert node.operations.store.keys() == other.operations.store.keys()


def test_a_key_that_reached_one_region_only_is_told_honestly(causeway: Command, node: FakeNode) -> None:
    ended = causeway(
        "keys", "add", "joe", "--tenant", "rec", "--read", "/ns/t", "--to", node.url, "--to", "http://127.0.0.1:1"
    )

    assert ended.code == 1
    assert "AWS_ACCESS_KEY_ID=" in ended.out
    assert f"the key is at: {node.url}\n" in ended.err


def test_a_date_that_is_none_is_wrong_usage(causeway: Command, node: FakeNode) -> None:
    ended = causeway("keys", "add", "joe", "--tenant", "rec", "--read", "/ns/t", "--until", "friday")

    assert ended.code == 2
    assert "'friday' is no date" in ended.err


def test_a_key_is_removed(causeway: Command, node: FakeNode) -> None:
    causeway("keys", "add", "joe", "--tenant", "rec", "--read", "/ns/train")

    assert causeway("keys", "rm", "joe").code == 0
    assert causeway("keys", "rm", "joe").code == 1
    assert node.operations.store.keys() == ()


def test_check_finds_faults_of_all_files_at_once(
    causeway: Command, topology: Path, policy: Path, tmp_path: Path
) -> None:
    node_yaml = tmp_path / "node.yaml"
    node_yaml.write_text("region: a\nworkers: 4\ncache: {paths: [c]}\n")
    policy.write_text("lines: {a-b: {quota: 5Gbps}, c-d: {quota: 1Gbps}}\n")

    ended = causeway("check", topology, policy, node_yaml)

    assert ended.code == 1
    assert ended.err.startswith("causeway: 3 faults:\n")
    assert f"{node_yaml}:2:10: workers: several workers are members of a cluster" in ended.err
    assert f"{policy}:1:" in ended.err


def test_check_passes_what_is_right(causeway: Command, topology: Path, policy: Path) -> None:
    assert causeway("check", topology, policy).code == 0
    assert causeway("check", policy).code == 0


def test_check_accepts_the_future_when_asked(causeway: Command, topology: Path, policy: Path) -> None:
    policy.write_text("lines: {a-b: {quota: 500Mbps, tenants: {t: {month: 1TB}}}}\n")

    assert causeway("check", topology, policy).code == 1
    assert causeway("check", "--future", topology, policy).code == 0


def test_a_file_that_is_no_text_is_refused_with_its_line(causeway: Command, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"a: 1\nb: \xff\n")

    ended = causeway("check", tmp_path / "x.yaml")

    assert ended.code == 1
    assert "x.yaml:2: byte 8 is not UTF-8" in ended.err


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/ns", "/ns"),
        ("/ns/a//b/", "/ns/a//b/"),
        ("s3://ns/train/a", "/ns/train/a"),
        ("s3://causeway/train/a", "/ns/train/a"),
        ("s3://ns", "/ns"),
        ("s3://train", "/ns/train"),
        ("s3://train/dir/", "/ns/train/dir/"),
    ],
)
def test_both_ways_to_write_a_path_mean_the_same(written: str, path: str) -> None:
    assert ns_path(written) == path


@pytest.mark.parametrize("written", ["", "train/a", "/train", "/nsx", "s3://", "http://ns/a"])
def test_what_is_no_path_is_refused(written: str) -> None:
    with pytest.raises(CommandFault, match="no path of the tree"):
        ns_path(written)
