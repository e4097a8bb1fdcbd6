"""What the journeys share: an origin over real sockets, and the environment that its credentials are read from."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.s3server import FakeS3


@pytest.fixture(autouse=True)
def origin_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSEWAY_TEST_ORIGIN", "ORIGINKEY:origin-secret")


@pytest.fixture
async def s3() -> AsyncIterator[FakeS3]:
    async with FakeS3() as server:
        server.bucket("bucket1")
        yield server
