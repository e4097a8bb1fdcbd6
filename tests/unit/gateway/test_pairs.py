"""Topology and policy are checked as one, and compared by what they say."""

import pytest

from gateway.pairs import File, changes, check, kind_of
from policy.yamlfile import Faults

TOPOLOGY = """\
regions:
  idc-bj: {provider: idc, nodes: ["10.1.0.7:9100"]}
  aws-use1: {provider: aws}
lines:
  bj-use1: {between: [idc-bj, aws-use1], capacity: 10Gbps}
buckets:
  train-bj: {provider: s3, bucket: b1, region: idc-bj, endpoints: {internal: "http://10.1.0.5:9000"}, credentials: none}
mounts:
  /ns/train: {bucket: train-bj}
"""
POLICY = """\
lines:
  bj-use1: {quota: 8Gbps}
cache:
  - {match: "/ns/scratch/**", admit: never}
"""
FILES = (File("topology.yaml", TOPOLOGY), File("policy.yaml", POLICY))


def told(files: tuple[File, ...], in_force: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(Faults) as refused:
        check(files, in_force or {})
    return [str(fault) for fault in refused.value.faults]


def test_a_right_pair_is_taken_in_either_order() -> None:
    pair = check(FILES, {})

    assert set(pair.topology.mounts) == {"/ns/train"}
    assert pair.policy.lines["bj-use1"].quota == 1e9
    assert pair.warnings == ()
    assert check(FILES[::-1], {}) == pair
    assert check(FILES[::-1], {}).digest == pair.digest


def test_faults_of_both_files_come_at_once() -> None:
    wrong_topology = File("t.yaml", TOPOLOGY.replace("bucket: train-bj", "bucket: train-sh"))
    wrong_policy = File("p.yaml", POLICY.replace("8Gbps", "8 parsecs"))

    faults = told((wrong_topology, wrong_policy))

    assert [fault.split(": ")[0] for fault in faults] == ["p.yaml:2:20", "t.yaml:9:23"]


def test_an_unreadable_file_hides_no_fault_of_the_other() -> None:
    faults = told((File("t.yaml", TOPOLOGY.replace("region: idc-bj", "region: moon")), File("p.yaml", "cache: [")))

    assert [fault.split(":")[0] for fault in faults] == ["p.yaml", "t.yaml"]


def test_a_policy_for_an_unknown_line_names_the_known_ones() -> None:
    faults = told((FILES[0], File("p.yaml", "lines:\n  bj-use2: {quota: 1Gbps}\n")))

    assert faults == ["p.yaml:2:3: lines.bj-use2: line 'bj-use2' is not in the topology; known: bj-use1"]


def test_a_quota_above_the_capacity_is_refused() -> None:
    faults = told((FILES[0], File("p.yaml", "lines:\n  bj-use1: {quota: 11Gbps}\n")))

    assert faults == ["p.yaml:2:20: lines.bj-use1.quota: quota 11 Gbit/s is above the line's capacity 10 Gbit/s"]


def test_a_line_without_policy_is_a_warning() -> None:
    pair = check(FILES[:1], {})

    assert pair.warnings == ("line 'bj-use1' has no policy: its quota is its capacity, 10 Gbit/s",)


@pytest.mark.parametrize(
    ("kind", "before", "after", "place"),
    [
        (
            "policy",
            "quota: 8Gbps",
            "quota: 8Gbps, tenants: {rec: {weight: 1, month: 1TB}}",
            "lines.bj-use1.tenants.rec.month",
        ),
        ("topology", "{bucket: train-bj}", "{bucket: train-bj, mode: rw}", "mounts./ns/train.mode"),
        ("topology", "provider: s3", "provider: gcs", "buckets.train-bj.provider"),
    ],
)
def test_what_is_not_kept_yet_is_refused_unless_the_future_is_asked_for(
    kind: str, before: str, after: str, place: str
) -> None:
    files = tuple(File(file.name, file.text.replace(before, after)) for file in FILES)

    faults = told(files)

    assert len(faults) == 1
    assert faults[0].split(":")[0] == f"{kind}.yaml"
    assert f": {place}: not kept by this version" in faults[0]
    check(files, {}, future=True)


def test_one_file_goes_with_the_other_in_force() -> None:
    in_force = {"topology": TOPOLOGY, "policy": POLICY}

    pair = check((File("p.yaml", POLICY.replace("8Gbps", "9Gbps")),), in_force)

    assert pair.texts["topology"] == TOPOLOGY
    assert pair.policy.lines["bj-use1"].quota == 1.125e9


def test_a_topology_that_drops_a_line_of_the_policy_in_force_is_refused() -> None:
    lineless = "regions: {idc-bj: {}, aws-use1: {}}\n"

    faults = told((File("t.yaml", lineless),), {"topology": TOPOLOGY, "policy": POLICY})

    assert faults[0].startswith("policy.yaml in force:2:3: lines.bj-use1: ")


def test_a_policy_alone_needs_a_topology_in_force() -> None:
    assert told(FILES[1:])[0].startswith("policy.yaml:1:1: document: no topology is in force yet")


def test_two_files_of_a_kind_are_refused() -> None:
    assert "a second topology, beside a.yaml" in told((File("a.yaml", TOPOLOGY), File("b.yaml", TOPOLOGY)))[0]


def test_a_file_that_is_neither_says_how_they_are_told_apart() -> None:
    assert "neither a topology nor a policy" in told((File("x.yaml", "hello: 1"),))[0]


def test_lines_alone_are_told_apart_by_what_they_say() -> None:
    assert kind_of({"lines": {"a": {"quota": "1Gbps"}}}) == "policy"
    assert kind_of({"lines": {"a": {"between": [], "capacity": "1Gbps"}}}) == "topology"


def test_changes_are_told_by_name() -> None:
    before = check(FILES, {})
    text = TOPOLOGY.replace("10Gbps", "20Gbps") + "  /ns/more: {bucket: train-bj, prefix: more/}\n"
    after = check((File("t.yaml", text), FILES[1]), {})

    told_changes = {change.path: (change.before, change.after) for change in changes(before, after)}

    assert told_changes == {
        "topology: lines.bj-use1.capacity": ("10Gbps", "20Gbps"),
        "topology: mounts./ns/more.bucket": (None, "train-bj"),
        "topology: mounts./ns/more.prefix": (None, "more/"),
    }


def test_layout_and_comments_are_no_change() -> None:
    plain = check(FILES, {})
    commented = check(
        (File("t.yaml", "# ours\n" + TOPOLOGY.replace("{provider: aws}", "\n    provider: aws")), FILES[1]), {}
    )

    assert changes(plain, commented) == ()


def test_another_quota_is_another_digest() -> None:
    other = check((FILES[0], File("p.yaml", POLICY.replace("8Gbps", "9Gbps"))), {})

    assert other.digest != check(FILES, {}).digest


def test_what_a_mount_hides_of_another_is_allowed_and_noted() -> None:
    nested = TOPOLOGY.replace("/ns/train: {bucket: train-bj}", "/ns/train: {bucket: train-bj, prefix: all/}")
    nested += "  /ns/train/a/public: {bucket: train-bj}\n  /ns/train/a/public/deep: {bucket: train-bj}\n"

    pair = check((File("t.yaml", nested), FILES[1]), {})

    assert pair.notes == (
        "mount /ns/train/a/public hides what bucket 'train-bj' keeps under all/a/public/, of mount /ns/train",
        "mount /ns/train/a/public/deep hides what bucket 'train-bj' keeps under deep/, of mount /ns/train/a/public",
    )
    assert (pair.warnings, check(FILES, {}).notes) == ((), ())
