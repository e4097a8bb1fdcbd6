"""A gRPC server: services by name, every call's caller known before its handler sees it, faults by the table."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

import grpc
import grpc.aio
from google.protobuf.message import Message

from namespace.rpc.channels import RpcLimits, RpcTls, server_options
from namespace.rpc.faults import Broken, RpcFault, Untrusted, code_of, trailing
from namespace.rpc.methods import A, Feed, Q, Talk, Unary
from namespace.rpc.signing import BadSignature, Trust

Context = grpc.aio.ServicerContext[Message, Message]
OnFault = Callable[[str, BaseException], None]
"""Told of a handler that failed by a fault of the program: the method, and what it was."""


class AddressTaken(Exception):
    """The address cannot be listened at; the message names it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call."""

    region: str
    """As the signature shows it; empty on a server that trusts nobody in particular."""
    peer: str
    """Where it comes from, as gRPC writes it: `ipv4:10.0.0.7:41234`."""


class Service:
    """One service: its methods and who answers them. Handed to a server before that starts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._make: dict[str, Callable[[_Door], grpc.RpcMethodHandler[Message, Message]]] = {}

    def __repr__(self) -> str:
        return f"Service({self.name}: {', '.join(self._make)})"

    def unary(self, method: Unary[Q, A], handler: Callable[[Q, Caller], Awaitable[A]]) -> None:
        """Has `handler` answer a method; it may raise RpcFault."""

        def make(door: "_Door") -> "grpc.RpcMethodHandler[Message, Message]":
            async def answer(question: Q, context: Context) -> A:
                try:
                    return await handler(question, door.caller(method.path, context))
                except Exception as fault:
                    raise await door.refused(method.path, context, fault) from fault

            return grpc.unary_unary_rpc_method_handler(
                answer,
                request_deserializer=method.question.FromString,
                response_serializer=method.answer.SerializeToString,
            )

        self._make[method.name] = make

    def feed(self, method: Feed[Q, A], handler: Callable[[Q, Caller], AsyncIterator[A]]) -> None:
        """Has `handler` answer a method by any number of messages; closed when the caller leaves."""

        def make(door: "_Door") -> "grpc.RpcMethodHandler[Message, Message]":
            async def answer(question: Q, context: Context) -> AsyncIterator[A]:
                try:
                    async for one in handler(question, door.caller(method.path, context)):
                        yield one
                except Exception as fault:
                    raise await door.refused(method.path, context, fault) from fault

            return grpc.unary_stream_rpc_method_handler(
                answer,
                request_deserializer=method.question.FromString,
                response_serializer=method.answer.SerializeToString,
            )

        self._make[method.name] = make

    def talk(self, method: Talk[Q, A], handler: Callable[[AsyncIterator[Q], Caller], AsyncIterator[A]]) -> None:
        """Has `handler` hold a conversation: it reads what comes while it yields what goes."""

        def make(door: "_Door") -> "grpc.RpcMethodHandler[Message, Message]":
            async def answer(questions: AsyncIterator[Q], context: Context) -> AsyncIterator[A]:
                try:
                    async for one in handler(questions, door.caller(method.path, context)):
                        yield one
                except Exception as fault:
                    raise await door.refused(method.path, context, fault) from fault

            return grpc.stream_stream_rpc_method_handler(
                answer,
                request_deserializer=method.question.FromString,
                response_serializer=method.answer.SerializeToString,
            )

        self._make[method.name] = make

    def handlers(self, door: "_Door") -> grpc.GenericRpcHandler:
        """Returns what gRPC wants of it."""
        return grpc.method_handlers_generic_handler(self.name, {name: make(door) for name, make in self._make.items()})


class RpcServer:
    """Services at one address. Started once, stopped once."""

    def __init__(
        self,
        services: Iterable[Service],
        trust: Trust | None,
        on_fault: OnFault,
        limits: RpcLimits | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Args:
        services: what it serves.
        trust: who may call; None: anybody, for tests and for servers behind a check of their own.
        on_fault: hears of handlers that fail.
        limits: bounds of messages and connections.
        wall: seconds since the epoch.
        """
        self._server = grpc.aio.server(options=server_options(limits or RpcLimits()))
        door = _Door(trust, on_fault, wall)
        self._server.add_generic_rpc_handlers(tuple(service.handlers(door) for service in services))

    async def start(self, address: str, tls: RpcTls | None = None) -> int:
        """Listens at `HOST:PORT` and returns the port; raises AddressTaken."""
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, tls.of_server())
        except RuntimeError as fault:
            raise AddressTaken(
                f"{address} cannot be listened at; free it, or choose another for the control door"
            ) from fault
        await self._server.start()
        return port

    async def stop(self, grace_seconds: float) -> None:
        """Takes no more calls, lets running ones end for so long, then ends them."""
        await self._server.stop(grace_seconds)


@dataclass(frozen=True, slots=True)
class _Door:
    """What every call passes."""

    trust: Trust | None
    on_fault: OnFault
    wall: Callable[[], float]

    def caller(self, path: str, context: Context) -> Caller:
        """Who calls; raises Untrusted."""
        if self.trust is None:
            return Caller("", context.peer())
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        try:
            return Caller(self.trust.caller(path, metadata, self.wall()), context.peer())
        except BadSignature as fault:
            raise Untrusted(str(fault)) from fault

    async def refused(self, path: str, context: Context, fault: Exception) -> Exception:
        """Tells the caller; returns what ends the call here."""
        if isinstance(fault, grpc.aio.AbortError):
            return fault
        if not isinstance(fault, RpcFault):
            self.on_fault(path, fault)
            fault = Broken("a fault of this program; its log says more")
        try:
            await context.abort(code_of(fault), str(fault), trailing(fault))
        except grpc.aio.AbortError as ended:
            return ended
        return fault
