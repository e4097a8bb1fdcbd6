"""A real etcd with users, with certificates, and without space: what is refused is told with its remedy."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.errors import EtcdRefused, EtcdUnavailable, NoSpace
from namespace.etcdclient.limits import EtcdLimits
from namespace.etcdclient.session import Session
from namespace.etcdclient.values import Changes, Get, Put, Snapshot
from tests.real.lab.certificates import certificate
from tests.real.lab.etcd import EtcdCluster, etcd
from tests.real.lab.process import tool

pytestmark = [pytest.mark.real, pytest.mark.anyio]

PATIENT = EtcdLimits(call_seconds=20.0)


def ctl(cluster: EtcdCluster, *args: str, root: bool = False) -> str:
    """Asks etcd by its own program."""
    user = ["--user=root:rootpw"] if root else []
    command = [tool("etcdctl"), f"--endpoints={','.join(cluster.urls)}", *user, *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={"ETCDCTL_API": "3"}).stdout


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    """Users `root`, and `cw`, who has /ours/ alone."""
    with etcd(tmp_path_factory.mktemp("guarded"), 1) as cluster:
        ctl(cluster, "user", "add", "root:rootpw")
        ctl(cluster, "user", "grant-role", "root", "root")
        ctl(cluster, "user", "add", "cw:pw")
        ctl(cluster, "role", "add", "ours")
        ctl(cluster, "role", "grant-permission", "ours", "--prefix=true", "readwrite", "/ours/")
        ctl(cluster, "user", "grant-role", "cw", "ours")
        ctl(cluster, "auth", "enable")
        yield cluster


def known(cluster: EtcdCluster, user: str = "cw", password: str = "pw") -> Etcd:
    return Etcd(EtcdAccess.of(*cluster.urls, user=user, password=password), PATIENT)


async def test_a_user_reads_and_writes_what_is_granted_and_nothing_else(guarded: EtcdCluster) -> None:
    async with known(guarded) as client:
        revision = await client.put(b"/ours/k", b"v")
        found = await client.get(b"/ours/k")

        assert found is not None
        assert found.modified == revision
        with pytest.raises(EtcdRefused, match="permission denied"):
            await client.get(b"/theirs/k")
        with pytest.raises(EtcdRefused, match="permission denied"):
            await client.put(b"/theirs/k", b"v")


async def test_a_prefix_that_is_not_granted_cannot_be_followed(guarded: EtcdCluster) -> None:
    async with known(guarded) as client, client.watch(b"/theirs/", 1) as watch:
        with pytest.raises(EtcdRefused, match=r"permission denied|grant its user"):
            await watch.next()


@pytest.mark.parametrize("user", ["cw", "nobody"])
async def test_a_wrong_password_or_user_is_told_as_such(guarded: EtcdCluster, user: str) -> None:
    async with known(guarded, user, "wrong") as client:
        with pytest.raises(EtcdRefused, match=f"does not know user '{user}'"):
            await client.get(b"/ours/k")


async def test_nobodys_question_is_refused_where_users_are_wanted(guarded: EtcdCluster) -> None:
    async with Etcd(EtcdAccess.of(*guarded.urls), PATIENT) as client:
        with pytest.raises(EtcdRefused, match="user name is empty"):
            await client.get(b"/ours/k")


async def test_a_token_that_etcd_forgot_is_drawn_anew(guarded: EtcdCluster) -> None:
    async with known(guarded) as client, client.follow(b"/ours/") as news:
        session = await Session.open(client, 5.0)
        await session.put(b"/ours/session", b"v")
        assert isinstance(await news.next(), Snapshot)
        # Its tokens live in its memory.
        guarded.members[0].kill()
        guarded.members[0].start()
        await asyncio.to_thread(guarded.wait)

        revision = await client.put(b"/ours/k", b"again", repeatable=True)
        changes = await news.next()
        renewal = await client.keep_alive(session.lease)

        assert isinstance(changes, Changes)
        assert changes.revision <= revision  # the later one of two, where the answer to the first was lost
        assert renewal.ttl_seconds == 5.0
        await session.close()


async def test_a_user_where_etcd_wants_none_is_told_the_remedy(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        async with known(cluster) as client:
            with pytest.raises(EtcdRefused, match="leave `user` out"):
                await client.get(b"/k")


async def test_both_sides_know_each_other_by_certificates(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other").cert.read_bytes()
    flags = (
        f"--cert-file={made.cert}",
        f"--key-file={made.key}",
        f"--trusted-ca-file={made.cert}",
        "--client-cert-auth",
    )
    quick = EtcdLimits(call_seconds=3.0)
    with etcd(tmp_path, 1, *flags, scheme="https") as cluster:
        cert, key = made.cert.read_bytes(), made.key.read_bytes()
        right = replace(EtcdAccess.of(*cluster.urls), ca=cert, cert=cert, key=key)
        async with Etcd(right, PATIENT) as client, client.follow(b"/k") as news:
            await news.next()
            revision = await client.put(b"/k", b"v")
            assert (await news.next()).revision == revision
        async with Etcd(replace(right, ca=other), quick) as client:
            with pytest.raises(EtcdUnavailable, match=r"(?i)certificate"):
                await client.get(b"/k")
        async with Etcd(replace(right, cert=None, key=None), quick) as client:
            with pytest.raises(EtcdUnavailable):
                await client.get(b"/k")


async def test_a_certificate_that_was_renewed_is_read_again(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    (tmp_path / "old").mkdir()
    flags = (f"--cert-file={made.cert}", f"--key-file={made.key}")
    with etcd(tmp_path, 1, *flags, scheme="https") as cluster:
        old = certificate(tmp_path / "old").cert.read_bytes()
        now = replace(EtcdAccess.of(*cluster.urls), ca=made.cert.read_bytes())
        async with Etcd(replace(now, ca=old), renew=lambda: now) as client:
            await client.put(b"/k", b"v")

            assert await client.get(b"/k") is not None


async def test_a_password_that_was_changed_is_read_again(guarded: EtcdCluster) -> None:
    now = EtcdAccess.of(*guarded.urls, user="cw", password="pw")
    async with Etcd(replace(now, password="the one before"), PATIENT, renew=lambda: now) as client:
        await client.put(b"/ours/k", b"v")

        assert await client.get(b"/ours/k") is not None


async def filled(client: Etcd) -> None:
    """Puts until etcd refuses: it counts what it has written to its disk, which it does ten times a second."""
    for number in range(2000):
        await client.put(b"/fill/%d" % (number % 50), bytes(100_000))


async def test_without_space_writes_are_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    with etcd(tmp_path, 1, f"--quota-backend-bytes={2 << 20}") as cluster:
        async with Etcd(EtcdAccess.of(*cluster.urls)) as client, client.follow(b"/f/") as news:
            session = await Session.open(client, 10.0)
            await session.put(b"/m/1", b"me")
            await news.next()
            last = await client.put(b"/f/k", b"v")
            with pytest.raises(NoSpace, match=r"compact its history.*alarm disarm"):
                await filled(client)
            with pytest.raises(NoSpace):
                await client.write([Put(b"/f/l", b"v")])

            assert (await news.next()).revision == last
            assert await client.get(b"/f/k") is not None
            assert (await client.keep_alive(session.lease)).ttl_seconds == 10.0

            # As its remedy says.
            await client.delete_prefix(b"/fill/")
            await client.compact((await client.page(Get(b"/f/k"))).revision)
            ctl(cluster, "defrag")
            ctl(cluster, "alarm", "disarm")
            assert await client.put(b"/f/k", b"w") > last
            await session.close()
