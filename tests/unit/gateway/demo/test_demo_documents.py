"""The demonstration's own files pass the program's own checks."""

from pathlib import Path

from gateway.config import parse
from gateway.demo.documents import AWAY, DIRECTION, HOME, LINE, Store, node_yaml, policy_yaml, topology_yaml, write
from gateway.pairs import File, check

STORE = Store("http://127.0.0.1:9", "demo", "some/prefix/", "an-access-key", "a-secret-of-the-bucket")


def test_topology_and_policy_are_a_pair_without_a_warning():
    files = (File("topology.yaml", topology_yaml(STORE, "127.0.0.1:9100")), File("policy.yaml", policy_yaml()))

    checked = check(files, {})

    assert checked.warnings == ()
    assert checked.topology.lines[LINE].between == (HOME, AWAY)
    assert f"{HOME}>{AWAY}" == DIRECTION
    assert checked.policy.lines[LINE].quota == 25_000_000


def test_no_credentials_stand_in_a_file():
    text = topology_yaml(STORE, "127.0.0.1:9100") + node_yaml(HOME, AWAY, 1) + policy_yaml()

    assert STORE.secret_key not in text
    assert STORE.access_key not in text
    assert STORE.secret_key not in repr(STORE)


def test_a_nodes_settings_are_read_whole_and_its_cache_holds_everything_once(tmp_path: Path):
    settings = parse(node_yaml(AWAY, HOME, 700_000_000), "node.yaml", tmp_path)

    assert settings.cache.size.of(1 << 40) >= 700_000_000
    assert {settings.listen.s3.address.port, settings.listen.peer.address.port, settings.listen.admin.address.port} == {
        0
    }


def test_what_is_written_is_its_owners_alone(tmp_path: Path):
    assert write(tmp_path / "secret", "s").stat().st_mode & 0o777 == 0o600
