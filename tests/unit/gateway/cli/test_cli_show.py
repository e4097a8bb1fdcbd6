"""How commands print: arrays piece by piece, the disks of a cache each by itself."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.admin.answers import CachePath
from gateway.cli.pictures import picture_of
from gateway.cli.show import print_json_each
from namespace.store.embedded import EmbeddedStore
from tests.fakes.operations import FakeOperations


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_array_printed_piece_by_piece_is_the_array(capsys: pytest.CaptureFixture[str], count: int) -> None:
    items = [{"path": f"/ns/a\n{at}", "size": at} for at in range(count)]

    print_json_each(iter(items))

    printed = capsys.readouterr().out
    assert json.loads(printed) == items
    assert printed == json.dumps(items, indent=2) + "\n"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (CachePath("/fast", 1 << 30, 1 << 40), "/fast: 1 GiB of 1 TiB, tier 0"),
        (CachePath("/slow", 1 << 30, 1 << 40, tier=1, full=True), "/slow: 1 GiB of 1 TiB, tier 1, full"),
        (CachePath("/slow", 0, 1 << 40, tier=1, slow=True), "/slow: 0 B of 1 TiB, tier 1, does not keep up"),
        (CachePath("/slow", 0, 0, "out: gone", tier=1), "/slow: out: gone"),
    ],
)
def test_status_shows_each_disk_of_the_cache_with_its_tier_and_state(
    tmp_path: Path, path: CachePath, said: str
) -> None:
    status = FakeOperations(EmbeddedStore(tmp_path / "namespace.sqlite")).status()

    shown = picture_of(replace(status, caches=(path, CachePath("/other", 0, 1 << 40, tier=1))))

    assert [value for name, value in shown if name == "cache"] == [said, "/other: 0 B of 1 TiB, tier 1"]
