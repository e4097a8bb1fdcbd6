"""Methods of services as values: a path, and the messages that go each way. Both ends write them once.

Messages come from a .proto; the methods are written here in Python, so that what is called is typed, and no second kind
of generated module is needed.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc.aio
from google.protobuf.message import Message

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


@dataclass(frozen=True, slots=True)
class _Method(Generic[Q, A]):
    service: str
    name: str
    question: type[Q]
    answer: type[A]

    @property
    def path(self) -> str:
        """As it is called on the wire."""
        return f"/{self.service}/{self.name}"


@dataclass(frozen=True, slots=True)
class Unary(_Method[Q, A]):
    """One question, one answer."""

    def on(self, channel: grpc.aio.Channel) -> grpc.aio.UnaryUnaryMultiCallable[Q, A]:
        """Returns what calls it on a channel."""
        return channel.unary_unary(
            self.path,
            request_serializer=self.question.SerializeToString,
            response_deserializer=self.answer.FromString,
        )


@dataclass(frozen=True, slots=True)
class Feed(_Method[Q, A]):
    """One question, answers without end."""

    def on(self, channel: grpc.aio.Channel) -> grpc.aio.UnaryStreamMultiCallable[Q, A]:
        """Returns what calls it on a channel."""
        return channel.unary_stream(
            self.path,
            request_serializer=self.question.SerializeToString,
            response_deserializer=self.answer.FromString,
        )


@dataclass(frozen=True, slots=True)
class Talk(_Method[Q, A]):
    """Messages both ways, in any order, until one side ends it."""

    def on(self, channel: grpc.aio.Channel) -> grpc.aio.StreamStreamMultiCallable[Q, A]:
        """Returns what calls it on a channel."""
        return channel.stream_stream(
            self.path,
            request_serializer=self.question.SerializeToString,
            response_deserializer=self.answer.FromString,
        )
