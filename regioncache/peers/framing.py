"""Frames of an opened read, as who answers another node sends them: what is at hand without a task, what lands in one.

A frame carries what is there, up to what was asked for: it never waits to be full. A beat goes each second while
nothing comes, a fault instead of an end.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from regioncache.errors import CacheError, NodeStopping, NotOwner
from regioncache.http.messages import Buffer
from regioncache.opened import NOTHING, Opened
from regioncache.pages import FilePart
from regioncache.peers.proto import BEAT_SECONDS, FRAME_BYTES, Kind, frame


class Frames:
    """One reply's frames: `pull` and `stream` give the same, each going on where the other stopped.

    Mutable state: `_at` the object offset of the next frame; `_rest` what is left of a piece larger than a frame.
    """

    def __init__(self, opened: Opened, most: int) -> None:
        """`most`: bytes that a frame carries."""
        self._opened = opened
        self._most = most
        self._at = opened.span.start
        self._rest = NOTHING

    def pull(self) -> FilePart | None:
        """The next frame, where it is at hand, with the last one the end; see `Reply.pull`."""
        part: FilePart | None = self._rest
        if not len(self._rest.view):
            part = self._opened.pull()
        return None if part is None else self._framed(part)

    async def stream(self) -> AsyncGenerator[Buffer]:
        """Yields what `pull` does not give, and the end."""
        end = self._opened.span.end
        async with aclosing(self._opened.stream()) as pieces:
            try:
                while self._at < end:
                    async with aclosing(self._beats(pieces)) as beats:
                        async for beat in beats:
                            yield beat
                    framed = self._framed(self._rest)
                    yield b"".join((framed.head, framed.view))
                yield frame(Kind.END)
            except (NodeStopping, NotOwner):
                return  # without an end: who reads looks where it goes on
            except CacheError as fault:
                text = str(fault).encode()[:FRAME_BYTES]
                yield frame(Kind.FAULT, self._at, text) + text

    async def _beats(self, pieces: AsyncGenerator[memoryview]) -> AsyncGenerator[bytes]:
        """Yields a beat each second until there is something to be framed."""
        if len(self._rest.view):
            return
        upcoming = asyncio.ensure_future(anext(pieces))
        try:
            while not (await asyncio.wait({upcoming}, timeout=BEAT_SECONDS))[0]:
                yield frame(Kind.BEAT)
            self._rest = FilePart(upcoming.result(), None, 0)
        finally:
            if not upcoming.done():
                upcoming.cancel()
                await asyncio.wait({upcoming})

    def _framed(self, part: FilePart) -> FilePart:
        """Takes a frame off a piece; the rest is for the next one."""
        most = self._most
        view, at = part.view[:most], self._at
        rest = part.view[most:]
        self._rest = FilePart(rest, part.file, part.offset + len(view)) if len(rest) else NOTHING
        self._at += len(view)
        last = frame(Kind.END) if self._at == self._opened.span.end else b""
        return FilePart(view, part.file, part.offset, frame(Kind.BYTES, at, view), last)
