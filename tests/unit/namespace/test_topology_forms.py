"""The topology as items: what comes out is what went in, and a change touches what changed alone."""

import pytest

from namespace import codec, forms
from namespace.items import difference
from namespace.model import Topology
from policy import units

UNITS = codec.Units(rate=units.rate, size=units.size, duration=units.duration)
WRITTEN = {
    "regions": {
        "idc-bj": {"nodes": ["10.1.0.7:9100"]},
        "aws-use1": {"provider": "aws"},
        "gpu-7": {"provider": "rental", "parent": "aws-use1", "trust": "granted", "paths": ["/ns/train"]},
    },
    "lines": {
        "z": {"between": ["idc-bj", "aws-use1"], "capacity": "10Gbps", "price_per_gb": 0.02, "carries": "private"},
        "a": {"between": ["idc-bj", "aws-use1"], "capacity": "1Gbps", "office": "aws-use1"},
        "use1-gpu7": {"between": ["aws-use1", "gpu-7"], "capacity": "20Gbps"},
    },
    "buckets": {
        "train-bj": {
            "provider": "s3",
            "bucket": "bucket1",
            "region": "idc-bj",
            "page": "2MiB",
            "endpoints": {"internal": "http://10.1.0.5:9000", "external": {"url": "https://s3.example", "line": "z"}},
            "credentials": {"env": "TRAIN_BJ"},
        },
        "notes": {"provider": "file", "region": "idc-bj", "endpoints": {"internal": "file:///mnt/notes"}},
    },
    "mounts": {
        "/ns/train": {"bucket": "train-bj", "prefix": "train/", "external": True, "consistency": {"max_age": "30s"}},
        "/ns/train/public": {"bucket": "train-bj", "consistency": "immutable", "stale_if_down": "30d"},
        "/ns/ckpt": {"bucket": "train-bj", "mode": "rw", "write": "back", "copies": 3, "consistency": "validate"},
        "/ns/notes": {"bucket": "notes", "refresh": {"every": "10m"}},
    },
}


def _topology(**sections: object) -> Topology:
    return codec.topology({**WRITTEN, **sections}, UNITS)


def test_a_topology_is_the_same_again() -> None:
    topology = _topology()

    again = forms.topology_of(forms.items_of(topology))

    assert again == topology
    assert [list(section) for section in (again.regions, again.lines)] == [
        list(section) for section in (topology.regions, topology.lines)
    ]
    assert again.buckets["train-bj"].id == topology.buckets["train-bj"].id
    assert again.lines_between("idc-bj", "aws-use1")[0].name == "z"


def test_one_changed_mount_is_one_item_and_the_others_stay_the_same_objects() -> None:
    before = _topology()
    after = _topology(mounts={**WRITTEN["mounts"], "/ns/notes": {"bucket": "notes"}})
    found = difference(forms.items_of(before), forms.items_of(after))

    changed = forms.changed(before, found, forms.items_of(after))

    assert list(found.names()) == ["mount//ns/notes"]
    assert changed == after
    assert changed.mounts["/ns/train"] is before.mounts["/ns/train"]


def test_what_is_gone_is_gone_and_lines_that_changed_places_have() -> None:
    before = _topology()
    lines = {name: WRITTEN["lines"][name] for name in ("use1-gpu7", "a", "z")}  # type: ignore[index]
    after = _topology(mounts={"/ns/train": {"bucket": "notes"}}, lines=lines)
    items = forms.items_of(after)

    changed = forms.changed(before, difference(forms.items_of(before), items), items)

    assert changed == after
    assert list(changed.lines) == ["use1-gpu7", "a", "z"]


@pytest.mark.parametrize("text", ['{"bucket":"b","colour":"red"}', "{}", "[]", "{"])
def test_a_mount_of_another_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        forms.topology_of({"mount//ns/a": text})
