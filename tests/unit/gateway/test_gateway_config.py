"""node.yaml is read whole, refused whole, and every fault has its line and column."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Address, NodeSettings, load, parse
from namespace.etcdclient.config import EtcdSettings
from namespace.references import SecretRef, SecretUnreadable
from policy.yamlfile import Faults
from regioncache.config import CacheSize

HERE = Path("/etc/causeway")
LEAST = "region: aws-use1\ncache: {paths: [/nvme0/causeway]}\n"
DESIGN = """\
region: aws-use1
node: cache-3
workers: 4
memory: 4GiB
listen:
  s3: {address: "0.0.0.0:9000", tls: {cert: s3.pem, key: s3.key}, domain: s3.use1.example.com}
  peer: "0.0.0.0:9100"
  admin: "127.0.0.1:9200"
secrets: {aws-use1: {file: within.secret}, idc-bj: {file: bj.secret}}
cache: {paths: [/nvme0/causeway, /nvme1/causeway], size: 90%}
namespace: {snapshot: /var/lib/causeway, service: ns.example.com:9300}
etcd: [http://10.0.0.11:2379]
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(Faults) as refused:
        parse(text, "node.yaml", HERE)
    return [str(fault) for fault in refused.value.faults]


def settings(text: str) -> NodeSettings:
    return parse(text, "node.yaml", HERE)


def test_region_and_cache_are_enough() -> None:
    node = settings(LEAST)

    assert node.region == "aws-use1"
    assert node.node
    assert [str(door.address) for door in (node.listen.s3, node.listen.peer, node.listen.admin)] == [
        "127.0.0.1:9000",
        "127.0.0.1:9100",
        "127.0.0.1:9200",
    ]
    assert node.cache.size == CacheSize(share=0.9)
    assert 0 < node.memory <= 4 << 30
    assert node.token_file == Path("/nvme0/causeway/admin.token")
    assert node.namespace_directory == Path("/nvme0/causeway")


def test_several_workers_want_a_cluster_and_memory_for_each() -> None:
    alone = faults_of(DESIGN.replace("etcd: [http://10.0.0.11:2379]\n", ""))
    poor = faults_of(DESIGN.replace("4GiB", "128MiB"))

    assert [fault.partition(": several")[0] for fault in alone] == ["node.yaml:3:10: workers"]
    assert "etcd: [http://10.0.0.11:2379]" in alone[0]
    assert [fault.partition(": 4")[0] for fault in poor] == ["node.yaml:3:10: workers"]
    assert "give 256 MiB" in poor[0]


def test_a_nodes_name_is_none_of_a_worker() -> None:
    assert "NODE/NUMBER is the name of a node's worker" in faults_of(DESIGN.replace("cache-3", "cache-3/1"))[0]


def test_a_number_of_workers_goes_over_what_the_file_says() -> None:
    assert parse(DESIGN, "node.yaml", HERE, workers=2).workers == 2
    with pytest.raises(Faults, match="workers: several workers are members of a cluster"):
        parse(LEAST, "node.yaml", HERE, workers=2)


def test_the_designs_example_is_read_whole() -> None:
    kept = DESIGN.replace(", service: ns.example.com:9300", "")

    node = settings(kept)

    assert node.memory == 4 << 30
    assert node.etcd == EtcdSettings(servers=("http://10.0.0.11:2379",))
    assert str(node.listen.control.address) == "127.0.0.1:9300"
    assert node.listen.s3.tls is not None
    assert node.listen.s3.tls.cert == HERE / "s3.pem"
    assert node.listen.s3.url == "https://0.0.0.0:9000"
    assert node.listen.s3.domain == "s3.use1.example.com"
    assert node.listen.peer.url == "http://0.0.0.0:9100"
    assert node.secrets["idc-bj"].file == HERE / "bj.secret"
    assert node.cache.directories == (Path("/nvme0/causeway"), Path("/nvme1/causeway"))
    assert node.namespace_directory == Path("/var/lib/causeway")


@pytest.mark.parametrize("written", ["s3.localhost", "S3.LocalHost", "s3.localhost.", "localhost"])
def test_a_domain_is_kept_in_small_letters_without_the_last_dot(written: str) -> None:
    node = settings(LEAST + f'listen: {{s3: {{address: "127.0.0.1:9000", domain: "{written}"}}}}\n')

    assert node.listen.s3.domain == written.lower().rstrip(".")


@pytest.mark.parametrize(
    "written",
    ["", ".", "*.example.com", ".example.com", "example.com:9000", "10.0.0.1", "[::1]", "::1", "a..b", "a_b.c", "é.fr",
     "-a.b", "a-.b", "https://s3.example.com", "s3.example.com/", "x" * 64 + ".com", "a." * 130 + "com"],
)  # fmt: skip
def test_what_is_no_domain_is_refused_with_an_example(written: str) -> None:
    faults = faults_of(LEAST + f'listen: {{s3: {{address: "127.0.0.1:9000", domain: "{written}"}}}}\n')

    assert [fault.split(": ")[1] for fault in faults] == ["listen.s3.domain"]
    assert "write its name alone, as s3.example.com" in faults[0]


def test_a_certificate_of_the_peer_door_wants_the_authority_of_the_others() -> None:
    faults = faults_of(LEAST + 'listen: {peer: {address: "0.0.0.0:9100", tls: {cert: p.pem, key: p.key}}}\n')

    assert [fault.split(": ")[1] for fault in faults] == ["listen.peer.tls.ca"]


def test_every_fault_comes_at_once_with_its_place() -> None:
    text = """\
regoin: x
memory: 4 parsecs
listen:
  s3: "nowhere"
  admin: {address: "127.0.0.1:99999"}
secrets: {idc-bj: hunter2hunter2hunter2}
cache: {paths: [], size: 120%}
"""

    faults = faults_of(text)

    places = [":".join(fault.split(":")[1:4]) for fault in faults]
    assert places == [
        "1:1: region",
        "1:1: regoin",
        "2:9: memory",
        "4:3: listen.s3.address",
        "5:20: listen.admin.address",
        "6:19: secrets.idc-bj",
        "7:16: cache.paths",
        "7:26: cache.size",
    ]


def test_a_literal_secret_is_refused_and_not_repeated() -> None:
    faults = faults_of(LEAST + "secrets: {idc-bj: hunter2hunter2hunter2}\n")

    assert "named, never written here" in faults[0]
    assert "hunter2" not in "".join(faults)


@pytest.mark.parametrize("ref", ["{}", "{file: a, env: B}", "{path: a}"])
def test_a_secret_has_one_place(ref: str) -> None:
    assert faults_of(LEAST + f"secrets: {{idc-bj: {ref}}}\n")


def test_a_duplicate_key_is_refused() -> None:
    assert faults_of(LEAST + "region: again\n")[0].startswith(
        "node.yaml:3:1: document: the key 'region' stands here twice"
    )


@pytest.mark.parametrize(
    ("written", "size"),
    [("50%", CacheSize(share=0.5)), ("500GiB", CacheSize(limit=500 << 30)), ("1000000", CacheSize(limit=1_000_000))],
)
def test_a_cache_size_is_a_share_or_bytes(written: str, size: CacheSize) -> None:
    assert settings(f"region: r\ncache: {{paths: [/c], size: {written}}}\n").cache.size == size


@pytest.mark.parametrize("written", ["0%", "101%", "0", "-5", "lots", "[1]", "true"])
def test_a_cache_size_that_is_none_is_refused(written: str) -> None:
    assert ": cache.size: " in faults_of(f"region: r\ncache: {{paths: [/c], size: {written}}}\n")[0]


def test_watermarks_are_shares_the_one_below_the_other() -> None:
    assert (settings("region: r\ncache: {paths: [/c]}\n").cache.high, 0.95) == (0.97, 0.95)
    cache = settings("region: r\ncache: {paths: [/c], high: 90%, low: 80.5%}\n").cache
    assert (cache.high, cache.low) == (0.9, 0.805)


@pytest.mark.parametrize(
    ("written", "key"),
    [("high: 101%", "high"), ("high: 40%", "high"), ("low: 90", "low"), ("high: 90%", "low"), ("low: 98%", "low")],
)
def test_watermarks_that_cannot_be_are_refused(written: str, key: str) -> None:
    assert f": cache.{key}: " in faults_of(f"region: r\ncache: {{paths: [/c], {written}}}\n")[0]


def test_a_share_is_of_the_file_system_and_bytes_end_at_it() -> None:
    assert CacheSize(share=0.25).of(1000) == 250
    assert CacheSize(limit=700).of(1000) == 700
    assert CacheSize(limit=7000).of(1000) == 1000


def test_a_cache_path_twice_is_refused() -> None:
    assert "occurs twice" in faults_of("region: r\ncache: {paths: [/c, /c]}\n")[0]


def test_a_budget_too_small_to_serve_is_refused() -> None:
    assert ": memory: a node needs a budget of 64MiB at least" in faults_of(LEAST + "memory: 1MiB\n")[0]


@given(port=st.integers(0, 65535))
def test_an_address_is_shown_as_it_is_read(port: int) -> None:
    for text in (f"127.0.0.1:{port}", f"[::1]:{port}", f"node.example.com:{port}"):
        assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", ":9000", "host", "host:", "host:x", "host:65536", "host:-1", "host:٣", 9000, None]
)
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Address.parse(text)


def test_loopback_is_known() -> None:
    assert all(Address(host, 1).loopback for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"))
    assert not any(Address(host, 1).loopback for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example.com"))


def test_a_file_is_loaded_with_its_own_directory(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text("region: r\ncache: {paths: [pages]}\n")

    assert load(tmp_path / "node.yaml").cache.directories == (tmp_path / "pages",)


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("  0123456789abcdef0123\n")

    assert SecretRef(file=tmp_path / "s").read() == b"0123456789abcdef0123"


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSEWAY_TEST_SECRET", "0123456789abcdef0123")

    assert SecretRef(env="CAUSEWAY_TEST_SECRET").read() == b"0123456789abcdef0123"


def test_an_absent_secret_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(SecretUnreadable, match=r"secret file .*/none cannot be read: No such file"):
        SecretRef(file=tmp_path / "none").read()
    with pytest.raises(SecretUnreadable, match="environment variable NO_SUCH_SECRET is not set"):
        SecretRef(env="NO_SUCH_SECRET").read()


def test_a_short_secret_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("short")
    (tmp_path / "s").chmod(stat.S_IRUSR)

    with pytest.raises(SecretUnreadable, match="fewer than 16 characters") as refused:
        SecretRef(file=tmp_path / "s").read()

    assert "short" not in str(refused.value).replace(str(tmp_path), "")


def test_a_cache_path_may_have_a_tier_and_a_size_of_its_own() -> None:
    cache = settings("region: r\ncache: {paths: [{path: /nvme0}, {path: /hdd, tier: 1, size: 2TiB}, /x]}\n").cache

    assert cache.directories == (Path("/nvme0"), Path("/hdd"), Path("/x"))
    assert [one.tier for one in cache.paths] == [0, 1, 0]
    assert cache.sizes == (None, 2 << 40, None)


@pytest.mark.parametrize("one", ["{path: /c, tier: -1}", "{path: /c, tier: fast}", "{tier: 1}", "{path: /c, speed: 1}"])
def test_a_cache_path_that_is_none_is_a_fault_at_its_place(one: str) -> None:
    assert ": cache.paths" in faults_of(f"region: r\ncache: {{paths: [{one}]}}\n")[0]
