"""What is as it was asked for and may surprise is noted by `check` and by `apply`, and refuses nothing."""

from pathlib import Path

import pytest

from tests.unit.gateway.cli.conftest import Command, FakeNode

NESTED = """\
regions: {a: {provider: idc}}
buckets:
  train: {provider: s3, bucket: b1, region: a, endpoints: {internal: "http://10.1.0.5:9000"}, credentials: none}
  open: {provider: s3, bucket: b2, region: a, endpoints: {internal: "http://10.1.0.5:9000"}, credentials: none}
mounts:
  /ns/train: {bucket: train}
  /ns/train/public: {bucket: open}
"""


@pytest.mark.parametrize("command", ["check", "apply"])
def test_a_mount_that_hides_another_is_shown(causeway: Command, node: FakeNode, tmp_path: Path, command: str) -> None:
    topology = tmp_path / "nested.yaml"
    topology.write_text(NESTED)

    ended = causeway(command, topology)

    assert ended.code == 0
    assert (
        ended.err == "note: mount /ns/train/public hides what bucket 'train' keeps under public/, of mount /ns/train\n"
    )
