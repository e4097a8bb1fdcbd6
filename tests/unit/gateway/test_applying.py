"""One apply is one revision: kept and adopted together, or refused and nothing changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.applying import MOST_TOLD, Applying, File
from namespace.errors import NamespaceError
from namespace.keeping import Superseded
from namespace.store.embedded import EmbeddedStore
from namespace.store.local import LocalNamespace
from policy.yamlfile import Faults

pytestmark = pytest.mark.anyio

TOPOLOGY = File("t.yaml", "regions: {a: {}, b: {}}\nlines: {a-b: {between: [a, b], capacity: 1Gbps}}\n")
POLICY = File("p.yaml", "lines: {a-b: {quota: 500Mbps}}\n")
OTHER = File("p.yaml", "lines: {a-b: {quota: 600Mbps}}\n")
WRONG = File("p.yaml", "lines: {a-b: {quota: 5Gbps}}\n")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "namespace.db")
    yield opened
    opened.close()


@pytest.fixture
def applying(store: EmbeddedStore) -> Applying:
    return Applying(LocalNamespace(store), wall=lambda: 1000.0, region="a")


async def test_an_apply_is_one_revision_and_is_adopted(applying: Applying, store: EmbeddedStore) -> None:
    applied = await applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    assert applied.revision == store.revision() == 1
    assert store.history()[0].digest == applied.digest
    assert store.history()[0].at == 1000.0
    assert "policy: lines.a-b.quota" in {change.path for change in applied.changes}


async def test_a_dry_run_tells_and_changes_nothing(applying: Applying, store: EmbeddedStore) -> None:
    applied = await applying.apply((TOPOLOGY, POLICY), "admin", dry_run=True)

    assert applied.changes
    assert applied.revision == 1
    assert store.revision() == 0


async def test_of_very_many_changes_the_first_are_told_and_their_number(applying: Applying) -> None:
    lines = "".join(f"  line-{at}: {{between: [a, b], capacity: 1Gbps}}\n" for at in range(MOST_TOLD))

    applied = await applying.apply(
        (File("t.yaml", f"regions: {{a: {{}}, b: {{}}}}\nlines:\n{lines}"),), "a", dry_run=True
    )

    assert len(applied.changes) == MOST_TOLD
    assert applied.count == 2 + 2 * MOST_TOLD
    assert len(applied.warnings) == MOST_TOLD


async def test_a_faulty_pair_is_refused_whole(applying: Applying, store: EmbeddedStore) -> None:
    with pytest.raises(Faults, match="above the line's capacity"):
        await applying.apply((TOPOLOGY, WRONG), "admin", dry_run=False)

    assert store.revision() == 0


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_topology_without_this_nodes_region_is_refused_whole(
    applying: Applying, store: EmbeddedStore, dry_run: bool
) -> None:
    other = File("t.yaml", "regions:\n  b: {}\n  c: {}\n")

    with pytest.raises(Faults) as refused:
        await applying.apply((other, WRONG), "admin", dry_run=dry_run)

    assert "t.yaml:2:3: regions: region 'a' of this node is not among them; known: b, c" in str(refused.value)
    assert len(refused.value.faults) == 2
    assert store.revision() == 0


async def test_a_faulty_policy_leaves_the_one_in_force(applying: Applying, store: EmbeddedStore) -> None:
    await applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    with pytest.raises(Faults):
        await applying.apply((WRONG,), "admin", dry_run=False)

    assert store.revision() == 1


async def test_the_same_files_again_are_no_revision(applying: Applying) -> None:
    first = await applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    again = await applying.apply((POLICY, TOPOLOGY), "admin", dry_run=False)

    assert (again.revision, again.digest, again.changes) == (1, first.digest, ())


async def test_one_file_alone_goes_with_the_other_in_force(applying: Applying, store: EmbeddedStore) -> None:
    await applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    applied = await applying.apply((File("p.yaml", "lines: {a-b: {quota: 600Mbps}}\n"),), "admin", dry_run=False)

    assert [(change.path, change.before, change.after) for change in applied.changes] == [
        ("policy: lines.a-b.quota", "500Mbps", "600Mbps")
    ]
    assert store.files(2) == {"topology": TOPOLOGY.text, "policy": "lines: {a-b: {quota: 600Mbps}}\n"}


async def test_what_is_in_force_is_found_again_after_a_restart(store: EmbeddedStore, applying: Applying) -> None:
    applied = await applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    again = LocalNamespace(store)
    pair = await Applying(again, wall=lambda: 0.0, region="a").read(again.newest())

    assert pair is not None
    assert pair.digest == applied.digest


async def test_nothing_is_in_force_at_first(store: EmbeddedStore, applying: Applying) -> None:
    assert await applying.read(LocalNamespace(store).newest()) is None


async def test_another_comment_is_a_revision_without_changes(applying: Applying, store: EmbeddedStore) -> None:
    await applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)
    commented = File("p.yaml", "# agreed with finance\n" + POLICY.text)

    tried = await applying.apply((commented,), "admin", dry_run=True)
    applied = await applying.apply((commented,), "admin", dry_run=False)

    assert tried.revision == applied.revision == store.revision() == 2
    assert applied.changes == ()


async def test_what_was_made_from_another_revision_is_refused_and_says_whose_change_came_between(
    applying: Applying, store: EmbeddedStore
) -> None:
    await applying.apply((TOPOLOGY, POLICY), "ann", dry_run=False)
    await applying.apply((OTHER,), "bob", dry_run=False, made_from=1)

    with pytest.raises(Superseded) as refused:
        await applying.apply((POLICY,), "ann", dry_run=False, made_from=1)

    assert "made from revision 1, and bob has applied revision 2 since, at 1970-01-01 00:16:40Z" in str(refused.value)
    assert store.revision() == 2


async def test_the_same_files_are_no_change_whatever_revision_they_were_made_from(applying: Applying) -> None:
    await applying.apply((TOPOLOGY, POLICY), "ann", dry_run=False)
    await applying.apply((OTHER,), "bob", dry_run=False)

    again = await applying.apply((OTHER,), "ann", dry_run=False, made_from=1)

    assert (again.revision, again.changes) == (2, ())


async def test_a_rollback_is_a_new_revision_with_the_old_files(applying: Applying, store: EmbeddedStore) -> None:
    await applying.apply((TOPOLOGY, POLICY), "ann", dry_run=False)
    await applying.apply((OTHER,), "bob", dry_run=False)

    back = await applying.rollback(1, "ann", dry_run=False)

    assert (back.revision, store.files(3)) == (3, store.files(1))
    assert store.history()[0].author == "ann, rollback to 1"


async def test_a_rollback_to_a_revision_that_is_not_kept_names_those_that_are(applying: Applying) -> None:
    await applying.apply((TOPOLOGY, POLICY), "ann", dry_run=False)

    with pytest.raises(NamespaceError, match="there is no revision 7; kept: 1 to 1"):
        await applying.rollback(7, "ann", dry_run=False)


class Refusing(LocalNamespace):
    """A namespace that is not what others have."""

    def concern(self) -> str:
        return "the namespace that is offered is not taken"


async def test_the_same_files_again_tell_that_what_is_known_here_is_not_what_others_have(store: EmbeddedStore) -> None:
    applying = Applying(Refusing(store), wall=lambda: 1000.0, region="a")
    await applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    again = await applying.apply((TOPOLOGY, POLICY), "admin", dry_run=False)

    assert not again.changes
    assert again.warnings == ("the namespace that is offered is not taken",)
