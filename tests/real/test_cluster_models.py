"""Model distribution: one large object to many readers over the nodes of a region, cold; the line carries it once."""

from pathlib import Path

import pytest

from policy import units
from tests.real.conftest import Note
from tests.real.lab.crowd import crowd
from tests.real.lab.federation import Plan, Span, federation
from tests.real.lab.reads import Read, Thing, crossed

pytestmark = [pytest.mark.real, pytest.mark.root]
MIB = 1 << 20
LINE, REGION = "bj-use1", "aws-use1"
OVERHEAD = 1.06


def distribute(directory: Path, size: int, readers: int, quota: str, note: Note) -> None:
    plan = Plan({"idc-bj": 1, REGION: 4}, {LINE: Span(("idc-bj", REGION), quota)})
    model = Thing("model.safetensors", size, 5)
    with federation(directory, plan) as running:
        running.put([model])
        cluster = running.clusters[REGION]
        wire = running.cables[LINE].towards(cluster.site)
        before = wire.received()
        read = [Read(model, 0, model.size, True)]

        with crowd(running, dict.fromkeys(cluster.machines, read * (readers // 4)), readers // 4) as seen:
            pass

        carried, kinds = wire.received() - before, cluster.kinds(LINE)
        alone = size * OVERHEAD / units.rate(quota)
        what = f"{size // MIB} MiB to {readers} readers over 4 nodes, {quota}"
        note(
            what,
            f"{carried / size:.3f} over the line, done in {seen.seconds / alone:.2f}x of its own time",
            "once, <= 1.2x",
        )
        assert seen.faults == ()
        assert seen.bytes == size * readers
        assert crossed(kinds) == kinds["unique"] == size
        assert carried <= size * 1.06 + MIB


@pytest.mark.timeout(240)
def test_a_model_goes_to_all_readers_of_a_region_and_crosses_the_line_once(tmp_path: Path, note: Note) -> None:
    distribute(tmp_path, 96 * MIB + 4321, 12, "200 Mbit/s", note)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_2_gib_go_to_64_readers_and_cross_the_line_once(tmp_path: Path, note: Note) -> None:
    # Of two cores, 64 readers of 25 MB/s each would need more than there is; of the line's time nothing would be seen.
    distribute(tmp_path, 2048 * MIB + 4321, 64, "100 Mbit/s", note)
