"""What `apply` and `rollback` do about revisions: nobody's change is written over unseen."""

from pathlib import Path
from typing import Any

import pytest

from gateway.applying import Applied
from tests.fakes.operations import FakeOperations
from tests.unit.gateway.cli.conftest import Command, FakeNode

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


def test_an_apply_is_refused_when_somebody_else_applied_since_its_check(
    causeway: Command, node: FakeNode, topology: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    causeway("apply", topology, policy)
    between = {"topology": topology.read_text(), "policy": POLICY.replace("500Mbps", "700Mbps")}
    asked = FakeOperations.apply

    async def overtaken(operations: FakeOperations, *question: Any) -> Applied:
        told = await asked(operations, *question)
        if told.dry_run:
            operations.store.apply(between, "other", 0.0)
        return told

    monkeypatch.setattr(FakeOperations, "apply", overtaken)
    policy.write_text(POLICY.replace("500Mbps", "600Mbps"))

    ended = causeway("apply", policy)

    assert ended.code == 1
    assert "other has applied revision 2 since, at 1970-01-01 00:00:00Z" in ended.err
    assert node.operations.store.files(2) == between


def test_rollback_puts_an_older_revision_in_force_as_a_new_one(
    causeway: Command, node: FakeNode, topology: Path, policy: Path
) -> None:
    causeway("apply", topology, policy)
    policy.write_text(POLICY.replace("500Mbps", "600Mbps"))
    causeway("apply", policy)

    ended = causeway("rollback", "1")

    assert f"{node.url}: revision 3 is in force" in ended.out
    assert "  ~ policy: lines.a-b.quota = 500Mbps (was 600Mbps)\n" in ended.out
    assert node.operations.store.files(3) == node.operations.store.files(1)
