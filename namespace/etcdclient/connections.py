"""A channel to each server, and the token that says who asks. Connected when first used."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import grpc
import grpc.aio

from namespace.etcdclient.calls import AUTHENTICATE, STATUS
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.errors import EtcdError, EtcdRefused
from namespace.etcdclient.limits import EtcdLimits
from namespace.etcdclient.proto import etcd_pb2 as pb
from namespace.etcdclient.refusals import Judged, Verdict, judged
from namespace.references import SecretUnreadable
from namespace.rpc.channels import RpcLimits, RpcTls, channel
from namespace.rpc.methods import A, Q, Unary

Metadata = Sequence[tuple[str, str]]


class Failed(Exception):
    """An attempt at one server failed; `judged` says what that means."""

    def __init__(self, what: Judged) -> None:
        super().__init__(str(what.error))
        self.judged = what


class Connections:
    """Channels by the index of their server. A server in trouble fails its own calls alone."""

    def __init__(self, access: EtcdAccess, limits: EtcdLimits, renew: Callable[[], EtcdAccess] | None = None) -> None:
        self.servers = access.servers
        self._access = access
        self._limits = limits
        self._read_again = renew
        self._channels: dict[int, grpc.aio.Channel] = {}
        self._made_by: dict[int, EtcdAccess] = {}
        self._retired: dict[int, grpc.aio.Channel] = {}
        self._closed = False
        self._token = ""
        self._renewing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Connections({len(self._channels)} of {len(self.servers)} used)"

    def channel(self, index: int) -> grpc.aio.Channel:
        """Returns the channel to a server; raises EtcdRefused once the client is closed."""
        if self._closed:
            raise EtcdRefused("this client of etcd was closed: who uses it stops before")
        if index not in self._channels:
            server, access = self.servers[index], self._access
            self._made_by[index] = access
            tls = RpcTls(access.ca, access.cert, access.key) if server.secure else None
            self._channels[index] = channel(server.address, tls, RpcLimits(message_bytes=self._limits.message_bytes))
        return self._channels[index]

    async def connect(self, index: int, seconds: float) -> None:
        """Returns when the server is connected; raises Failed, by which nothing was sent."""
        to = self.channel(index)
        try:
            async with asyncio.timeout(seconds):
                while (state := to.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        why = await self._why(to)
                        self._reread()
                        await self._made_anew(index)
                        raise Failed(unconnected(self.servers[index].url, why))
                    await to.wait_for_state_change(state)
        except (TimeoutError, grpc.aio.UsageError) as fault:
            # Closed by `close`, or replaced by one with newer certificates.
            raise Failed(unconnected(self.servers[index].url)) from fault

    async def ask(self, index: int, method: Unary[Q, A], question: Q, seconds: float) -> A:
        """Asks one server, once.

        Raises:
            Failed: with what is known of it.
            EtcdRefused: the user or the password is wrong.
        """
        await self.connect(index, min(seconds, self._limits.connect_seconds))
        metadata = await self.metadata(index)
        try:
            return await method.on(self.channel(index))(question, timeout=seconds, metadata=metadata)
        except grpc.aio.AioRpcError as fault:
            raise self.failure(index, fault, metadata) from fault

    async def metadata(self, index: int) -> Metadata:
        """Returns what goes with each call to a server: the token, drawn from it if there is none; raises as `ask`."""
        if not self._access.user:
            return ()
        async with self._renewing:
            if not self._token:
                self._token = await self._authenticate(index)
        return (("token", self._token),)

    def failure(self, index: int, fault: grpc.aio.AioRpcError, metadata: Metadata) -> Failed:
        """Returns what a call's fault means; a token that it names as invalid is not used again."""
        what = judged(fault, self.servers[index].url)
        if what.verdict is Verdict.TOKEN:
            self.distrust(metadata)
        return Failed(what)

    def distrust(self, metadata: Metadata) -> None:
        """Forgets the token that a call went out with, unless a newer one was drawn meanwhile."""
        if ("token", self._token) in metadata:
            self._token = ""

    def renew(self) -> bool:
        """Has a new token drawn for the next call; False where there is none to draw."""
        self._token = ""
        return bool(self._access.user)

    async def close(self) -> None:
        """Closes all connections; running calls end with a fault."""
        self._closed = True
        channels = [*self._channels.values(), *self._retired.values()]
        self._channels, self._retired = {}, {}
        for one in channels:
            await one.close()

    async def _why(self, to: grpc.aio.Channel) -> str:
        """Why a channel does not connect, as a call on it is told: a certificate, a name, a refusal."""
        try:
            await STATUS.on(to)(pb.StatusRequest(), timeout=self._limits.pause_seconds)
        except grpc.aio.AioRpcError as fault:
            return fault.details() or ""
        return ""

    def _reread(self) -> bool:
        """Reads certificates and password anew; whether they changed. Channels to come are made with them."""
        if self._read_again is None:
            return False
        try:
            # Small files, and only when nothing works anyway.
            access = replace(self._read_again(), servers=self.servers)
        except (EtcdError, SecretUnreadable):
            return False
        if access == self._access:
            return False
        self._access, self._token = access, ""
        return True

    async def _made_anew(self, index: int) -> None:
        """Lets go of a channel that was made by what was read before, and does not connect."""
        if self._made_by.get(index) == self._access or index not in self._channels:
            return
        retired, self._retired[index] = self._retired.get(index), self._channels.pop(index)
        # The one before the last: others may still look at the last, and closing it would cancel them.
        if retired is not None:
            await retired.close()

    async def _authenticate(self, index: int) -> str:
        question = pb.AuthenticateRequest(name=self._access.user, password=self._access.password)
        try:
            ask = AUTHENTICATE.on(self.channel(index))
            return (await ask(question, timeout=self._limits.attempt_seconds)).token
        except grpc.aio.AioRpcError as fault:
            said = fault.details() or ""
            if "authentication is not enabled" in said:
                raise EtcdRefused(
                    f"etcd at {self.servers[index].url} has its authentication off: leave `user` out, or switch it"
                    " on (`etcdctl auth enable`)"
                ) from fault
            if "authentication failed" in said:
                refused = EtcdRefused(f"etcd does not know user {self._access.user!r} by this password")
                if self._reread():
                    raise Failed(Judged(Verdict.TOKEN, refused)) from fault
                raise refused from fault
            # Nothing was asked yet, whatever became of this.
            raise Failed(judged(fault, self.servers[index].url, sent=False)) from fault


def unconnected(url: str, why: str = "") -> Judged:
    """Returns what it means that no connection to a server came about."""
    fault = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(),
        details=why or "it cannot be connected to",
    )
    return judged(fault, url, sent=False)
