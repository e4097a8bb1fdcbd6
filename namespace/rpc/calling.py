"""Calls to one address of ours: signed, bounded in time, their faults ours."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic

import grpc.aio

from namespace.rpc.channels import RpcLimits, RpcTls, channel
from namespace.rpc.faults import RpcFault, TooSlow, Unreachable, fault_of
from namespace.rpc.methods import A, Feed, Q, Talk, Unary
from namespace.rpc.signing import Metadata, Signer


class Remote:
    """Another process's control door. Connects when it is first asked; closed by who made it."""

    def __init__(
        self,
        address: str,
        signer: Signer | None,
        tls: RpcTls | None = None,
        limits: RpcLimits | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Args:
        address: `HOST:PORT`.
        signer: for the region there; None: unsigned.
        tls: None: plain.
        limits: bounds.
        wall: seconds since the epoch.
        """
        self.address = address
        self._signer = signer
        self._wall = wall
        self._channel = channel(address, tls, limits)

    async def ask(self, method: Unary[Q, A], question: Q, seconds: float) -> A:
        """Asks once, for so long at most; raises RpcFault."""
        try:
            return await method.on(self._channel)(question, timeout=seconds, metadata=self._signed(method.path))
        except grpc.aio.AioRpcError as error:
            raise fault_of(error, self.address) from error

    def feed(self, method: Feed[Q, A], question: Q) -> "Answers[A]":
        """Asks once, for answers without end."""
        return Answers(method.on(self._channel)(question, metadata=self._signed(method.path)), self.address)

    def talk(self, method: Talk[Q, A]) -> "Conversation[Q, A]":
        """Begins a conversation."""
        return Conversation(method.on(self._channel)(metadata=self._signed(method.path)), self.address)

    async def close(self) -> None:
        """Closes the connection; running calls end."""
        await self._channel.close()

    def _signed(self, path: str) -> Metadata:
        return () if self._signer is None else self._signer.sign(path, self._wall())


class Answers(Generic[A]):
    """Messages that come. Use it as an async context manager, or `close` it."""

    def __init__(self, call: "grpc.aio.UnaryStreamCall[Q, A] | grpc.aio.StreamStreamCall[Q, A]", address: str) -> None:
        self._call = call
        self._address = address
        self._reading: asyncio.Task[A | None] | None = None

    async def __aenter__(self) -> "Answers[A]":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def receive(self, seconds: float | None = None) -> A | None:
        """Returns the next message; None: the other side has ended it. Safe to cancel: nothing is lost by it.

        Args:
            seconds: of waiting at most; None: for ever.

        Raises: TooSlow: nothing came in time, and the call goes on; RpcFault: it has failed.
        """
        # A read that is cancelled would end the call (grpc.aio): it is waited for, and goes on without us.
        reading = self._reading = self._reading or asyncio.create_task(self._read())
        done, _ = await asyncio.wait([reading], timeout=seconds)
        if not done:
            raise TooSlow(f"{self._address}: silent for {seconds} s")
        self._reading = None
        return reading.result()

    async def close(self) -> None:
        """Ends the call. Safe to call more than once."""
        self._call.cancel()
        reading, self._reading = self._reading or asyncio.create_task(self._read()), None
        # It ends by itself once gRPC has let go of the call; cancelled, it would leave that to whoever runs next.
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.exception()
        await self._call.code()

    async def _read(self) -> A | None:
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise fault_of(error, self._address) from error
        except asyncio.CancelledError:
            if self._call.cancelled():
                raise Unreachable(f"{self._address}: the call was closed") from None
            raise
        return None if message is grpc.aio.EOF else message  # type: ignore[return-value]


class Conversation(Answers[A], Generic[Q, A]):
    """Messages both ways."""

    def __init__(self, call: grpc.aio.StreamStreamCall[Q, A], address: str) -> None:
        super().__init__(call, address)
        self._both = call

    async def send(self, message: Q, seconds: float) -> None:
        """Sends a message; raises RpcFault, by which the conversation has ended. It ends, too, if this is cancelled."""
        try:
            async with asyncio.timeout(seconds):
                await self._both.write(message)
        except grpc.aio.AioRpcError as error:
            raise fault_of(error, self._address) from error
        except TimeoutError as fault:
            raise TooSlow(f"{self._address}: takes no message in {seconds} s") from fault
        except asyncio.InvalidStateError as fault:
            raise await self._why() from fault

    async def _why(self) -> RpcFault:
        """The fault by which a call ended that takes no more messages."""
        try:
            await self.receive()
        except RpcFault as fault:
            return fault
        return Unreachable(f"{self._address}: the other side has ended the conversation")
