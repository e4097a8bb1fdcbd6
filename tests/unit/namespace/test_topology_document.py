"""docs/topology.md: its examples are topologies that this version keeps."""

import re
from pathlib import Path

import pytest

from namespace.checks import not_kept
from namespace.codec import Units, topology
from namespace.consistency import Immutable, MaxAge, Validate
from policy import units, yamlfile

DOCUMENT = (Path(__file__).parents[3] / "docs" / "topology.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
_UNITS = Units(rate=units.rate, size=units.size, duration=units.duration)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_topology_that_this_version_keeps(example: str) -> None:
    found = topology(yamlfile.parse(example, "topology.yaml").value, _UNITS)

    assert not_kept(found) == []


def test_the_examples_show_both_kinds_of_bucket_and_every_consistency() -> None:
    found = [topology(yamlfile.parse(example, "topology.yaml").value, _UNITS) for example in EXAMPLES]

    assert {bucket.provider for one in found for bucket in one.buckets.values()} == {"s3", "file"}
    assert {type(mount.consistency) for one in found for mount in one.mounts.values()} == {Immutable, MaxAge, Validate}
