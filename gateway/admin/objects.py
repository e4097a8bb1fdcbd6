"""An object's bytes through the admin port, for `causeway cat`; never more, and never fewer, than it announced."""

import structlog
from aiohttp import web

from gateway.admin.operations import Opening, Reading
from gateway.admin.replies import refusal
from regioncache.errors import CacheError
from regioncache.pages import WHOLE, Wanted


async def send_object(request: web.Request, reading: Reading, path: str) -> web.StreamResponse:
    """Sends the bytes of `path` that the Range header asks for.

    A reply that cannot be finished is cut, so that the reader sees that it is not whole.
    """
    try:
        wanted = _wanted(request)
    except ValueError:
        return refusal(400, "the Range header is not one range as bytes=0-99, bytes=100- or bytes=-100")
    opening = await reading.open(path, wanted)
    try:
        response = await _begin(request, opening, partial=wanted != WHOLE)
        await _send(request, response, opening)
    finally:
        opening.close()
    return response


def _wanted(request: web.Request) -> Wanted:
    asked = request.http_range
    if asked.start is None:
        return WHOLE
    if asked.start < 0:
        return Wanted(suffix=-asked.start)
    return Wanted(asked.start, asked.stop)


async def _begin(request: web.Request, opening: Opening, partial: bool) -> web.StreamResponse:
    headers = {
        "Content-Length": str(len(opening.span)),
        "Content-Type": "application/octet-stream",
        "ETag": opening.meta.etag,
        "x-causeway-source": opening.source,
    }
    if partial:
        headers["Content-Range"] = f"bytes {opening.span.start}-{opening.span.end - 1}/{opening.meta.size}"
    response = web.StreamResponse(status=206 if partial else 200, headers=headers)
    await response.prepare(request)
    return response


async def _send(request: web.Request, response: web.StreamResponse, opening: Opening) -> None:
    left = len(opening.span)
    try:
        async for piece in opening.stream():
            left -= len(piece)
            # A copy: the piece may be reused while the transport still holds it.
            await response.write(bytes(piece))
        if not left:
            await response.write_eof()
    except CacheError as fault:
        # Its code has left already: the reader sees the cut, the log says why.
        structlog.stdlib.get_logger("causeway.admin").warning("reply cut short", path=request.path_qs, fault=str(fault))
    finally:
        if left and request.transport is not None:
            request.transport.abort()
