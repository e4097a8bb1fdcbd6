"""Nodes among themselves over TLS: both show a certificate of one authority, and the secrets sign beside it."""

import datetime
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.admin.operations import OperationFault
from gateway.peertls import PeerCertificate
from gateway.tls import Watch
from regioncache.http.client import Ask, Base, Client
from regioncache.http.faults import HttpFault
from regioncache.http.handshakes import Contexts
from regioncache.tidings import UNHEARD
from tests.fakes.certificates import Authority
from tests.fakes.hearing import Heard
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get, kinds, landed
from tests.flow.members import Cluster
from tests.flow.world import FAR, MIB, NEAR, World, topology, world

pytestmark = pytest.mark.anyio
SIZE = 3 * MIB + 17
LOOPBACK = ("127.0.0.1",)


@pytest.fixture
def authority() -> Authority:
    return Authority("nodes of ours")


@asynccontextmanager
async def regions(
    origin: str, authority: Authority, *, near_by: Authority | None = None, hosts: Sequence[str] = LOOPBACK
) -> AsyncIterator[World]:
    """Two regions whose nodes speak TLS; the near one's certificate is of another authority where one is given."""
    async with world() as made:
        for region, by, names in ((FAR, authority, hosts), (NEAR, near_by or authority, LOOPBACK)):
            (made.folder / f"tls-{region}").mkdir()
            by.write(made.folder / f"tls-{region}", region, hosts=names)
            await made.start(region, peer_tls=f"tls-{region}")
        (made.folder / f"tls-{NEAR}" / "ca.pem").write_bytes(authority.pem)
        Watch(made.nodes[NEAR].running.certificates, UNHEARD, made.wall).look()
        far = f"https://{made.peer(FAR)}"
        for region in (FAR, NEAR):
            # Without an endpoint's line there is no way around the far node.
            await made.apply(region, topology(origin, far, endpoint_line=False))
            await made.admit(region)
        yield made


async def asked(base: Base, tls: ssl.SSLContext | Contexts | None) -> int | None:
    """The status of the answer to an unsigned request; None: there is none."""
    client = Client(tls=tls)
    try:
        answer = await client.request(Ask(base, b"GET", b"/causeway/1/stat"))
        answer.close()
    except HttpFault:
        return None
    else:
        return answer.status
    finally:
        client.close()


async def test_regions_read_one_another_over_tls(s3: FakeS3, authority: Authority) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with regions(s3.url, authority) as made:
        got = await get(made, "k")
        await landed(made)

        assert (got.status, got.body) == (200, ramp(0, SIZE))
        assert got.headers["x-causeway-source"] == "line"
        assert kinds(made) == {"unique": SIZE}
        assert made.nodes[FAR].running.certificates[0].door == "peer"


async def test_who_has_no_certificate_of_the_authority_comes_to_no_door(s3: FakeS3, authority: Authority) -> None:
    stranger = Authority("of others")
    async with regions(s3.url, authority) as made:
        base = Base.parse(f"https://{made.peer(FAR)}")
        (made.folder / "stranger").mkdir()
        stranger.write(made.folder / "stranger", "stranger")
        bare, shown = _trusting(authority), _trusting(authority)
        shown.load_cert_chain(made.folder / "stranger" / "peer.pem", made.folder / "stranger" / "peer.key")
        ours = _trusting(authority)
        ours.load_cert_chain(made.folder / f"tls-{NEAR}" / "peer.pem", made.folder / f"tls-{NEAR}" / "peer.key")

        assert await asked(base, bare) is None
        assert await asked(base, shown) is None
        assert await asked(Base("http", base.host, base.port), None) is None
        # A certificate opens the connection, and says nothing of who signs.
        assert await asked(base, ours) == 403


async def test_a_node_whose_certificate_is_of_another_authority_reads_nothing(s3: FakeS3, authority: Authority) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with regions(s3.url, authority, near_by=Authority("of others")) as made:
        got = await get(made, "k")

        assert got.status == 503
        assert s3.sent.get("k", 0) == 0


async def test_a_node_at_another_name_than_its_certificates_is_not_read_from(s3: FakeS3, authority: Authority) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with regions(s3.url, authority, hosts=("cache-7.bj.example.com", "10.9.8.7")) as made:
        got = await get(made, "k")

        assert got.status == 503
        assert s3.sent.get("k", 0) == 0


async def test_a_node_without_a_certificate_says_what_is_missing(s3: FakeS3, authority: Authority) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with regions(s3.url, authority) as made:
        await made.stop(NEAR)
        await made.start(NEAR)

        assert (await get(made, "k")).status == 503
        with pytest.raises(OperationFault, match="name this node's certificate under"):
            await made.nodes[NEAR].operations.stat("/ns/train/k")


async def test_certificates_and_authorities_are_renewed_without_a_restart(s3: FakeS3, authority: Authority) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    s3.bucket("bucket1").put("l", SIZE)
    async with regions(s3.url, authority) as made:
        assert (await get(made, "k")).status == 200
        newer, heard = Authority("newer"), Heard()
        for region in (FAR, NEAR):
            newer.write(made.folder / f"tls-{region}", f"{region} renewed")
            Watch(made.nodes[region].running.certificates, heard.tidings(), made.wall).look()
        base, renewed = Base.parse(f"https://{made.peer(FAR)}"), made.nodes[NEAR].running.certificates[0]
        assert isinstance(renewed, PeerCertificate)
        old = _trusting(newer)
        (made.folder / "old").mkdir()
        authority.write(made.folder / "old", "old")
        old.load_cert_chain(made.folder / "old" / "peer.pem", made.folder / "old" / "peer.key")

        assert await asked(base, old) is None
        assert await asked(base, lambda: renewed.asking) == 403
        assert (await get(made, "l")).body == ramp(0, SIZE)
        assert sum("the certificate of the peer door was loaded again" in told for told in heard.news) == 2


async def test_an_authority_that_cannot_be_read_leaves_the_one_in_use(s3: FakeS3, authority: Authority) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with regions(s3.url, authority) as made:
        (made.folder / f"tls-{FAR}" / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nhalf of")
        heard = Heard()
        Watch(made.nodes[FAR].running.certificates, heard.tidings(), made.wall).look()

        assert (await get(made, "k")).body == ramp(0, SIZE)
        assert "ca.pem of the peer door cannot be used" in heard.warnings[0]
        assert any("ca.pem of the peer door" in told for told in made.nodes[FAR].operations.status().faults)


async def test_a_nodes_certificate_that_ends_is_told_of(s3: FakeS3, authority: Authority) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)
    async with regions(s3.url, authority) as made:
        authority.write(made.folder / f"tls-{FAR}", "ends", until=soon)
        heard = Heard()
        Watch(made.nodes[FAR].running.certificates, heard.tidings(), made.wall).look()

        assert any("the certificate of the peer door" in told and "expires in" in told for told in heard.warnings)


def _trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.pem.decode())
    return context


async def test_members_of_a_region_read_one_another_over_tls(s3: FakeS3, authority: Authority) -> None:
    s3.bucket("bucket1").put("far", SIZE)
    async with world() as made:
        for folder in ("tls", FAR):
            (made.folder / folder).mkdir()
            authority.write(made.folder / folder, folder)
        await made.start(FAR, peer_tls=FAR)
        far = f"https://{made.peer(FAR)}"
        await made.apply(FAR, topology(s3.url, far, endpoint_line=False))
        members = Cluster(made, s3, {"endpoint_line": False}, tls="tls", far=far)
        for name in ("a", "b"):
            await members.start(name)
        members.view("a", "b")
        key = members.owned_by("b")
        s3.bucket("bucket1").put(key, SIZE)

        assert (await get(made, key, region="a")).body == ramp(0, SIZE)
        await landed(made)

        assert members.held("a", key) == 0
        assert members.brought() == {"unique": SIZE}
        account = await made.nodes["a"].operations.moved("1h", "", "node")
        assert account.nodes == ("a", "b")
