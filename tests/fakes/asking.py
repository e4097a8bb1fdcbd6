"""Asks a source as a flight and a question do: a range read to its end, a head."""

from regioncache.lines.base import Crossing
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import Payer, Question, Reading, Source, Want
from regioncache.pages import MIB, Meta, Span, Version


def want(key: str = "k", start: int = 0, end: int = MIB, version: str | None = None) -> Want:
    return Want(key, None if version is None else Version(version), Span(start, end), Payer("rec"))


async def head(source: Source, key: str = "k") -> Meta:
    return await source.head(Question(key, Payer("rec")), NoLine())


async def body(reading: Reading, step: int = 100_000) -> bytes:
    got, into = bytearray(), memoryview(bytearray(step))
    try:
        while n := await reading.receive(into):
            got += into[:n]
    finally:
        reading.close()
    return bytes(got)


async def read(source: Source, asked: Want, crossing: Crossing | None = None) -> bytes:
    return await body(await source.read(asked, crossing or NoLine()))
