"""What members tell and ask one another is refused where it is malformed: it is who asks that is at fault."""

from pathlib import Path

import pytest

from regioncache.peers.wire import BadPeerRequest
from tests.fakes.region import region

pytestmark = pytest.mark.anyio
ID = "00" * 16


@pytest.mark.parametrize(
    ("operation", "values"),
    [
        ("tell", {"what": "learned", "id": ID, "key": "k", "object": "{}"}),
        ("tell", {"what": "learned", "id": ID, "key": "k", "object": "[1, 2"}),
        ("tell", {"what": "learned", "id": ID, "key": "k", "object": "é"}),
        ("tell", {"what": "learned", "id": "no id", "key": "k", "object": "{}"}),
        ("tell", {"what": "learned", "id": ID}),
        ("held", {"id": ID, "key": "k", "epoch": "0", "extent": "-1", "page": "1048576"}),
        ("held", {"id": ID, "key": "k", "epoch": "0", "extent": "0", "page": "-1048576"}),
        ("held", {"id": ID, "key": "k", "epoch": "0", "extent": "0", "page": "0"}),
    ],
)
async def test_what_is_malformed_is_the_askers_fault(tmp_path: Path, operation: str, values: dict[str, str]) -> None:
    async with region(tmp_path) as cache:
        desks = cache.app.peers.desks

        with pytest.raises(BadPeerRequest, match="malformed"):
            await desks[operation](cache.app.settings.region, values)
