"""One apply is one revision: kept and adopted together, or refused and nothing changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.applying import Applying, File
from gateway.pairs import Pair
from namespace.store.embedded import EmbeddedStore
from policy.yamlfile import Faults

TOPOLOGY = File("t.yaml", "regions: {a: {}, b: {}}\nlines: {a-b: {between: [a, b], capacity: 1Gbps}}\n")
POLICY = File("p.yaml", "lines: {a-b: {quota: 500Mbps}}\n")
WRONG = File("p.yaml", "lines: {a-b: {quota: 5Gbps}}\n")


class Adopted(list[tuple[int, Pair]]):
    """Remembers what was put in force."""

    def __call__(self, pair: Pair, revision: int) -> None:
        self.append((revision, pair))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "namespace.db")
    yield opened
    opened.close()


@pytest.fixture
def adopted() -> Adopted:
    return Adopted()


@pytest.fixture
def applying(store: EmbeddedStore, adopted: Adopted) -> Applying:
    return Applying(store, adopted, wall=lambda: 1000.0, region="a")


def test_an_apply_is_one_revision_and_is_adopted(applying: Applying, store: EmbeddedStore, adopted: Adopted) -> None:
    applied = applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    assert applied.revision == store.revision() == 1
    assert [(revision, pair.digest) for revision, pair in adopted] == [(1, applied.digest)]
    assert store.history()[0].digest == applied.digest
    assert store.history()[0].at == 1000.0
    assert "policy: lines.a-b.quota" in {change.path for change in applied.changes}


def test_a_dry_run_tells_and_changes_nothing(applying: Applying, store: EmbeddedStore, adopted: Adopted) -> None:
    applied = applying.apply((TOPOLOGY, POLICY), "admin", dry_run=True)

    assert applied.changes
    assert applied.revision == 1
    assert store.revision() == 0
    assert adopted == []


def test_a_faulty_pair_is_refused_whole(applying: Applying, store: EmbeddedStore, adopted: Adopted) -> None:
    with pytest.raises(Faults, match="above the line's capacity"):
        applying.apply((TOPOLOGY, WRONG), "admin", dry_run=False)

    assert store.revision() == 0
    assert adopted == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_topology_without_this_nodes_region_is_refused_whole(
    applying: Applying, store: EmbeddedStore, adopted: Adopted, dry_run: bool
) -> None:
    other = File("t.yaml", "regions:\n  b: {}\n  c: {}\n")

    with pytest.raises(Faults) as refused:
        applying.apply((other, WRONG), "admin", dry_run=dry_run)

    assert "t.yaml:2:3: regions: region 'a' of this node is not among them; known: b, c" in str(refused.value)
    assert len(refused.value.faults) == 2
    assert store.revision() == 0
    assert adopted == []


def test_a_faulty_policy_leaves_the_one_in_force(applying: Applying, store: EmbeddedStore, adopted: Adopted) -> None:
    applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    with pytest.raises(Faults):
        applying.apply((WRONG,), "admin", dry_run=False)

    assert store.revision() == len(adopted) == 1


def test_the_same_files_again_are_no_revision(applying: Applying, adopted: Adopted) -> None:
    first = applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    again = applying.apply((POLICY, TOPOLOGY), "admin", dry_run=False)

    assert (again.revision, again.digest, again.changes) == (1, first.digest, ())
    assert len(adopted) == 1


def test_one_file_alone_goes_with_the_other_in_force(applying: Applying, store: EmbeddedStore) -> None:
    applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    applied = applying.apply((File("p.yaml", "lines: {a-b: {quota: 600Mbps}}\n"),), "admin", dry_run=False)

    assert [(change.path, change.before, change.after) for change in applied.changes] == [
        ("policy: lines.a-b.quota", "500Mbps", "600Mbps")
    ]
    assert store.files(2) == {"topology": TOPOLOGY.text, "policy": "lines: {a-b: {quota: 600Mbps}}\n"}


def test_what_is_in_force_is_found_again_after_a_restart(store: EmbeddedStore, applying: Applying) -> None:
    applied = applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    pair = Applying(store, Adopted(), wall=lambda: 0.0, region="a").in_force()

    assert pair is not None
    assert pair.digest == applied.digest


def test_nothing_is_in_force_at_first(applying: Applying) -> None:
    assert applying.in_force() is None


def test_another_comment_is_a_revision_without_changes(applying: Applying, store: EmbeddedStore) -> None:
    applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)
    commented = File("p.yaml", "# agreed with finance\n" + POLICY.text)

    tried = applying.apply((commented,), "admin", dry_run=True)
    applied = applying.apply((commented,), "admin", dry_run=False)

    assert tried.revision == applied.revision == store.revision() == 2
    assert applied.changes == ()
